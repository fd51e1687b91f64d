//! Memory objects in this domain's address space: where they are mapped, and words of them that others read or write.
//!
//! # Invariant
//! A [`Mapping`] is memory that the kernel has mapped at its address for as long as the value lives; nothing else of this domain
//! lies there, because addresses come from `take_place`, and are free again when it goes. Its words are only used as atomics, so that it does not
//! matter who else sees or writes them. [`FaultingWords`] lie where nothing else of this domain does: what is mapped there comes by its own
//! fault handler, and a touch of what does not come ends the domain or its thread.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use feuerbird_abi::{Access, Call, Edit, EditAction, MachineCall, PAYLOAD_BYTES, Status};
use feuerbird_zero_copy::{Region, Words, WriteRegion};
use zerocopy::IntoBytes;

use crate::gate::{self, HandleNumber, Result};

/// The size of a page, in bytes.
pub(crate) const PAGE: u64 = 4096;

/// Where this domain maps what it is given: above its program, below its stack. Each place has room for the largest memory
/// object, with pages that stay empty behind it.
const PLACES: u64 = 0x1000_0000_0000;
const PLACE_BYTES: u64 = 4 << 20;

/// A bit for each place in use. Places are used again: the kernel keeps the tables for them.
static USED: AtomicU64 = AtomicU64::new(0);

/// Where memory appears when it is touched: see [`FaultingWords`].
pub(crate) const FAULTING: Range<u64> = 0x5100_0000_0000..0x5200_0000_0000;

/// A place that is never handed out.
pub(crate) const SCRATCH: u64 = PLACES + 64 * PLACE_BYTES;

/// Takes the lowest free place.
///
/// # Errors
/// [`Status::ObjectsFull`] where all are taken.
fn take_place() -> Result<u64> {
    let lowest_free = |used: u64| (used != u64::MAX).then(|| used | (used + 1));
    let used = USED
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, lowest_free)
        .map_err(|_| Status::ObjectsFull)?;
    Ok(PLACES + u64::from(used.trailing_ones()) * PLACE_BYTES)
}

fn give_place(address: u64) {
    USED.fetch_and(!(1 << ((address - PLACES) / PLACE_BYTES)), Ordering::Relaxed);
}

/// Zeroed memory that only this domain writes, on any node: a capability for its frames.
pub(crate) fn allocate(pages: u64) -> Result<HandleNumber> {
    Ok(gate::machine(MachineCall::Allocate, &[pages, u64::MAX])?.values[0])
}

/// Changes this domain's page tables, as far as it goes: how many edits were done, and why the next one was not.
///
/// # Errors
/// As [`MachineCall::EditSpace`].
pub(crate) fn edit(edits: &[Edit]) -> Result<(usize, Status)> {
    let answer = gate::machine_with(MachineCall::EditSpace, &[], edits.as_bytes())?;
    let [done, status, ..] = answer.values;
    let status = u32::try_from(status).ok().and_then(Status::from_number);
    Ok((done as usize, status.unwrap_or(Status::BadArgument)))
}

/// Changes to this domain's page tables that are made together: with one call, if they fit into one list.
#[derive(Debug)]
pub(crate) struct Edits {
    list: [Edit; Self::MOST],
    count: usize,
}

impl Edits {
    const MOST: usize = PAYLOAD_BYTES / size_of::<Edit>();

    pub(crate) fn new() -> Self {
        let nothing = Edit { address: 0, memory: 0, first: 0, pages: 0, action: 0 };
        Self { list: [nothing; Self::MOST], count: 0 }
    }

    /// Maps one page of memory.
    pub(crate) fn map(
        &mut self,
        (memory, page): (HandleNumber, u32),
        address: u64,
        access: Access,
    ) -> Result<()> {
        let action = if access == Access::Write { EditAction::MapWrite } else { EditAction::MapRead };
        self.push(Edit { address, memory, first: page, pages: 1, action: action as u16 })
    }

    /// Changes what is mapped: it is protected, or goes.
    pub(crate) fn change(&mut self, action: EditAction, address: u64, pages: u16) -> Result<()> {
        self.push(Edit { address, memory: 0, first: 0, pages, action: action as u16 })
    }

    fn push(&mut self, edit: Edit) -> Result<()> {
        if self.count == Self::MOST {
            self.make()?;
        }
        self.list[self.count] = edit;
        self.count += 1;
        Ok(())
    }

    /// Makes them. Those before one that is refused are made.
    ///
    /// # Errors
    /// As [`MachineCall::EditSpace`].
    pub(crate) fn make(&mut self) -> Result<()> {
        let list = &self.list[..core::mem::take(&mut self.count)];
        match edit(list)? {
            (_, Status::Ok) => Ok(()),
            (_, status) => Err(status),
        }
    }
}

/// Numbers below this are handles; slots have a generation above.
const FIRST_SLOT: u64 = 1 << 32;

/// Closes a handle, or deletes a capability for frames. What it was for stays mapped where this domain has mapped it; frames that were
/// lent go back.
pub(crate) fn release(memory: HandleNumber) -> Result<()> {
    match memory {
        ..FIRST_SLOT => gate::machine(MachineCall::Release, &[memory]).map(|_| ()),
        _ => gate::call(Call::Delete, &[memory]).map(|_| ()),
    }
}

/// Memory, mapped. Unmapped when it is dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: u64,
    words: usize,
}

impl Mapping {
    /// Maps memory of so many pages.
    ///
    /// # Errors
    /// As [`MachineCall::Map`].
    pub(crate) fn new(handle: HandleNumber, pages: u64, access: Access) -> Result<Self> {
        let address = take_place()?;
        let mapped = gate::machine(MachineCall::Map, &[handle, address, access as u64]);
        mapped.inspect_err(|_| give_place(address))?;
        Ok(Self { address, words: (pages * PAGE / 8) as usize })
    }

    /// A word of it, as it is now.
    ///
    /// # Panics
    /// Outside of it.
    pub(crate) fn load(&self, word: usize) -> u64 {
        self.word(word).load(Ordering::Acquire)
    }

    /// Writes a word, after everything that was written before. A fault, unless it was mapped for writing.
    ///
    /// # Panics
    /// Outside of it.
    pub(crate) fn store(&self, word: usize, value: u64) {
        self.word(word).store(value, Ordering::Release);
    }

    /// Copies bytes into it, in whole words; the last one is filled up with zeroes.
    ///
    /// # Panics
    /// Outside of it.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.is_multiple_of(8), "words begin at multiples of 8");
        for (word, chunk) in (offset / 8..).zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..chunk.len()].copy_from_slice(chunk);
            self.store(word, u64::from_le_bytes(whole));
        }
    }

    /// Copies a page of other memory over one of its own.
    ///
    /// # Panics
    /// Outside of either.
    pub(crate) fn copy_page(&self, page: usize, from: &Self, from_page: usize) {
        let words = PAGE as usize / 8;
        let (to, from) = (&self.words()[page * words..], &from.words()[from_page * words..]);
        for (to, from) in to[..words].iter().zip(&from[..words]) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        &self.words()[word]
    }

    fn words(&self) -> &[AtomicU64] {
        let pointer = core::ptr::with_exposed_provenance::<AtomicU64>(self.address as usize);
        // SAFETY: by the invariant; atomics may be shared with whoever else has the memory mapped.
        unsafe { core::slice::from_raw_parts(pointer, self.words) }
    }

    /// All of it, where nobody can write it any more.
    ///
    /// # Safety
    /// The memory has no writer: the kernel keeps it so for ever.
    pub(crate) unsafe fn constant_bytes(&self) -> &[u8] {
        let pointer = core::ptr::with_exposed_provenance::<u8>(self.address as usize);
        // SAFETY: by the invariant it is mapped, and it never changes, as the caller promises.
        unsafe { core::slice::from_raw_parts(pointer, self.words * 8) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // The kernel takes it back with the domain at the latest.
        let _ = gate::machine(MachineCall::Unmap, &[self.address]);
        give_place(self.address);
    }
}

/// Words of memory that comes when it is touched, in [`FAULTING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultingWords {
    address: u64,
    words: usize,
}

impl FaultingWords {
    /// The words of these pages.
    ///
    /// # Panics
    /// Outside of [`FAULTING`].
    pub(crate) fn new(address: u64, pages: u64) -> Self {
        let end = address + pages * PAGE;
        let is_inside = FAULTING.start <= address && end <= FAULTING.end && address.is_multiple_of(PAGE);
        assert!(is_inside, "memory that comes when it is touched has a place of its own");
        Self { address, words: (pages * PAGE / 8) as usize }
    }

    /// A word of it.
    ///
    /// # Panics
    /// Outside of it.
    pub(crate) fn load(&self, word: usize) -> u64 {
        self.word(word).load(Ordering::Relaxed)
    }

    /// Writes a word.
    ///
    /// # Panics
    /// Outside of it.
    pub(crate) fn store(&self, word: usize, value: u64) {
        self.word(word).store(value, Ordering::Relaxed);
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        assert!(word < self.words, "a word of this memory");
        let pointer = core::ptr::with_exposed_provenance::<AtomicU64>(self.address as usize + word * 8);
        // SAFETY: by the invariant, an aligned word of a place where nothing but such words lie; the instruction that uses it is repeated
        // once the handler has brought it, or never ends.
        unsafe { &*pointer }
    }
}

/// Memory that this domain writes and may let others read.
#[derive(Debug)]
pub(crate) struct OwnMemory {
    mapping: Mapping,
}

impl OwnMemory {
    /// Zeroed memory of so many bytes or a little more, and the handle to pass it on by.
    ///
    /// # Errors
    /// As the calls.
    pub(crate) fn new(bytes: usize) -> Result<(Self, HandleNumber)> {
        let pages = (bytes as u64).div_ceil(PAGE);
        let handle = allocate(pages)?;
        let mapping = Mapping::new(handle, pages, Access::Write);
        mapping.map(|mapping| (Self { mapping }, handle)).or_else(|status| release(handle).and(Err(status)))
    }
}

impl OwnMemory {
    /// Where it is.
    pub(crate) fn address(&self) -> u64 {
        self.mapping.address
    }

    /// Writes a word of it.
    ///
    /// # Panics
    /// Outside of it.
    pub(crate) fn set_word(&self, word: usize, value: u64) {
        self.mapping.store(word, value);
    }
}

impl PeerMemory {
    /// A word of it, as it is now.
    ///
    /// # Panics
    /// Outside of it.
    pub(crate) fn word(&self, word: usize) -> u64 {
        self.mapping.load(word)
    }
}

/// Memory that another domain writes, or the kernel.
#[derive(Debug)]
pub(crate) struct PeerMemory {
    mapping: Mapping,
}

impl PeerMemory {
    /// Maps memory that came through the gate. The handle is not needed any longer.
    ///
    /// # Errors
    /// As [`MachineCall::Map`].
    pub(crate) fn new(handle: HandleNumber, bytes: u64) -> Result<Self> {
        Ok(Self { mapping: Mapping::new(handle, bytes.div_ceil(PAGE), Access::Read)? })
    }
}

// SAFETY: by the invariant of this module the words stay mapped as long as the value lives, on pages of their own; this domain
// writes them through this value only, because `new` has just made them and maps them once for writing.
unsafe impl Region for OwnMemory {
    fn words(&self) -> Words<'_> {
        Words::new(self.mapping.words())
    }
}

// SAFETY: the kernel lets one domain write a memory object, and this value is that domain's only writer.
unsafe impl WriteRegion for OwnMemory {}

// SAFETY: as for `OwnMemory`; it is mapped for reading only. Nobody is vouched for.
unsafe impl Region for PeerMemory {
    fn words(&self) -> Words<'_> {
        Words::new(self.mapping.words())
    }
}
