//! The orders and the reports, as those see them who read and those who write.

use std::sync::atomic::Ordering;

use feuerbird::hosted::os::{clock, memory::WriterMemory};
use feuerbird::zero_copy::{Region, WriteRegion};

use crate::{
    histogram::{self, Histogram},
    layout::{self, BITMAPS, BUCKETS, HISTOGRAM, Order, State, VERSION, Word, bit, bitmap_words},
};

/// The orders, as a worker reads them.
pub(crate) struct Orders<'a>(pub(crate) &'a dyn Region);

impl Orders<'_> {
    /// Whether both sides are the same program.
    pub(crate) fn is_understood(&self) -> bool {
        self.get(Order::Version) == VERSION
    }

    #[inline]
    pub(crate) fn get(&self, order: Order) -> u64 {
        self.0.words().load(order as usize)
    }

    #[inline]
    pub(crate) fn is_set(&self, order: Order) -> bool {
        self.get(order) != 0
    }
}

/// Writes one of the orders.
pub(crate) fn order(orders: &WriterMemory, order: Order, value: u64) {
    orders.writable()[order as usize].store(value, Ordering::Release);
}

/// A worker's own report, which it alone writes: plain loads and stores of its own words, no atomic additions.
pub(crate) struct Report {
    memory: WriterMemory,
    share: u64,
}

impl Report {
    /// The report in fresh memory of [`layout::report_bytes`].
    pub(crate) fn new(memory: WriterMemory, share: u64) -> Self {
        let report = Self { memory, share };
        report.set(Word::Version, VERSION);
        report
    }

    #[inline]
    pub(crate) fn set(&self, word: Word, value: u64) {
        self.memory.writable()[word as usize].store(value, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn add(&self, word: Word, value: u64) {
        self.add_at(word as usize, value);
    }

    /// Counts a latency.
    #[inline]
    pub(crate) fn time(&self, cycles: u64) {
        self.add_at(HISTOGRAM + histogram::bucket(cycles), 1);
    }

    /// Notes that a message was handled. Whether it is the first time.
    #[inline]
    pub(crate) fn mark(&self, producer: usize, sequence: u64) -> bool {
        let (word, bit) = bit(producer, sequence, self.share);
        let word = &self.memory.writable()[word];
        let before = word.load(Ordering::Relaxed);
        word.store(before | bit, Ordering::Relaxed);
        before & bit == 0
    }

    /// Whether a peer was found gone.
    pub(crate) fn has_noticed(&self) -> bool {
        self.memory.words().load(Word::NoticedNs as usize) != 0
    }

    /// Notes when the first peer was found gone.
    pub(crate) fn notice(&self) {
        if !self.has_noticed() {
            self.set(Word::NoticedNs, clock::now_ns());
        }
    }

    pub(crate) fn enter(&self, state: State) {
        self.memory.writable()[Word::State as usize].store(state as u64, Ordering::Release);
    }

    #[inline]
    fn add_at(&self, word: usize, value: u64) {
        let word = &self.memory.writable()[word];
        word.store(word.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
    }
}

/// Somebody else's report. Every word may be anything.
pub(crate) struct View {
    memory: Box<dyn Region>,
    bitmaps: usize,
    share: u64,
}

impl View {
    /// A report with so many bitmaps; `None` where the memory is too small for them or of another version.
    pub(crate) fn new(memory: Box<dyn Region>, bitmaps: usize, share: u64) -> Option<Self> {
        let fits = memory.len() >= layout::report_bytes(bitmaps, share);
        (fits && memory.words().load(Word::Version as usize) == VERSION).then_some(Self {
            memory,
            bitmaps,
            share,
        })
    }

    pub(crate) fn get(&self, word: Word) -> u64 {
        self.memory.words().load_acquire(word as usize)
    }

    pub(crate) fn is(&self, state: State) -> bool {
        self.get(Word::State) == state as u64
    }

    /// A word of a producer's bitmap; zeros where this report has none.
    pub(crate) fn marks(&self, producer: usize, index: usize) -> u64 {
        let words = bitmap_words(self.share);
        if producer >= self.bitmaps || index >= words {
            return 0;
        }
        self.memory.words().load(BITMAPS + producer * words + index)
    }

    pub(crate) fn add_latencies(&self, histogram: &mut Histogram) {
        for bucket in 0..BUCKETS {
            histogram.add(bucket, self.memory.words().load(HISTOGRAM + bucket));
        }
    }
}
