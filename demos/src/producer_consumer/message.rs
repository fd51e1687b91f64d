//! The message of `schemas/sample.capnp`, made where it will be read from.
//!
//! [`SampleMessage`] copies its payload into the channel's memory. A producer that makes its data anyway can make it
//! there: this message asks for the payload when its place is known.

use feuerbird::hosted::os::clock;
use feuerbird_serialization::{
    DecodeError, EncodeError, Format, Identity, Layer, Message,
    sample::{self, Sample, SampleMessage},
};

use crate::payload;

/// The message whose view is a [`Numbered`]. On the wire, and in its identity, it is a [`SampleMessage`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum NumberedMessage {}

/// A message to be made, or one that came.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Numbered<'a> {
    /// To be made: by this producer, with this number, and so many bytes of payload.
    New { producer: u32, sequence: u64, payload_bytes: usize },
    /// As it came.
    Here(Sample<'a>),
}

impl Message for NumberedMessage {
    const IDENTITY: Identity = SampleMessage::IDENTITY;

    type View<'a> = Numbered<'a>;

    #[inline]
    fn encoded_bound(view: &Numbered<'_>, layer: Layer) -> usize {
        match view {
            Numbered::New { payload_bytes, .. } => sample::encoded_size(*payload_bytes, layer),
            Numbered::Here(sample) => SampleMessage::encoded_bound(sample, layer),
        }
    }

    #[inline]
    fn encode(view: &Numbered<'_>, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        match *view {
            Numbered::Here(sample) => SampleMessage::encode(&sample, format, out),
            Numbered::New { producer, sequence, payload_bytes } => {
                sample::encode_in_place(payload_bytes, format, out, |place| {
                    let sent_at = clock::cycles();
                    let digest = payload::fill(producer, sequence, place);
                    Sample { sequence, producer, sent_at, digest, payload: &[] }
                })
            }
        }
    }

    #[inline]
    fn decode(bytes: &[u8], format: impl Into<Format>) -> Result<Numbered<'_>, DecodeError> {
        SampleMessage::decode(bytes, format).map(Numbered::Here)
    }
}
