//! One word of Cap'n Proto that points: struct, list, far or other.

/// Positions of a struct's or list's first word are this many words behind the word after the pointer.
pub(crate) type Offset = i32;

/// A list pointer's code for elements of one byte: the lists that Data and Text are.
pub(crate) const BYTES: u8 = 2;
/// A list pointer's code for elements that are pointers.
pub(crate) const POINTERS: u8 = 6;
/// A list pointer's code for elements that are structs, described by a tag word.
pub(crate) const COMPOSITE: u8 = 7;

/// The most elements, or for a composite list words, that a list pointer can say.
pub(crate) const COUNT_MAX: usize = (1 << 29) - 1;

/// A pointer, taken apart and not checked against anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pointer {
    /// All zero: the default value.
    Null,
    /// To a struct of so many words of data and so many pointers.
    Struct { offset: Offset, data: u16, pointers: u16 },
    /// To a list; `count` is in elements, for a composite list in words.
    List { offset: Offset, element: u8, count: u32 },
    /// To a landing pad of one word, or two if `double`, at word `at` of another segment.
    Far { double: bool, at: u32, segment: u32 },
    /// A capability or a kind that is reserved.
    Other,
}

impl Pointer {
    #[inline]
    pub(crate) const fn from_word(word: u64) -> Self {
        if word == 0 {
            return Self::Null;
        }
        let low = word as u32;
        let high = (word >> 32) as u32;
        let offset = low as i32 >> 2;
        match low & 3 {
            0 => Self::Struct { offset, data: high as u16, pointers: (high >> 16) as u16 },
            1 => Self::List { offset, element: (high & 7) as u8, count: high >> 3 },
            2 => Self::Far { double: low & 4 != 0, at: low >> 3, segment: high },
            _ => Self::Other,
        }
    }

    /// The word of a pointer to a struct that begins `offset` words behind the pointer.
    pub(crate) const fn struct_word(offset: u16, data: u16, pointers: u16) -> u64 {
        ((offset as u64) << 2) | ((data as u64) << 32) | ((pointers as u64) << 48)
    }

    /// The word of a pointer to a list of `count` bytes that begins right behind the pointer. `count` is at most [`COUNT_MAX`].
    pub(crate) const fn bytes_word(count: u32) -> u64 {
        1 | ((BYTES as u64) << 32) | ((count as u64) << 35)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_words_read_back() {
        let word = Pointer::struct_word(0, 4, 1);
        assert_eq!(Pointer::from_word(word), Pointer::Struct { offset: 0, data: 4, pointers: 1 });
        let word = Pointer::bytes_word(COUNT_MAX as u32);
        let list = Pointer::List { offset: 0, element: BYTES, count: COUNT_MAX as u32 };
        assert_eq!(Pointer::from_word(word), list);
    }

    #[test]
    fn negative_offsets_keep_their_sign() {
        let word = u64::from((-1_i32 << 2) as u32);
        assert_eq!(Pointer::from_word(word), Pointer::Struct { offset: -1, data: 0, pointers: 0 });
    }
}
