//! Lanes on the heap, for tests.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part; a test may unwrap

use feuerbird_channel::{
    Consumer, HeapHome, Producer, Terms, Validity,
    layout::{Half, LaneLayout},
    prepare,
};
use feuerbird_zero_copy::{HeapReader, HeapWriter, heap_region};

/// The four halves of a lane that nobody has attached.
pub(crate) struct Halves {
    pub(crate) layout: LaneLayout,
    pub(crate) out: HeapWriter,
    pub(crate) out_view: HeapReader,
    pub(crate) back: HeapWriter,
    pub(crate) back_view: HeapReader,
}

pub(crate) fn halves(terms: Terms) -> Halves {
    let layout = LaneLayout::new(terms);
    // SAFETY: the halves go to a lane, which orders reads and writes, or to a test that runs on one thread.
    let (out, out_view) = unsafe { heap_region(layout.producer_bytes()) };
    // SAFETY: as above.
    let (back, back_view) = unsafe { heap_region(layout.consumer_bytes()) };
    prepare(&out, &layout, Half::Producer).unwrap();
    prepare(&back, &layout, Half::Consumer).unwrap();
    Halves { layout, out, out_view, back, back_view }
}

pub(crate) fn lane(terms: Terms) -> (Producer<HeapHome>, Consumer<HeapHome>) {
    attached(terms, Validity::unconditional)
}

/// A lane whose both ends hear of one pair.
pub(crate) fn lane_of_pair(
    terms: Terms,
    pair: &Validity<HeapReader>,
) -> (Producer<HeapHome>, Consumer<HeapHome>) {
    attached(terms, || pair.share())
}

fn attached(
    terms: Terms,
    valid: impl Fn() -> Validity<HeapReader>,
) -> (Producer<HeapHome>, Consumer<HeapHome>) {
    let Halves { out, out_view, back, back_view, .. } = halves(terms);
    let producer = Producer::attach(HeapHome, terms, out, back_view, valid(), None).unwrap();
    let consumer = Consumer::attach(HeapHome, terms, back, out_view, valid(), None).unwrap();
    (producer, consumer)
}

/// A producer whose consumer is a test that writes whatever it wants.
pub(crate) fn producer_against_a_liar(terms: Terms) -> (Producer<HeapHome>, HeapWriter) {
    let Halves { out, back, back_view, .. } = halves(terms);
    let producer =
        Producer::attach(HeapHome, terms, out, back_view, Validity::unconditional(), None).unwrap();
    (producer, back)
}

/// A consumer whose producer is a test that writes whatever it wants.
pub(crate) fn consumer_against_a_liar(terms: Terms) -> (Consumer<HeapHome>, HeapWriter, LaneLayout) {
    let Halves { layout, out, out_view, back, .. } = halves(terms);
    let consumer =
        Consumer::attach(HeapHome, terms, back, out_view, Validity::unconditional(), None).unwrap();
    (consumer, out, layout)
}
