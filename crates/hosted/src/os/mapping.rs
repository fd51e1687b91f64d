//! A shared mapping: its lifetime, its words, and copies in and out of it.

use std::{
    io,
    os::fd::BorrowedFd,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// From this size on `rep movsb` is as fast as a loop of words (both about 22 cycles), and beyond it faster.
const STRING_COPY_BYTES: usize = 256;

/// Memory mapped shared, unmapped on drop.
///
/// # Invariants
/// 1. `base` points to `bytes` readable bytes, aligned to a page, from construction until drop.
/// 2. The memory cannot shrink: the file behind it carries the shrink seal (both constructors' duty).
/// 3. It was mapped writable exactly if `create` made it.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread: any thread may read, write and unmap it. All access goes
// through atomics, or through asm that copies bytes in and out, so several threads may use it at once.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` gives out nothing but atomics and copies.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `bytes` bytes of a file that the caller has sized, and will seal, for writing.
    pub(super) fn create(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        Self::new(fd, bytes, ProtFlags::READ | ProtFlags::WRITE)
    }

    /// Maps `bytes` bytes of a file whose seals and size were checked, for reading.
    pub(super) fn open(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        Self::new(fd, bytes, ProtFlags::READ)
    }

    fn new(fd: BorrowedFd<'_>, bytes: usize, protection: ProtFlags) -> io::Result<Self> {
        // SAFETY: without MAP_FIXED the kernel chooses a place that nothing else in this process uses.
        let base = unsafe { mmap(ptr::null_mut(), bytes, protection, MapFlags::SHARED, fd, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, bytes })
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: invariant 1 gives readable memory, aligned far beyond 8, for the life of `self`; invariant 2 keeps it
        // backed. `AtomicU64` has the layout of u64 and allows others to change it meanwhile. On a read-only mapping a
        // relaxed load of a word is a plain load (the language's rule for atomics on read-only memory), and `Words`
        // offers nothing else.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.bytes / 8) }
    }

    /// Copies out; the range was given by a caller who is trusted to be in range, or panics.
    #[inline]
    pub(super) fn copy_out(&self, offset: usize, into: &mut [u8]) {
        self.check(offset, into.len());
        if into.len() >= STRING_COPY_BYTES {
            // SAFETY: `check` has shown that source range and mapping agree; `into` is ours alone.
            return unsafe { copy_string(self.base.as_ptr().add(offset), into.as_mut_ptr(), into.len()) };
        }
        let words = &self.words()[offset / 8..];
        let (chunks, rest) = into.as_chunks_mut();
        for (chunk, word) in chunks.iter_mut().zip(words) {
            *chunk = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        if let (false, Some(last)) = (rest.is_empty(), words.get(chunks.len())) {
            rest.copy_from_slice(&last.load(Ordering::Relaxed).to_ne_bytes()[..rest.len()]);
        }
    }

    /// Copies in, and zeroes the rest of the last word.
    ///
    /// # Safety
    /// The mapping is writable.
    #[inline]
    pub(super) unsafe fn copy_in(&self, offset: usize, from: &[u8]) {
        self.check(offset, from.len());
        let whole = if from.len() >= STRING_COPY_BYTES { from.len() & !7 } else { 0 };
        if whole > 0 {
            // SAFETY: `check` has shown that target range and mapping agree, and it is writable (caller's duty).
            unsafe { copy_string(from.as_ptr(), self.base.as_ptr().add(offset), whole) };
        }
        let words = &self.words()[(offset + whole) / 8..];
        let (chunks, rest) = from[whole..].as_chunks();
        for (chunk, word) in chunks.iter().zip(words) {
            word.store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
        }
        if let (false, Some(last)) = (rest.is_empty(), words.get(chunks.len())) {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            last.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
    }

    #[inline]
    fn check(&self, offset: usize, bytes: usize) {
        let inside = offset <= self.bytes && bytes <= self.bytes - offset;
        assert!(offset.is_multiple_of(8) && inside, "range outside the region");
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: invariant 1: we mapped exactly this range, and every borrow of it ended with `self`. It cannot fail for
        // a range that is mapped.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Copies bytes that somebody else may be writing.
///
/// In assembly, because a `memcpy` that races is undefined in the language even where the hardware does not mind: the
/// compiler may read twice or assume that nothing changed. What asm does to memory the compiler has to take as it is.
///
/// # Safety
/// `from` has `bytes` readable bytes, `to` has `bytes` writable ones, and they do not overlap.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn copy_string(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: reads and writes just the ranges the caller vouches for. The direction flag is clear (the ABI says so).
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") bytes => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags)
        );
    }
}

/// As above, where there is no such instruction: byte by byte, volatile.
///
/// # Safety
/// `from` has `bytes` readable bytes, `to` has `bytes` writable ones, and they do not overlap.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_string(from: *const u8, to: *mut u8, bytes: usize) {
    use std::sync::atomic::AtomicU8;
    for index in 0..bytes {
        // SAFETY: both are in the ranges the caller vouches for; an `AtomicU8` has no alignment to miss.
        unsafe {
            let byte = (*from.add(index).cast::<AtomicU8>()).load(Ordering::Relaxed);
            (*to.add(index).cast::<AtomicU8>()).store(byte, Ordering::Relaxed);
        }
    }
}
