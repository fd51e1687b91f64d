//! The kernel's half of all address spaces: made while it boots, and never changed after.

use crate::memory::direct::Frame;
use crate::memory::layout::{DEVICES_BASE, DIRECT_BASE, Image, KERNEL_BASE, PAGE_BYTES, STACKS_BASE};
use crate::memory::map::MemoryMap;
use crate::memory::paging::{Flags, MapError, USER_ENTRIES, child, cleared_frame, index, table_below};

const LARGE_BYTES: u64 = 2 << 20;

/// The kernel's half, with nothing in the other one.
#[derive(Debug)]
pub(crate) struct KernelSpace {
    pub(super) root: Frame,
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

    /// Whether nothing in it can be both written and executed, nor used by ring 3. Looks at all tables.
    pub(crate) fn is_in_order(&self) -> bool {
        (USER_ENTRIES..512).filter_map(|index| child(self.root, index)).all(|table| is_in_order(table, 2))
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

/// What [`KernelSpace::is_in_order`] says, of one table; three levels at most, so at most three calls deep.
fn is_in_order(table: Frame, level: u32) -> bool {
    (0..512).all(|index| {
        let flags = Flags::from_bits_truncate(table.word(index));
        match child(table, index).filter(|_| level > 0) {
            Some(below) => is_in_order(below, level - 1),
            None if flags.contains(Flags::PRESENT) => {
                !flags.contains(Flags::USER)
                    && (!flags.contains(Flags::WRITE) || flags.contains(Flags::NO_EXECUTE))
            }
            None => true,
        }
    })
}
