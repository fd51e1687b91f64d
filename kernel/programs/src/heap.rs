//! The allocator of this LibOS: a pointer that moves forward through memory that is asked for as it is needed.
//!
//! What is given back is lost, which suits programs that allocate while they bind and not while they send. Another LibOS would
//! choose another one: the kernel has no opinion.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

use feuerbird_abi::{Access, MachineCall};

use crate::memory::{self, PAGE};
use crate::{events, gate};

const START: usize = 0x6000_0000_0000;
const END: usize = START + (16 << 20);

/// How much is asked for at once.
const CHUNK_PAGES: u64 = 16;

/// Invariant: `START..mapped` is this domain's own memory, and nobody has any of `next..mapped`.
struct Heap {
    next: AtomicUsize,
    mapped: AtomicUsize,
}

#[global_allocator]
static HEAP: Heap = Heap { next: AtomicUsize::new(START), mapped: AtomicUsize::new(START) };

/// Has memory for so many bytes more, so that nothing has to be asked for until they are used up; whether there was so much.
pub(crate) fn reserve(bytes: usize) -> bool {
    HEAP.grow(HEAP.next.load(Ordering::Relaxed) + bytes)
}

impl Heap {
    /// Maps more, until `end` is mapped; whether there was memory for it.
    fn grow(&self, end: usize) -> bool {
        let mut mapped = self.mapped.load(Ordering::Relaxed);
        while mapped < end {
            let more = memory::allocate(CHUNK_PAGES).and_then(|handle| {
                gate::machine(MachineCall::Map, &[handle, mapped as u64, Access::Write as u64])?;
                memory::release(handle)
            });
            if end > END || more.is_err() {
                return false;
            }
            mapped += (CHUNK_PAGES * PAGE) as usize;
            self.mapped.store(mapped, Ordering::Relaxed);
        }
        true
    }

    fn take(&self, layout: Layout) -> *mut u8 {
        let start = self.next.load(Ordering::Relaxed).next_multiple_of(layout.align());
        let Some(end) = start.checked_add(layout.size()).filter(|end| self.grow(*end)) else {
            return core::ptr::null_mut();
        };
        self.next.store(end, Ordering::Relaxed);
        core::ptr::with_exposed_provenance_mut(start)
    }
}

// SAFETY: by the invariant of `Heap`, what is handed out is mapped and the caller's alone: `next` only moves forward, and no other
// thread of the domain comes between, because events are held back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let enabled = events::hold();
        let start = self.take(layout);
        events::enable(enabled);
        start
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
