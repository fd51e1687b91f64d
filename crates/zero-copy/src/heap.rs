//! Regions on the heap: for loom, Miri, and two halves of one program.

use alloc::{sync::Arc, vec::Vec};

use crate::{Region, Words, WriteRegion, sync::AtomicU64};

/// The writing half of a heap region. Not `Clone`: there is one writer.
#[derive(Debug)]
pub struct HeapWriter(Memory);

/// The reading half of a heap region.
#[derive(Debug)]
pub struct HeapReader(Memory);

/// Makes zeroed memory of at least `bytes` bytes (rounded up to 64) with its one writer and a reader.
///
/// # Safety
/// Both halves live in one process, where a read that races with a write in place is undefined behaviour. The reader
/// reads a buffer only from when it was published until it is released. A lane or a pool that is given its halves keeps
/// to that by itself; so does code that reads and writes on one thread.
pub unsafe fn heap_region(bytes: usize) -> (HeapWriter, HeapReader) {
    let memory = Memory::zeroed(bytes.div_ceil(64));
    (HeapWriter(memory.clone()), HeapReader(memory))
}

/// One cache line of words, so that the memory is aligned to 64 bytes.
#[cfg(not(loom))]
#[derive(Debug)]
#[repr(C, align(64))]
struct Line([AtomicU64; 8]);

#[cfg(not(loom))]
#[derive(Clone, Debug)]
struct Memory(Arc<[Line]>);

#[cfg(not(loom))]
impl Memory {
    fn zeroed(lines: usize) -> Self {
        let line = || Line(core::array::from_fn(|_| AtomicU64::new(0)));
        Self(core::iter::repeat_with(line).take(lines).collect::<Vec<_>>().into())
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `Line` is repr(C) and exactly eight words without padding (64 bytes, alignment 64), so `n` lines are
        // `8 * n` words; the Arc keeps them alive for the borrow of `self`.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast::<AtomicU64>(), self.0.len() * 8) }
    }
}

/// Loom's atomics are objects of its own: no casting, no alignment.
#[cfg(loom)]
#[derive(Clone, Debug)]
struct Memory(Arc<[AtomicU64]>);

#[cfg(loom)]
impl Memory {
    fn zeroed(lines: usize) -> Self {
        Self(core::iter::repeat_with(|| AtomicU64::new(0)).take(lines * 8).collect::<Vec<_>>().into())
    }

    fn words(&self) -> &[AtomicU64] {
        &self.0
    }
}

// SAFETY: the Arc keeps the same memory alive, aligned by `Line`, and `HeapWriter` is the only way to write it.
unsafe impl Region for HeapWriter {
    #[inline]
    fn words(&self) -> Words<'_> {
        Words::new(self.0.words())
    }
}

// SAFETY: as for `Region`; `heap_region` makes exactly one writer, which cannot be cloned.
unsafe impl WriteRegion for HeapWriter {}

// SAFETY: as above.
unsafe impl Region for HeapReader {
    #[inline]
    fn words(&self) -> Words<'_> {
        Words::new(self.0.words())
    }
}
