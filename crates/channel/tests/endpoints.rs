//! The typed endpoints over lanes on the heap.
#![cfg(not(loom))]

mod support;

use feuerbird_capability::Trust;
use feuerbird_channel::{
    Consumer, Ended, HeapHome, LaneIn, LaneOut, Producer, Receiver, RecvError, Sender, Terms, Validity,
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
