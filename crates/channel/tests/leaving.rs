//! What lanes that end leave to the others, and what they cost meanwhile.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // a test may unwrap

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use feuerbird_capability::Trust;
use feuerbird_channel::{
    Arriving, Consumer, Ended, HeapHome, Home, LaneIn, LaneOut, Producer, Receiver, RecvError, SendError,
    Sender, Terms, Validity, Watched,
};
use feuerbird_serialization::{DecodeError, Encode, EncodeError, Format, Identity, Message, Plain, Stable};
use feuerbird_zero_copy::{HeapReader, HeapWriter, WriteRegion, heap_region};
use support::{Halves, halves, lane};

fn terms(depth: u32) -> Terms {
    Terms::new(64, depth).unwrap()
}

type Coming = Arc<Arriving<LaneOut<HeapHome>>>;

fn sender<T>(lanes: Vec<LaneOut<HeapHome>>) -> (Sender<Plain<T>, HeapHome>, Coming)
where
    Plain<T>: Message,
{
    let arriving = Arc::new(Arriving::new());
    lanes.into_iter().for_each(|lane| arriving.push(lane));
    (Sender::new(HeapHome, Validity::unconditional(), Arc::clone(&arriving)), arriving)
}

#[test]
fn a_lane_that_ends_hides_no_other_one() {
    let (mut full, _slow) = lane(terms(2));
    for _ in 0..2 {
        full.claim(8).unwrap().publish(8).unwrap();
    }
    let ((dead, gone), (free, mut quick)) = (lane(terms(2)), lane(terms(2)));
    drop(gone);
    let lanes = [full, dead, free].map(|producer| LaneOut::new(producer, Trust::KERNEL, terms(2)));
    let (mut sender, _) = sender::<u64>(lanes.into());
    assert_eq!(sender.try_send(&1), Ok(()), "the last one has room");
    assert_eq!(quick.take_into(&mut [0; 64]).unwrap(), Some(8));
}

/// Both ends of a lane for messages of so many bytes.
fn lane_of(bytes: u32) -> (LaneOut<HeapHome>, Consumer<HeapHome>) {
    let terms = Terms::new(bytes, 4).unwrap();
    let (producer, consumer) = lane(terms);
    (LaneOut::new(producer, Trust::KERNEL, terms), consumer)
}

#[test]
fn what_fits_one_lane_goes_there_whichever_comes_first() {
    for fits_first in [false, true] {
        let ((leaving, leaver), (wide, mut taker), (narrow, _other)) = (lane_of(64), lane_of(64), lane_of(8));
        let (mut sender, arriving) = sender::<[u64; 8]>(vec![leaving]);
        sender.try_send(&[1; 8]).unwrap();
        let lanes = if fits_first { [narrow, wide] } else { [wide, narrow] };
        lanes.into_iter().for_each(|lane| arriving.push(lane));
        assert_eq!(sender.receivers(), 3);
        drop(leaver);
        // Its place is the last one's.
        assert_eq!(sender.receivers(), 2);
        assert_eq!(sender.finish(0), Err(SendError::DeadlinePassed), "it is not taken yet");
        assert_eq!((sender.statistics().redelivered, sender.statistics().undelivered), (1, 0));
        assert_eq!(taker.take_into(&mut [0; 64]).unwrap(), Some(64));
        assert_eq!(sender.finish(0), Ok(()));
    }
}

#[test]
fn what_fits_a_lane_that_is_full_waits_for_it() {
    let ((leaving, leaver), (wide, mut taker), (narrow, _other)) = (lane_of(64), lane_of(64), lane_of(8));
    let (mut sender, arriving) = sender::<[u64; 8]>(vec![leaving]);
    (0..4).for_each(|value| sender.try_send(&[value; 8]).unwrap());
    arriving.push(wide);
    (4..8).for_each(|value| sender.try_send(&[value; 8]).unwrap());
    arriving.push(narrow);
    assert_eq!(sender.receivers(), 3);
    drop(leaver);
    assert_eq!(sender.receivers(), 2);
    assert_eq!(sender.finish(0), Err(SendError::DeadlinePassed));
    let mut taken = vec![];
    for _ in 0..100 {
        let mut copy = [0; 64];
        let message = taker.take_into(&mut copy).unwrap();
        taken.extend(message.map(|_| copy[0]));
        let _is_placed = sender.finish(0);
    }
    taken.sort_unstable();
    assert_eq!((taken, sender.statistics().undelivered), ((0..8).collect(), 0));
}

#[test]
fn what_fits_nobody_yet_waits_for_who_is_coming() {
    let ((leaving, leaver), (narrow, _other), (wide, mut taker)) = (lane_of(64), lane_of(8), lane_of(64));
    let (mut sender, arriving) = sender::<[u64; 8]>(vec![leaving]);
    sender.try_send(&[1; 8]).unwrap();
    arriving.push(narrow);
    assert_eq!(sender.receivers(), 2);
    drop(leaver);
    let expected = arriving.expect();
    assert_eq!(sender.receivers(), 1);
    assert_eq!(sender.finish(0), Err(SendError::DeadlinePassed));
    arriving.push(wide);
    drop(expected);
    assert_eq!(sender.finish(0), Err(SendError::DeadlinePassed), "it is not taken yet");
    assert_eq!(taker.take_into(&mut [0; 64]).unwrap(), Some(64));
    assert_eq!((sender.finish(0), sender.statistics().undelivered), (Ok(()), 0));
}

#[test]
fn what_fits_nobody_who_is_left_is_told_once_and_counted() {
    let ((leaving, leaver), (narrow, _other)) = (lane_of(64), lane_of(8));
    let (mut sender, arriving) = sender::<[u64; 8]>(vec![leaving]);
    sender.try_send(&[1; 8]).unwrap();
    sender.try_send(&[2; 8]).unwrap();
    arriving.push(narrow);
    assert_eq!(sender.receivers(), 2);
    drop(leaver);
    assert_eq!(sender.receivers(), 1);
    assert_eq!(sender.finish(0), Err(SendError::TooLarge));
    assert_eq!((sender.finish(0), sender.statistics().undelivered), (Ok(()), 2));
}

/// A message that can be written in every layer and read in none.
struct OneWay;

impl Message for OneWay {
    const IDENTITY: Identity = Identity::of_schema("test.OneWay", 1);
    type View<'a> = Self;

    fn decode(_: Stable<'_>, _: impl Into<Format>) -> Result<Self, DecodeError> {
        Err(DecodeError::WrongType)
    }
}

impl Encode<Self> for OneWay {
    fn encoded_bound(&self, _: impl Into<Format>) -> usize {
        8
    }

    fn encode(&self, _: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        out[..8].fill(1);
        Ok(8)
    }
}

#[test]
fn what_cannot_be_translated_for_who_is_left_is_not_called_too_large() {
    let ((leaving, leaver), (other, _other)) = (lane(terms(2)), lane(terms(2)));
    let arriving = Arc::new(Arriving::new());
    arriving.push(LaneOut::new(leaving, Trust::KERNEL, terms(2)));
    let mut sender = Sender::<OneWay, _>::new(HeapHome, Validity::unconditional(), Arc::clone(&arriving));
    sender.try_send(&OneWay).unwrap();
    arriving.push(LaneOut::new(other, Trust::USER, terms(2)));
    assert_eq!(sender.receivers(), 2);
    drop(leaver);
    assert_eq!(sender.receivers(), 1);
    assert_eq!(sender.finish(0), Err(SendError::Unencodable(EncodeError::Refused)));
    assert_eq!((sender.finish(0), sender.statistics().undelivered), (Ok(()), 1));
}

/// Counts how often somebody waits, and how often for something that is there already.
#[derive(Clone, Debug)]
struct Counting(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    began: Instant,
    waits: AtomicUsize,
    in_vain: AtomicUsize,
}

impl Home for Counting {
    type Writer = HeapWriter;
    type Reader = HeapReader;
    type Life = core::convert::Infallible;

    fn now_ns(&self) -> u64 {
        self.0.began.elapsed().as_nanos() as u64
    }

    fn wait(&self, words: &[Watched], timeout_ns: u64) {
        self.0.waits.fetch_add(1, Ordering::SeqCst);
        // SAFETY: words of regions that the lanes of the waiting endpoint hold.
        if words.iter().any(|word| unsafe { word.address.read_volatile() } as u32 != word.seen) {
            self.0.in_vain.fetch_add(1, Ordering::SeqCst);
            return;
        }
        std::thread::sleep(Duration::from_nanos(timeout_ns));
    }

    fn wake(&self, _: *const u64) {}

    fn has_heavy_barrier(&self) -> bool {
        HeapHome.has_heavy_barrier()
    }

    fn heavy_barrier(&self) {
        HeapHome.heavy_barrier();
    }

    fn is_dead(&self, life: &Self::Life) -> bool {
        match *life {}
    }
}

/// A lane with a message in it whose consumer's pair has ended, and nobody has said why.
fn ending(home: &Counting) -> (Consumer<Counting>, Producer<Counting>) {
    let Halves { out, out_view, back, back_view, .. } = halves(terms(4));
    // SAFETY: one thread at a time writes it.
    let (words, view) = unsafe { heap_region(4096) };
    words.writable()[0].store(7, Ordering::SeqCst);
    let validity = Validity::new(Arc::new(view), 0, 7).unwrap();
    let whole = Validity::unconditional();
    let mut producer = Producer::attach(home.clone(), terms(4), out, back_view, whole, None).unwrap();
    let consumer = Consumer::attach(home.clone(), terms(4), back, out_view, validity, None).unwrap();
    producer.claim(8).unwrap().publish(8).unwrap();
    words.writable()[0].store(8, Ordering::SeqCst);
    (consumer, producer)
}

#[test]
fn who_sleeps_beside_a_lane_that_is_ending_sleeps() {
    let (waits, in_vain) = Default::default();
    let home = Counting(Arc::new(Counts { began: Instant::now(), waits, in_vain }));
    let (consumer, _producer) = ending(&home);
    let pair = consumer.validity().share();
    let arriving = Arc::new(Arriving::new());
    arriving.push(LaneIn::new(consumer, Trust::KERNEL, terms(4)));
    let mut receiver: Receiver<Plain<u64>, Counting> =
        Receiver::new(home.clone(), Validity::unconditional(), arriving);
    let began = Instant::now();
    assert_eq!(receiver.recv_timeout(100_000_000, |value| value), Err(RecvError::DeadlinePassed));
    assert!(began.elapsed() >= Duration::from_millis(100));
    let (waits, in_vain) = (home.0.waits.load(Ordering::SeqCst), home.0.in_vain.load(Ordering::SeqCst));
    assert!(waits < 60 && in_vain == 0, "{waits} waits in 100 ms, {in_vain} of them for what is there");
    // What it held is to be had as soon as it is known that the other side just left.
    pair.end(Ended::Unbound);
    assert!(receiver.recv_timeout(100_000_000, |value| value).is_ok());
}
