//! The message of `schemas/sample.capnp`, made where it will be read from.
//!
//! A [`Sample`] copies its payload into the channel's memory. A producer that makes its data anyway can make it there: a
//! [`Numbered`] makes the payload when its place is known.

use feuerbird_channel::{Terms, TermsError};
use feuerbird_serialization::{
    Encode, EncodeError, Format, Layer,
    sample::{self, Sample, SampleMessage, encoded_size},
};

use crate::{Clock, payload};

/// A message to be made: by this producer, with this number, and so many bytes of payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered<C> {
    pub(crate) producer: u32,
    pub(crate) sequence: u64,
    pub(crate) payload_bytes: usize,
    pub(crate) clock: C,
}

impl<C: Clock> Encode<SampleMessage> for Numbered<C> {
    #[inline]
    fn encoded_bound(&self, format: impl Into<Format>) -> usize {
        SampleMessage::size(format.into(), self.payload_bytes.div_ceil(8))
    }

    #[inline]
    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        let Self { producer, sequence, payload_bytes, clock } = *self;
        sample::encode_in_place(payload_bytes, format, out, |place| {
            let sent_at = clock.cycles();
            let digest = payload::fill(producer, sequence, place);
            Sample { sequence, producer, sent_at, digest, payload: &[] }
        })
    }
}

/// The terms of the channel: the same for all layers, so that they do the same work.
///
/// # Errors
/// [`TermsError::MessageBytes`], where the payload is too large.
pub fn terms(payload_bytes: u32) -> Result<Terms, TermsError> {
    let sizes = Layer::ALL.map(|layer| encoded_size(payload_bytes as usize, layer));
    let largest = sizes.into_iter().max().unwrap_or(0);
    Terms::sized(u32::try_from(largest).unwrap_or(u32::MAX))
}
