//! Where things lie in the two regions of a lane. The one place that knows offsets.
//!
//! Distances of 128 bytes, not 64, because processors fetch cache lines in pairs (Intel 64 and IA-32 Architectures
//! Optimization Reference Manual, "Spatial Prefetcher").

use feuerbird_zero_copy::{BufferId, PoolLayout, SizeClass};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Overflow, Terms};

/// "FBlane" and the layout's version, in one word.
const MAGIC: u64 = u64::from_le_bytes(*b"FBlane\x00\x02");

/// Distance between words that different sides read and write, in bytes.
const APART: usize = 128;

/// The largest message that travels in its slot; larger ones travel in the pool.
pub const INLINE_BYTES: usize = 248;

const STAMP_BYTES: usize = 8;

/// The first bytes of either region: constants, compared once when a lane is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LaneHeader {
    /// "FBlane" and the version.
    pub magic: u64,
    /// The endpoint's terms.
    pub terms: u64,
    /// Which half: 0 the producer's, 1 the consumer's.
    pub half: u64,
    /// Zero.
    pub reserved: [u64; 13],
}

const _: () = {
    assert!(size_of::<LaneHeader>() == APART);
    assert!(core::mem::offset_of!(LaneHeader, terms) == 8);
    assert!(core::mem::offset_of!(LaneHeader, half) == 16);
};

/// One half of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Written by the producer.
    Producer,
    /// Written by the consumer.
    Consumer,
}

/// Word, in either region: odd while the side sleeps; every sleep and every waking adds one. Written by the region's owner.
pub const SLEEPING_WORD: usize = APART / 8;

/// Word, in either region: 1 once the side has ended the lane. Written by the region's owner.
pub const CLOSED_WORD: usize = SLEEPING_WORD + 1;

/// Word, in the consumer's region: how many messages were taken. Written by the consumer, once per message.
pub const HEAD_WORD: usize = 2 * APART / 8;

const SLOTS: usize = 2 * APART;
const RETURNS: usize = 3 * APART;

/// A stamp: the first word of a slot. Low half: the turn, which says whose lap the slot is in. High half: how many bytes
/// follow, and in the last two bits whether they follow in a pool buffer, whose number is then the slot's second word, and whether
/// capabilities go beside the message, which its last 16 bytes then name.
///
/// Written by the producer with a release store, after the bytes. The turn of message `i` is `i + 1` truncated to 32 bits,
/// so that fresh memory (0) is the lap before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(pub u64);

impl Stamp {
    const POOLED: u64 = 1 << 63;
    const GIFTS: u64 = 1 << 62;

    /// A message's stamp.
    #[inline]
    pub fn new(index: u64, bytes: usize, pooled: bool) -> Self {
        let flag = if pooled { Self::POOLED } else { 0 };
        Self(u64::from(Self::turn_of(index)) | (bytes as u64) << 32 | flag)
    }

    /// The same, of a message beside which capabilities go.
    #[must_use]
    pub fn with_gifts(self) -> Self {
        Self(self.0 | Self::GIFTS)
    }

    /// A slot whose bytes are being replaced: its turn is that of no message near.
    #[inline]
    pub fn busy(index: u64) -> Self {
        Self(u64::from(Self::turn_of(index)) ^ 0x8000_0000)
    }

    /// The turn of message `index`.
    #[inline]
    pub fn turn_of(index: u64) -> u32 {
        (index as u32).wrapping_add(1)
    }

    /// The turn as it stands here.
    #[inline]
    pub fn turn(self) -> u32 {
        self.0 as u32
    }

    /// How many bytes follow, 0 to 2^30 - 1.
    #[inline]
    pub fn bytes(self) -> usize {
        (self.0 >> 32) as usize & 0x3fff_ffff
    }

    /// Whether the message is its bytes in its slot and nothing else.
    #[inline]
    pub fn is_plain(self) -> bool {
        self.0 & (Self::POOLED | Self::GIFTS) == 0
    }

    /// Whether capabilities go beside it.
    #[inline]
    pub fn has_gifts(self) -> bool {
        self.0 & Self::GIFTS != 0
    }

    /// Whether they follow in a pool buffer.
    #[inline]
    pub fn is_pooled(self) -> bool {
        self.0 & Self::POOLED != 0
    }
}

/// A lane's geometry, in private memory.
#[derive(Clone, Copy, Debug)]
pub struct LaneLayout {
    terms: Terms,
    mask: u64,
    /// From slot to slot, in words.
    stride: usize,
    inline: usize,
    pool: Option<PoolLayout>,
}

impl LaneLayout {
    /// The geometry that follows from an endpoint's terms.
    pub fn new(terms: Terms) -> Self {
        let message = terms.message_bytes() as usize;
        // A ring whose slots may be overwritten under a reader keeps its bytes where the stamps are.
        let pooled = message > INLINE_BYTES && terms.policy() == Overflow::Wait;
        let inline = if pooled { 64 - STAMP_BYTES } else { message.next_multiple_of(8) };
        let stride = (STAMP_BYTES + inline).next_multiple_of(64);
        let slots_end = SLOTS + stride * terms.depth() as usize;
        // On no node of its own: both sides reckon this from the terms, and the whole half lies near its writer.
        let classes = [SizeClass::new(terms.message_bytes(), terms.depth())];
        let pool = pooled.then(|| {
            PoolLayout::new(slots_end, &classes)
                .expect("terms keep messages and depth within a pool's limits")
        });
        let inline = if pooled { inline } else { stride - STAMP_BYTES };
        Self { terms, mask: u64::from(terms.depth()) - 1, stride: stride / 8, inline, pool }
    }

    /// The endpoint's terms.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// How many messages the lane holds.
    #[inline]
    pub fn depth(&self) -> u64 {
        self.mask + 1
    }

    /// Whether there is a place for one more behind so many messages.
    #[inline]
    pub fn has_place_behind(&self, messages: u64) -> bool {
        messages <= self.mask
    }

    /// The largest message, in bytes.
    #[inline]
    pub fn message_bytes(&self) -> usize {
        self.terms.message_bytes() as usize
    }

    /// The largest message that travels in its slot.
    #[inline]
    pub fn inline_bytes(&self) -> usize {
        self.inline
    }

    /// The buffers of larger messages, in the producer's region.
    #[inline]
    pub fn pool(&self) -> Option<&PoolLayout> {
        self.pool.as_ref()
    }

    /// Size of the producer's region, in bytes.
    pub fn producer_bytes(&self) -> usize {
        let slots_end = SLOTS + self.stride * 8 * self.depth() as usize;
        self.pool.map_or(slots_end, |pool| pool.end())
    }

    /// Size of the consumer's region, in bytes.
    pub fn consumer_bytes(&self) -> usize {
        RETURNS + self.depth() as usize * 8
    }

    /// The return ring in the consumer's region: its first byte and its places.
    pub fn returns(&self) -> (usize, u32) {
        (RETURNS, self.depth() as u32)
    }

    /// The word of a message's stamp.
    #[inline]
    pub fn stamp_word(&self, index: u64) -> usize {
        SLOTS / 8 + (index & self.mask) as usize * self.stride
    }

    /// Where a message's bytes start in its slot, in bytes.
    #[inline]
    pub fn slot_bytes(&self, index: u64) -> usize {
        self.stamp_word(index) * 8 + STAMP_BYTES
    }

    /// Where a pool buffer starts if it exists and holds `bytes`; the check on what a peer says.
    #[inline]
    pub fn pooled(&self, id: BufferId, bytes: usize) -> Option<usize> {
        let pool = self.pool.as_ref()?;
        (pool.capacity(id)? >= bytes).then(|| pool.offset(id)).flatten()
    }

    /// What stands at the start of a half.
    pub fn header(&self, half: Half) -> LaneHeader {
        LaneHeader { magic: MAGIC, terms: self.terms.to_bits(), half: half as u64, reserved: [0; 13] }
    }
}
