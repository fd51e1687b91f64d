//! Every interleaving of the end of a channel within one domain. Its queues are `crossbeam-queue`'s, which the models take for single
//! steps; what is modelled is what this crate counts around them.
#![cfg(loom)]
#![allow(clippy::unwrap_used)] // a test may unwrap

use feuerbird_channel::{HeapHome, RecvError, SendError, WhenFull, local};
use feuerbird_serialization::Plain;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

/// Through the queue itself, and in buffers.
const SIZES: [usize; 2] = [8, 64];

/// Whoever hears that all senders are gone has received what they sent.
#[test]
fn the_last_senders_end_does_not_overtake_its_message() {
    for bytes in SIZES {
        check(move || {
            let (mut sender, mut receiver) = local::<Plain<u64>, _>(HeapHome, bytes, 2);
            let mut other = sender.clone_local().unwrap();
            let sending = loom::thread::spawn(move || {
                other.try_send(&1).unwrap();
            });
            let mut received = vec![];
            sender.try_send(&2).unwrap();
            drop(sender);
            loop {
                match receiver.try_recv(|value| value) {
                    Ok(value) => received.push(value),
                    Err(RecvError::Empty) => loom::thread::yield_now(),
                    Err(error) => {
                        assert_eq!(error, RecvError::Disconnected);
                        break;
                    }
                }
            }
            sending.join().unwrap();
            received.sort_unstable();
            assert_eq!(received, [1, 2]);
        });
    }
}

/// A sender that waits until all was taken is not told that nobody is left by a receiver that took the last one and went.
#[test]
fn the_last_receivers_end_does_not_hide_what_it_took() {
    for bytes in SIZES {
        check(move || {
            let (mut sender, mut receiver) = local::<Plain<u64>, _>(HeapHome, bytes, 2);
            sender.set_when_full(WhenFull::Return);
            sender.try_send(&1).unwrap();
            let taking = loom::thread::spawn(move || assert_eq!(receiver.try_recv(|value| value), Ok(1)));
            let finished = loop {
                match sender.finish(0) {
                    Err(SendError::DeadlinePassed) => loom::thread::yield_now(),
                    finished => break finished,
                }
            };
            assert_eq!(finished, Ok(()));
            taking.join().unwrap();
        });
    }
}
