//! The typed endpoints over lanes on the heap.
#![cfg(not(loom))]

mod support;

use feuerbird_capability::Trust;
use feuerbird_channel::{Consumer, HeapHome, LaneIn, LaneOut, Producer, Receiver, Sender, Terms, Validity};
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
