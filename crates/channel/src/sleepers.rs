//! Who sleeps until a queue within one domain changes, and who wakes them.
//!
//! Dekker's protocol with full fences on both sides: here each change is an atomic operation on shared memory anyway.

use feuerbird_zero_copy::sync::{AtomicU64, Ordering, fence};

use crate::{Home, Watched};

/// What sleepers wait on.
#[derive(Debug)]
pub struct Sleepers {
    /// Counts what sleepers wait for; wraps. Written by whoever finds one asleep.
    changes: AtomicU64,
    /// How many are about to sleep or do. Written by them.
    asleep: AtomicU64,
}

impl Sleepers {
    /// Nobody sleeps.
    #[allow(clippy::new_without_default)] // public for the models only, and made in one place
    pub fn new() -> Self {
        Self { changes: AtomicU64::new(0), asleep: AtomicU64::new(0) }
    }

    /// Wakes sleepers, after what they wait for was changed. Pairs with the fence in `sleep`: either the sleeper sees the
    /// change, or we see the sleeper.
    #[inline]
    pub fn changed<H: Home>(&self, home: &H) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) > 0 {
            self.changes.fetch_add(1, Ordering::Release);
            home.wake(self.address());
        }
    }

    /// Sleeps unless `ready`, until something changed or the time is over.
    pub fn sleep<H: Home>(&self, home: &H, timeout_ns: u64, ready: impl Fn() -> bool) {
        let seen = self.changes.load(Ordering::Acquire) as u32;
        self.asleep.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !ready() {
            home.wait(&[Watched { address: self.address(), seen }], timeout_ns);
        }
        self.asleep.fetch_sub(1, Ordering::Relaxed);
    }

    fn address(&self) -> *const u64 {
        (&raw const self.changes).cast()
    }
}
