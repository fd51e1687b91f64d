//! The kernel's one lock, whose word the short ways know: a transfer is over, and the lock free, only when the last register of
//! who waits is kept and the last one of who goes on is loaded.
//!
//! # Locking
//! Who comes from ring 3 takes it, and gives it back before leaving or halting. Only the frames' and the serial line's locks are
//! taken under it. It is not fair: a ticket lock was tried, and where the processors are themselves scheduled (a busy host) it
//! hands the kernel to one that does not run, and all wait.
//!
//! # Invariant
//! The world is reached only through a [`Guard`], of which there is one at most: whoever makes one has just turned the word from
//! 0 to 1, and the word becomes 0 only where that guard ends. The short ways of `cpu::short` do the same in assembly, without one.

use ::core::cell::UnsafeCell;
use ::core::ops::{Deref, DerefMut};
use ::core::sync::atomic::{AtomicU32, Ordering};

use crate::cpu::shootdown;
use crate::domain::run::World;

/// 1 while somebody has the world.
#[unsafe(no_mangle)]
static world_lock: AtomicU32 = AtomicU32::new(0);

struct Place(UnsafeCell<Option<World>>);

// SAFETY: by the invariant one core at a time has a reference to what is in it, and acquiring and releasing the word order them.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new(None));

/// The world, for as long as this lives.
pub(crate) struct Guard(());

/// Waits for the world, and does meanwhile what its holder asks of all cores.
pub(crate) fn lock() -> Guard {
    loop {
        if let Some(guard) = try_lock() {
            return guard;
        }
        while world_lock.load(Ordering::Relaxed) != 0 {
            shootdown::serve();
            ::core::hint::spin_loop();
        }
    }
}

/// The world, unless somebody else has it.
#[inline(always)]
pub(crate) fn try_lock() -> Option<Guard> {
    // Made only where the word was 0: a guard that is dropped gives the world back.
    if world_lock.swap(1, Ordering::Acquire) == 0 { Some(Guard(())) } else { None }
}

impl Deref for Guard {
    type Target = Option<World>;

    #[inline(always)]
    fn deref(&self) -> &Option<World> {
        // SAFETY: by the invariant there is no other guard, and this one is borrowed.
        unsafe { &*PLACE.0.get() }
    }
}

impl DerefMut for Guard {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Option<World> {
        // SAFETY: as in `deref`; this guard is borrowed for changing.
        unsafe { &mut *PLACE.0.get() }
    }
}

impl Drop for Guard {
    #[inline(always)]
    fn drop(&mut self) {
        world_lock.store(0, Ordering::Release);
    }
}
