//! The message of the producer-consumer demo, `schemas/sample.capnp`.
//!
//! The messages of the project itself live in this crate for now. A program's own implement [`Message`] where they are.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::message::aligned;
use crate::record::Record;
use crate::{DecodeError, EncodeError, Format, Identity, Layer, Message, full, lite, raw, sample_capnp};

/// A numbered, timed piece of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample<'a> {
    /// The number of this message among those of its producer, from 0.
    pub sequence: u64,
    /// Which producer sent it.
    pub producer: u32,
    /// When it was sent, in ticks of the sender's clock.
    pub sent_at: u64,
    /// A digest of the payload, by the program's own function.
    pub digest: u64,
    /// What is carried. At most 512 MiB less a byte in the Cap'n Proto layers, 4 GiB less a byte in Raw.
    pub payload: &'a [u8],
}

/// The message whose view is a [`Sample`].
#[derive(Clone, Copy, Debug)]
pub enum SampleMessage {}

/// The fixed part in the Raw layer; the payload stands behind it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    sequence: u64,
    sent_at: u64,
    digest: u64,
    producer: u32,
    /// Bytes of the payload.
    length: u32,
}

const _: () = assert!(size_of::<Header>() == 32 && align_of::<Header>() == 8);

/// Words of the data section, which [`words`] fills as `capnp compile` has laid it out.
const DATA: usize = 4;

/// The id of `struct Sample` in the schema.
const SCHEMA: u64 = 0xb1c9_6f0d_3a5e_8247;
/// The version of [`Header`].
const LAYOUT: u64 = 1;

/// How many bytes a sample with a payload of this length takes, exactly.
pub const fn encoded_size(payload: usize, layer: Layer) -> usize {
    match layer {
        Layer::Raw => size_of::<Header>().saturating_add(payload),
        Layer::Lite => lite::size::<DATA>(payload),
        Layer::Full => full::size::<DATA>(payload),
    }
}

/// Writes a sample whose payload is made where it lies, so that it is copied nowhere: `out` may be a loaned buffer.
///
/// `fill` gets the place of the payload, which holds whatever was in `out` before, overwrites all of it, and returns the
/// other fields; the payload it returns is not looked at. The result is that of [`Message::encode`].
///
/// # Errors
/// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`]; `fill` was not called then.
#[inline]
pub fn encode_in_place<'a>(
    payload: usize,
    format: impl Into<Format>,
    out: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> Sample<'a>,
) -> Result<usize, EncodeError> {
    let format = format.into();
    match format.layer {
        Layer::Raw => {
            let length = u32::try_from(payload).map_err(|_| EncodeError::TooLarge)?;
            raw::write(payload, out, |place| header(fill(place), length))
        }
        Layer::Lite => lite::write(payload, format.checksum, out, |place| words(fill(place))),
        Layer::Full => full::write(payload, out, |place| words(fill(place))),
    }
}

fn header(view: Sample<'_>, length: u32) -> Header {
    let Sample { sequence, producer, sent_at, digest, payload: _ } = view;
    Header { sequence, sent_at, digest, producer, length }
}

fn words(view: Sample<'_>) -> [u64; DATA] {
    [view.sequence, view.producer.into(), view.sent_at, view.digest]
}

impl Message for SampleMessage {
    const IDENTITY: Identity = Identity::of::<Header>("feuerbird.Sample", SCHEMA, LAYOUT);

    type View<'a> = Sample<'a>;

    #[inline]
    fn encoded_bound(view: &Sample<'_>, layer: Layer) -> usize {
        encoded_size(view.payload.len(), layer)
    }

    #[inline]
    fn encode(view: &Sample<'_>, format: impl Into<Format>, out: &mut [u8]) -> Result<usize, EncodeError> {
        encode_in_place(view.payload.len(), format, out, |payload| {
            payload.copy_from_slice(view.payload);
            Sample { payload: &[], ..*view }
        })
    }

    #[inline]
    fn decode(bytes: &[u8], format: impl Into<Format>) -> Result<Sample<'_>, DecodeError> {
        let format = format.into();
        aligned(bytes)?;
        match format.layer {
            Layer::Raw => from_raw(bytes),
            Layer::Lite => from_record(&lite::read(bytes, format.checksum)?),
            Layer::Full => {
                full::read(bytes, |reader| from_reader(bytes, reader.get_root().map_err(full::refused)?))
            }
        }
    }
}

#[inline]
fn from_raw(bytes: &[u8]) -> Result<Sample<'_>, DecodeError> {
    let (Header { sequence, sent_at, digest, producer, length }, payload) = raw::read(bytes)?;
    match (payload.len() as u64).cmp(&length.into()) {
        core::cmp::Ordering::Less => Err(DecodeError::Truncated),
        core::cmp::Ordering::Greater => Err(DecodeError::TrailingBytes),
        core::cmp::Ordering::Equal => Ok(Sample { sequence, producer, sent_at, digest, payload }),
    }
}

#[inline]
fn from_record<'a>(record: &Record<'a>) -> Result<Sample<'a>, DecodeError> {
    Ok(Sample {
        sequence: record.word(0),
        producer: record.word(1) as u32,
        sent_at: record.word(2),
        digest: record.word(3),
        payload: record.bytes(0)?,
    })
}

#[inline]
fn from_reader<'a>(
    message: &'a [u8],
    reader: sample_capnp::sample::Reader<'_>,
) -> Result<Sample<'a>, DecodeError> {
    Ok(Sample {
        sequence: reader.get_sequence(),
        producer: reader.get_producer(),
        sent_at: reader.get_sent_at(),
        digest: reader.get_digest(),
        payload: full::within(message, reader.get_payload().map_err(full::refused)?)?,
    })
}
