//! Full: standard Cap'n Proto framing from anybody.
//!
//! A message is accepted only if our own walk over all of its pointers and the `capnp` crate, under limits in proportion to
//! the message, both accept it. Nothing is allocated: the table of segments lies on the stack.

use capnp::message::{Reader, ReaderOptions, SegmentArray};

use crate::segments::Many;
use crate::{DecodeError, EncodeError, lite, record, walk};

/// The most segments that a message may have: what the `capnp` crate accepts too.
pub const SEGMENTS_LIMIT: usize = 511;

/// Up to so many segments need only a small table.
const FEW_SEGMENTS: usize = 8;

/// How many bytes a record takes.
pub(crate) const fn size<const D: usize>(bytes: usize) -> usize {
    record::size::<D>(bytes).saturating_add(8)
}

/// Writes a record in one segment, as [`record::write`] does, and says how long the message is.
#[inline]
pub(crate) fn write<const D: usize>(
    bytes: usize,
    out: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> [u64; D],
) -> Result<usize, EncodeError> {
    record::fits(bytes)?;
    let needed = size::<D>(bytes);
    let out = out.get_mut(..needed).ok_or(EncodeError::BufferTooSmall { needed })?;
    lite::write_framed(bytes, out, fill)?;
    Ok(needed)
}

/// Checks all of a message, then lets `fields` read it.
///
/// What `fields` returns cannot borrow from the reader; [`within`] turns what the reader gives into a part of the message.
#[inline]
pub(crate) fn read<R>(
    message: &[u8],
    fields: impl FnOnce(&Reader<SegmentArray<'_>>) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    let table = Table::new(message)?;
    match table.count {
        1 => read_segments(&[table.only()?], fields),
        2..=FEW_SEGMENTS => read_table::<FEW_SEGMENTS, _>(&table, fields),
        _ => read_table::<SEGMENTS_LIMIT, _>(&table, fields),
    }
}

/// As [`read`], for up to `N` segments.
#[cold]
fn read_table<const N: usize, R>(
    table: &Table<'_>,
    fields: impl FnOnce(&Reader<SegmentArray<'_>>) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    let mut segments = [&[][..]; N];
    let segments = segments.get_mut(..table.count).ok_or(DecodeError::TooManySegments)?;
    table.split(segments)?;
    read_segments(segments, fields)
}

#[inline]
fn read_segments<R>(
    segments: &[&[u8]],
    fields: impl FnOnce(&Reader<SegmentArray<'_>>) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    walk::check(Many(segments))?;
    let words: usize = segments.iter().map(|segment| segment.len() / 8).sum();
    let mut options = ReaderOptions::new();
    options.nesting_limit(walk::DEPTH_LIMIT as i32);
    options.traversal_limit_in_words(Some(words.saturating_mul(walk::TRAVERSAL_FACTOR as usize)));
    fields(&Reader::new(SegmentArray::new(segments), options))
}

/// The part of `message` that `part` is. The reader's borrows end with the reader, the message's do not.
#[inline]
pub(crate) fn within<'a>(message: &'a [u8], part: &[u8]) -> Result<&'a [u8], DecodeError> {
    if part.is_empty() {
        return Ok(&[]);
    }
    let start = part.as_ptr().addr().wrapping_sub(message.as_ptr().addr());
    message.get(start..).and_then(|behind| behind.get(..part.len())).ok_or(DecodeError::Refused)
}

/// The segment table in front of a message: how many there are less one, then the words of each, all as `u32`, and four
/// bytes of padding if their number is even.
struct Table<'a> {
    count: usize,
    /// One for each segment: its words.
    lengths: &'a [[u8; 4]],
    /// What stands behind the table.
    body: &'a [u8],
}

impl<'a> Table<'a> {
    #[inline]
    fn new(message: &'a [u8]) -> Result<Self, DecodeError> {
        let (first, behind) = message.split_first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        let count = usize::try_from(u32::from_le_bytes(*first))
            .ok()
            .filter(|less_one| *less_one < SEGMENTS_LIMIT)
            .ok_or(DecodeError::TooManySegments)?
            + 1;
        // Rounded up to an odd number of lengths, table and count together are whole words.
        let (table, body) = behind.split_at_checked((count | 1) * 4).ok_or(DecodeError::Truncated)?;
        let (lengths, _) = table.as_chunks::<4>();
        let lengths = lengths.get(..count).ok_or(DecodeError::Truncated)?;
        Ok(Self { count, lengths, body })
    }

    /// The only segment of a message of one.
    #[inline]
    fn only(&self) -> Result<&'a [u8], DecodeError> {
        let mut only = [&[][..]];
        self.split(&mut only)?;
        Ok(only[0])
    }

    /// Cuts the body into its segments, which must fill it exactly.
    #[inline]
    fn split(&self, segments: &mut [&'a [u8]]) -> Result<(), DecodeError> {
        let mut body = self.body;
        for (segment, words) in segments.iter_mut().zip(self.lengths) {
            let bytes = u64::from(u32::from_le_bytes(*words)) * 8;
            let length = usize::try_from(bytes).map_err(|_| DecodeError::Truncated)?;
            (*segment, body) = body.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        }
        if body.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }
}

/// The crate refused what our own walk had accepted.
pub(crate) fn refused(_: capnp::Error) -> DecodeError {
    DecodeError::Refused
}
