//! The typed endpoints: batches, layers, and what becomes of a message when something ends in the middle.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod support;

use std::sync::{Arc, atomic::Ordering};

use feuerbird_capability::Trust;
use feuerbird_channel::{
    Arriving, BatchError, ClaimError, Consumer, Ended, HeapHome, LaneIn, LaneOut, Lie, Overflow, PollError,
    Producer, Receiver, RecvError, SendError, Sender, Terms, Validity, WhenFull, local,
};
use feuerbird_serialization::{
    Checksum, Encode, EncodeError, Format, Layer, Plain, frame, wire::CapabilityIndex,
};
use feuerbird_zero_copy::{Region, WriteRegion};
use support::{Halves, halves, lane};

type Ends = (Sender<Plain<u64>, HeapHome>, Receiver<Plain<u64>, HeapHome>);

const TRUSTS: [Trust; 3] = [Trust::USER, Trust::LIBOS, Trust::KERNEL];

fn terms(depth: u32) -> Terms {
    Terms::new(64, depth).unwrap()
}

fn ends(terms: Terms, trust: Trust) -> Ends {
    let (producer, consumer) = lane(terms);
    let (outgoing, arriving) = (Arc::new(Arriving::new()), Arc::new(Arriving::new()));
    outgoing.push(LaneOut::new(producer, trust, terms));
    arriving.push(LaneIn::new(consumer, trust, terms));
    let valid = Validity::unconditional;
    (Sender::new(HeapHome, valid(), outgoing), Receiver::new(HeapHome, valid(), arriving))
}

#[test]
fn a_batch_arrives_whole_and_in_order_in_every_layer() {
    for trust in TRUSTS {
        for depth in [2, 8, 64] {
            let (mut sender, mut receiver) = ends(terms(depth), trust);
            let receiving = std::thread::spawn(move || {
                let mut got = vec![];
                while got.len() < 500 {
                    receiver.recv_batch(7, u64::MAX, |value| got.push(value)).unwrap();
                }
                got
            });
            assert_eq!(sender.send_batch(0..500), Ok(500));
            assert!(receiving.join().unwrap().into_iter().eq(0..500));
            assert_eq!(sender.statistics().messages, 500);
        }
    }
}

#[test]
fn a_batch_says_how_far_it_came() {
    let (mut sender, mut receiver) = ends(terms(8), Trust::LIBOS);
    sender.set_when_full(WhenFull::Return);
    assert_eq!(sender.send_batch(0..20), Err(BatchError { done: 8, error: SendError::Full }));
    let mut got = vec![];
    assert_eq!(receiver.recv_batch(100, 0, |value| got.push(value)), Ok(8));
    assert!(got.into_iter().eq(0..8));
    assert_eq!(
        receiver.recv_batch(100, 0, |_| ()),
        Err(BatchError { done: 0, error: RecvError::DeadlinePassed })
    );
    drop(receiver);
    assert_eq!(sender.send_batch(0..20), Err(BatchError { done: 0, error: SendError::Disconnected }));
}

#[test]
fn messages_between_batches_keep_their_order() {
    let (mut sender, mut receiver) = ends(terms(64), Trust::USER);
    for round in 0..4 {
        sender.send(&(round * 10)).unwrap();
        sender.send_batch((1..10).map(|value| round * 10 + value)).unwrap();
    }
    for expected in 0..40 {
        assert_eq!(receiver.recv(|value| value), Ok(expected));
    }
}

#[test]
fn what_is_put_off_is_announced_together() {
    let (mut producer, mut consumer) = lane(terms(64));
    let mut copy = [0; 64];
    for index in 0..40_u8 {
        let mut claim = producer.claim(1).unwrap();
        claim.bytes_mut()[0] = index;
        claim.defer(1).unwrap();
        if index < 31 {
            assert_eq!(consumer.take_into(&mut copy), Ok(None), "message {index} was announced already");
        }
    }
    producer.announce_deferred();
    for index in 0..40 {
        assert_eq!(consumer.take_into(&mut copy), Ok(Some(1)));
        assert_eq!(copy[0], index);
    }
    // One that is published at once takes those before it along; a producer that goes leaves nothing unannounced.
    producer.claim(1).unwrap().defer(1).unwrap();
    producer.claim(1).unwrap().publish(1).unwrap();
    producer.claim(1).unwrap().defer(1).unwrap();
    drop(producer);
    for _ in 0..3 {
        assert_eq!(consumer.take_into(&mut copy), Ok(Some(1)));
    }
    assert_eq!(consumer.take_into(&mut copy), Err(PollError::Disconnected));
}

/// A producer and a consumer under a validity word of the kernel's, which the test writes.
fn under_a_word(terms: Terms) -> (Producer<HeapHome>, Consumer<HeapHome>, impl Fn()) {
    let Halves { out, out_view, back, back_view, .. } = halves(terms);
    // SAFETY: one word, written and read atomically.
    let (words, words_view) = unsafe { feuerbird_zero_copy::heap_region(4096) };
    words.writable()[0].store(7, Ordering::SeqCst);
    let validity = Validity::new(Arc::new(words_view), 0, 7).unwrap();
    let producer = Producer::attach(HeapHome, terms, out, back_view, validity.share(), None).unwrap();
    let consumer = Consumer::attach(HeapHome, terms, back, out_view, validity.share(), None).unwrap();
    let revoke = move || {
        words.writable()[0].store(8, Ordering::SeqCst);
        validity.end(Ended::Revoked);
    };
    (producer, consumer, revoke)
}

#[test]
fn a_claim_held_across_a_revocation_is_not_published() {
    for policy in [Overflow::Wait, Overflow::DropOldest] {
        for (largest, bytes) in [(64, 8), (4096, 2000)] {
            if policy == Overflow::DropOldest && largest > 64 {
                continue;
            }
            let (mut producer, mut consumer, revoke) =
                under_a_word(Terms::new(largest, 4).unwrap().overflow(policy));
            let claim = producer.claim(bytes).unwrap();
            revoke();
            assert_eq!(claim.publish(bytes), Err(PollError::Revoked));
            let (mut other, _consumer, revoke) =
                under_a_word(Terms::new(largest, 4).unwrap().overflow(policy));
            let claim = other.claim(bytes).unwrap();
            revoke();
            assert_eq!(claim.publish_copy(&vec![1; bytes]), Err(PollError::Revoked));
            assert_eq!(producer.published(), 0);
            assert_eq!(producer.reclaim(), 0, "its buffer came back");
            assert_eq!(consumer.take_into(&mut vec![0; largest as usize]), Err(PollError::Revoked));
        }
    }
}

/// Neither by the announcement nor by the end of the producer, and nothing is lost.
#[test]
fn nothing_of_a_batch_is_announced_once_revoked() {
    for largest in [64, 4096] {
        let terms = Terms::new(largest, 64).unwrap();
        let Halves { layout, out, out_view, back_view, .. } = halves(terms);
        // SAFETY: one word, written and read atomically.
        let (words, words_view) = unsafe { feuerbird_zero_copy::heap_region(4096) };
        words.writable()[0].store(7, Ordering::SeqCst);
        let validity = Validity::new(Arc::new(words_view), 0, 7).unwrap();
        let mut producer = Producer::attach(HeapHome, terms, out, back_view, validity.share(), None).unwrap();
        let bytes = largest as usize / 2;
        for index in 0..20 {
            let mut claim = producer.claim(bytes).unwrap();
            claim.bytes_mut().fill(index);
            claim.defer(bytes).unwrap();
        }
        let claim = producer.claim(bytes).unwrap();
        words.writable()[0].store(8, Ordering::SeqCst);
        validity.end(Ended::Revoked);
        assert_eq!(claim.defer(bytes), Err(PollError::Revoked));
        assert_eq!(producer.claim(8).map(|_| ()), Err(ClaimError::Ended(PollError::Revoked)));
        producer.announce_deferred();
        assert_eq!((producer.published(), producer.untaken()), (0, Ok(20)));
        let mut recovered = vec![];
        assert_eq!(producer.recover(|message| recovered.push((message.len(), message[0]))), 20);
        assert!(recovered.into_iter().eq((0..20).map(|index| (bytes, index))));
        assert_eq!(producer.reclaim(), 0);
        drop(producer);
        let announced = (0..20).filter(|index| out_view.words().load(layout.stamp_word(*index)) != 0).count();
        assert_eq!(announced, 0, "of 20, for messages of up to {largest} bytes");
    }
}

#[test]
fn a_batch_whose_iterator_panics_is_announced_as_far_as_it_came() {
    let (mut sender, mut receiver) = ends(terms(8), Trust::USER);
    let messages = (0..5).inspect(|value| assert!(*value < 3, "on purpose"));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sender.send_batch(messages)));
    assert!(result.is_err());
    assert_eq!(receiver.recv_batch(9, 0, |_| ()), Ok(3));
    assert_eq!(sender.finish(0), Ok(()));
}

#[test]
fn a_claim_that_comes_to_nothing_drops_nothing() {
    let (mut producer, mut consumer) = lane(terms(2).overflow(Overflow::DropOldest));
    for index in 0..2 {
        producer.claim(1).unwrap().publish_copy(&[index]).unwrap();
    }
    drop(producer.claim(1).unwrap());
    assert_eq!(producer.dropped(), 0);
    let mut copy = [0; 64];
    for index in 0..2 {
        assert_eq!(consumer.take_into(&mut copy), Ok(Some(1)));
        assert_eq!(copy[0], index);
    }
    assert_eq!(consumer.missed(), 0);
}

#[test]
fn an_overtaken_receiver_takes_what_is_left_of_an_unbound_sender() {
    let (mut producer, mut consumer) = lane(terms(4).overflow(Overflow::DropOldest));
    for index in 0..11 {
        producer.claim(1).unwrap().publish_copy(&[index]).unwrap();
    }
    consumer.validity().end(Ended::Unbound);
    let (mut copy, mut got) = ([0; 64], vec![]);
    loop {
        match consumer.take_into(&mut copy) {
            Ok(Some(_)) => got.push(copy[0]),
            Ok(None) => {}
            Err(error) => break assert_eq!(error, PollError::Disconnected),
        }
    }
    assert_eq!((got, consumer.missed()), (vec![7, 8, 9, 10], 7));
}

#[test]
fn a_header_of_another_format_is_a_breach_and_ends_the_lane() {
    let agreed = terms(8).at_least(Layer::Lite);
    let (producer, consumer) = lane(agreed);
    let (outgoing, arriving) = (Arc::new(Arriving::new()), Arc::new(Arriving::new()));
    // The sender leaves the checksum out that the terms demand.
    outgoing.push(LaneOut::new(producer, Trust::LIBOS, agreed.with_checksum(Checksum::Off)));
    arriving.push(LaneIn::new(consumer, Trust::LIBOS, agreed));
    let mut sender: Sender<Plain<u64>, _> = Sender::new(HeapHome, Validity::unconditional(), outgoing);
    let mut receiver: Receiver<Plain<u64>, _> = Receiver::new(HeapHome, Validity::unconditional(), arriving);
    sender.send(&1).unwrap();
    sender.send(&2).unwrap();
    assert_eq!(receiver.recv(|value| value), Err(RecvError::PeerMisbehaved(Lie::Format)));
    assert_eq!(receiver.recv(|value| value), Err(RecvError::Disconnected));
    assert_eq!(receiver.statistics().misbehaved, 1);
}

#[test]
fn terms_with_and_without_a_checksum_are_different_words() {
    let with = terms(8);
    let without = with.with_checksum(Checksum::Off);
    assert_ne!(with.to_bits(), without.to_bits());
    for terms in [with, without] {
        assert_eq!(Terms::from_bits(terms.to_bits()), Ok(terms));
    }
}

#[test]
fn terms_for_a_terabyte_are_refused() {
    use feuerbird_channel::{MAX_DEPTH, MAX_MESSAGE_BYTES, TermsError};
    assert_eq!(Terms::new(MAX_MESSAGE_BYTES, MAX_DEPTH), Err(TermsError::LaneBytes));
    let word = Terms::new(MAX_MESSAGE_BYTES, 2).unwrap().to_bits() & !(0xFF << 32) | 16 << 32;
    assert_eq!(Terms::from_bits(word), Err(TermsError::LaneBytes));
}

#[test]
fn a_handler_that_panics_loses_no_buffer_within_a_domain() {
    let (mut sender, mut receiver) = local::<Plain<u64>, _>(HeapHome, 64, 2);
    sender.set_when_full(WhenFull::Return);
    for value in 0..20 {
        sender.send(&value).expect("a place is free");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            receiver.recv::<()>(|_| panic!("on purpose"))
        }));
        assert!(result.is_err());
    }
}

#[test]
fn a_raw_lane_copies_unless_somebody_vouched() {
    let (mut sender, mut receiver) = ends(terms(8), Trust::KERNEL);
    sender.send(&5).unwrap();
    receiver.recv(|_| ()).unwrap();
    assert_eq!(receiver.layer(), Some(Layer::Raw));
    let statistics = receiver.statistics();
    assert_eq!((statistics.copies_made, statistics.copies_avoided), (1, 0));
}

#[test]
fn finishing_without_anybody_to_take_what_is_left_says_so() {
    let (mut sender, receiver) = local::<Plain<u64>, _>(HeapHome, 64, 4);
    sender.send(&1).unwrap();
    drop(receiver);
    assert_eq!(sender.finish(u64::MAX), Err(SendError::Disconnected));
    assert_eq!(sender.receivers(), 0);
    let (sender, mut receiver) = local::<Plain<u64>, _>(HeapHome, 64, 4);
    let more = (sender.clone_local(), receiver.clone_local());
    assert_eq!(receiver.senders(), 2);
    drop(more);
    assert_eq!(receiver.senders(), 1);
}

/// A message whose only pointer stands for a capability.
struct Naming;

impl Encode<Plain<u64>> for Naming {
    fn encoded_bound(&self, _: impl Into<Format>) -> usize {
        64
    }

    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        frame::write(format.into(), out, (0, 1, 0), |mut root| {
            root.pointer(0).capability(CapabilityIndex(0));
            Ok(())
        })
    }
}

/// No channel carries capabilities beside its messages: the receiver would take the sender for an attacker.
#[test]
fn a_message_that_names_a_capability_is_refused_where_it_is_sent() {
    for trust in TRUSTS {
        let (mut sender, mut receiver) = ends(terms(4), trust);
        assert_eq!(sender.send(&Naming), Err(SendError::Unencodable(EncodeError::NoCapability)), "{trust:?}");
        sender.send(&7).unwrap();
        assert_eq!(receiver.recv(|value| value), Ok(7));
    }
}

/// The lane that a lane that has ended leaves its place to was looked at already, and another one was not.
#[test]
fn a_message_is_found_though_a_lane_ends_on_the_way_to_it() {
    let lanes: [_; 4] = std::array::from_fn(|_| lane(terms(8)));
    let arriving = Arc::new(Arriving::new());
    let mut producers: Vec<_> = lanes
        .into_iter()
        .map(|(producer, consumer)| {
            arriving.push(LaneIn::new(consumer, Trust::KERNEL, terms(8)));
            Some(producer)
        })
        .collect();
    let mut receiver: Receiver<Plain<u64>, _> = Receiver::new(HeapHome, Validity::unconditional(), arriving);
    let mut send = |lane: usize, value: u64| {
        let producer = producers[lane].as_mut().unwrap();
        producer.claim(8).unwrap().publish_copy(&value.to_ne_bytes()).unwrap();
    };
    send(3, 1);
    assert_eq!(receiver.try_recv(|value| value), Ok(1));
    send(2, 2);
    producers[0] = None;
    assert_eq!(receiver.try_recv(|value| value), Ok(2));
}
