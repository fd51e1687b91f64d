//! A report, as its worker writes it.

use core::sync::atomic::Ordering;

use feuerbird_channel::Home;
use feuerbird_zero_copy::WriteRegion;

use crate::histogram;
use crate::layout::{HISTOGRAM, State, VERSION, Word, bit};

/// A worker's own report, which it alone writes: plain loads and stores of its own words, no atomic additions.
#[derive(Debug)]
pub struct Report<W> {
    memory: W,
    share: u64,
}

impl<W: WriteRegion> Report<W> {
    /// The report in fresh memory of [`report_bytes`](crate::report_bytes).
    pub fn new(memory: W, share: u64) -> Self {
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
    pub(crate) fn notice(&self, home: &impl Home) {
        if !self.has_noticed() {
            self.set(Word::NoticedNs, home.now_ns());
        }
    }

    /// Says that all is done and written.
    pub(crate) fn end(&self, home: &impl Home) {
        self.set(Word::EndedNs, home.now_ns());
        self.set(Word::Settled, 1);
        self.enter(State::Done);
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
