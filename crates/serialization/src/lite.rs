//! Lite: one Cap'n Proto segment behind 16 bytes of header.
//!
//! ```text
//!   byte 0    1        2          4         8             12              16
//!   ┌────────┬────────┬──────────┬─────────┬─────────────┬───────────────┬──────────────
//!   │ format │ flags  │ reserved │ crc32c  │ 0           │ words in the  │ the segment
//!   │ 0x4C   │ 1: crc │ 0        │ of 8..  │ (1 segment) │ segment       │
//!   └────────┴────────┴──────────┴─────────┴─────────────┴───────────────┴──────────────
//! ```
//!
//! From byte 8 on this is Cap'n Proto's standard framing, so that any implementation reads it, and it can be handed on as a
//! Full message without a copy. All numbers are little-endian.

use crate::checksum::crc32c;
use crate::record::Record;
use crate::segments::Single;
use crate::{Checksum, DecodeError, EncodeError, record, walk};

/// Bytes of the header.
pub(crate) const HEADER: usize = 16;

/// The first byte of every Lite message.
const FORMAT: u8 = b'L';
/// The flag of a message with a checksum.
const FLAG_CRC32C: u8 = 1;

/// How many bytes a record takes.
pub(crate) const fn size<const D: usize>(bytes: usize) -> usize {
    record::size::<D>(bytes).saturating_add(HEADER)
}

/// Writes a record, as [`record::write`] does, and says how long the message is.
#[inline]
pub(crate) fn write<const D: usize>(
    bytes: usize,
    checksum: Checksum,
    out: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> [u64; D],
) -> Result<usize, EncodeError> {
    record::fits(bytes)?;
    let needed = size::<D>(bytes);
    let too_small = EncodeError::BufferTooSmall { needed };
    let out = out.get_mut(..needed).ok_or(too_small)?;
    let (header, framed) = out.split_first_chunk_mut::<8>().ok_or(too_small)?;
    write_framed(bytes, framed, fill)?;
    *header = first_word(checksum, framed).to_le_bytes();
    Ok(needed)
}

/// Writes a record as the only segment of a message in standard framing. `framed` has exactly the right
/// length, and `bytes` [`record::fits`].
#[inline]
pub(crate) fn write_framed<const D: usize>(
    bytes: usize,
    framed: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> [u64; D],
) -> Result<(), EncodeError> {
    let too_small = EncodeError::BufferTooSmall { needed: size::<D>(bytes) - 8 };
    let (table, segment) = framed.split_first_chunk_mut::<8>().ok_or(too_small)?;
    record::write(segment, bytes, fill)?;
    // The record was written, so its size in words fits: at most 2^26 and a few.
    *table = ((segment.len() as u64 / 8) << 32).to_le_bytes();
    Ok(())
}

/// Checks all of a message and gives its root.
#[inline]
pub(crate) fn read(message: &[u8], checksum: Checksum) -> Result<Record<'_>, DecodeError> {
    let (header, framed) = message.split_first_chunk::<8>().ok_or(DecodeError::Truncated)?;
    let (table, body) = framed.split_first_chunk::<8>().ok_or(DecodeError::Truncated)?;
    let header = u64::from_le_bytes(*header);
    if header as u32 != first_half(checksum) {
        return Err(DecodeError::WrongFormat);
    }
    let segment = only_segment(u64::from_le_bytes(*table), body)?;
    // A message without a checksum has zeros in its place.
    if header != first_word(checksum, framed) {
        return Err(DecodeError::WrongChecksum);
    }
    walk::check(Single(segment))?;
    Record::root(segment)
}

/// The segment, if the table says that it is the only one and reaches exactly to the end of the message.
#[inline]
fn only_segment(table: u64, body: &[u8]) -> Result<&[[u8; 8]], DecodeError> {
    if table as u32 != 0 {
        return Err(DecodeError::TooManySegments);
    }
    let (words, rest) = body.as_chunks::<8>();
    match (table >> 32).cmp(&(words.len() as u64)) {
        core::cmp::Ordering::Greater => Err(DecodeError::Truncated),
        core::cmp::Ordering::Equal if rest.is_empty() => Ok(words),
        _ => Err(DecodeError::TrailingBytes),
    }
}

/// Format byte, flags and reserved bytes.
const fn first_half(checksum: Checksum) -> u32 {
    let flags = match checksum {
        Checksum::Off => 0,
        Checksum::Crc32c => FLAG_CRC32C,
    };
    u32::from_le_bytes([FORMAT, flags, 0, 0])
}

/// The first word of the header for what stands behind it.
#[inline]
fn first_word(checksum: Checksum, framed: &[u8]) -> u64 {
    let crc = match checksum {
        Checksum::Off => 0,
        Checksum::Crc32c => crc32c(framed),
    };
    u64::from(first_half(checksum)) | u64::from(crc) << 32
}
