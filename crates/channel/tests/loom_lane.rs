//! Every interleaving of the lock-free parts of a lane.
#![cfg(loom)]

mod support;

use std::sync::Arc;

use feuerbird_channel::{
    ClaimError, Consumer, Ended, HeapHome, Home, Overflow, PollError, Producer, Terms, Validity,
    layout::{HEAD_WORD, Stamp},
};
use feuerbird_zero_copy::{BufferId, WriteRegion, heap_region, sync::Ordering};
use support::{Halves, lane};

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

/// How a consumer's end comes about.
#[derive(Clone, Copy)]
enum End {
    /// It lets go of the lane.
    Closes,
    /// It is killed, and the kernel says so afterwards.
    Dies,
    /// Its authority is revoked, at any moment, and it goes on.
    Revoked,
}

/// What a producer recovers and what the consumer took, in every interleaving of the two.
fn hands_over(end: End, check: fn(&[u64], &[u64])) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(move || {
        let terms = Terms::new(8, 2).unwrap();
        let validity = Validity::unconditional();
        let (mut producer, mut consumer) = support::lane_of_pair(terms, &validity);
        for value in 1..=2u64 {
            producer.claim(8).unwrap().publish_copy(&value.to_ne_bytes()).unwrap();
        }
        let kernel = validity.share();
        let taking = loom::thread::spawn(move || {
            let (mut copy, mut taken) = ([0; 8], vec![]);
            // One of two, so that the other one is left; or both, where only the revocation ends it.
            while let Ok(Some(8)) = consumer.take_into(&mut copy) {
                taken.push(u64::from_ne_bytes(copy));
                match end {
                    End::Closes => return taken,
                    End::Dies => {
                        kernel.end(Ended::Died);
                        std::mem::forget(consumer);
                        return taken;
                    }
                    End::Revoked => {}
                }
            }
            std::mem::forget(consumer);
            taken
        });
        if matches!(end, End::Revoked) {
            validity.end(Ended::Revoked);
        }
        // As a sender does: whenever it finds the lane over.
        while producer.claim(8).map(drop).err().is_none_or(|error| error == ClaimError::Full) {
            loom::thread::yield_now();
        }
        let mut recovered = vec![];
        producer.recover(|bytes| recovered.push(u64::from_ne_bytes(bytes.try_into().unwrap())));
        let taken = taking.join().unwrap();
        check(&taken, &recovered);
    });
}

/// What was taken is not handed on, and what was not taken is.
#[test]
fn what_a_consumer_leaves_behind_is_handed_over_exactly_once() {
    for end in [End::Closes, End::Dies] {
        hands_over(end, |taken, recovered| assert_eq!((taken, recovered), (&[1][..], &[2][..])));
    }
}

/// A revoked consumer that goes on may be taking one message when its position is looked at, and no more than one.
#[test]
fn of_what_a_revoked_consumer_takes_at_most_one_message_is_handed_over_too() {
    hands_over(End::Revoked, |taken, recovered| {
        let both = taken.iter().filter(|value| recovered.contains(value)).count();
        assert!(both <= 1, "{taken:?} and {recovered:?}");
        let mut all = [taken, recovered].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, [1, 2], "none is lost");
    });
}

/// Messages that are announced together are whole and in order for a consumer that looks at any moment, and it is woken for them.
#[test]
fn a_batch_is_whole_and_wakes_who_sleeps() {
    for bytes in [8, 256] {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let (mut producer, mut consumer) = lane(Terms::new(bytes, 2).unwrap());
            // More than a slot of a lane with a pool holds.
            let length = bytes.min(64) as usize;
            let sending = loom::thread::spawn(move || {
                for value in 1..=2u8 {
                    producer.claim(length).unwrap().defer_copy(&[value; 64][..length]).unwrap();
                }
                producer.announce_deferred();
                (producer.wakes(), producer)
            });
            consumer.begin_sleep();
            HeapHome.heavy_barrier();
            let sees_message = consumer.has_message();
            let mut copy = [0; 256];
            let mut taken = 0u8;
            if sees_message {
                consumer.end_sleep();
                while consumer.take_into(&mut copy).unwrap() == Some(length) {
                    taken += 1;
                    assert!(
                        copy[..length].iter().all(|byte| *byte == taken),
                        "{taken}: {:?}",
                        &copy[..length]
                    );
                }
            }
            let (wakes, _producer) = sending.join().unwrap();
            assert!(sees_message || wakes == 1, "asleep for ever");
            while consumer.take_into(&mut copy).unwrap() == Some(length) {
                taken += 1;
                assert!(copy[..length].iter().all(|byte| *byte == taken));
            }
            assert_eq!(taken, 2);
        });
    }
}

/// Messages that were put off when the lane ended are handed over with those that were announced.
#[test]
fn what_was_put_off_is_handed_over_too() {
    loom::model(|| {
        let (mut producer, mut consumer) = lane(Terms::new(8, 4).unwrap());
        producer.claim(8).unwrap().publish_copy(&[1; 8]).unwrap();
        producer.claim(8).unwrap().defer_copy(&[2; 8]).unwrap();
        let taking = loom::thread::spawn(move || {
            let mut copy = [0; 8];
            let taken = consumer.take_into(&mut copy).unwrap();
            assert_eq!((taken, copy), (Some(8), [1; 8]));
        });
        while producer.claim(8).is_ok() {
            loom::thread::yield_now();
        }
        let mut recovered = vec![];
        producer.recover(|bytes| recovered.push(bytes[0]));
        taking.join().unwrap();
        assert_eq!(recovered, [2]);
    });
}

/// A revocation at any moment, after which what the peer wrote reads as zeroes: nobody is accused of those.
#[test]
fn withdrawn_memory_is_not_held_against_its_writer() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let terms = Terms::new(8, 2).unwrap();
        // SAFETY: the word is an atomic, and nothing else is in there.
        let (word, word_view) = unsafe { heap_region(64) };
        word.writable()[0].store(1, Ordering::Relaxed);
        let validity = Validity::new(Arc::new(word_view), 0, 1).unwrap();
        let Halves { out, back, back_view, .. } = support::halves(terms);
        let mut producer = Producer::attach(HeapHome, terms, out, back_view, validity, None).unwrap();
        for taken in 1..=2 {
            producer.claim(8).unwrap().publish_copy(&[1; 8]).unwrap();
            back.writable()[HEAD_WORD].store(taken, Ordering::Release);
        }
        assert_eq!(producer.untaken(), Ok(0));
        let kernel = loom::thread::spawn(move || {
            word.writable()[0].store(2, Ordering::Release);
            back.writable()[HEAD_WORD].store(0, Ordering::Release);
            (word, back)
        });
        let untaken = producer.untaken();
        assert!(matches!(untaken, Ok(0) | Err(PollError::Ending)), "{untaken:?}");
        let _kept = kernel.join().unwrap();
    });
}

/// The same for a consumer that is copying a message out, in its slot and in a buffer: it takes the message as it was, or none.
#[test]
fn withdrawn_memory_is_not_taken_for_a_message() {
    for (largest, length) in [(8, 8), (256, 64)] {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let terms = Terms::new(largest, 2).unwrap();
            // SAFETY: the word is an atomic, and nothing else is in there.
            let (word, word_view) = unsafe { heap_region(64) };
            word.writable()[0].store(1, Ordering::Relaxed);
            let validity = Validity::new(Arc::new(word_view), 0, 1).unwrap();
            let Halves { layout, out, out_view, back, .. } = support::halves(terms);
            let mut consumer = Consumer::attach(HeapHome, terms, back, out_view, validity, None).unwrap();
            let is_pooled = length > layout.inline_bytes();
            // Buffer 0, where there is one, in the second word of the slot.
            let bytes =
                if is_pooled { layout.pooled(BufferId(0), length) } else { Some(layout.slot_bytes(0)) };
            let last = (bytes.unwrap() + length) / 8 - 1;
            out.writable()[last].store(u64::MAX, Ordering::Relaxed);
            out.writable()[layout.stamp_word(0)].store(Stamp::new(0, length, is_pooled).0, Ordering::Release);
            let kernel = loom::thread::spawn(move || {
                word.writable()[0].store(2, Ordering::Release);
                out.writable()[last].store(0, Ordering::Release);
                (word, out)
            });
            let mut copy = [0; 256];
            match consumer.take_into(&mut copy) {
                Ok(None) => {}
                Ok(Some(bytes)) => assert_eq!((bytes, copy[length - 1]), (length, 0xff), "zeroes of nobody"),
                Err(error) => panic!("{error:?}"),
            }
            let _kept = kernel.join().unwrap();
        });
    }
}
