//! One message definition, three encodings.

use crate::{DecodeError, EncodeError, Format, Identity, Stable};

/// A type of message that channels carry, whatever layer a binding has.
///
/// The implementor is a name for the message, not its value. What arrives is a [`Message::View`]; what is sent is anything that
/// [encodes](Encode) it: a plain value, a builder, or a view that came from elsewhere. Generated code implements this for each struct
/// of a schema, [`Plain`](crate::Plain) for values without one.
pub trait Message: Sized + 'static {
    /// What both ends compare when they bind.
    const IDENTITY: Identity;

    /// What names the layout of a type that may grow, in its upper 56 bits. Ends whose layouts differ do not use Raw; the other layers
    /// read either. 0 where the identity says it all.
    const LAYOUT: u64 = 0;

    /// The message's fields, borrowed from the received bytes. One type for all layers, so that a handler is written once; it can
    /// be sent on as it is. Formats that decode into owned memory have views that own it.
    type View<'a>: Encode<Self>;

    /// Checks all of the received bytes as the format says, then gives the fields.
    ///
    /// # Errors
    /// What is wrong with the message.
    fn decode(bytes: Stable<'_>, format: impl Into<Format>) -> Result<Self::View<'_>, DecodeError>;
}

/// Something that can be sent as an `M`.
pub trait Encode<M: Message> {
    /// An upper bound, in bytes, of what [`encode`](Self::encode) writes. It is exact for everything but builders.
    fn encoded_bound(&self, format: impl Into<Format>) -> usize;

    /// Writes the message at the start of `out` and returns how many bytes it takes: what the channel sends. Nothing behind
    /// the bound is touched.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`]. Neither panics nor allocates.
    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError>;
}
