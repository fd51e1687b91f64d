//! Who is woken, and how often, in a channel within one domain.
#![allow(clippy::unwrap_used)] // a test may unwrap
#![cfg(not(loom))]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use feuerbird_channel::{HeapHome, Home, SendError, Watched, WhenFull, local};
use feuerbird_serialization::Plain;
use feuerbird_zero_copy::{HeapReader, HeapWriter};

/// A home that counts, and whose sleeps are over at once.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<(AtomicUsize, AtomicUsize)>);

impl Counting {
    /// Sleeps and wakes since the last look.
    fn counts(&self) -> (usize, usize) {
        (self.0.0.swap(0, SeqCst), self.0.1.swap(0, SeqCst))
    }
}

impl Home for Counting {
    type Writer = HeapWriter;
    type Reader = HeapReader;
    type Life = core::convert::Infallible;

    fn now_ns(&self) -> u64 {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
    }
    fn wait(&self, _: &[Watched], _: u64) {
        self.0.0.fetch_add(1, SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    fn wake(&self, _: *const u64) {
        self.0.1.fetch_add(1, SeqCst);
    }
    fn has_heavy_barrier(&self) -> bool {
        HeapHome.has_heavy_barrier()
    }
    fn heavy_barrier(&self) {
        HeapHome.heavy_barrier();
    }
    fn is_dead(&self, life: &Self::Life) -> bool {
        match *life {}
    }
}

#[test]
fn who_sleeps_is_woken_once_and_for_something_that_is_worth_it() {
    // In the queue itself, and in buffers.
    for bytes in [8, 64] {
        let home = Counting::default();
        let (mut sender, mut receiver) = local::<Plain<u64>, _>(home.clone(), bytes, 4);
        (0..4).for_each(|value| sender.send(&value).unwrap());
        assert_eq!(home.counts(), (0, 0), "nobody sleeps");
        sender.set_when_full(WhenFull::Block { timeout_ns: 3_000_000 });
        assert_eq!(sender.send(&4), Err(SendError::DeadlinePassed));
        assert!(home.counts().0 > 0, "it slept");
        let mut take = || receiver.try_recv(|value| value).unwrap();
        assert_eq!((take(), home.counts()), (0, (0, 0)), "one place of four is not worth a wake");
        assert_eq!((take(), home.counts()), (1, (0, 1)), "half of them are");
        assert_eq!((take(), home.counts()), (2, (0, 0)), "once");
        assert_eq!((take(), home.counts()), (3, (0, 0)));
        assert!(receiver.recv_timeout(3_000_000, |value| value).is_err());
        assert!(home.counts().0 > 0, "it slept");
        (0..3).for_each(|value| sender.send(&value).unwrap());
        assert_eq!(home.counts(), (0, 1), "once for three messages");
    }
}

#[test]
fn a_sender_is_woken_by_the_last_message_however_many_are_still_in_somebodys_hands() {
    let home = Counting::default();
    let (mut sender, mut receiver) = local::<Plain<u64>, _>(home.clone(), 64, 8);
    let mut others: Vec<_> = (0..7).map(|_| receiver.clone_local().unwrap()).collect();
    (0..8).for_each(|value| sender.send(&value).unwrap());
    sender.set_when_full(WhenFull::Block { timeout_ns: 3_000_000 });
    assert_eq!(sender.send(&8), Err(SendError::DeadlinePassed));
    // Each handler runs inside that of the one before: seven buffers are held when the eighth comes back.
    fn nested(receivers: &mut [feuerbird_channel::Receiver<Plain<u64>, Counting>], last: &mut dyn FnMut()) {
        match receivers.split_first_mut() {
            Some((first, others)) => first.try_recv(|_| nested(others, last)).unwrap(),
            None => last(),
        }
    }
    home.counts();
    nested(&mut others, &mut || {
        receiver.try_recv(|value| value).unwrap();
        assert_eq!(home.counts(), (0, 1));
    });
}
