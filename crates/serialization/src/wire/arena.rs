//! The words that pointers lead through.

use super::pointer::{Kind, Pointer};

/// The words of one or more segments, as they came: little-endian.
pub(crate) type Words<'a> = &'a [[u8; 8]];

/// The words of a message: of its only segment, or of its segment table with all segments behind it, as they lie in standard
/// framing.
///
/// Every access is bounds-checked, so that memory safety never rests on what a sender wrote; after the
/// [walk](super::walk) no check fails any more. Small, because a copy is in every view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arena<'a> {
    words: Words<'a>,
    /// Words in the segment table; 0 where there is one segment and no way to lead elsewhere.
    table: u16,
}

/// Where a pointer leads: an object's pointer, whose offset means nothing here, and the object's first word, which need not
/// exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) pointer: Pointer,
    pub(crate) start: u32,
}

impl<'a> Arena<'a> {
    /// No words at all: everything in it reads as its default.
    pub(crate) const EMPTY: Arena<'static> = Arena { words: &[], table: 0 };

    /// One segment, in which far pointers lead nowhere.
    #[inline]
    pub(crate) const fn single(words: Words<'a>) -> Self {
        Self { words, table: 0 }
    }

    /// A segment table of so many words, and all segments behind it.
    #[inline]
    pub(crate) const fn many(words: Words<'a>, table: u16) -> Self {
        Self { words, table }
    }

    /// How many words there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// The bytes of `words` words from `start` on.
    #[inline]
    pub(crate) fn bytes(&self, start: u32, words: u32) -> Option<&'a [u8]> {
        Some(self.words.get(start as usize..)?.get(..words as usize)?.as_flattened())
    }

    /// The first `bytes` bytes from word `start` on.
    #[inline]
    pub(crate) fn bytes_at(&self, start: u32, bytes: u32) -> Option<&'a [u8]> {
        self.words.get(start as usize..)?.as_flattened().get(..bytes as usize)
    }

    #[inline]
    pub(crate) fn word(&self, at: u32) -> Option<u64> {
        self.words.get(at as usize).map(|word| u64::from_le_bytes(*word))
    }

    /// What the pointer at a word leads to. `None` for null, and for what the walk refuses.
    #[inline]
    pub(crate) fn follow(&self, at: u32) -> Option<Target> {
        let pointer = Pointer(self.word(at)?);
        if pointer.is_null() {
            return None;
        }
        if pointer.kind() == Kind::Far { self.follow_far(pointer) } else { target(pointer, at) }
    }

    /// Over a landing pad; sums up the lengths of the segments in front, at most 511 of them.
    #[cold]
    fn follow_far(&self, far: Pointer) -> Option<Target> {
        let at = self.segment(far.segment())?.checked_add(far.pad())?;
        let pad = Pointer(self.word(at)?);
        if !far.is_double() {
            return if pad.kind() == Kind::Far { None } else { target(pad, at) };
        }
        if pad.kind() != Kind::Far {
            return None;
        }
        let tag = Pointer(self.word(at.checked_add(1)?)?);
        Some(Target { pointer: tag, start: self.segment(pad.segment())?.checked_add(pad.pad())? })
    }

    /// The first word of a segment.
    fn segment(&self, number: u32) -> Option<u32> {
        let table = self.words.get(..self.table.into())?.as_flattened().as_chunks::<4>().0;
        let (less_one, lengths) = table.split_first()?;
        let number = number.le(&u32::from_le_bytes(*less_one)).then_some(number as usize)?;
        let lengths = lengths.get(..number)?.iter().map(|length| u32::from_le_bytes(*length));
        lengths.into_iter().try_fold(u32::from(self.table), u32::checked_add)
    }
}

/// What a near pointer at a word leads to; of a capability, `start` means nothing.
#[inline]
fn target(pointer: Pointer, at: u32) -> Option<Target> {
    Some(Target { pointer, start: at.wrapping_add(1).wrapping_add_signed(pointer.offset()) })
}
