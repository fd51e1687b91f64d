//! The atomics of the project: core's, or loom's under `--cfg loom`.
//!
//! The switch is a *global* cfg and never `cfg(test)`, so that a dependency sees it too.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// Orders what this side wrote before against what it reads next, seen from a side that runs a heavy barrier there.
///
/// The cheap half of an asymmetric fence (Dice, Huang, Yang: "Asymmetric Dekker synchronization", 2001): the side that
/// is about to sleep makes every processor fence on its behalf (`membarrier` on Linux, an IPI in a kernel), so the side
/// on the hot path only has to stop the compiler. With `has_heavy_barrier` false, both sides fence.
#[inline]
pub fn light_fence(has_heavy_barrier: bool) {
    #[cfg(not(loom))]
    if has_heavy_barrier {
        core::sync::atomic::compiler_fence(Ordering::SeqCst);
        return;
    }
    let _ = has_heavy_barrier;
    fence(Ordering::SeqCst);
}
