//! The three framings of one segment, written and opened.
//!
//! ```text
//!   Bare      ┌───────────────────────────────┬────────────────────┐
//!             │ root struct: data, pointers   │ objects            │
//!             └───────────────────────────────┴────────────────────┘
//!   Table     ┌─────────┬─────────┬───────────┬────────────────────┐
//!             │ 0 words │ pointer │ root      │ objects            │
//!             └─────────┴─────────┴───────────┴────────────────────┘
//!   Header  byte 0    1        2          4         8             12              16
//!           ┌────────┬────────┬──────────┬─────────┬─────────────┬───────────────┬──────────────
//!           │ format │ flags  │ reserved │ crc32c  │ 0           │ words in the  │ the segment:
//!           │ 0x4C   │ 1: crc │ 0        │ of 8..  │ (1 segment) │ segment       │ pointer, root, ...
//!           └────────┴────────┴──────────┴─────────┴─────────────┴───────────────┴──────────────
//! ```
//!
//! From byte 8 on, a message with a header is one in standard framing: any implementation of Cap'n Proto reads it, and it can be
//! handed on as a Full message without a copy. All numbers are little-endian.

use crate::{
    Checks, Checksum, DecodeError, EncodeError, Format, Framing, Stable,
    checksum::crc32c,
    full,
    wire::{
        StructBuilder, StructReader, Used, Writer,
        arena::{Arena, Target, Words},
        pointer::{Kind, Pointer, SEGMENT_MAX},
        segments::Single,
        walk,
    },
};

/// The first byte of every message with a header.
const FORMAT: u8 = b'L';
/// The flag of a message with a checksum.
const FLAG_CRC32C: u8 = 1;

/// How many bytes a message takes whose root struct has so many words of data and pointers, and so many words of objects below;
/// saturates.
#[inline]
pub const fn size(format: Format, data: u16, pointers: u16, below: usize) -> usize {
    let root = data as usize + pointers as usize;
    below.saturating_add(root + in_front(format.framing)).saturating_mul(8)
}

/// Words in front of the root struct.
#[inline]
const fn in_front(framing: Framing) -> usize {
    match framing {
        Framing::Bare => 0,
        Framing::Table => 2,
        Framing::Header => 3,
    }
}

/// Writes a message and says how many bytes it takes. `fill` writes the root struct and what is below it, at most `below` words.
///
/// # Errors
/// [`EncodeError::BufferTooSmall`] if `out` has less than [`size`] bytes, and what `fill` fails with;
/// [`EncodeError::TooLarge`] and [`EncodeError::NoCapability`] for what every receiver would refuse.
#[inline]
pub fn write(
    format: Format,
    out: &mut [u8],
    (data, pointers, below): (u16, u16, usize),
    fill: impl FnOnce(StructBuilder<'_>) -> Result<(), EncodeError>,
) -> Result<usize, EncodeError> {
    if below > SEGMENT_MAX {
        return Err(EncodeError::TooLarge);
    }
    let needed = size(format, data, pointers, below);
    let out = out.get_mut(..needed).ok_or(EncodeError::BufferTooSmall { needed })?;
    let words = out.as_chunks_mut::<8>().0;
    if format.framing == Framing::Bare {
        let mut used = Used::default();
        fill(Writer::new(words, &mut used).structure(data, pointers)?)?;
        used.check(format)?;
        return Ok(used.words as usize * 8);
    }
    let (head, segment) = words.split_at_mut(in_front(format.framing) - 1);
    segment[0] = Pointer::to_struct(0, data, pointers).0.to_le_bytes();
    let mut used = Used::words(1);
    fill(Writer::new(segment, &mut used).structure(data, pointers)?)?;
    used.check(format)?;
    if let Some(table) = head.last_mut() {
        *table = (u64::from(used.words) << 32).to_le_bytes();
    }
    let bytes = (head.len() + used.words as usize) * 8;
    if format.framing == Framing::Header {
        seal(format, &mut out[..bytes]);
    }
    Ok(bytes)
}

/// Writes the first word of a message with a header, of which all else is there.
#[inline]
pub(crate) fn seal(format: Format, message: &mut [u8]) {
    if let Some((first, framed)) = message.split_first_chunk_mut::<8>() {
        *first = first_word(format.checksum, framed).to_le_bytes();
    }
}

/// Writes a message in bare framing whose words are there already.
///
/// # Errors
/// [`EncodeError::BufferTooSmall`].
#[inline]
pub fn write_bare(words: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
    let needed = words.len();
    let out = out.get_mut(..needed).ok_or(EncodeError::BufferTooSmall { needed })?;
    out.copy_from_slice(words);
    Ok(needed)
}

/// Checks a message as its format says, and gives its root struct. In bare framing that has so many words of data and so many
/// pointers; otherwise the message says how many.
///
/// # Errors
/// What is wrong with the message.
#[inline(always)] // three calls behind a branch: where the format is known, one
pub fn open<'a>(
    message: Stable<'a>,
    format: Format,
    data: u16,
    pointers: u16,
) -> Result<StructReader<'a>, DecodeError> {
    match format.framing {
        Framing::Bare => bare(message, format, data, pointers),
        Framing::Header => header(message, format),
        Framing::Table => full::open(message, format.checks),
    }
}

#[inline]
fn bare(
    message: Stable<'_>,
    format: Format,
    data: u16,
    pointers: u16,
) -> Result<StructReader<'_>, DecodeError> {
    let (words, rest) = message.bytes().as_chunks::<8>();
    let root = usize::from(data) + usize::from(pointers);
    if words.len() < root {
        return Err(DecodeError::Truncated);
    }
    if !rest.is_empty() || (pointers == 0 && words.len() > root) {
        return Err(DecodeError::TrailingBytes);
    }
    if format.checks != Checks::Lengths && pointers > 0 {
        let root = Pointer::to_struct(0, data, pointers);
        walk::check_struct(Single(words), message.capabilities(), 0, root)?;
    }
    Ok(StructReader::at(Arena::single(words), 0, data, pointers))
}

#[inline]
fn header(message: Stable<'_>, format: Format) -> Result<StructReader<'_>, DecodeError> {
    let (header, framed) = message.bytes().split_first_chunk::<8>().ok_or(DecodeError::Truncated)?;
    let (table, body) = framed.split_first_chunk::<8>().ok_or(DecodeError::Truncated)?;
    let header = u64::from_le_bytes(*header);
    if header as u32 != first_half(format.checksum) {
        return Err(DecodeError::WrongFormat);
    }
    let segment = only_segment(u64::from_le_bytes(*table), body)?;
    // A message without a checksum has zeros in its place.
    if header != first_word(format.checksum, framed) {
        return Err(DecodeError::WrongChecksum);
    }
    if format.checks == Checks::TwoReaders {
        // The same bytes once more, as the standard framing that they are too.
        let framed = Stable::new(framed)?.with_capabilities(message.capabilities());
        return full::open(framed, format.checks);
    }
    if format.checks == Checks::Lengths {
        return root(Arena::single(segment), 0);
    }
    checked_root(segment, message.capabilities())
}

/// The root of a segment, and all below it checked.
#[inline]
fn checked_root(segment: Words<'_>, capabilities: u32) -> Result<StructReader<'_>, DecodeError> {
    let arena = Arena::single(segment);
    let pointer = Pointer(arena.word(0).ok_or(DecodeError::OutOfBounds)?);
    if pointer.kind() != Kind::Struct || pointer.is_null() {
        walk::check(Single(segment), capabilities)?;
        return root(arena, 0);
    }
    let start = walk::check_struct(Single(segment), capabilities, 1, pointer)?;
    Ok(StructReader::at(arena, start, pointer.data(), pointer.pointers()))
}

/// The root struct of a framed message, to which the pointer at word `at` leads. A null root is a struct without fields.
#[inline]
pub(crate) fn root(arena: Arena<'_>, at: u32) -> Result<StructReader<'_>, DecodeError> {
    match arena.follow(at) {
        Some(Target { pointer, start }) if pointer.kind() == Kind::Struct => {
            Ok(StructReader::at(arena, start, pointer.data(), pointer.pointers()))
        }
        None if arena.word(at) == Some(0) => Ok(StructReader::EMPTY),
        _ => Err(DecodeError::WrongType),
    }
}

/// The segment, if the table says that it is the only one and reaches exactly to the end of the message.
#[inline]
fn only_segment(table: u64, body: &[u8]) -> Result<Words<'_>, DecodeError> {
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
