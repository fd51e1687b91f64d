//! Who sleeps until a queue within one domain changes, and who wakes them.
//!
//! Dekker's protocol, asymmetric as between domains: who changes something pays for a look, who goes to sleep for a heavy barrier.
//! One wake per sleep: whoever wakes takes the sleepers' sign away, so that further changes cost no system call before
//! somebody goes to sleep again.

use feuerbird_zero_copy::sync::{AtomicU64, Ordering, light_fence};

use crate::{Home, Watched};

/// What sleepers wait on.
#[derive(Debug)]
pub struct Sleepers {
    /// Counts what sleepers wait for; wraps. Written by whoever finds one asleep.
    changes: AtomicU64,
    /// 1 since somebody was about to sleep, 0 since somebody was about to wake all.
    asleep: AtomicU64,
}

impl Sleepers {
    /// Nobody sleeps.
    #[allow(clippy::new_without_default)] // public for the models only, and made in one place
    pub fn new() -> Self {
        Self { changes: AtomicU64::new(0), asleep: AtomicU64::new(0) }
    }

    /// Wakes sleepers, after what they wait for was changed, if `worth` says that they should get up for that. Pairs with the
    /// barrier in `sleep`: either the sleeper sees the change, or we see the sleeper.
    #[inline]
    pub fn changed<H: Home>(&self, home: &H, worth: impl FnOnce() -> bool) {
        light_fence(home.has_heavy_barrier());
        // Who finds the sign taken away is served as well: whoever took it has not woken anybody yet, or the sleepers have
        // seen this change. They come to sleep again only with a sign of their own.
        if self.asleep.load(Ordering::Relaxed) != 0 && worth() && self.asleep.swap(0, Ordering::SeqCst) != 0 {
            // After the sign was taken, never before: who sets it later must find this step made, or sleep under the sign.
            self.changes.fetch_add(1, Ordering::Release);
            home.wake(self.address());
        }
    }

    /// Sleeps unless `ready`, until something changed or the time is over.
    pub fn sleep<H: Home>(&self, home: &H, timeout_ns: u64, ready: impl Fn() -> bool) {
        let seen = self.changes();
        self.asleep.store(1, Ordering::SeqCst);
        home.heavy_barrier();
        if !ready() {
            home.wait(&[Watched { address: self.address(), seen }], timeout_ns);
        }
        // The sign stays: others may sleep under it. At worst it costs one wake for nobody.
    }

    /// What a sleeper compares, for models.
    #[doc(hidden)]
    pub fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire) as u32
    }

    fn address(&self) -> *const u64 {
        (&raw const self.changes).cast()
    }
}
