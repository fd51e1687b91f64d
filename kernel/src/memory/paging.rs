//! Page tables: four levels, checked, written through the direct map.
//!
//! A table is a frame whose 512 words are entries (Intel SDM volume 3, section 4.5). Nothing here loads a table; who does (see
//! [`cpu`](crate::cpu)) relies on this: the upper half of every root is the kernel's, the same in all of them and never changed after
//! boot.

use bitflags::bitflags;

use crate::memory::direct::Frame;
use crate::memory::frames;
use crate::memory::layout::{
    DEVICES_BASE, DIRECT_BASE, Image, KERNEL_BASE, PAGE_BYTES, STACKS_BASE, USER_END, USER_START,
};
use crate::memory::map::MemoryMap;

const LARGE_BYTES: u64 = 2 << 20;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The entries of the root that are the domain's own.
const USER_ENTRIES: usize = 256;

bitflags! {
    /// The bits of an entry that are not its address.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Flags: u64 {
        /// There is something.
        const PRESENT = 1;
        /// It can be written.
        const WRITE = 1 << 1;
        /// Ring 3 may use it.
        const USER = 1 << 2;
        /// Not cached: for registers of devices.
        const DEVICE = 1 << 3 | 1 << 4;
        /// It maps 2 MiB.
        const LARGE = 1 << 7;
        /// It stays when another space is loaded.
        const GLOBAL = 1 << 8;
        /// It cannot be executed.
        const NO_EXECUTE = 1 << 63;
    }
}

impl Flags {
    const KERNEL_DATA: Self = Self::PRESENT.union(Self::WRITE).union(Self::GLOBAL).union(Self::NO_EXECUTE);
    const KERNEL_CONSTANTS: Self = Self::PRESENT.union(Self::GLOBAL).union(Self::NO_EXECUTE);
    const KERNEL_TEXT: Self = Self::PRESENT.union(Self::GLOBAL);
    /// A domain may read.
    pub(crate) const USER_READ: Self = Self::PRESENT.union(Self::USER).union(Self::NO_EXECUTE);
    /// A domain may read and write.
    pub(crate) const USER_WRITE: Self = Self::USER_READ.union(Self::WRITE);
    /// A domain may read and execute.
    pub(crate) const USER_EXECUTE: Self = Self::PRESENT.union(Self::USER);
}

/// Why a page was not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapError {
    /// The address is not a page's start between [`USER_START`] and [`USER_END`].
    BadAddress,
    /// Something is mapped there.
    Occupied,
    /// No frame is left for a table.
    NoFrames,
}

/// One domain's page tables. To be given back by [`AddressSpace::end`].
#[derive(Debug)]
pub(crate) struct AddressSpace {
    root: Frame,
}

impl AddressSpace {
    /// A space with nothing in it but the kernel; `None` where no frame is left.
    pub(crate) fn new(kernel: &KernelSpace) -> Option<Self> {
        let root = cleared_frame()?;
        (USER_ENTRIES..512).for_each(|index| root.set_word(index, kernel.root.word(index)));
        Some(Self { root })
    }

    /// The physical address of its root.
    pub(crate) fn root(&self) -> u64 {
        self.root.address()
    }

    /// Maps a frame at a domain's address.
    pub(crate) fn map(&mut self, address: u64, frame: Frame, flags: Flags) -> Result<(), MapError> {
        check_user(address)?;
        map(self.root, address, frame.address(), flags | Flags::USER, 0)
    }

    /// Takes away what is mapped at a domain's address. The processor may remember it until its next flush.
    pub(crate) fn unmap(&mut self, address: u64) {
        if check_user(address).is_ok()
            && let Some(table) = leaf_table(self.root, address)
        {
            table.set_word(index(address, 0), 0);
        }
    }

    /// Gives back the tables, not what they map. No processor uses them any more.
    pub(crate) fn end(self) {
        (0..USER_ENTRIES).filter_map(|index| child(self.root, index)).for_each(|table| give_tables(table, 2));
        frames::give(self.root);
    }
}

/// The kernel's half, with nothing in the other one.
#[derive(Debug)]
pub(crate) struct KernelSpace {
    root: Frame,
}

impl KernelSpace {
    /// Maps the image, all memory, nothing else.
    ///
    /// # Panics
    /// Where there is no memory for the tables: the kernel cannot start then.
    pub(crate) fn new(memory_end: u64) -> Self {
        let space = Self { root: cleared_frame().expect("a frame for the kernel's first table") };
        space.map_memory(memory_end);
        space.map_image();
        // Their tables are there from now on, so that all address spaces share what is mapped later.
        for base in [STACKS_BASE, DEVICES_BASE] {
            table_below(space.root, index(base, 3), Flags::empty()).expect("frames for the kernel's tables");
        }
        space
    }

    /// The physical address of its root.
    pub(crate) fn root(&self) -> u64 {
        self.root.address()
    }

    /// Maps a device's page of registers.
    pub(crate) fn map_device(&self, address: u64, physical: u64) {
        self.map_page(address, physical, Flags::KERNEL_DATA | Flags::DEVICE);
    }

    /// Maps a new stack of that many pages, with nothing mapped below it; returns its upper end.
    pub(crate) fn map_stack(&self, number: u64, pages: u64) -> u64 {
        // As much again stays empty between two stacks.
        let start = STACKS_BASE + number * 2 * pages * PAGE_BYTES + pages * PAGE_BYTES;
        for page in 0..pages {
            let frame = cleared_frame().expect("frames for a core's stack");
            self.map_page(start + page * PAGE_BYTES, frame.address(), Flags::KERNEL_DATA);
        }
        start + pages * PAGE_BYTES
    }

    fn map_image(&self) {
        let image = Image::here();
        // The part that ran before paging is left out.
        for address in (image.text..image.end).step_by(PAGE_BYTES as usize) {
            self.map_page(address, address - KERNEL_BASE, image_flags(&image, address));
        }
    }

    /// All memory in large pages; where the image is in small ones, so that nothing that is read-only can be written here.
    fn map_memory(&self, memory_end: u64) {
        let image = Image::here();
        for start in (0..memory_end).step_by(LARGE_BYTES as usize) {
            if start >= image.physical_end() {
                map(self.root, DIRECT_BASE + start, start, Flags::KERNEL_DATA | Flags::LARGE, 1)
                    .expect("frames for the kernel's tables");
                continue;
            }
            for physical in (start..start + LARGE_BYTES).step_by(PAGE_BYTES as usize) {
                let flags = image_flags(&image, physical + KERNEL_BASE) | Flags::NO_EXECUTE;
                self.map_page(DIRECT_BASE + physical, physical, flags);
            }
        }
    }

    fn map_page(&self, address: u64, physical: u64, flags: Flags) {
        map(self.root, address, physical, flags, 0).expect("frames for the kernel's tables");
    }
}

/// How much the direct map must cover for this memory.
pub(crate) fn direct_map_bytes(map: &MemoryMap) -> u64 {
    map.end().next_multiple_of(LARGE_BYTES)
}

fn image_flags(image: &Image, address: u64) -> Flags {
    if (image.text..image.rodata).contains(&address) {
        Flags::KERNEL_TEXT
    } else if (image.rodata..image.data).contains(&address) {
        Flags::KERNEL_CONSTANTS
    } else {
        Flags::KERNEL_DATA
    }
}

fn check_user(address: u64) -> Result<(), MapError> {
    let is_inside = (USER_START..USER_END).contains(&address);
    if is_inside && address.is_multiple_of(PAGE_BYTES) { Ok(()) } else { Err(MapError::BadAddress) }
}

/// Which entry of a table of that level an address belongs to; level 0 has pages.
fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level) & 511) as usize
}

/// The table that an entry names.
fn child(table: Frame, index: usize) -> Option<Frame> {
    let entry = table.word(index);
    let is_table = entry & Flags::PRESENT.bits() != 0 && entry & Flags::LARGE.bits() == 0;
    // SAFETY: an entry of a table that is not a leaf was written by `table_below`, with a frame that it took.
    is_table.then(|| unsafe { Frame::new(((entry & ADDRESS) / PAGE_BYTES) as u32) })
}

/// The table that an entry names; made where there is none.
fn table_below(table: Frame, index: usize, flags: Flags) -> Result<Frame, MapError> {
    if let Some(below) = child(table, index) {
        return Ok(below);
    }
    if table.word(index) != 0 {
        return Err(MapError::Occupied);
    }
    let below = cleared_frame().ok_or(MapError::NoFrames)?;
    let flags = Flags::PRESENT | Flags::WRITE | flags & Flags::USER;
    table.set_word(index, below.address() | flags.bits());
    Ok(below)
}

fn map(root: Frame, address: u64, physical: u64, flags: Flags, leaf: u32) -> Result<(), MapError> {
    let mut table = root;
    for level in (leaf + 1..=3).rev() {
        table = table_below(table, index(address, level), flags)?;
    }
    let place = index(address, leaf);
    if table.word(place) != 0 {
        return Err(MapError::Occupied);
    }
    table.set_word(place, physical | flags.bits());
    Ok(())
}

fn leaf_table(root: Frame, address: u64) -> Option<Frame> {
    (1..=3).rev().try_fold(root, |table, level| child(table, index(address, level)))
}

/// Three levels at most, so at most three calls deep.
fn give_tables(table: Frame, level: u32) {
    if level > 0 {
        (0..512).filter_map(|index| child(table, index)).for_each(|below| give_tables(below, level - 1));
    }
    frames::give(table);
}

fn cleared_frame() -> Option<Frame> {
    let frame = frames::take(None)?;
    frame.clear();
    Some(frame)
}
