//! What a revoked receiver, which has the memory of its pair mapped for as long as it likes, can still see there: nothing of what is
//! sent once the word has changed, announced or not.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // a test may unwrap

mod support;

use feuerbird_capability::Trust;
use feuerbird_channel::{
    Arriving, Ended, HeapHome, LaneOut, Overflow, Producer, SendError, Sender, Terms, Validity,
    layout::LaneLayout,
};
use feuerbird_serialization::{Encode, EncodeError, Format, Layer, Plain};
use feuerbird_zero_copy::{HeapReader, HeapWriter, Region, WriteRegion, heap_region, sync::Ordering};
use std::sync::Arc;
use support::halves;

/// What no memory holds by chance.
const SECRET: u64 = 0x5ec2_e75e_c2e7_5ec2;

/// A lane to a receiver that only looks, and may have its authority taken.
struct Watcher {
    mapped: HeapReader,
    word: HeapWriter,
    validity: Validity<HeapReader>,
    /// Its own half: it is there until the watcher goes.
    _back: HeapWriter,
}

impl Watcher {
    fn join(arriving: &Arriving<LaneOut<HeapHome>>, terms: Terms) -> Self {
        // SAFETY: all of this test runs on one thread.
        let (word, word_view) = unsafe { heap_region(64) };
        word.writable()[0].store(1, Ordering::Release);
        let validity = Validity::new(Arc::new(word_view), 0, 1).unwrap();
        let ours = halves(terms);
        let producer =
            Producer::attach(HeapHome, terms, ours.out, ours.back_view, validity.share(), None).unwrap();
        arriving.push(LaneOut::new(producer, Trust::KERNEL, terms));
        Self { mapped: ours.out_view, word, validity, _back: ours.back }
    }

    fn sees(&self, value: u64) -> bool {
        let words = self.mapped.words();
        (0..words.len()).any(|index| words.load(index) == value)
    }
}

type SendWords<const N: usize> =
    fn(&mut Sender<Plain<[u64; N]>, HeapHome>, [u64; N]) -> Result<(), SendError>;

/// Two receivers, of which one is revoked and the other one can see all that is sent after that.
fn only_the_other_one_sees<const N: usize>(terms: Terms, is_told_why: bool, send: SendWords<N>) {
    let arriving = Arc::new(Arriving::new());
    let (revoked, other) = (Watcher::join(&arriving, terms), Watcher::join(&arriving, terms));
    let mut sender = Sender::new(HeapHome, Validity::unconditional(), arriving);
    (1..=2).for_each(|value| send(&mut sender, [value; N]).unwrap());
    revoked.word.writable()[0].store(2, Ordering::Release);
    if is_told_why {
        revoked.validity.end(Ended::Revoked);
    }
    for sent in 0..3 {
        send(&mut sender, [SECRET; N]).unwrap();
        assert!(!revoked.sees(SECRET), "{terms:?}, told why: {is_told_why}, message {sent}");
    }
    assert!(other.sees(SECRET), "the search finds what is there");
}

/// What is written in place is the same to Miri in each, and takes it minutes.
fn layers() -> impl Iterator<Item = Layer> {
    let all = [Layer::Raw, Layer::Lite, Layer::Full];
    all.into_iter().take(if cfg!(miri) { 1 } else { all.len() })
}

/// In slots, in slots beside a pool, and in buffers; waiting and not; in every layer.
fn in_every_way<const N: usize>(send: SendWords<N>) {
    let terms = [(128, Overflow::Wait), (1024, Overflow::Wait), (128, Overflow::DropOldest)];
    for (bytes, overflow) in terms {
        for layer in layers() {
            let terms = Terms::new(bytes, 8).unwrap().overflow(overflow).at_least(layer);
            for is_told_why in [false, true] {
                only_the_other_one_sees(terms, is_told_why, send);
            }
        }
    }
}

fn one<const N: usize>(
    sender: &mut Sender<Plain<[u64; N]>, HeapHome>,
    words: [u64; N],
) -> Result<(), SendError> {
    sender.try_send(&words)
}

fn batch<const N: usize>(
    sender: &mut Sender<Plain<[u64; N]>, HeapHome>,
    words: [u64; N],
) -> Result<(), SendError> {
    sender.send_batch([words]).map(drop).map_err(|error| error.error)
}

#[test]
fn a_message_sent_after_a_revocation_is_never_in_memory_that_the_revoked_one_has_mapped() {
    in_every_way::<1>(one);
    in_every_way::<10>(one);
}

#[test]
fn nor_is_one_of_a_batch() {
    in_every_way::<1>(batch);
    in_every_way::<10>(batch);
}

/// A message in the middle of which the receiver whose turn it is is revoked.
struct Overtaken(HeapWriter);

impl Encode<Plain<u64>> for Overtaken {
    fn encoded_bound(&self, format: impl Into<Format>) -> usize {
        SECRET.encoded_bound(format)
    }

    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        self.0.writable()[0].store(2, Ordering::Release);
        SECRET.encode(format, out)
    }
}

#[test]
fn a_message_that_a_revocation_overtakes_is_announced_to_another_one() {
    for bytes in [64, 1024] {
        for layer in layers() {
            let terms = Terms::new(bytes, 8).unwrap().at_least(layer);
            let arriving = Arc::new(Arriving::new());
            let [revoked, other] = [(); 2].map(|()| Watcher::join(&arriving, terms));
            let mut sender: Sender<Plain<u64>, _> =
                Sender::new(HeapHome, Validity::unconditional(), arriving);
            sender.try_send(&Overtaken(revoked.word)).unwrap();
            let stamp = LaneLayout::new(terms).stamp_word(0);
            let announced = [revoked.mapped, other.mapped].map(|mapped| mapped.words().load(stamp) != 0);
            assert_eq!(announced, [false, true], "{terms:?}");
        }
    }
}
