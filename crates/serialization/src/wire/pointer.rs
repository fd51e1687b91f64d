//! One word of Cap'n Proto that points: struct, list, far or capability.

/// Positions of a struct's or list's first word are this many words behind the word after the pointer.
pub(crate) type Offset = i32;

/// How a list's elements lie: the code in its pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ElementSize {
    /// Nothing.
    Void = 0,
    /// One bit.
    Bit = 1,
    /// One byte.
    Byte = 2,
    /// Two bytes.
    TwoBytes = 3,
    /// Four bytes.
    FourBytes = 4,
    /// Eight bytes that are no pointer.
    EightBytes = 5,
    /// A pointer.
    Pointer = 6,
    /// A struct, whose size a tag word in front of the elements says.
    Composite = 7,
}

impl ElementSize {
    #[inline]
    pub(crate) const fn from_code(code: u32) -> Self {
        match code & 7 {
            0 => Self::Void,
            1 => Self::Bit,
            2 => Self::Byte,
            3 => Self::TwoBytes,
            4 => Self::FourBytes,
            5 => Self::EightBytes,
            6 => Self::Pointer,
            _ => Self::Composite,
        }
    }

    /// How many bits of data an element has; 0 for those that have a pointer, or a tag to say it.
    #[inline]
    pub(crate) const fn data_bits(self) -> u32 {
        match self {
            Self::Void | Self::Pointer | Self::Composite => 0,
            Self::Bit => 1,
            Self::Byte => 8,
            Self::TwoBytes => 16,
            Self::FourBytes => 32,
            Self::EightBytes => 64,
        }
    }

    /// How many words `count` elements take, for every code but [`Composite`](Self::Composite).
    #[inline]
    pub(crate) const fn words(self, count: u32) -> u64 {
        let count = count as u64;
        match self {
            Self::Void => 0,
            Self::Bit => count.div_ceil(64),
            Self::Byte => count.div_ceil(8),
            Self::TwoBytes => count.div_ceil(4),
            Self::FourBytes => count.div_ceil(2),
            Self::EightBytes | Self::Pointer | Self::Composite => count,
        }
    }
}

/// The most elements, or for a composite list words, that a list pointer can say.
pub(crate) const COUNT_MAX: usize = (1 << 29) - 1;

/// The most words that a segment may have so that every pointer in it can lead everywhere.
pub(crate) const SEGMENT_MAX: usize = (1 << 29) - 1;

/// A pointer, taken apart and not checked against anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pointer {
    /// All zero: the default value.
    Null,
    /// To a struct of so many words of data and so many pointers.
    Struct { offset: Offset, data: u16, pointers: u16 },
    /// To a list; `count` is in elements, for a composite list in words.
    List { offset: Offset, element: ElementSize, count: u32 },
    /// To a landing pad of one word, or two if `double`, at word `at` of another segment.
    Far { double: bool, at: u32, segment: u32 },
    /// The index of a capability that was sent beside the message.
    Capability(u32),
    /// A kind that is reserved.
    Reserved,
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
            1 => Self::List { offset, element: ElementSize::from_code(high), count: high >> 3 },
            2 => Self::Far { double: low & 4 != 0, at: low >> 3, segment: high },
            _ if low == 3 => Self::Capability(high),
            _ => Self::Reserved,
        }
    }

    /// The word of a pointer to a struct that begins `offset` words behind the pointer. An empty struct lies at its own
    /// pointer, so that the word is not null.
    #[inline]
    pub(crate) const fn struct_word(offset: Offset, data: u16, pointers: u16) -> u64 {
        let offset = if data == 0 && pointers == 0 { -1 } else { offset };
        (((offset << 2) as u32) as u64) | ((data as u64) << 32) | ((pointers as u64) << 48)
    }

    /// The word of a pointer to a list that begins `offset` words behind the pointer. `count` is at most [`COUNT_MAX`].
    #[inline]
    pub(crate) const fn list_word(offset: Offset, element: ElementSize, count: u32) -> u64 {
        (((offset << 2) as u32 | 1) as u64) | ((element as u64) << 32) | ((count as u64) << 35)
    }

    /// The word of a pointer that is a capability.
    #[inline]
    pub(crate) const fn capability_word(index: u32) -> u64 {
        3 | (index as u64) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_words_read_back() {
        for offset in [-1 << 29, -1, 0, 7, (1 << 29) - 1] {
            let word = Pointer::struct_word(offset, 4, 1);
            assert_eq!(Pointer::from_word(word), Pointer::Struct { offset, data: 4, pointers: 1 });
            for code in 0..8 {
                let (element, count) = (ElementSize::from_code(code), COUNT_MAX as u32);
                let word = Pointer::list_word(offset, element, count);
                assert_eq!(Pointer::from_word(word), Pointer::List { offset, element, count });
            }
        }
        assert_eq!(Pointer::from_word(Pointer::capability_word(9)), Pointer::Capability(9));
    }

    #[test]
    fn an_empty_struct_is_not_null() {
        assert_eq!(
            Pointer::from_word(Pointer::struct_word(0, 0, 0)),
            Pointer::Struct { offset: -1, data: 0, pointers: 0 }
        );
    }

    #[test]
    fn reserved_bits_are_refused() {
        assert_eq!(Pointer::from_word(7), Pointer::Reserved);
    }
}
