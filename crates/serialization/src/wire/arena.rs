//! The words that pointers lead through.

use super::pointer::Pointer;

/// The words of one or more segments, as they came: little-endian.
pub(crate) type Words<'a> = &'a [[u8; 8]];

/// All words of a message's segments, one segment behind the other, as they lie in standard framing.
///
/// Every access is bounds-checked, so that memory safety never rests on what a sender wrote; after the
/// [walk](super::walk) no check fails any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arena<'a> {
    words: Words<'a>,
    /// The words in each segment, little-endian `u32`. Empty where there is one segment and no way to lead elsewhere.
    lengths: &'a [[u8; 4]],
}

/// Where a pointer leads: an object's pointer, without its offset, and the object's first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) pointer: Pointer,
    pub(crate) start: u32,
}

impl<'a> Arena<'a> {
    /// No words at all: everything in it reads as its default.
    pub(crate) const EMPTY: Arena<'static> = Arena { words: &[], lengths: &[] };

    /// One segment, in which far pointers lead nowhere.
    #[inline]
    pub(crate) const fn single(words: Words<'a>) -> Self {
        Self { words, lengths: &[] }
    }

    /// The segments of these lengths, which lie one behind the other in `words`.
    #[inline]
    pub(crate) const fn many(words: Words<'a>, lengths: &'a [[u8; 4]]) -> Self {
        Self { words, lengths }
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

    /// All bytes from word `start` on.
    #[inline]
    pub(crate) fn bytes_from(&self, start: u32) -> &'a [u8] {
        self.words.get(start as usize..).unwrap_or_default().as_flattened()
    }

    #[inline]
    pub(crate) fn word(&self, at: u32) -> Option<u64> {
        self.words.get(at as usize).map(|word| u64::from_le_bytes(*word))
    }

    /// What the pointer at a word leads to. `None` for null, and for what the walk refuses.
    #[inline]
    pub(crate) fn follow(&self, at: u32) -> Option<Target> {
        match Pointer::from_word(self.word(at)?) {
            Pointer::Null => None,
            Pointer::Far { double, at, segment } => self.follow_far(double, segment, at),
            pointer => target(pointer, at),
        }
    }

    /// Over a landing pad; sums up the lengths of the segments in front, at most 511 of them.
    #[cold]
    fn follow_far(&self, double: bool, segment: u32, at: u32) -> Option<Target> {
        let at = self.segment(segment)?.checked_add(at)?;
        let pad = Pointer::from_word(self.word(at)?);
        if !double {
            return target(pad, at);
        }
        let Pointer::Far { double: false, at: start, segment } = pad else { return None };
        let tag = Pointer::from_word(self.word(at.checked_add(1)?)?);
        Some(Target { pointer: tag, start: self.segment(segment)?.checked_add(start)? })
    }

    /// The first word of a segment.
    fn segment(&self, number: u32) -> Option<u32> {
        let number = usize::try_from(number).ok().filter(|number| *number < self.lengths.len())?;
        let lengths = self.lengths.get(..number)?.iter();
        lengths.map(|length| u32::from_le_bytes(*length)).try_fold(0_u32, u32::checked_add)
    }
}

/// What a near pointer at a word leads to.
#[inline]
fn target(pointer: Pointer, at: u32) -> Option<Target> {
    let offset = match pointer {
        Pointer::Struct { offset, .. } | Pointer::List { offset, .. } => offset,
        Pointer::Capability(_) => 0,
        Pointer::Null | Pointer::Far { .. } | Pointer::Reserved => return None,
    };
    Some(Target { pointer, start: at.checked_add(1)?.checked_add_signed(offset)? })
}
