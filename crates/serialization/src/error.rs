//! What can go wrong, sorted by blame.

use core::fmt;

/// Why a message could not be written. The caller's doing, or a buffer that is too small; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EncodeError {
    /// The caller's buffer holds fewer bytes than the message needs. What was in the buffer is unspecified now.
    BufferTooSmall {
        /// How many bytes the message needs; where it is built piece by piece, how many up to the piece that did not fit.
        needed: usize,
    },
    /// The message is larger than the layer can say (4 GiB in all, 2^29 - 1 elements in a list), or than any receiver accepts: nested
    /// over [`DEPTH_LIMIT`](crate::DEPTH_LIMIT) levels deep, or with more elements that have no size than
    /// [`TRAVERSAL_FACTOR`](crate::TRAVERSAL_FACTOR) times its words leave room for. Of a copy: many times larger than the message
    /// that it is of, because parts of that are shared.
    TooLarge,
    /// A pointer stands for a capability that does not go beside the message: see [`Format::capabilities`](crate::Format::capabilities).
    NoCapability,
    /// The value's own code refuses to write it: a format that asks the value how it is written, MessagePack for one, cannot help.
    Refused,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall { needed } => {
                write!(f, "the buffer is too small: {needed} bytes are needed")
            }
            Self::TooLarge => f.write_str("the message is larger than its layer can carry"),
            Self::NoCapability => f.write_str("the message names a capability that does not go beside it"),
            Self::Refused => f.write_str("the value refuses to be written"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Why received bytes are not a message. All but [`DecodeError::Misaligned`] and [`DecodeError::NoRoom`] are the sender's doing.
///
/// A word wide, so that a result that holds a view or an error is copied in whole words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum DecodeError {
    // The caller's fault.
    /// The bytes do not start at a multiple of 8.
    Misaligned,
    /// The private memory is shorter than what is to be copied there.
    NoRoom,

    // The sender's fault.
    /// There are fewer bytes than the message says, or too few for any message.
    Truncated,
    /// There are more bytes than the message says.
    TrailingBytes,
    /// The header names another format or other options than the binding has, or a reserved bit is set.
    WrongFormat,
    /// The checksum does not fit the bytes.
    WrongChecksum,
    /// There are more segments than are accepted.
    TooManySegments,
    /// A pointer leads outside of its segment, or to a segment that does not exist.
    OutOfBounds,
    /// A pointer of a kind that is not accepted here: far in Lite, a capability that did not come beside the message, reserved,
    /// or a malformed landing pad.
    WrongPointer,
    /// Pointers are nested deeper than [`DEPTH_LIMIT`](crate::DEPTH_LIMIT).
    TooDeep,
    /// Reading everything once would visit far more than the message holds: shared or cyclic pointers, huge lists of nothing.
    Amplified,
    /// A field is not of the type that the schema gives it, or a value has the wrong size.
    WrongType,
    /// A text does not end with a zero byte, or is not UTF-8.
    InvalidText,
    /// Our own check found no fault, but the `capnp` crate did.
    Refused,
    /// The bytes break a rule of a format other than Cap'n Proto, and the reader of that format does not say which.
    Malformed,
}

impl DecodeError {
    /// Whether the sender is to blame, so that the binding should be given up.
    pub const fn blames_peer(self) -> bool {
        !matches!(self, Self::Misaligned | Self::NoRoom)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Misaligned => "the bytes do not start at a multiple of 8",
            Self::NoRoom => "the private memory is too short for the copy",
            Self::Truncated => "the message ends too early",
            Self::TrailingBytes => "there are bytes behind the end of the message",
            Self::WrongFormat => "the header does not have the format of the binding",
            Self::WrongChecksum => "the checksum does not fit the message",
            Self::TooManySegments => "the message has too many segments",
            Self::OutOfBounds => "a pointer leads outside of the message",
            Self::WrongPointer => "a pointer is of a kind that is not accepted",
            Self::TooDeep => "pointers are nested too deep",
            Self::Amplified => "reading the message would visit far more than it holds",
            Self::WrongType => "a field is not of the type in the schema",
            Self::InvalidText => "a text is not UTF-8 with a zero byte at its end",
            Self::Refused => "the second reader refused the message",
            Self::Malformed => "the bytes break a rule of the message's format",
        })
    }
}

impl core::error::Error for DecodeError {}
