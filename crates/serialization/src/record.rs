//! A struct with a fixed data section and one byte list: the shape of this crate's messages on the Cap'n Proto wire.
//!
//! ```text
//!   word 0         1 .. D      D + 1        D + 2 ..
//!   ┌──────────────┬───────────┬────────────┬───────────────────────┐
//!   │ root pointer │ data      │ pointer    │ bytes, zeros to the   │
//!   │              │ section   │ to bytes   │ next word             │
//!   └──────────────┴───────────┴────────────┴───────────────────────┘
//! ```
//!
//! Written in place: the `capnp` crate's builder wipes the memory it was lent when it goes away, so that its message would
//! have to be copied out, and it panics where the memory is too small.

use crate::pointer::{BYTES, COUNT_MAX, Pointer};
use crate::segments::Words;
use crate::{DecodeError, EncodeError};

/// How many bytes the segment of a record with `D` words of data takes.
pub(crate) const fn size<const D: usize>(bytes: usize) -> usize {
    bytes.div_ceil(8).saturating_add(D + 2).saturating_mul(8)
}

/// Refuses more bytes than a list pointer can say.
#[inline]
pub(crate) const fn fits(bytes: usize) -> Result<(), EncodeError> {
    if bytes <= COUNT_MAX { Ok(()) } else { Err(EncodeError::TooLarge) }
}

/// Writes a record as the only segment of a message into `segment`, which has exactly [`size`] bytes; `bytes` [`fits`].
///
/// `fill` writes the bytes where they lie, then says what the data section holds.
#[inline]
pub(crate) fn write<const D: usize>(
    segment: &mut [u8],
    bytes: usize,
    fill: impl FnOnce(&mut [u8]) -> [u64; D],
) -> Result<(), EncodeError> {
    let too_small = EncodeError::BufferTooSmall { needed: size::<D>(bytes) };
    let (head, tail) = segment.split_at_mut_checked((D + 2) * 8).ok_or(too_small)?;
    let (body, padding) = tail.split_at_mut_checked(bytes).ok_or(too_small)?;
    let data = fill(body);
    padding.fill(0);
    let root = Pointer::struct_word(0, D as u16, 1);
    let list = Pointer::bytes_word(bytes as u32);
    let values = core::iter::once(root).chain(data).chain(core::iter::once(list));
    for (word, value) in head.as_chunks_mut::<8>().0.iter_mut().zip(values) {
        *word = value.to_le_bytes();
    }
    Ok(())
}

/// A record in a segment that [`walk::check`](crate::walk::check) has accepted.
///
/// Fields that the sender's version of the schema did not have read as zero or empty.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    segment: Words<'a>,
    data: Words<'a>,
    /// The word of the first pointer, and how many there are.
    pointers: (usize, u16),
}

impl<'a> Record<'a> {
    /// The root of a message of one segment.
    #[inline]
    pub(crate) fn root(segment: Words<'a>) -> Result<Self, DecodeError> {
        let first = segment.first().ok_or(DecodeError::Truncated)?;
        match Pointer::from_word(u64::from_le_bytes(*first)) {
            Pointer::Null => Ok(Self { segment, data: &[], pointers: (0, 0) }),
            Pointer::Struct { offset, data, pointers } => {
                let start = place(1, offset)?;
                let end = start + usize::from(data);
                let data = segment.get(start..end).ok_or(DecodeError::OutOfBounds)?;
                Ok(Self { segment, data, pointers: (end, pointers) })
            }
            _ => Err(DecodeError::WrongType),
        }
    }

    /// A word of the data section.
    #[inline]
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.data.get(index).map_or(0, |word| u64::from_le_bytes(*word))
    }

    /// The byte list of a pointer.
    #[inline]
    pub(crate) fn bytes(&self, index: u16) -> Result<&'a [u8], DecodeError> {
        let (first, count) = self.pointers;
        if index >= count {
            return Ok(&[]);
        }
        let at = first + usize::from(index);
        let word = self.segment.get(at).ok_or(DecodeError::OutOfBounds)?;
        match Pointer::from_word(u64::from_le_bytes(*word)) {
            Pointer::Null => Ok(&[]),
            Pointer::List { offset, element: BYTES, count } => {
                let start = place(at + 1, offset)?;
                let behind = self.segment.get(start..).ok_or(DecodeError::OutOfBounds)?;
                behind.as_flattened().get(..count as usize).ok_or(DecodeError::OutOfBounds)
            }
            _ => Err(DecodeError::WrongType),
        }
    }
}

/// The word that lies `offset` words from `base`.
#[inline]
fn place(base: usize, offset: i32) -> Result<usize, DecodeError> {
    isize::try_from(offset)
        .ok()
        .and_then(|offset| base.checked_add_signed(offset))
        .ok_or(DecodeError::OutOfBounds)
}
