//! Every interleaving of the way that a raw message in its slot takes, from the sending endpoint to the receiving one: it is written in
//! place, which is one word after the other here.
#![cfg(loom)]
#![allow(clippy::unwrap_used)] // a test may unwrap

mod support;

use std::sync::Arc;

use feuerbird_capability::Trust;
use feuerbird_channel::{
    Arriving, Consumer, Ended, HeapHome, Home, LaneIn, LaneOut, Producer, Receiver, RecvError, SendError,
    Sender, Terms, Validity,
};
use feuerbird_serialization::Plain;
use feuerbird_zero_copy::{Region, WriteRegion, heap_region, sync::Ordering};
use support::{Halves, halves, lane, lane_of_pair};

type Pair = [u64; 2];
type PairSender = Sender<Plain<Pair>, HeapHome>;

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Two slots of two words.
fn terms() -> Terms {
    Terms::new(16, 2).unwrap()
}

/// An endpoint that has its lanes.
fn sender_to(lanes: impl IntoIterator<Item = Producer<HeapHome>>) -> PairSender {
    let arriving = Arc::new(Arriving::new());
    lanes.into_iter().for_each(|lane| arriving.push(LaneOut::new(lane, Trust::KERNEL, terms())));
    let mut sender = Sender::new(HeapHome, Validity::unconditional(), arriving);
    sender.receivers();
    sender
}

fn receiver_from(lane: Consumer<HeapHome>) -> Receiver<Plain<Pair>, HeapHome> {
    let arriving = Arc::new(Arriving::new());
    arriving.push(LaneIn::new(lane, Trust::KERNEL, terms()));
    let mut receiver = Receiver::new(HeapHome, Validity::unconditional(), arriving);
    receiver.senders();
    receiver
}

/// Messages are whole and in order, in slots that are used again.
#[test]
fn a_message_is_whole_when_it_is_received() {
    check(3, || {
        let (producer, consumer) = lane(terms());
        let (mut sender, mut receiver) = (sender_to([producer]), receiver_from(consumer));
        let sending = loom::thread::spawn(move || {
            let sent = (1..=3).take_while(|value| match sender.try_send(&[*value; 2]) {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error, SendError::Full);
                    false
                }
            });
            (sent.count() as u64, sender)
        });
        let mut received = 0;
        let mut receive = || match receiver.try_recv(|pair| pair) {
            Ok(pair) => {
                received += 1;
                assert_eq!(pair, [received; 2]);
                true
            }
            Err(error) => {
                assert_eq!(error, RecvError::Empty);
                false
            }
        };
        (0..2).for_each(|_| _ = receive());
        let (sent, _sender) = sending.join().unwrap();
        while receive() {}
        assert_eq!(received, sent);
    });
}

/// Either a consumer that goes to sleep sees the message, or it is woken.
#[test]
fn no_wake_is_lost_by_a_sleeping_consumer() {
    check(4, || {
        let (producer, mut consumer) = lane(terms());
        let mut sender = sender_to([producer]);
        let sending = loom::thread::spawn(move || {
            sender.try_send(&[1; 2]).unwrap();
            (sender.statistics().wakes, sender)
        });
        consumer.begin_sleep();
        HeapHome.heavy_barrier();
        let sees_message = consumer.has_message();
        let (wakes, _sender) = sending.join().unwrap();
        assert!(sees_message || wakes == 1, "asleep for ever");
    });
}

/// Either a producer that goes to sleep sees the room, or it is woken, by a receiver that takes what lies in slots.
#[test]
fn no_wake_is_lost_by_a_sleeping_producer() {
    check(4, || {
        let (mut producer, consumer) = lane(terms());
        let mut receiver = receiver_from(consumer);
        (0..2).for_each(|_| producer.claim(16).unwrap().publish_copy(&[1; 16]).unwrap());
        let taking = loom::thread::spawn(move || {
            receiver.try_recv(drop).unwrap();
            (receiver.statistics().wakes, receiver)
        });
        producer.begin_sleep();
        HeapHome.heavy_barrier();
        let sees_room = producer.has_room().unwrap();
        let (wakes, _receiver) = taking.join().unwrap();
        assert!(sees_room || wakes == 1, "asleep for ever");
    });
}

/// Of a receiver that is revoked at any moment: what it took and what another one got afterwards is all that was sent, and no more
/// than the one message that it was taking arrives at both.
#[test]
fn what_a_revoked_receiver_leaves_behind_goes_to_another_one() {
    check(2, || {
        let validity = Validity::unconditional();
        let ((revoked, mut leaver), (other, mut taker)) = (lane_of_pair(terms(), &validity), lane(terms()));
        let mut sender = sender_to([revoked, other]);
        let kernel = validity.share();
        let taking = loom::thread::spawn(move || {
            let mut copy = [0; 16];
            let taken = matches!(leaver.take_into(&mut copy), Ok(Some(16))).then_some(copy[0]);
            kernel.end(Ended::Revoked);
            (taken, leaver)
        });
        (1..=2).for_each(|value| sender.try_send(&[value; 2]).unwrap());
        let (taken, _leaver) = taking.join().unwrap();
        // Finds that the lane is over.
        assert_eq!(sender.receivers(), 1);
        assert_eq!(sender.finish(0), Err(SendError::DeadlinePassed));
        let (mut copy, mut got) = ([0; 16], vec![]);
        while let Ok(Some(16)) = taker.take_into(&mut copy) {
            got.push(copy[0]);
        }
        assert!(taken.is_none_or(|value| !got.contains(&value)), "{taken:?} and {got:?}: it had taken it");
        got.extend(taken);
        got.sort_unstable();
        assert_eq!(got, [1, 2], "none is lost");
    });
}

/// A revocation at any moment of a message: that one may be in the revoked one's memory, and none that is sent later.
#[test]
fn nothing_is_written_to_a_lane_that_was_revoked_before() {
    check(4, || {
        // SAFETY: the word is an atomic, and nothing else is in there.
        let (word, word_view) = unsafe { heap_region(64) };
        word.writable()[0].store(1, Ordering::Relaxed);
        let validity = Validity::new(Arc::new(word_view), 0, 1).unwrap();
        let Halves { out, out_view, back: _back, back_view, .. } = halves(terms());
        let producer = Producer::attach(HeapHome, terms(), out, back_view, validity, None).unwrap();
        let (other, _taker) = lane(terms());
        let mut sender = sender_to([producer, other]);
        let sending = loom::thread::spawn(move || {
            sender.try_send(&[7; 2]).unwrap();
            sender
        });
        word.writable()[0].store(2, Ordering::Release);
        let mut sender = sending.join().unwrap();
        // Why is not known yet, so the lane stays, and has its turn for one of these.
        let _ = [8, 9].map(|value| sender.try_send(&[value; 2]));
        let words = out_view.words();
        let seen = (0..words.len()).map(|word| words.load(word)).find(|word| [8, 9].contains(word));
        assert_eq!(seen, None, "written after the revocation");
    });
}
