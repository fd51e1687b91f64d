//! Who is woken, and how often, in a channel within one domain.
#![allow(clippy::unwrap_used)] // a test may unwrap
#![cfg(not(loom))]

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
};

use feuerbird_channel::{HeapHome, Home, Overflow, SendError, Watched, WhenFull, local, local_with};
use feuerbird_serialization::Plain;
use feuerbird_zero_copy::{HeapReader, HeapWriter};

/// A home that counts, and whose time passes by sleeping and by nothing else, however long a test is held up.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sleeps: AtomicUsize,
    wakes: AtomicUsize,
    now_ns: AtomicU64,
}

impl Counting {
    /// Sleeps and wakes since the last look.
    fn counts(&self) -> (usize, usize) {
        (self.0.sleeps.swap(0, SeqCst), self.0.wakes.swap(0, SeqCst))
    }
}

impl Home for Counting {
    type Writer = HeapWriter;
    type Reader = HeapReader;
    type Life = core::convert::Infallible;

    fn now_ns(&self) -> u64 {
        self.0.now_ns.load(SeqCst)
    }
    fn wait(&self, _: &[Watched], timeout_ns: u64) {
        self.0.sleeps.fetch_add(1, SeqCst);
        self.0.now_ns.fetch_add(timeout_ns, SeqCst);
    }
    fn wake(&self, _: *const u64) {
        self.0.wakes.fetch_add(1, SeqCst);
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

/// However full, and however many buffers are in somebody's hands.
#[test]
fn where_the_oldest_is_dropped_nobody_waits_and_what_is_dropped_is_counted() {
    for bytes in [8, 64] {
        let home = Counting::default();
        let (mut sender, mut receiver) =
            local_with::<Plain<u64>, _>(home.clone(), bytes, 4, Overflow::DropOldest);
        (0..10).for_each(|value| sender.try_send(&value).unwrap());
        assert_eq!((sender.statistics().dropped, sender.depth()), (6, 4));
        let mut other = receiver.clone_local().unwrap();
        let first = receiver.try_recv(|held| {
            let second = other.try_recv(|value| value);
            (10..20).for_each(|value| sender.send(&value).unwrap());
            (held, second)
        });
        assert_eq!(first, Ok((6, Ok(7))), "the newest four, oldest first");
        // Two places were free again.
        assert_eq!(sender.statistics().dropped, 6 + 8);
        let rest: Vec<_> = std::iter::from_fn(|| receiver.try_recv(|value| value).ok()).collect();
        assert_eq!(rest, [16, 17, 18, 19]);
        assert_eq!(home.counts(), (0, 0));
    }
}

#[test]
fn copies_are_counted_where_they_are_made() {
    // Through the queue itself, and in a buffer.
    for (bytes, copies) in [(8, (0, 1)), (64, (1, 0))] {
        let (mut sender, mut receiver) = local::<Plain<u64>, _>(Counting::default(), bytes, 4);
        sender.send(&1).unwrap();
        receiver.recv(|_| ()).unwrap();
        let (sent, received) = (sender.statistics().pool, receiver.statistics());
        assert_eq!((sent.copies_avoided, sent.copies_made), copies, "{bytes} bytes");
        assert_eq!((received.copies_avoided, received.copies_made), copies, "{bytes} bytes");
        assert_eq!((sent.published, sent.loans), (1, copies.0));
    }
}
