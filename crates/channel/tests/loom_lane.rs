//! Every interleaving of the lock-free parts of a lane.
#![cfg(loom)]

mod support;

use feuerbird_channel::{ClaimError, HeapHome, Home, Overflow, Terms};
use support::lane;

/// Messages arrive whole and in order, in slots that are used again.
#[test]
fn a_message_is_whole_when_its_stamp_is_seen() {
    loom::model(|| {
        let (mut producer, mut consumer) = lane(Terms::new(8, 2).unwrap());
        let sending = loom::thread::spawn(move || {
            let mut sent = 0u64;
            for value in 1..=3u64 {
                match producer.claim(8) {
                    Ok(claim) => {
                        claim.publish_copy(&value.to_ne_bytes()).unwrap();
                        sent += 1;
                    }
                    Err(error) => {
                        assert_eq!(error, ClaimError::Full);
                        break;
                    }
                }
            }
            (sent, producer)
        });
        let mut expected = 1u64;
        let mut copy = [0; 8];
        for _ in 0..2 {
            if let Some(8) = consumer.take_into(&mut copy).unwrap() {
                assert_eq!(u64::from_ne_bytes(copy), expected);
                expected += 1;
            }
        }
        let (sent, _producer) = sending.join().unwrap();
        while let Some(8) = consumer.take_into(&mut copy).unwrap() {
            assert_eq!(u64::from_ne_bytes(copy), expected);
            expected += 1;
        }
        assert_eq!(expected - 1, sent);
    });
}

/// A pool buffer is not filled again before it was copied out.
#[test]
fn a_buffer_is_whole_until_it_is_returned() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let (mut producer, mut consumer) = lane(Terms::new(256, 2).unwrap());
        let sending = loom::thread::spawn(move || {
            for value in 1..=3u8 {
                match producer.claim(64) {
                    Ok(claim) => claim.publish_copy(&[value; 64]).unwrap(),
                    Err(error) => assert_eq!(error, ClaimError::Full),
                }
            }
            producer
        });
        let mut copy = [0; 256];
        if let Some(64) = consumer.take_into(&mut copy).unwrap() {
            assert_eq!(copy[..64], [1; 64]);
        }
        let _producer = sending.join().unwrap();
    });
}

/// Either the consumer that goes to sleep sees the message, or the producer sees that it sleeps: no wake is lost.
#[test]
fn no_wake_is_lost_by_a_sleeping_consumer() {
    loom::model(|| {
        let (mut producer, mut consumer) = lane(Terms::new(8, 2).unwrap());
        let sending = loom::thread::spawn(move || {
            producer.claim(8).unwrap().publish_copy(&[1; 8]).unwrap();
            (producer.wakes(), producer)
        });
        consumer.begin_sleep();
        HeapHome.heavy_barrier();
        let sees_message = consumer.has_message();
        let (wakes, _producer) = sending.join().unwrap();
        assert!(sees_message || wakes == 1, "asleep for ever");
    });
}

/// The same the other way: a producer that waits for room.
#[test]
fn no_wake_is_lost_by_a_sleeping_producer() {
    loom::model(|| {
        let (mut producer, mut consumer) = lane(Terms::new(8, 2).unwrap());
        for _ in 0..2 {
            producer.claim(8).unwrap().publish_copy(&[1; 8]).unwrap();
        }
        let taking = loom::thread::spawn(move || {
            assert_eq!(consumer.take_into(&mut [0; 8]), Ok(Some(8)));
            (consumer.wakes(), consumer)
        });
        producer.begin_sleep();
        HeapHome.heavy_barrier();
        let sees_room = producer.has_room().unwrap();
        let (wakes, _consumer) = taking.join().unwrap();
        assert!(sees_room || wakes == 1, "asleep for ever");
    });
}

/// The end does not overtake the last message.
#[test]
fn the_last_message_is_not_lost_to_the_end() {
    loom::model(|| {
        let (mut producer, mut consumer) = lane(Terms::new(8, 2).unwrap());
        let sending = loom::thread::spawn(move || {
            producer.claim(8).unwrap().publish_copy(&[1; 8]).unwrap();
        });
        let mut copy = [0; 8];
        let mut taken = 0;
        for _ in 0..2 {
            match consumer.take_into(&mut copy) {
                Ok(Some(_)) => taken += 1,
                Ok(None) => {}
                Err(_) => {
                    assert_eq!(taken, 1, "disconnected before the last message");
                    break;
                }
            }
        }
        sending.join().unwrap();
    });
}

/// A reader that is overtaken never sees half of one message and half of the next.
#[test]
fn an_overtaken_reader_sees_whole_messages() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (mut producer, mut consumer) = lane(Terms::new(16, 2).unwrap().overflow(Overflow::DropOldest));
        producer.claim(16).unwrap().publish_copy(&[1; 16]).unwrap();
        let sending = loom::thread::spawn(move || {
            for value in 2..=3 {
                producer.claim(16).unwrap().publish_copy(&[value; 16]).unwrap();
            }
            producer
        });
        let mut copy = [0; 16];
        if let Some(bytes) = consumer.take_into(&mut copy).unwrap() {
            assert_eq!(bytes, 16);
            assert!(copy.iter().all(|byte| *byte == copy[0]), "mixed: {copy:?}");
        }
        let _producer = sending.join().unwrap();
    });
}
