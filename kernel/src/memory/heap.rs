//! A heap that hands out memory while the kernel starts, and never after.
//!
//! All tables of the exokernel have their size at construction. So the allocator is a pointer that moves forward; what is given
//! back is lost. [`seal`] ends it before the first domain runs: from then on an allocation is a bug of the kernel and stops it,
//! whatever a domain asked for.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

use feuerbird_boot::PhysicalRange;

use crate::memory::layout::DIRECT_BASE;

/// Invariant: `next..end` is memory in the direct map that is nobody else's, as promised to [`start`].
struct Heap {
    next: AtomicUsize,
    end: AtomicUsize,
}

#[global_allocator]
static HEAP: Heap = Heap { next: AtomicUsize::new(0), end: AtomicUsize::new(0) };

/// Opens the heap.
///
/// # Safety
/// The range is memory that the boot tables map and that nobody else uses, now or later. Called once.
pub(crate) unsafe fn start(range: PhysicalRange) {
    HEAP.next.store((DIRECT_BASE + range.start()) as usize, Ordering::Relaxed);
    HEAP.end.store((DIRECT_BASE + range.end()) as usize, Ordering::Relaxed);
}

/// Ends the heap; returns how many bytes were left of it.
pub(crate) fn seal() -> usize {
    let end = HEAP.end.swap(0, Ordering::Relaxed);
    end.saturating_sub(HEAP.next.load(Ordering::Relaxed))
}

// SAFETY: by the invariant of `Heap`, what is handed out is the caller's alone: `next` only moves forward, past each block
// that was handed out, in one atomic step, and never past `end`.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let end = self.end.load(Ordering::Relaxed);
        let place = |next: usize| {
            let start = next.checked_next_multiple_of(layout.align())?;
            start.checked_add(layout.size()).filter(|after| *after <= end)
        };
        match self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, place) {
            Ok(before) => core::ptr::with_exposed_provenance_mut(before.next_multiple_of(layout.align())),
            Err(_) => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
