//! One message definition, three encodings.

use crate::{DecodeError, EncodeError, Format, Identity, Layer};

/// A type of message that channels carry, whatever layer a binding has.
///
/// The implementor is a name for the message, not its value: the value is [`Message::View`], the same for sending and
/// receiving, so that a handler is written once. Errors never panic and never allocate.
pub trait Message: 'static {
    /// What both ends compare when they bind.
    const IDENTITY: Identity;

    /// The message's fields: scalars and slices that are borrowed from the sender's data or from the received bytes.
    type View<'a>: Copy;

    /// An upper bound, in bytes, of what [`Message::encode`] writes for this view. It is exact for all messages of this crate.
    fn encoded_bound(view: &Self::View<'_>, layer: Layer) -> usize;

    /// Writes the message at the start of `out` and returns how many bytes it takes. Nothing behind them is touched.
    ///
    /// The channel sends exactly these bytes.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`].
    fn encode(view: &Self::View<'_>, format: impl Into<Format>, out: &mut [u8])
    -> Result<usize, EncodeError>;

    /// Checks all of the received bytes, then gives the fields.
    ///
    /// `bytes` is exactly what the sender's `encode` wrote, starts at a multiple of 8, and is memory that the sender cannot
    /// change any more: a private copy, or memory under the loan discipline of a trusted sender.
    ///
    /// # Errors
    /// [`DecodeError::Misaligned`] if the caller broke the rule above, otherwise what is wrong with the message.
    fn decode(bytes: &[u8], format: impl Into<Format>) -> Result<Self::View<'_>, DecodeError>;
}

/// Refuses bytes that do not start at a multiple of 8.
#[inline]
pub(crate) fn aligned(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.as_ptr().addr().is_multiple_of(8) { Ok(()) } else { Err(DecodeError::Misaligned) }
}
