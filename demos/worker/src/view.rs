//! A report, as the root reads it.

use core::fmt;

use feuerbird_serialization::Layer;
use feuerbird_zero_copy::Region;

use crate::layout::{self, BITMAPS, BUCKETS, HISTOGRAM, State, VERSION, Word, bitmap_words};
use crate::{Histogram, Role};

/// Somebody else's report. Every word may be anything.
#[derive(Debug)]
pub struct View<R> {
    memory: R,
    bitmaps: usize,
    share: u64,
}

/// What a producer's report says that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// It sent less than its share.
    Short {
        /// What it sent.
        sent: u64,
        /// What it was to send.
        share: u64,
    },
    /// So many consumers broke the protocol.
    LiedTo(u64),
    /// So many messages were published, and nobody was left to take them.
    Kept(u64),
}

impl<R: Region> View<R> {
    /// The report of a worker in this role; `None` where the memory is too small for it or of another version.
    pub fn new(memory: R, role: Role, producers: u32, share: u64) -> Option<Self> {
        let bitmaps = role.bitmaps(producers as usize);
        let fits = memory.len() >= layout::report_bytes(bitmaps, share);
        (fits && memory.words().load(Word::Version as usize) == VERSION).then_some(Self {
            memory,
            bitmaps,
            share,
        })
    }

    /// One word of it.
    pub fn get(&self, word: Word) -> u64 {
        self.memory.words().load_acquire(word as usize)
    }

    /// Whether its worker has come so far.
    pub fn is(&self, state: State) -> bool {
        self.get(Word::State) == state as u64
    }

    /// What a producer has to complain of. One that was stopped early may have sent less than its share.
    pub fn complaints(&self, may_be_short: bool) -> impl Iterator<Item = Complaint> {
        let (sent, share) = (self.get(Word::Messages), self.share);
        let (refused, kept) = (self.get(Word::Refused), self.get(Word::Undelivered));
        let all = [
            (sent != share && !may_be_short).then_some(Complaint::Short { sent, share }),
            (refused != 0).then_some(Complaint::LiedTo(refused)),
            (kept != 0).then_some(Complaint::Kept(kept)),
        ];
        all.into_iter().flatten()
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

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { sent, share } => write!(out, "sent {sent} messages of {share}"),
            Self::LiedTo(consumers) => write!(out, "was lied to by {consumers} consumers"),
            Self::Kept(messages) => write!(out, "kept {messages} messages"),
        }
    }
}

/// A word of several reports together. Counts that somebody made up do not overflow.
pub fn sum<'a, R: Region + 'a>(reports: impl IntoIterator<Item = &'a View<R>>, word: Word) -> u64 {
    reports.into_iter().fold(0, |sum, report| sum.saturating_add(report.get(word)))
}

/// The strictest layer in use, as these workers found it; `None` while there is none.
pub fn strictest_layer<'a, R: Region + 'a>(reports: impl IntoIterator<Item = &'a View<R>>) -> Option<Layer> {
    let numbers = reports.into_iter().map(|report| report.get(Word::Layer));
    numbers
        .filter_map(|number| Layer::from_number(u8::try_from(number.checked_sub(1)?).ok()?))
        .reduce(Layer::stricter)
}
