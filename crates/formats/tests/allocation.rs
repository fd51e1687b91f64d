//! How much memory a message costs its receiver: in proportion to its bytes, whatever it says about itself.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{Aligned, Case, Flat, Prost, Random, Reading, Rmp, nested, reading};
use feuerbird_formats::{Named, flatbuffers::FlatBuffer, messagepack::MessagePack, protobuf::Protobuf};
use feuerbird_serialization::{Encode, Layer as Trusted, Message};
use flatbuffers::FlatBufferBuilder;

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with the same arguments; counting touches no memory it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(layout.size()));
        MOST.set(MOST.get().max(HELD.get()));
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        // SAFETY: the pointer came from `alloc` above, that is from the system's allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that were held at once during the work, and the calls for memory.
fn cost<R>(work: impl FnOnce() -> R) -> (usize, usize, R) {
    // Starting far from zero, so that giving back what was held before does not wrap around.
    HELD.set(1 << 40);
    MOST.set(1 << 40);
    CALLS.set(0);
    let result = work();
    (MOST.get() - (1 << 40), CALLS.get(), result)
}

#[test]
fn the_counter_counts() {
    let (most, calls, _) = cost(|| drop(std::hint::black_box(vec![0_u8; 1000])));
    assert_eq!((most, calls), (1000, 1));
}

/// Twice the largest element of a list per byte, the old room beside the new one while it grows, and the path to the fault that a
/// refusal notes: an entry for each of the levels, which are limited.
fn allowed(bytes: usize, element: usize) -> usize {
    bytes * 3 * element + 8192
}

/// A message with one list of each size of element.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
struct Lists {
    #[prost(uint64, repeated, tag = "1")]
    numbers: Vec<u64>,
    #[prost(message, repeated, tag = "2")]
    readings: Vec<Reading>,
    #[prost(message, repeated, tag = "3")]
    lists: Vec<Self>,
}

impl Named for Lists {
    const NAME: &str = "test.Lists";
}

impl prost::Name for Lists {
    const PACKAGE: &'static str = "test";
    const NAME: &'static str = "Lists";
}

fn most_for<M: Message>(bytes: &[u8]) -> (usize, bool) {
    let aligned = Aligned::new(bytes);
    let (most, _, accepted) = cost(|| M::decode(aligned.stable(), Trusted::Full).is_ok());
    (most, accepted)
}

#[test]
fn memory_is_in_proportion_to_the_bytes_at_the_densest() {
    const COUNT: usize = 200_000;
    let element = size_of::<Reading>();
    // Numbers of one byte each, packed; readings without a field, of two bytes each.
    let numbers = [&[0x0A, 0xC0, 0x9A, 0x0C][..], &vec![1; COUNT]].concat();
    let readings = [0x12, 0].repeat(COUNT);
    for (bytes, element) in [(numbers, 8), (readings, element)] {
        let (most, accepted) = most_for::<Protobuf<Lists>>(&bytes);
        assert!(accepted && most > bytes.len(), "{most}");
        assert!(most <= allowed(bytes.len(), element), "{most} for {} bytes", bytes.len());
    }
    // The same in MessagePack; a reading has five fields, so the smallest takes six bytes.
    let count = (COUNT as u32).to_be_bytes();
    let numbers = [&[0x93, 0xDD][..], &count, &vec![1; COUNT], &[0x90, 0x90]].concat();
    let reading: &[u8] = &[0x95, 0, 0xA0, 0x90, 0x90, 0xC0];
    let readings = [&[0x93, 0x90, 0xDD][..], &count, &reading.repeat(COUNT), &[0x90]].concat();
    for (bytes, element) in [(numbers, 8), (readings, element)] {
        let (most, accepted) = most_for::<MessagePack<Lists>>(&bytes);
        assert!(accepted && most > bytes.len(), "{most}");
        assert!(most <= allowed(bytes.len(), element), "{most} for {} bytes", bytes.len());
    }
}

/// 5 bytes are enough to make `rmp-serde` alone ask for a mebibyte.
#[test]
fn counts_that_are_lies_cost_nothing() {
    let lie = [0xDD, 0xFF, 0xFF, 0xFF, 0xFF];
    let (alone, ..) = cost(|| rmp_serde_alone(&[&[0x93][..], &lie].concat()));
    assert!(alone > 1 << 19, "{alone}: the walk in front has become superfluous");
    for start in [&[0x93][..], &[0x93, 0x90], &[0x93, 0x90, 0x90], &[0x93, 0x90, 0x90, 0x91, 0x93]] {
        assert_eq!(most_for::<MessagePack<Lists>>(&[start, &lie].concat()), (0, false));
    }
    for tag in [1_u8, 2, 3] {
        let bytes = [&[tag << 3 | 2][..], &[0xFF, 0xFF, 0xFF, 0xFF, 0x07]].concat();
        let (most, accepted) = most_for::<Protobuf<Lists>>(&bytes);
        assert!(!accepted && most <= 512, "{most}");
    }
}

fn rmp_serde_alone(bytes: &[u8]) -> bool {
    rmp_serde::from_slice::<Lists>(bytes).is_ok()
}

fn mutations<C: Case>(element: usize) {
    let mut random = Random(7);
    let whole = [C::encoded(&reading(200)), C::encoded(&nested(30))];
    for round in 0..10_000 {
        let mut changed = whole[round % 2].clone();
        let length = changed.bytes().len();
        for _ in 0..=random.below(4) {
            changed.bytes_mut()[random.below(length)] =
                [0xFF, 0x7F, 0xDD, 0, random.below(256) as u8][round % 5];
        }
        let (most, ..) = cost(|| C::check(&changed).is_ok());
        assert!(most <= allowed(length, element), "{}: {most} bytes for {length}", C::NAME);
    }
}

#[test]
fn changed_messages_cost_no_more() {
    mutations::<Prost>(size_of::<Reading>());
    mutations::<Rmp>(size_of::<Reading>());
    mutations::<Flat>(1);
}

#[test]
fn flatbuffers_are_received_and_sent_on_without_memory() {
    let bytes = Flat::encoded(&reading(1000));
    let mut out = Aligned::new(bytes.bytes());
    let (_, calls, sent) = cost(|| {
        let view = FlatBuffer::<common::FlatReading>::decode(bytes.stable(), Trusted::Full).unwrap();
        view.encode(Trusted::Full, out.bytes_mut()).unwrap()
    });
    assert_eq!((calls, sent), (0, bytes.bytes().len()));
}

#[test]
fn sending_costs_no_memory() {
    let sent = reading(1000);
    let mut builder = FlatBufferBuilder::new();
    let built = common::built(&mut builder, &sent);
    let mut out = vec![0; 1 << 16];
    let (_, calls, ()) = cost(|| {
        Protobuf(&sent).encode(Trusted::Full, &mut out).unwrap();
        MessagePack(&sent).encode(Trusted::Full, &mut out).unwrap();
        built.encode(Trusted::Full, &mut out).unwrap();
        assert!(Protobuf(&sent).encoded_bound(Trusted::Full) > 0);
        assert!(MessagePack(&sent).encoded_bound(Trusted::Full) > 0);
    });
    assert_eq!(calls, 0);
}
