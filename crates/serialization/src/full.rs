//! Full: standard Cap'n Proto framing from anybody.
//!
//! A message is accepted only if our own walk over all of its pointers and the `capnp` crate, under limits in proportion to
//! the message, both accept it. Nothing is allocated: the table of segments lies on the stack.

use capnp::message::{Reader, ReaderOptions, SegmentArray};

use crate::{
    Checks, DecodeError, Stable, frame,
    wire::{StructReader, arena::Arena, segments::Many, walk},
};

/// The most segments that a message may have: what the `capnp` crate accepts too.
pub const SEGMENTS_LIMIT: usize = 511;

/// Up to so many segments need only a small table.
const FEW_SEGMENTS: usize = 8;

/// Checks all of a message in standard framing, and gives its root.
#[inline]
pub(crate) fn open(message: Stable<'_>, checks: Checks) -> Result<StructReader<'_>, DecodeError> {
    let table = Table::new(message.bytes())?;
    let capabilities = message.capabilities();
    match table.count {
        1 => check(&[table.only()?], checks, capabilities)?,
        2..=FEW_SEGMENTS => check_table::<FEW_SEGMENTS>(&table, checks, capabilities)?,
        _ => check_table::<SEGMENTS_LIMIT>(&table, checks, capabilities)?,
    }
    // The table says at most 511 segments: 256 words.
    let front = (table.count / 2 + 1) as u16;
    frame::root(Arena::many(message.bytes().as_chunks().0, front), front.into())
}

/// As [`check`], for up to `N` segments.
#[cold]
fn check_table<const N: usize>(
    table: &Table<'_>,
    checks: Checks,
    capabilities: u32,
) -> Result<(), DecodeError> {
    let mut segments = [&[][..]; N];
    let segments = segments.get_mut(..table.count).ok_or(DecodeError::TooManySegments)?;
    table.split(segments)?;
    check(segments, checks, capabilities)
}

/// Our own walk over all pointers, and the crate's.
#[inline]
fn check(segments: &[&[u8]], checks: Checks, capabilities: u32) -> Result<(), DecodeError> {
    if checks == Checks::Lengths {
        return Ok(());
    }
    walk::check(Many(segments), capabilities)?;
    if checks == Checks::TwoReaders {
        let words: usize = segments.iter().map(|segment| segment.len() / 8).sum();
        let mut options = ReaderOptions::new();
        options.nesting_limit(walk::DEPTH_LIMIT as i32);
        options.traversal_limit_in_words(Some(words.saturating_mul(walk::TRAVERSAL_FACTOR as usize)));
        let reader = Reader::new(SegmentArray::new(segments), options);
        let root: capnp::any_pointer::Reader<'_> = reader.get_root().map_err(refused)?;
        root.target_size().map_err(refused)?;
    }
    Ok(())
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
fn refused(_: capnp::Error) -> DecodeError {
    DecodeError::Refused
}
