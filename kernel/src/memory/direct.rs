//! The kernel's own view of physical memory: all of it, at [`DIRECT_BASE`].
//!
//! # Invariant
//! A [`Frame`] is memory that no Rust reference ever points into: not the image, not the heap, nothing of the firmware's
//! ([`frames`](crate::memory::frames) makes them all, out of what is left after those). So the functions here, which read and write
//! frames as volatile words or by string instructions, may be called with any frame and be interrupted by anything that a
//! domain does to it at the same time: what they read is whatever was there, and nobody relies on it to stay.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use feuerbird_boot::Physical;

use crate::memory::layout::{BOOT_MAPPED_BYTES, DIRECT_BASE, PAGE_BYTES};

/// The physical name of a page of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame(u32);

impl Frame {
    /// The frame with this number.
    ///
    /// # Safety
    /// It is memory, in the direct map, and of the kind that the invariant of this module says.
    pub(crate) unsafe fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number: its address divided by its size.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// Where it is.
    pub(crate) fn address(self) -> u64 {
        u64::from(self.0) * PAGE_BYTES
    }

    fn pointer(self, byte: u64) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut((DIRECT_BASE + self.address() + byte % PAGE_BYTES) as usize)
    }

    /// Where one of its bytes is in ring 0.
    pub(crate) fn address_of(self, byte: usize) -> usize {
        self.pointer(byte as u64).expose_provenance()
    }

    /// One of its 512 words.
    pub(crate) fn word(self, index: usize) -> u64 {
        // SAFETY: by the invariant; the pointer stays in the frame and is aligned.
        unsafe { self.pointer(index as u64 * 8).cast::<u64>().read_volatile() }
    }

    /// Writes one of its 512 words, in one store.
    pub(crate) fn set_word(self, index: usize, value: u64) {
        // SAFETY: by the invariant; the pointer stays in the frame and is aligned.
        unsafe { self.pointer(index as u64 * 8).cast::<u64>().write_volatile(value) }
    }

    /// Fills it with zeroes.
    pub(crate) fn clear(self) {
        // SAFETY: by the invariant; exactly the frame's 512 words are written, and the direction flag is clear in Rust code.
        unsafe {
            asm!("rep stosq", inout("rcx") PAGE_BYTES / 8 => _, inout("rdi") self.pointer(0) => _, in("rax") 0,
                options(nostack, preserves_flags));
        }
    }

    /// Fills it with what is in another one.
    pub(crate) fn copy(self, from: Self) {
        // SAFETY: by the invariant; both are whole frames, and a frame copied onto itself does not change.
        unsafe {
            asm!("rep movsq", inout("rcx") PAGE_BYTES / 8 => _, inout("rsi") from.pointer(0) => _,
                inout("rdi") self.pointer(0) => _, options(nostack, preserves_flags));
        }
    }

    /// Copies bytes into it from `offset` on, as far as there is room.
    pub(crate) fn write(self, offset: usize, bytes: &[u8]) {
        let length = room(offset, bytes.len());
        // SAFETY: by the invariant; `length` bytes are in the slice, and in the frame behind `offset`.
        unsafe { copy(bytes.as_ptr(), self.pointer(offset as u64), length) }
    }

    /// Copies bytes out of it from `offset` on, as far as it goes.
    pub(crate) fn read(self, offset: usize, bytes: &mut [u8]) {
        let length = room(offset, bytes.len());
        // SAFETY: as in `write`.
        unsafe { copy(self.pointer(offset as u64), bytes.as_mut_ptr(), length) }
    }
}

fn room(offset: usize, wanted: usize) -> usize {
    wanted.min((PAGE_BYTES as usize).saturating_sub(offset))
}

/// Copies in a way that the compiler knows nothing about: one side may change while it happens.
///
/// # Safety
/// `length` bytes at `from` can be read and at `to` written, and they do not overlap.
unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: promised by the caller; the direction flag is clear in Rust code.
    unsafe {
        asm!("rep movsb", inout("rcx") length => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags));
    }
}

/// How far the direct map goes.
static MAPPED_BYTES: AtomicU64 = AtomicU64::new(BOOT_MAPPED_BYTES);

/// Says that the direct map now goes so far.
pub(crate) fn set_mapped_bytes(bytes: u64) {
    MAPPED_BYTES.store(bytes, Ordering::Relaxed);
}

/// What firmware and loader left: tables and modules, which nobody writes any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Firmware(());

impl Firmware {
    /// The one way to read by physical address.
    ///
    /// # Safety
    /// As long as it, or anything read by it, is used, it is asked for nothing that is given out as a frame or lies in the heap.
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

impl Physical for Firmware {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        let end = address.checked_add(length as u64)?;
        if end > MAPPED_BYTES.load(Ordering::Relaxed) {
            return None;
        }
        let start = core::ptr::with_exposed_provenance::<u8>((DIRECT_BASE + address) as usize);
        // SAFETY: it is mapped, and not written by what `new` was promised. Address 0 is not null in the direct map.
        Some(unsafe { core::slice::from_raw_parts(start, length) })
    }
}
