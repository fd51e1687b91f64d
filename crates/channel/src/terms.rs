//! What the two sides of a channel agree on before they exchange memory.

use core::fmt;

use feuerbird_serialization::{Checksum, Layer};

/// The largest message a lane carries, in encoded bytes: 16 MiB.
pub const MAX_MESSAGE_BYTES: u32 = 16 << 20;

/// The deepest lane, in messages.
pub const MAX_DEPTH: u32 = 1 << 16;

/// The most memory that the messages of one lane take: 1 GiB. Who binds an endpoint makes it, and did not choose the terms.
pub const MAX_LANE_BYTES: u64 = 1 << 30;

const VERSION: u64 = 1;

/// What happens to a message when every lane is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The sender keeps it: it waits, or gives it back to its caller. Nothing is lost.
    Wait,
    /// The oldest message that nobody has taken makes room, and is counted. The sender never waits.
    DropOldest,
}

/// The terms of an endpoint, fixed by whoever creates it. Both sides compute the layout of their lanes from these and
/// from nothing that the other side writes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    message_bytes: u32,
    depth: u32,
    overflow: Overflow,
    layer: Layer,
    checksum: Checksum,
}

/// Why terms are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermsError {
    /// Messages of zero bytes or of more than [`MAX_MESSAGE_BYTES`].
    MessageBytes,
    /// A depth that is not a power of two from 2 to [`MAX_DEPTH`].
    Depth,
    /// More than [`MAX_LANE_BYTES`] in one lane.
    LaneBytes,
    /// The word is not one that [`Terms::to_bits`] writes.
    Unknown,
}

impl Terms {
    /// Lanes of `depth` messages of at most `message_bytes` encoded bytes; [`Overflow::Wait`], and no layer stricter than
    /// trust demands.
    ///
    /// # Errors
    /// [`TermsError::MessageBytes`], [`TermsError::Depth`], [`TermsError::LaneBytes`].
    pub fn new(message_bytes: u32, depth: u32) -> Result<Self, TermsError> {
        if message_bytes == 0 || message_bytes > MAX_MESSAGE_BYTES {
            return Err(TermsError::MessageBytes);
        }
        if !depth.is_power_of_two() || !(2..=MAX_DEPTH).contains(&depth) {
            return Err(TermsError::Depth);
        }
        if u64::from(message_bytes) * u64::from(depth) > MAX_LANE_BYTES {
            return Err(TermsError::LaneBytes);
        }
        Ok(Self {
            message_bytes,
            depth,
            overflow: Overflow::Wait,
            layer: Layer::Raw,
            checksum: Checksum::Crc32c,
        })
    }

    /// The same with a depth that suits the size: at least 32 messages, and otherwise about 8 MiB of them, at most 1 024.
    ///
    /// # Errors
    /// [`TermsError::MessageBytes`].
    pub fn sized(message_bytes: u32) -> Result<Self, TermsError> {
        let fitting = (8 << 20) / message_bytes.max(1);
        Self::new(message_bytes, fitting.clamp(32, 1024).next_power_of_two())
    }

    /// The same with another policy for full lanes.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        Self { overflow, ..self }
    }

    /// The same, with messages carried in `layer` or a stricter one.
    #[must_use]
    pub fn at_least(self, layer: Layer) -> Self {
        Self { layer: self.layer.stricter(layer), ..self }
    }

    /// The same, with or without a checksum in the layer that has a place for one, Lite. At first: with.
    #[must_use]
    pub fn with_checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }

    /// The largest message, in encoded bytes.
    pub fn message_bytes(self) -> u32 {
        self.message_bytes
    }

    /// How many messages a lane holds.
    pub fn depth(self) -> u32 {
        self.depth
    }

    /// What happens when lanes are full.
    pub fn policy(self) -> Overflow {
        self.overflow
    }

    /// The least strict layer allowed.
    pub fn layer(self) -> Layer {
        self.layer
    }

    /// Whether Lite messages carry a checksum.
    pub fn checksum(self) -> Checksum {
        self.checksum
    }

    /// One word, as the kernel carries it.
    pub fn to_bits(self) -> u64 {
        let overflow = u64::from(self.overflow == Overflow::DropOldest);
        u64::from(self.message_bytes)
            | u64::from(self.depth.trailing_zeros()) << 32
            | overflow << 40
            | u64::from(self.checksum == Checksum::Off) << 41
            | u64::from(self.layer.to_number()) << 48
            | VERSION << 56
    }

    /// Reads a word that somebody else may have made up.
    ///
    /// # Errors
    /// [`TermsError`] where [`to_bits`](Self::to_bits) writes no such word.
    pub fn from_bits(bits: u64) -> Result<Self, TermsError> {
        let depth = 1u32.checked_shl((bits >> 32) as u32 & 0xff).unwrap_or(0);
        let checksum = if bits >> 41 & 1 == 1 { Checksum::Off } else { Checksum::Crc32c };
        let overflow = if bits >> 40 & 1 == 1 { Overflow::DropOldest } else { Overflow::Wait };
        let layer = Layer::from_number((bits >> 48) as u8).ok_or(TermsError::Unknown)?;
        let terms = Self::new(bits as u32, depth)?.overflow(overflow).at_least(layer).with_checksum(checksum);
        if terms.to_bits() == bits { Ok(terms) } else { Err(TermsError::Unknown) }
    }
}

impl fmt::Display for TermsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MessageBytes => write!(f, "a message has 1 to {MAX_MESSAGE_BYTES} bytes"),
            Self::Depth => write!(f, "a lane's depth is a power of two from 2 to {MAX_DEPTH}"),
            Self::LaneBytes => write!(f, "the messages of a lane take at most {MAX_LANE_BYTES} bytes"),
            Self::Unknown => f.write_str("the endpoint's terms are not those of a channel"),
        }
    }
}

impl core::error::Error for TermsError {}
