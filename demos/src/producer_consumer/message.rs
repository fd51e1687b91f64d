//! The message of `schemas/sample.capnp`, made where it will be read from.
//!
//! A [`Sample`] copies its payload into the channel's memory. A producer that makes its data anyway can make it there: a
//! [`Numbered`] makes the payload when its place is known.

use feuerbird::hosted::os::clock;
use feuerbird_serialization::{
    Encode, EncodeError, Format,
    sample::{self, Sample, SampleMessage},
};

use crate::payload;

/// A message to be made: by this producer, with this number, and so many bytes of payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub(crate) producer: u32,
    pub(crate) sequence: u64,
    pub(crate) payload_bytes: usize,
}

impl Encode<SampleMessage> for Numbered {
    #[inline]
    fn encoded_bound(&self, format: impl Into<Format>) -> usize {
        SampleMessage::size(format.into(), self.payload_bytes.div_ceil(8))
    }

    #[inline]
    fn encode(&self, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        let Self { producer, sequence, payload_bytes } = *self;
        sample::encode_in_place(payload_bytes, format, out, |place| {
            let sent_at = clock::cycles();
            let digest = payload::fill(producer, sequence, place);
            Sample { sequence, producer, sent_at, digest, payload: &[] }
        })
    }
}
