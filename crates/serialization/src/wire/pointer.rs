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

/// The word of a pointer. What its bits mean depends on its [`kind`](Self::kind); nothing is checked against anything.
///
/// Kept as a word and not as an enum of what it can be: reading a field looks at two or three of its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pointer(pub(crate) u64);

/// What a pointer that is not null can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To a struct of [`data`](Pointer::data) words and [`pointers`](Pointer::pointers).
    Struct,
    /// To a list of [`count`](Pointer::count) [`element`](Pointer::element)s; of structs, `count` words.
    List,
    /// To a landing pad at word [`pad`](Pointer::pad) of [`segment`](Pointer::segment).
    Far,
    /// A capability, or a kind that is reserved.
    Other,
}

impl Pointer {
    #[inline(always)]
    pub(crate) const fn is_null(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    pub(crate) const fn kind(self) -> Kind {
        match self.0 & 3 {
            0 => Kind::Struct,
            1 => Kind::List,
            2 => Kind::Far,
            _ => Kind::Other,
        }
    }

    /// How many words behind the word after the pointer its struct or list begins.
    #[inline(always)]
    pub(crate) const fn offset(self) -> Offset {
        self.0 as i32 >> 2
    }

    /// Words of data in a struct.
    #[inline(always)]
    pub(crate) const fn data(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Pointers in a struct.
    #[inline(always)]
    pub(crate) const fn pointers(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Words in a struct.
    #[inline(always)]
    pub(crate) const fn struct_words(self) -> u32 {
        self.data() as u32 + self.pointers() as u32
    }

    /// How the elements of a list lie.
    #[inline(always)]
    pub(crate) const fn element(self) -> ElementSize {
        ElementSize::from_code((self.0 >> 32) as u32)
    }

    /// Whether it is to a list of bytes.
    #[inline(always)]
    pub(crate) const fn is_bytes(self) -> bool {
        self.0 & (7 << 32 | 3) == (ElementSize::Byte as u64) << 32 | 1
    }

    /// How many elements a list has; of structs, how many words.
    #[inline(always)]
    pub(crate) const fn count(self) -> u32 {
        (self.0 >> 35) as u32
    }

    /// Whether the landing pad of a far pointer has two words.
    pub(crate) const fn is_double(self) -> bool {
        self.0 & 4 != 0
    }

    /// The word of its segment at which a landing pad lies.
    pub(crate) const fn pad(self) -> u32 {
        self.0 as u32 >> 3
    }

    /// The segment of a landing pad.
    pub(crate) const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The index of a capability that was sent beside the message.
    #[inline]
    pub(crate) const fn capability(self) -> Option<u32> {
        if self.0 as u32 == 3 { Some((self.0 >> 32) as u32) } else { None }
    }

    /// A pointer to a struct that begins `offset` words behind the pointer. An empty struct lies at its own pointer, so that
    /// the word is not null.
    #[inline]
    pub(crate) const fn to_struct(offset: Offset, data: u16, pointers: u16) -> Self {
        let offset = if data == 0 && pointers == 0 { -1 } else { offset };
        Self(((offset << 2) as u32) as u64 | (data as u64) << 32 | (pointers as u64) << 48)
    }

    /// A pointer to a list that begins `offset` words behind the pointer. `count` is at most [`COUNT_MAX`].
    #[inline]
    pub(crate) const fn to_list(offset: Offset, element: ElementSize, count: u32) -> Self {
        Self(((offset << 2) as u32 | 1) as u64 | (element as u64) << 32 | (count as u64) << 35)
    }

    /// A pointer that is a capability.
    #[inline]
    pub(crate) const fn to_capability(index: u32) -> Self {
        Self(3 | (index as u64) << 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_words_read_back() {
        for offset in [-1 << 29, -1, 0, 7, (1 << 29) - 1] {
            let pointer = Pointer::to_struct(offset, 4, 1);
            assert_eq!((pointer.kind(), pointer.offset()), (Kind::Struct, offset));
            assert_eq!((pointer.data(), pointer.pointers(), pointer.struct_words()), (4, 1, 5));
            for code in 0..8 {
                let (element, count) = (ElementSize::from_code(code), COUNT_MAX as u32);
                let pointer = Pointer::to_list(offset, element, count);
                assert_eq!((pointer.kind(), pointer.offset()), (Kind::List, offset));
                assert_eq!((pointer.element(), pointer.count()), (element, count));
                assert_eq!(pointer.is_bytes(), element == ElementSize::Byte);
            }
        }
        assert_eq!(Pointer::to_capability(9).capability(), Some(9));
    }

    #[test]
    fn an_empty_struct_is_not_null() {
        let empty = Pointer::to_struct(0, 0, 0);
        assert!(!empty.is_null());
        assert_eq!((empty.offset(), empty.struct_words()), (-1, 0));
    }

    #[test]
    fn a_capability_with_reserved_bits_is_none() {
        assert_eq!((Pointer(7).kind(), Pointer(7).capability()), (Kind::Other, None));
    }
}
