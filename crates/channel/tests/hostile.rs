//! Lanes against a peer that writes whatever it wants into its own half.
#![cfg(not(loom))]

mod support;

use feuerbird_channel::{
    AttachError, ClaimError, Consumer, HeapHome, Lie, Overflow, PollError, Producer, Terms, Validity,
    layout::{CLOSED_WORD, HEAD_WORD, SLEEPING_WORD, Stamp},
};
use feuerbird_zero_copy::{Region, WriteRegion, sync::Ordering};
use proptest::prelude::*;
use support::{consumer_against_a_liar, halves, producer_against_a_liar};

/// Values that have broken rings elsewhere.
const BAD: [u64; 14] = [
    0,
    1,
    2,
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    (1 << 63) - 1,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_0000_0001,
    0xffff_ffff_0000_0001,
    0x8000_0000_0000_0001,
    0x0000_0040_0000_0001,
    0x8000_0008_0000_0002,
];

fn store(region: &impl WriteRegion, word: usize, value: u64) {
    region.writable()[word].store(value, Ordering::Release);
}

/// Every word of a producer's half, each bad value: the consumer gets a message within bounds, nothing, or an error.
#[test]
fn no_word_of_a_producer_harms_the_consumer() {
    for (largest, overflow) in [(64, Overflow::Wait), (64, Overflow::DropOldest), (1024, Overflow::Wait)] {
        let terms = Terms::new(largest, 4).unwrap().overflow(overflow);
        let words = halves(terms).out.len() / 8;
        let stride = if cfg!(miri) { 31 } else { 1 };
        for word in (0..words).step_by(stride) {
            for value in BAD {
                let (mut consumer, out, _) = consumer_against_a_liar(terms);
                store(&out, word, value);
                let mut copy = vec![0; largest as usize];
                for _ in 0..8 {
                    match consumer.take_into(&mut copy) {
                        Ok(bytes) => assert!(bytes.unwrap_or(0) <= largest as usize),
                        Err(_) => break,
                    }
                }
            }
        }
    }
}

/// Every word of a consumer's half, each bad value: the producer goes on, finds the lane full or ends it.
#[test]
fn no_word_of_a_consumer_harms_the_producer() {
    for largest in [64, 1024] {
        let terms = Terms::new(largest, 4).unwrap();
        let words = halves(terms).back.len() / 8;
        let stride = if cfg!(miri) { 13 } else { 1 };
        for word in (0..words).step_by(stride) {
            for value in BAD {
                let (mut producer, back) = producer_against_a_liar(terms);
                store(&back, word, value);
                for _ in 0..12 {
                    match producer.claim(largest as usize) {
                        Ok(claim) => claim.publish(largest as usize).unwrap(),
                        Err(ClaimError::Full | ClaimError::Ended(_)) => break,
                        Err(ClaimError::TooLarge) => panic!("it is not too large"),
                    }
                }
                let mut recovered = 0;
                producer.recover(|_| recovered += 1);
                assert!(recovered <= 4);
                assert_eq!(producer.reclaim(), 0);
            }
        }
    }
}

#[test]
fn each_lie_has_its_name() {
    let terms = Terms::new(1024, 4).unwrap();
    let lie_of = |stamp: u64, second: u64| {
        let (mut consumer, out, layout) = consumer_against_a_liar(terms);
        store(&out, layout.stamp_word(0) + 1, second);
        store(&out, layout.stamp_word(0), stamp);
        match consumer.take_into(&mut [0; 1024]) {
            Err(PollError::PeerMisbehaved(lie)) => lie,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(lie_of(2, 0), Lie::Stamp, "a turn ahead");
    assert_eq!(lie_of(0xffff_ffff, 0), Lie::Stamp, "a turn of long ago");
    assert_eq!(lie_of(Stamp::new(0, 1025, true).0, 0), Lie::Length, "longer than the terms allow");
    assert_eq!(lie_of(Stamp::new(0, 57, false).0, 0), Lie::Length, "longer than its slot");
    assert_eq!(lie_of(Stamp::new(0, 100, true).0, 4), Lie::Buffer, "a buffer that does not exist");
    assert_eq!(
        lie_of(Stamp::new(0, 100, true).0, u64::from(u32::MAX)),
        Lie::Buffer,
        "the last number there is"
    );
}

#[test]
fn a_consumer_that_claims_to_be_ahead_or_goes_back_is_found_out() {
    let terms = Terms::new(64, 4).unwrap();
    for (first, second) in [(5, 5), (u64::MAX, 0), (3, 2)] {
        let (mut producer, back) = producer_against_a_liar(terms);
        while let Ok(claim) = producer.claim(8) {
            claim.publish(8).unwrap();
        }
        store(&back, HEAD_WORD, first);
        let seen_first = producer.has_room();
        while let Ok(claim) = producer.claim(8) {
            claim.publish(8).unwrap();
        }
        store(&back, HEAD_WORD, second);
        let lie = Err(PollError::PeerMisbehaved(Lie::Head));
        assert!(seen_first == lie || producer.has_room() == lie, "{first} then {second}");
    }
}

#[test]
fn returns_that_are_forged_or_repeated_are_found_out() {
    let terms = Terms::new(1024, 4).unwrap();
    let (offset, _) = halves(terms).layout.returns();
    for forged in [[0u64, 0], [0, 7], [3, 3], [1, u64::from(u32::MAX)]] {
        let (mut producer, back) = producer_against_a_liar(terms);
        for _ in 0..4 {
            producer.claim(1000).unwrap().publish(1000).unwrap();
        }
        store(&back, HEAD_WORD, 4);
        for (place, id) in forged.into_iter().enumerate() {
            store(&back, offset / 8 + place, (place as u64 + 1) | id << 32);
        }
        let error = loop {
            match producer.claim(1000) {
                Ok(claim) => claim.publish(1000).unwrap(),
                Err(error) => break error,
            }
        };
        assert_eq!(error, ClaimError::Ended(PollError::PeerMisbehaved(Lie::Return)), "{forged:?}");
    }
}

/// A return of a buffer whose message was not taken: by a consumer that is about to take it, or by one that never will. The message
/// stays as it is.
#[test]
fn a_buffer_that_comes_back_early_keeps_its_message() {
    let terms = Terms::new(1024, 4).unwrap();
    let (offset, _) = halves(terms).layout.returns();
    for returned in 0..4u64 {
        let (mut producer, back) = producer_against_a_liar(terms);
        let send = |producer: &mut Producer<_>, value: u8| {
            producer.claim(1000).map(|claim| claim.publish_copy(&[value; 1000]).unwrap())
        };
        for value in 0..4 {
            send(&mut producer, value).unwrap();
        }
        // It has taken one, and says that it is done with another one's buffer.
        store(&back, HEAD_WORD, 1);
        store(&back, offset / 8, 1 | returned << 32);
        let sent = if send(&mut producer, 4).is_ok() { 5u8 } else { 4 };
        let mut recovered = vec![];
        producer.recover(|bytes| {
            assert!(bytes.iter().all(|byte| *byte == bytes[0]) && bytes.len() == 1000);
            recovered.push(bytes[0]);
        });
        assert_eq!(recovered, (1..sent).collect::<Vec<_>>(), "buffer {returned}");
    }
}

#[test]
fn a_region_that_is_not_as_agreed_is_not_attached() {
    let terms = Terms::new(64, 4).unwrap();
    let other = Terms::new(64, 8).unwrap();
    let attach_consumer = |ours, theirs| {
        let (ours, theirs) = (halves(ours), halves(theirs));
        let terms = ours.layout.terms();
        Consumer::attach(HeapHome, terms, ours.back, theirs.out_view, Validity::unconditional(), None).err()
    };
    let lie = Some(AttachError::PeerMisbehaved(Lie::Header));
    assert_eq!(attach_consumer(terms, terms), None);
    assert_eq!(attach_consumer(terms, other), lie, "another depth");
    assert_eq!(attach_consumer(other, terms), lie, "a region that is too small");
    let (ours, theirs) = (halves(terms), halves(terms));
    let swapped =
        Producer::attach(HeapHome, terms, ours.out, theirs.out_view, Validity::unconditional(), None);
    assert_eq!(swapped.err(), lie, "the wrong half");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 300 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random scribbling between honest messages: what comes out is within bounds, and a lie ends the lane for good.
    #[test]
    fn random_scribbling_never_gets_through(
        largest in prop_oneof![Just(64u32), Just(1024u32)],
        overflow: bool,
        scribbles in proptest::collection::vec((any::<prop::sample::Index>(), any::<u64>(), any::<bool>()), 1..60),
    ) {
        let policy = if overflow { Overflow::DropOldest } else { Overflow::Wait };
        let terms = Terms::new(largest, 4).unwrap().overflow(policy);
        let (mut consumer, out, layout) = consumer_against_a_liar(terms);
        let mut copy = vec![0; largest as usize];
        let mut ended = false;
        for (word, value, near) in scribbles {
            let value = if near { (value & 0x8000_003f_0000_000f) | (consumer.taken() + 1) } else { value };
            let word = if near { layout.stamp_word(consumer.taken()) } else { word.index(out.len() / 8) };
            store(&out, word, value);
            match consumer.take_into(&mut copy) {
                Ok(bytes) => {
                    prop_assert!(bytes.unwrap_or(0) <= largest as usize);
                }
                Err(_) => { ended = true; break; }
            }
        }
        let _ = ended;
    }
}

/// A peer that says it sleeps, or does not, or is closed, costs at most a wake and never an end that it did not ask for.
#[test]
fn hints_are_only_hints() {
    let terms = Terms::new(64, 4).unwrap();
    let (mut producer, back) = producer_against_a_liar(terms);
    for (round, sleeping) in [1, 1, 3, u64::MAX, 2, 0].into_iter().enumerate() {
        store(&back, SLEEPING_WORD, sleeping);
        producer.claim(8).unwrap().publish(8).unwrap();
        store(&back, HEAD_WORD, round as u64 + 1);
    }
    assert_eq!(producer.wakes(), 3, "one wake for each sleep, however often it is claimed");
    store(&back, CLOSED_WORD, 77);
    assert!(matches!(producer.claim(8).err(), Some(ClaimError::Ended(PollError::Disconnected))));
}

/// Killed in the middle of replacing its oldest message: the slot stays busy for ever, and all the others are still there.
#[test]
fn a_producer_killed_while_it_replaces_a_message_leaves_the_others() {
    let terms = Terms::new(64, 4).unwrap().overflow(Overflow::DropOldest);
    for seen_alive in [false, true] {
        let (mut consumer, out, layout) = consumer_against_a_liar(terms);
        (4..8).for_each(|index| store(&out, layout.stamp_word(index), Stamp::new(index, 8, false).0));
        store(&out, layout.stamp_word(8), Stamp::busy(8).0);
        let mut copy = [0; 64];
        if seen_alive {
            assert_eq!(consumer.take_into(&mut copy), Ok(Some(8)));
        }
        consumer.validity().end(feuerbird_channel::Ended::Died);
        while consumer.taken() < 8 {
            assert_eq!(consumer.take_into(&mut copy), Ok(Some(8)));
        }
        assert_eq!(consumer.missed(), 5, "0 to 4");
        assert!(consumer.has_message(), "the end is to be told");
        assert_eq!(consumer.take_into(&mut copy), Err(PollError::Disconnected));
    }
}

/// A reader that never gives buffers back stops its own lane, and does not leave the sender waiting for room.
#[test]
fn a_reader_that_keeps_buffers_back_is_found_out() {
    let terms = Terms::new(1024, 4).unwrap();
    let (mut producer, back) = producer_against_a_liar(terms);
    let mut sent = 0;
    let error = loop {
        match producer.claim(1000) {
            Ok(claim) => claim.publish(1000).unwrap(),
            Err(error) => break error,
        }
        sent += 1;
        // It takes, and returns nothing.
        store(&back, HEAD_WORD, sent);
    };
    assert_eq!((error, sent), (ClaimError::Ended(PollError::PeerMisbehaved(Lie::Return)), 4));
}
