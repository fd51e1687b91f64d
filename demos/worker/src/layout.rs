//! Where things lie in the memory that the root and its workers share.
//!
//! Each memory has one writer: the *orders* are the root's, and each worker has a *report* of its own. All words are 64
//! bits. The root reads reports as it reads any memory of a stranger: words at places it computed itself.

/// In the first word of both; changed whenever anything below is.
pub(crate) const VERSION: u64 = 0x4642_4445_4d4f_0001;

/// Words of the orders, which the root writes.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Order {
    /// Changed whenever the meaning of any word is.
    Version = 0,
    /// How many there are.
    Producers = 1,
    /// How many there are.
    Consumers = 2,
    /// The most messages that one producer sends.
    Share = 3,
    /// Bytes of payload in each message.
    PayloadBytes = 4,
    /// 1: say when a peer is gone.
    WatchPeers = 5,
    /// 1: run on one processor each.
    Pin = 6,
    /// 1: begin.
    Go = 7,
    /// 1: send nothing more.
    Stop = 8,
}

/// Bytes of the orders.
pub const ORDERS_BYTES: usize = 4096;

/// Words of a report, which its worker writes.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Word {
    /// Changed whenever the meaning of any word is.
    Version = 0,
    /// A [`State`].
    State = 1,
    /// A producer's messages published, a consumer's messages handled.
    Messages = 2,
    /// Messages published and not taken.
    Depth = 3,
    /// Uses of message bytes where they lay.
    CopiesAvoided = 4,
    /// Uses of message bytes through a copy.
    CopiesMade = 5,
    /// The number of the strictest layer, plus 1; 0 while there is none.
    Layer = 6,
    /// When the first peer was found gone, in nanoseconds of the home's clock.
    NoticedNs = 7,
    /// 1: what a dead peer left behind is with another one, or taken.
    Settled = 8,
    /// Buffers that could not be taken back: of lanes that ended, and of those that live once everything was taken.
    BuffersLost = 9,
    /// Messages published, not taken, and nobody left to take them.
    Undelivered = 10,
    /// The message being handled: its producer from bit 40, its number plus 1 below; 0 between messages.
    InHand = 11,
    /// Messages that are not what their producer and number imply.
    Altered = 12,
    /// Messages that this consumer had before.
    Twice = 13,
    /// Messages or peers that the channel refused.
    Refused = 14,
    /// When the worker was done.
    EndedNs = 15,
    /// Buffers that were lent and came back.
    BuffersReturned = 16,
}

/// A worker's [`Word::State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// It has found its peers and waits for the start.
    Ready = 1,
    /// It is done, and everything it has to say is written.
    Done = 2,
}

/// Buckets of the latency histogram; `histogram` says which is which.
pub(crate) const BUCKETS: usize = 60 * 32;

/// The first word of the histogram, on a cache line of its own.
pub(crate) const HISTOGRAM: usize = 64;

/// The first word of the bitmaps: for each producer, a bit for each of its messages that this consumer has handled.
pub(crate) const BITMAPS: usize = HISTOGRAM + BUCKETS;

const _: () = assert!((Word::BuffersReturned as usize) < HISTOGRAM && BITMAPS.is_multiple_of(64));

/// Words of one producer's bitmap.
#[inline]
pub(crate) const fn bitmap_words(share: u64) -> usize {
    share.div_ceil(64) as usize
}

/// Bytes of a report with this many bitmaps: a consumer has one for each producer, a producer has none.
pub const fn report_bytes(bitmaps: usize, share: u64) -> usize {
    (BITMAPS + bitmaps * bitmap_words(share)) * 8
}

/// The word and the bit of a message.
#[inline]
pub(crate) const fn bit(producer: usize, sequence: u64, share: u64) -> (usize, u64) {
    let word = BITMAPS + producer * bitmap_words(share) + (sequence / 64) as usize;
    (word, 1 << (sequence % 64))
}

/// A message as [`Word::InHand`] names it.
#[inline]
pub(crate) const fn in_hand(producer: u32, sequence: u64) -> u64 {
    (producer as u64) << 40 | sequence.wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_message_has_a_bit_of_its_own_inside_the_report() {
        let (producers, share) = (3, 130);
        let mut seen = BTreeSet::new();
        for producer in 0..producers {
            for sequence in 0..share {
                let (word, bit) = bit(producer, sequence, share);
                assert!((word + 1) * 8 <= report_bytes(producers, share));
                assert!(word >= BITMAPS && seen.insert((word, bit)));
            }
        }
    }
}
