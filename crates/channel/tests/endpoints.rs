//! The typed endpoints over lanes on the heap.
#![cfg(not(loom))]

mod support;

use feuerbird_capability::Trust;
use feuerbird_channel::{
    Consumer, Ended, HeapHome, LaneIn, LaneOut, Overflow, Producer, Receiver, RecvError, Sender, Terms,
    Validity,
};
use feuerbird_serialization::Plain;
use std::sync::Arc;
use support::lane;

type Ends = (Sender<Plain<u64>, HeapHome>, Receiver<Plain<u64>, HeapHome>);

fn ends((producer, consumer): (Producer<HeapHome>, Consumer<HeapHome>), trust: Trust, terms: Terms) -> Ends {
    let (outgoing, arriving) = (Arc::default(), Arc::default());
    let sender = Sender::new(HeapHome, Validity::unconditional(), Arc::clone(&outgoing));
    let receiver = Receiver::new(HeapHome, Validity::unconditional(), Arc::clone(&arriving));
    outgoing.push(LaneOut::new(producer, trust, terms));
    arriving.push(LaneIn::new(consumer, trust, terms));
    (sender, receiver)
}

/// Anybody can state any trust; that the producer keeps the loan discipline, only `unsafe` can.
#[test]
fn trust_that_a_caller_states_does_not_make_a_lane_read_in_place() {
    let terms = Terms::new(64, 4).unwrap();
    for vouched in [false, true] {
        let (producer, mut consumer) = lane(terms);
        if vouched {
            // SAFETY: the producer is that of this crate.
            unsafe { consumer.trust_producer() };
        }
        let (mut sender, mut receiver) = ends((producer, consumer), Trust::KERNEL, terms);
        sender.send(&7).unwrap();
        assert_eq!(receiver.recv(|value| value), Ok(7));
        let statistics = receiver.statistics();
        let counts = (statistics.copies_avoided, statistics.copies_made);
        assert_eq!(counts, if vouched { (1, 0) } else { (0, 1) });
    }
}

/// What dead senders left may be taken, but not by a receiver whose own authority was revoked since.
#[test]
fn a_revoked_receiver_does_not_take_what_dead_senders_left() {
    let terms = Terms::new(64, 4).unwrap();
    for revoked in [false, true] {
        let (producer, consumer) = lane(terms);
        let pair = consumer.validity().share();
        let binding = Validity::unconditional();
        let arriving = Arc::default();
        let mut receiver = Receiver::<Plain<u64>, _>::new(HeapHome, binding.share(), Arc::clone(&arriving));
        let (mut sender, _) = ends((producer, lane(terms).1), Trust::USER, terms);
        arriving.push(LaneIn::new(consumer, Trust::USER, terms));
        sender.send(&7).unwrap();
        sender.send(&8).unwrap();
        assert_eq!(receiver.recv(|value| value), Ok(7));
        pair.end(Ended::Died);
        if revoked {
            binding.end(Ended::Revoked);
        }
        let (next, end) = if revoked {
            (Err(RecvError::Revoked), RecvError::Revoked)
        } else {
            (Ok(8), RecvError::Disconnected)
        };
        assert_eq!(receiver.try_recv(|value| value), next);
        assert_eq!(receiver.try_recv(|value| value), Err(end));
    }
}

#[test]
fn a_ring_that_drops_its_oldest_counts_copies() {
    for (terms, copies) in [(Overflow::Wait, (2, 0)), (Overflow::DropOldest, (0, 2))] {
        let terms = Terms::new(64, 4).unwrap().overflow(terms);
        let (mut sender, _receiver) = ends(lane(terms), Trust::USER, terms);
        sender.send(&1).unwrap();
        sender.send(&2).unwrap();
        let pool = sender.statistics().pool;
        assert_eq!((pool.copies_avoided, pool.copies_made), copies, "{terms:?}");
    }
}

#[test]
fn buffers_are_out_until_their_messages_were_taken_and_then_not() {
    let terms = Terms::new(1000, 4).unwrap();
    let (producer, consumer) = lane(terms);
    let arriving = (Arc::default(), Arc::default());
    let mut sender =
        Sender::<Plain<[u64; 40]>, _>::new(HeapHome, Validity::unconditional(), Arc::clone(&arriving.0));
    let mut receiver =
        Receiver::<Plain<[u64; 40]>, _>::new(HeapHome, Validity::unconditional(), Arc::clone(&arriving.1));
    arriving.0.push(LaneOut::new(producer, Trust::USER, terms));
    arriving.1.push(LaneIn::new(consumer, Trust::USER, terms));
    assert_eq!(sender.receivers(), 1);
    (0..3).for_each(|_| sender.send(&[7; 40]).unwrap());
    assert_eq!(sender.buffers_out(), 3);
    receiver.recv(|_| ()).unwrap();
    assert_eq!(sender.buffers_out(), 2);
    (0..2).for_each(|_| receiver.recv(|_| ()).unwrap());
    assert_eq!((sender.finish(0), sender.buffers_out(), sender.buffers_lost()), (Ok(()), 0, 0));
}
