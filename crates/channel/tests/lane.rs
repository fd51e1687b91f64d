//! Lanes between two sides that keep to the protocol.
#![cfg(not(loom))]

mod support;

use std::collections::VecDeque;

use feuerbird_channel::{ClaimError, Ended, Overflow, PollError, Terms};
use proptest::prelude::*;
use support::lane;

fn send(
    producer: &mut feuerbird_channel::Producer<feuerbird_channel::HeapHome>,
    message: &[u8],
) -> Result<(), ClaimError> {
    let mut claim = producer.claim(message.len())?;
    claim.bytes_mut().copy_from_slice(message);
    claim.publish(message.len()).map_err(ClaimError::Ended)
}

fn pattern(index: u64, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (index as usize * 31 + at * 7) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 200 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// A lane is a bounded queue, for messages in slots and in pool buffers, copied out or read in place.
    #[test]
    fn is_a_bounded_queue(
        largest in prop_oneof![1u32..300, Just(if cfg!(miri) { 320 } else { 4096u32 })],
        depth_log2 in 1u32..5,
        in_place: bool,
        steps in proptest::collection::vec((any::<bool>(), 0.0f64..1.0), 1..if cfg!(miri) { 20 } else { 200 }),
    ) {
        let depth = 1 << depth_log2;
        let (mut producer, mut consumer) = lane(Terms::new(largest, depth).unwrap());
        if in_place {
            // SAFETY: the producer is this test.
            unsafe { consumer.trust_producer() };
        }
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        let mut copy = vec![0; largest as usize];
        let mut sent = 0;
        for (sends, share) in steps {
            if sends {
                let message = pattern(sent, (f64::from(largest) * share) as usize);
                match send(&mut producer, &message) {
                    Ok(()) => { model.push_back(message); sent += 1; }
                    Err(error) => { prop_assert_eq!(error, ClaimError::Full); prop_assert_eq!(model.len(), depth as usize); }
                }
            } else if in_place {
                let borrowed = consumer.borrow().unwrap();
                prop_assert_eq!(borrowed.as_ref().map(|message| message.bytes().to_vec()), model.pop_front());
            } else {
                let taken = consumer.take_into(&mut copy).unwrap().map(|bytes| copy[..bytes].to_vec());
                prop_assert_eq!(taken, model.pop_front());
            }
            prop_assert_eq!(producer.untaken().unwrap(), model.len() as u64);
        }
        while let Some(expected) = model.pop_front() {
            let bytes = consumer.take_into(&mut copy).unwrap().unwrap();
            prop_assert_eq!(&copy[..bytes], &expected[..]);
        }
        drop(producer);
        prop_assert_eq!(consumer.take_into(&mut copy), Err(PollError::Disconnected));
    }
}

#[test]
fn a_message_beyond_the_terms_is_the_callers_mistake() {
    let (mut producer, _consumer) = lane(Terms::new(64, 4).unwrap());
    assert!(matches!(producer.claim(65).err(), Some(ClaimError::TooLarge)));
}

#[test]
fn a_dropped_claim_leaves_no_trace() {
    for largest in [64, 4096] {
        let (mut producer, mut consumer) = lane(Terms::new(largest, 2).unwrap());
        for _ in 0..10 {
            drop(producer.claim(largest as usize).unwrap());
        }
        send(&mut producer, b"kept").unwrap();
        let mut copy = vec![0; largest as usize];
        assert_eq!(consumer.take_into(&mut copy), Ok(Some(4)));
        assert_eq!(producer.reclaim(), 0);
    }
}

#[test]
fn what_was_sent_before_the_end_is_still_received() {
    let (mut producer, mut consumer) = lane(Terms::new(64, 4).unwrap());
    send(&mut producer, b"last words").unwrap();
    drop(producer);
    let mut copy = [0; 64];
    assert_eq!(consumer.take_into(&mut copy), Ok(Some(10)));
    assert_eq!(consumer.take_into(&mut copy), Err(PollError::Disconnected));
}

#[test]
fn a_producer_notices_that_the_consumer_is_gone() {
    let (mut producer, consumer) = lane(Terms::new(64, 4).unwrap());
    drop(consumer);
    assert!(matches!(producer.claim(1).err(), Some(ClaimError::Ended(PollError::Disconnected))));
}

#[test]
fn what_nobody_took_is_recovered_in_order() {
    for largest in [64, 1024] {
        let (mut producer, mut consumer) = lane(Terms::new(largest, 8).unwrap());
        for index in 0..12 {
            send(&mut producer, &pattern(index, 40)).unwrap();
            if index < 7 {
                consumer.take_into(&mut vec![0; largest as usize]).unwrap().unwrap();
            }
        }
        let mut left = Vec::new();
        assert_eq!(producer.recover(|bytes| left.push(bytes.to_vec())), 5);
        assert_eq!(left, (7..12).map(|index| pattern(index, 40)).collect::<Vec<_>>());
        assert_eq!(producer.reclaim(), 0, "every buffer is back");
    }
}

#[test]
fn a_death_lets_the_consumer_drain_and_a_revocation_does_not() {
    for (reason, first) in
        [(Ended::Died, Ok(Some(4))), (Ended::Unbound, Ok(Some(4))), (Ended::Revoked, Err(PollError::Revoked))]
    {
        let (mut producer, mut consumer) = lane(Terms::new(64, 4).unwrap());
        send(&mut producer, b"sent").unwrap();
        consumer.validity().end(reason);
        let mut copy = [0; 64];
        assert_eq!(consumer.take_into(&mut copy), first, "{reason:?}");
        let end = if reason == Ended::Revoked { PollError::Revoked } else { PollError::Disconnected };
        assert_eq!(consumer.take_into(&mut copy), Err(end), "{reason:?}");
    }
}

#[test]
fn the_oldest_is_dropped_and_counted_where_the_terms_say_so() {
    let terms = Terms::new(64, 4).unwrap().overflow(Overflow::DropOldest);
    let (mut producer, mut consumer) = lane(terms);
    for index in 0..11u64 {
        let mut claim = producer.claim(8).unwrap();
        claim.bytes_mut().copy_from_slice(&index.to_ne_bytes());
        claim.publish(8).unwrap();
    }
    let mut seen = Vec::new();
    let mut copy = [0; 64];
    for _ in 0..20 {
        if consumer.take_into(&mut copy).unwrap().is_some() {
            seen.push(u64::from_ne_bytes(copy[..8].try_into().unwrap()));
        }
    }
    assert_eq!(seen, [7, 8, 9, 10]);
    assert_eq!(consumer.missed(), 7);
    assert_eq!(producer.dropped(), 7);
}

/// Two threads at full speed: in order, nothing lost, nothing altered.
#[test]
fn keeps_order_and_content_across_threads() {
    let count: u64 = if cfg!(miri) { 20 } else { 200_000 };
    for (largest, size) in [(64, 40), (1024, 600)] {
        let (mut producer, mut consumer) = lane(Terms::new(largest, 16).unwrap());
        let sending = std::thread::spawn(move || {
            for index in 0..count {
                while send(&mut producer, &pattern(index, size)) == Err(ClaimError::Full) {
                    std::thread::yield_now();
                }
            }
        });
        let mut copy = vec![0; largest as usize];
        for index in 0..count {
            let bytes = loop {
                match consumer.take_into(&mut copy).unwrap() {
                    Some(bytes) => break bytes,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(copy[..bytes], pattern(index, size)[..], "message {index}");
        }
        sending.join().unwrap();
    }
}

/// A reader that is overtaken never sees two messages mixed.
#[test]
fn an_overtaken_reader_sees_whole_messages() {
    let count: u64 = if cfg!(miri) { 30 } else { 300_000 };
    let (mut producer, mut consumer) = lane(Terms::new(64, 4).unwrap().overflow(Overflow::DropOldest));
    let sending = std::thread::spawn(move || {
        for index in 0..count {
            let claim = producer.claim(64).unwrap();
            claim.publish_copy(&[index as u8; 64]).unwrap();
        }
    });
    let (mut copy, mut received) = ([0; 64], 0);
    loop {
        match consumer.take_into(&mut copy) {
            Ok(Some(64)) => {
                assert!(copy.iter().all(|byte| *byte == copy[0]), "mixed: {copy:?}");
                received += 1;
            }
            Ok(Some(other)) => panic!("a message of {other} bytes"),
            Ok(None) => std::thread::yield_now(),
            Err(error) => {
                assert_eq!(error, PollError::Disconnected);
                break;
            }
        }
    }
    sending.join().unwrap();
    assert_eq!(received + consumer.missed(), count);
}

/// A reader that was overtaken before the end still gets what is left, and counts what is not.
#[test]
fn an_overtaken_reader_drains_what_is_left_however_the_lane_ended() {
    for reason in [Some(Ended::Unbound), Some(Ended::Died), None] {
        let (mut producer, mut consumer) = lane(Terms::new(64, 4).unwrap().overflow(Overflow::DropOldest));
        for index in 0..11u64 {
            send(&mut producer, &index.to_ne_bytes()).unwrap();
        }
        drop(producer);
        if let Some(reason) = reason {
            consumer.validity().end(reason);
        }
        let (mut seen, mut copy) = (Vec::new(), [0; 64]);
        let end = loop {
            match consumer.take_into(&mut copy) {
                Ok(Some(_)) => seen.push(u64::from_ne_bytes(copy[..8].try_into().unwrap())),
                Ok(None) => {}
                Err(error) => break error,
            }
        };
        assert_eq!((seen.as_slice(), consumer.missed()), ([7, 8, 9, 10].as_slice(), 7), "{reason:?}");
        assert_eq!(end, PollError::Disconnected);
    }
}
