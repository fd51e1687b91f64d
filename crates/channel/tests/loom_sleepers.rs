//! Every interleaving of going to sleep and being woken within one domain.
#![cfg(loom)]

use std::sync::Arc;

use feuerbird_channel::{HeapHome, Home, Sleepers, Watched};
use feuerbird_zero_copy::{
    HeapReader, HeapWriter,
    sync::{AtomicU64, Ordering},
};

/// A home whose waits end by a wake and by nothing else: the model ends with an error where one never comes.
#[derive(Clone, Debug)]
struct WakingHome(Arc<AtomicU64>);

impl Home for WakingHome {
    type Writer = HeapWriter;
    type Reader = HeapReader;
    type Life = core::convert::Infallible;

    fn now_ns(&self) -> u64 {
        0
    }
    fn wait(&self, _: &[Watched], _: u64) {
        while self.0.load(Ordering::Relaxed) == 0 {
            loom::thread::yield_now();
        }
    }
    fn wake(&self, _: *const u64) {
        self.0.store(1, Ordering::Relaxed);
    }
    fn has_heavy_barrier(&self) -> bool {
        HeapHome.has_heavy_barrier()
    }
    fn heavy_barrier(&self) {}
    fn is_dead(&self, life: &Self::Life) -> bool {
        match *life {}
    }
}

/// Either the sleeper sees the change, or whoever changes sees that it sleeps.
#[test]
fn no_wake_is_lost() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let home = WakingHome(Arc::new(AtomicU64::new(0)));
        let shared = Arc::new((Sleepers::new(), AtomicU64::new(0)));
        let (theirs, their_home) = (Arc::clone(&shared), home.clone());
        let sleeping = loom::thread::spawn(move || {
            theirs.0.sleep(&their_home, 0, || theirs.1.load(Ordering::Relaxed) == 1);
        });
        shared.1.store(1, Ordering::Relaxed);
        shared.0.changed(&home);
        sleeping.join().unwrap();
    });
}
