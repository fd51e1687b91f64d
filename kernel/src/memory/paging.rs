//! Page tables: four levels, checked, written through the direct map.
//!
//! A table is a frame whose 512 words are entries (Intel SDM volume 3, section 4.5). Nothing here loads a table; who does (see
//! [`cpu`](crate::cpu)) relies on this: the upper half of every root is the kernel's, the same in all of them and never changed after
//! boot.

mod kernel;

use core::ops::Range;

use bitflags::bitflags;
use feuerbird_exokernel::DomainId;

use crate::memory::direct::Frame;
use crate::memory::frames::{self, Chains, Wanted};
use crate::memory::layout::{PAGE_BYTES, USER_END, USER_START};
use crate::memory::object::{MAX_PAGES, Mapped, Memory};
use crate::memory::quota;

pub(crate) use kernel::{KernelSpace, direct_map_bytes};

/// The most page tables that one domain can have: what bounds the work of looking at all that it has mapped.
const MAX_TABLES: u32 = 1024;

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
        /// What was mapped together begins here; the processor does not care.
        const FIRST = 1 << 9;
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
    /// Not all of it are pages between [`USER_START`] and [`USER_END`].
    BadAddress,
    /// Something is mapped there.
    Occupied,
    /// Nothing is mapped there.
    Empty,
    /// The access is not this domain's to have.
    Forbidden,
    /// No frame is left for a table, or the domain has too many tables.
    NoFrames,
    /// The domain cannot pay for a table.
    NoQuota,
}

/// One domain's page tables. To be given back by [`AddressSpace::end`].
///
/// # Invariant
/// Every entry that maps a page names a frame of a memory object, and is one of that object's references.
#[derive(Debug)]
pub(crate) struct AddressSpace {
    root: Frame,
    /// Whose it is, who pays for the tables.
    domain: DomainId,
    tables: u32,
}

impl AddressSpace {
    /// A space with nothing in it but the kernel.
    ///
    /// # Errors
    /// [`MapError::NoFrames`], [`MapError::NoQuota`].
    pub(crate) fn new(domain: DomainId, kernel: &KernelSpace) -> Result<Self, MapError> {
        quota::charge(domain, 1).map_err(|_| MapError::NoQuota)?;
        let root = cleared_frame().ok_or(MapError::NoFrames).inspect_err(|_| quota::refund_of(domain, 1))?;
        (USER_ENTRIES..512).for_each(|index| root.set_word(index, kernel.root.word(index)));
        Ok(Self { root, domain, tables: 1 })
    }

    /// The physical address of its root.
    pub(crate) fn root(&self) -> u64 {
        self.root.address()
    }

    /// How many frames the tables are.
    pub(crate) fn tables(&self) -> u32 {
        self.tables
    }

    /// Maps pages of memory from its page `first` on, all or none; each is a reference.
    pub(crate) fn map(
        &mut self,
        address: u64,
        memory: &Memory,
        pages: Range<u32>,
        flags: Flags,
    ) -> Result<(), MapError> {
        let count = pages.end.saturating_sub(pages.start);
        check_user(address, count)?;
        if pages.end > memory.pages() {
            return Err(MapError::BadAddress);
        }
        let mut next = memory.frame(pages.start);
        let mut done = 0;
        for part in parts(address, count) {
            let table = self.make_leaf_table(part.address);
            let mapped = table.and_then(|table| {
                fill(table, &part, &mut next, if done == 0 { flags | Flags::FIRST } else { flags })
            });
            if let Err(error) = mapped {
                memory.add_mapped(done);
                let taken_back = if done > 0 { self.unmap(address, done) } else { Ok(0) };
                return taken_back.and(Err(error));
            }
            done += part.entries.len() as u32;
        }
        memory.add_mapped(done);
        Ok(())
    }

    /// Takes away whatever is mapped in a range; returns how many pages that were. The processor may remember them until its next
    /// flush, which must come before anybody runs.
    pub(crate) fn unmap(&mut self, address: u64, pages: u32) -> Result<u32, MapError> {
        check_user(address, pages)?;
        let tables = parts(address, pages).filter_map(|part| Some((self.leaf_table(part.address)?, part)));
        Ok(tables.map(|(table, part)| clear(table, part.entries)).sum())
    }

    /// Changes what may be done with pages, all or none; what each belongs to must be as `may` says. The processor may remember
    /// them as they were until its next flush.
    pub(crate) fn protect(
        &mut self,
        address: u64,
        pages: u32,
        flags: Flags,
        may: impl Fn(Mapped) -> bool,
    ) -> Result<(), MapError> {
        check_user(address, pages)?;
        for part in parts(address, pages) {
            let table = self.leaf_table(part.address).ok_or(MapError::Empty)?;
            let chains = Chains::look();
            let mut before = None;
            for index in part.entries {
                let object = mapped_frame(table.word(index)).and_then(|frame| Mapped::of(&chains, frame));
                if object.is_none() || object != before && !object.is_some_and(&may) {
                    return Err(if object.is_none() { MapError::Empty } else { MapError::Forbidden });
                }
                before = object;
            }
        }
        for part in parts(address, pages) {
            let Some(table) = self.leaf_table(part.address) else { continue };
            for index in part.entries {
                let kept = table.word(index) & (ADDRESS | Flags::FIRST.bits());
                table.set_word(index, kept | flags.bits());
            }
        }
        Ok(())
    }

    /// What is mapped at a page's address: its frame.
    pub(crate) fn mapped_at(&self, address: u64) -> Option<Frame> {
        check_user(address, 1).ok()?;
        mapped_frame(self.leaf_table(address)?.word(index(address, 0)))
    }

    /// How many pages from an address on are of the same memory and were mapped with the first one.
    pub(crate) fn mapped_together(&self, address: u64) -> u32 {
        let chains = Chains::look();
        let entry = |page: u64| {
            let address = address + page * PAGE_BYTES;
            let table = check_user(address, 1).ok().and_then(|()| self.leaf_table(address));
            table.map_or(0, |table| table.word(index(address, 0)))
        };
        let object = |entry| mapped_frame(entry).and_then(|frame| Mapped::of(&chains, frame));
        let first = object(entry(0));
        let is_with_it = |page: &u64| {
            let entry = entry(*page);
            entry & Flags::FIRST.bits() == 0 && object(entry).is_some_and(|object| Some(object) == first)
        };
        1 + (1..MAX_PAGES.into()).take_while(is_with_it).count() as u32
    }

    /// Has every page of one memory be a page of another, for reading: the one in the same place, or the last one where that is
    /// shorter. From an address on, as far as so many entries of tables reach; returns how many pages there were, and where to go
    /// on. The processor may remember them as they were until its next flush.
    pub(crate) fn replace(
        &mut self,
        memory: &Memory,
        other: &Memory,
        from: u64,
        entries: u32,
    ) -> (u32, Option<u64>) {
        let (mut replaced, mut object) = (0, None);
        let next = self.walk(from, entries, |_, table, entries| {
            let chains = Chains::look();
            for index in entries {
                let entry = table.word(index);
                let Some(frame) = mapped_frame(entry) else { continue };
                let found = Mapped::of(&chains, frame);
                if found.is_some_and(|object| object.is(memory)) {
                    let new = counterpart(&chains, memory, other, frame).address();
                    table.set_word(index, new | Flags::USER_READ.bits() | entry & Flags::FIRST.bits());
                    object = found;
                    replaced += 1;
                }
            }
        });
        other.add_mapped(replaced);
        // Not the last ones: the caller has one.
        object.into_iter().for_each(|object| object.subtract(replaced));
        (replaced, next)
    }

    /// Whether a page of that memory is mapped.
    pub(crate) fn has(&self, memory: &Memory) -> bool {
        let (mut next, mut found) = (Some(0), false);
        while let Some(from) = next.filter(|_| !found) {
            next = self.walk(from, 512, |_, table, mut entries| {
                let chains = Chains::look();
                let is_of_it = |frame| Mapped::of(&chains, frame).is_some_and(|object| object.is(memory));
                found |= entries.any(|index| mapped_frame(table.word(index)).is_some_and(is_of_it));
            });
        }
        found
    }

    /// How many pages of that memory are mapped. Looks at all tables.
    pub(crate) fn count(&self, memory: &Memory) -> u32 {
        let mut count = 0;
        self.for_each_leaf_table(|_, table| {
            let chains = Chains::look();
            let frames = (0..512).filter_map(|index| mapped_frame(table.word(index)));
            let is_of_it =
                |frame: &Frame| Mapped::of(&chains, *frame).is_some_and(|object| object.is(memory));
            count += frames.filter(is_of_it).count() as u32;
        });
        count
    }

    /// Shows every mapped page: its address, its entry, its frame.
    pub(crate) fn for_each_page(&self, mut show: impl FnMut(u64, Flags, Frame)) {
        self.for_each_leaf_table(|address, table| {
            for index in 0..512 {
                let entry = table.word(index);
                if let Some(frame) = mapped_frame(entry) {
                    show(address + index as u64 * PAGE_BYTES, Flags::from_bits_truncate(entry), frame);
                }
            }
        });
    }

    /// Whether the kernel's half is what it is everywhere.
    pub(crate) fn has_kernel(&self, kernel: &KernelSpace) -> bool {
        (USER_ENTRIES..512).all(|index| self.root.word(index) == kernel.root.word(index))
    }

    /// Gives back the tables, and the references to what they map. No processor uses them any more, and the domain does not pay for
    /// them any more: see [`AddressSpace::stop_paying`].
    pub(crate) fn end(self) {
        (0..USER_ENTRIES).filter_map(|index| child(self.root, index)).for_each(|table| give_tables(table, 2));
        frames::give(self.root);
    }

    /// The domain is about to end.
    pub(crate) fn stop_paying(&self) {
        quota::refund_of(self.domain, self.tables);
    }

    fn leaf_table(&self, address: u64) -> Option<Frame> {
        (1..=3).rev().try_fold(self.root, |table, level| child(table, index(address, level)))
    }

    /// The table that maps an address's page, made where there is none.
    fn make_leaf_table(&mut self, address: u64) -> Result<Frame, MapError> {
        let mut table = self.root;
        for level in (1..=3).rev() {
            let place = index(address, level);
            table = match child(table, place) {
                Some(below) => below,
                None => self.make_table(table, place)?,
            };
        }
        Ok(table)
    }

    fn make_table(&mut self, above: Frame, place: usize) -> Result<Frame, MapError> {
        if self.tables >= MAX_TABLES {
            return Err(MapError::NoFrames);
        }
        quota::charge(self.domain, 1).map_err(|_| MapError::NoQuota)?;
        let made = table_below(above, place, Flags::USER);
        let made = made.inspect_err(|_| quota::refund_of(self.domain, 1))?;
        self.tables += 1;
        Ok(made)
    }

    fn for_each_leaf_table(&self, mut show: impl FnMut(u64, Frame)) {
        // No more entries than that can be looked at.
        self.walk(0, u32::MAX, |address, table, _| show(address, table));
    }

    /// Shows the lowest tables from an address on, and which of their entries it has come to, as far as so many entries of tables of all
    /// levels reach; returns where to go on.
    fn walk(&self, from: u64, entries: u32, mut show: impl FnMut(u64, Frame, Range<usize>)) -> Option<u64> {
        let (mut address, mut left) = (from, entries as usize);
        while address < USER_END {
            let (mut table, mut level) = (self.root, 3);
            let passed = loop {
                let first = index(address, level);
                let last = 512.min(first + left);
                if level == 0 {
                    show(address, table, first..last);
                    break last - first;
                }
                match child(table, first) {
                    Some(below) => (table, level) = (below, level - 1),
                    None => break (first..last).take_while(|place| child(table, *place).is_none()).count(),
                }
            };
            if left == 0 {
                return Some(address);
            }
            left -= passed;
            let size = PAGE_BYTES << (9 * level);
            address = (address / size + passed as u64) * size;
        }
        None
    }
}

/// Pages that one table maps.
struct Part {
    address: u64,
    entries: Range<usize>,
}

/// A range of a domain's addresses, table by table.
fn parts(address: u64, pages: u32) -> impl Iterator<Item = Part> {
    let end = address + u64::from(pages) * PAGE_BYTES;
    let mut next = address;
    core::iter::from_fn(move || {
        let address = next;
        let first = index(address, 0);
        let count = ((end - address) / PAGE_BYTES).min(512 - first as u64);
        next += count * PAGE_BYTES;
        (count > 0).then_some(Part { address, entries: first..first + count as usize })
    })
}

/// Fills the entries of one table from a chain of frames, all or none. Only the first entry is a [`Flags::FIRST`] one, if any is.
fn fill(table: Frame, part: &Part, next: &mut Option<Frame>, mut flags: Flags) -> Result<(), MapError> {
    if part.entries.clone().any(|index| table.word(index) != 0) {
        return Err(MapError::Occupied);
    }
    let chains = Chains::look();
    for index in part.entries.clone() {
        // As long as the memory is: the range was checked.
        let Some(frame) = *next else { return Err(MapError::BadAddress) };
        table.set_word(index, frame.address() | flags.bits());
        flags = flags.difference(Flags::FIRST);
        *next = chains.next(frame);
    }
    Ok(())
}

/// Empties entries of one table, and lets go of what they named.
fn clear(table: Frame, entries: Range<usize>) -> u32 {
    let (mut start, mut removed) = (entries.start, 0);
    while start < entries.end {
        let (object, count, next) = clear_run(table, start..entries.end);
        if let Some(object) = object {
            object.subtract(count);
        }
        (start, removed) = (next, removed + count);
    }
    removed
}

/// Empties entries as long as they are one object's; which, how many, and where it stopped.
fn clear_run(table: Frame, entries: Range<usize>) -> (Option<Mapped>, u32, usize) {
    let chains = Chains::look();
    let (mut found, mut count) = (None, 0);
    for index in entries.clone() {
        let Some(frame) = mapped_frame(table.word(index)) else { continue };
        let object = Mapped::of(&chains, frame);
        if count > 0 && object != found {
            return (found, count, index);
        }
        table.set_word(index, 0);
        (found, count) = (object, count + 1);
    }
    (found, count, entries.end)
}

/// The frame of other memory in the place that `frame` has in one; its last one, where it is shorter. It may be the same memory.
fn counterpart(chains: &Chains, memory: &Memory, other: &Memory, frame: Frame) -> Frame {
    if memory.is(other) {
        return frame;
    }
    let (mut here, mut there) = (memory.first(), other.first());
    while here != frame
        && let (Some(next), Some(across)) = (chains.next(here), chains.next(there))
    {
        (here, there) = (next, across);
    }
    there
}

/// The frame that an entry of a domain's lowest tables maps.
fn mapped_frame(entry: u64) -> Option<Frame> {
    // SAFETY: by the invariant of `AddressSpace`.
    (entry != 0).then(|| unsafe { Frame::new(((entry & ADDRESS) / PAGE_BYTES) as u32) })
}

fn check_user(address: u64, pages: u32) -> Result<(), MapError> {
    let end = address.checked_add(u64::from(pages) * PAGE_BYTES).ok_or(MapError::BadAddress)?;
    let is_inside = pages > 0 && address >= USER_START && end <= USER_END;
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

/// Three levels at most, so at most three calls deep.
fn give_tables(table: Frame, level: u32) {
    if level > 0 {
        (0..512).filter_map(|index| child(table, index)).for_each(|below| give_tables(below, level - 1));
    } else {
        clear(table, 0..512);
    }
    frames::give(table);
}

fn cleared_frame() -> Option<Frame> {
    let frame = frames::take(Wanted::Any)?;
    frame.clear();
    Some(frame)
}
