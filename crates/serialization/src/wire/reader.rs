//! Reading structs.

use core::fmt;

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{
    CapabilityIndex, Element, List,
    arena::{Arena, Target},
    copy,
    list::RawList,
    pointer::Kind,
};
use crate::DecodeError;

/// A struct inside of a message: the base of every generated view.
///
/// Getters never fail. Fields that the sender's version of the schema did not have read as their default; so does what a check
/// would have refused, which only the Raw layer lets through.
#[derive(Clone, Copy)]
pub struct StructReader<'a> {
    arena: Arena<'a>,
    /// The data section. Less than a word where a list of primitives is read as one of structs.
    data: &'a [u8],
    /// The word of the first pointer, and how many there are.
    pointers_at: u32,
    pointers: u16,
}

/// Its sections, and nothing of what they hold: that is for whoever knows the schema.
impl fmt::Debug for StructReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StructReader({} bytes of data, {} pointers)", self.data.len(), self.pointers)
    }
}

/// What it leads to, and nothing of what that holds.
impl fmt::Debug for AnyReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Target { pointer, .. }) = self.target() else { return f.write_str("AnyReader(null)") };
        match pointer.kind() {
            Kind::Struct => write!(f, "AnyReader({:?})", self.structure()),
            Kind::List => write!(f, "AnyReader(list of {})", self.raw_list().map_or(0, |list| list.len())),
            Kind::Far | Kind::Other => write!(f, "AnyReader({:?})", self.capability()),
        }
    }
}

macro_rules! numbers {
    ($($number:ident)*) => {
        $(
            /// The number at this index, counted in its own size, with the schema's default exclusive-ored in.
            #[inline]
            pub fn $number(&self, index: usize, default: $number) -> $number {
                const BYTES: usize = size_of::<$number>();
                let bytes = self.data.get(index * BYTES..).and_then(|behind| behind.first_chunk::<BYTES>());
                default ^ bytes.map_or(0, |bytes| $number::from_le_bytes(*bytes))
            }
        )*
    };
}

impl<'a> StructReader<'a> {
    /// A struct without fields: all read as their defaults.
    pub const EMPTY: StructReader<'static> =
        StructReader { arena: Arena::EMPTY, data: &[], pointers_at: 0, pointers: 0 };

    numbers!(u8 u16 u32 u64 i8 i16 i32 i64);

    /// The bit at this index.
    #[inline]
    pub fn bool(&self, index: usize, default: bool) -> bool {
        default ^ self.data.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }

    /// The number at this index; `default` is its bits.
    #[inline]
    pub fn f32(&self, index: usize, default: u32) -> f32 {
        f32::from_bits(self.u32(index, default))
    }

    /// The number at this index; `default` is its bits.
    #[inline]
    pub fn f64(&self, index: usize, default: u64) -> f64 {
        f64::from_bits(self.u64(index, default))
    }

    /// Whether it has no fields at all: all read as their defaults.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty() && self.pointers == 0
    }

    /// Whether a pointer is not null.
    #[inline]
    pub fn has(&self, index: u16) -> bool {
        !self.pointer(index).is_null()
    }

    /// The pointer at this index, whatever it leads to.
    #[inline]
    pub fn pointer(&self, index: u16) -> AnyReader<'a> {
        if index < self.pointers {
            AnyReader { arena: self.arena, at: self.pointers_at.saturating_add(index.into()) }
        } else {
            AnyReader::NULL
        }
    }

    /// The data section as a value of fixed size, if it is long enough and lies where such a value may.
    #[inline]
    pub fn as_fixed<T: FromBytes + KnownLayout + Immutable>(&self) -> Option<&'a T> {
        T::ref_from_prefix(self.data).ok().map(|(value, _)| value)
    }

    pub(crate) fn arena(&self) -> Arena<'a> {
        self.arena
    }

    pub(crate) fn data_section(&self) -> &'a [u8] {
        self.data
    }

    pub(crate) fn pointer_count(&self) -> u16 {
        self.pointers
    }

    #[inline]
    pub(crate) fn new(arena: Arena<'a>, data: &'a [u8], pointers_at: u32, pointers: u16) -> Self {
        Self { arena, data, pointers_at, pointers }
    }

    /// The struct that begins at a word. Empty if it does not lie inside of the arena.
    #[inline]
    pub(crate) fn at(arena: Arena<'a>, start: u32, data: u16, pointers: u16) -> Self {
        let section = arena.bytes(start, data.into());
        match (section, start.checked_add(data.into())) {
            (Some(section), Some(pointers_at)) => Self::new(arena, section, pointers_at, pointers),
            _ => StructReader::EMPTY,
        }
    }
}

/// A pointer of a message, and what it leads to: a field of type `AnyPointer`, or any other before it is looked at.
#[derive(Clone, Copy)]
pub struct AnyReader<'a> {
    arena: Arena<'a>,
    at: u32,
}

impl<'a> AnyReader<'a> {
    /// A pointer to nothing.
    pub const NULL: AnyReader<'static> = AnyReader { arena: Arena::EMPTY, at: 0 };

    #[inline]
    pub(crate) fn new(arena: Arena<'a>, at: u32) -> Self {
        Self { arena, at }
    }

    pub(crate) fn arena(&self) -> Arena<'a> {
        self.arena
    }

    /// The pointer of a value that the schema holds as the words of a message: a default.
    pub const fn of_schema(words: &'static [[u8; 8]]) -> AnyReader<'static> {
        AnyReader { arena: Arena::single(words), at: 0 }
    }

    /// Whether there is nothing behind it.
    #[inline]
    pub fn is_null(&self) -> bool {
        self.arena.word(self.at).unwrap_or(0) == 0
    }

    #[inline]
    pub(crate) fn target(&self) -> Option<Target> {
        self.arena.follow(self.at)
    }

    /// This pointer, or the other where this one is null.
    #[inline]
    #[must_use]
    pub fn or(self, default: AnyReader<'a>) -> Self {
        if self.is_null() { default } else { self }
    }

    /// The struct it leads to; one without fields if it is null or leads to something else.
    #[inline]
    pub fn structure(self) -> StructReader<'a> {
        match self.target() {
            Some(Target { pointer, start }) if pointer.kind() == Kind::Struct => {
                StructReader::at(self.arena, start, pointer.data(), pointer.pointers())
            }
            _ => StructReader::EMPTY,
        }
    }

    /// The bytes it leads to; none if it is null or leads to something else.
    #[inline]
    pub fn data(self) -> &'a [u8] {
        self.bytes().unwrap_or_default()
    }

    /// The text it leads to; empty if it is null or leads to something else.
    ///
    /// # Cost
    /// Looks at each byte, because nothing else may vouch for it.
    #[inline]
    pub fn text(self) -> &'a str {
        match self.bytes() {
            Some([text @ .., 0]) => core::str::from_utf8(text).unwrap_or_default(),
            _ => "",
        }
    }

    /// How many words a copy takes of what it leads to and all below; `usize::MAX` if that cannot be copied.
    pub fn copied_words(self) -> usize {
        copy::words(self)
    }

    /// The list it leads to; empty if it is null or leads to something else.
    #[inline]
    pub fn list<T: Element>(self) -> List<'a, T> {
        List::new(self.raw_list().filter(|list| list.reads_as(T::SIZE)).unwrap_or(RawList::EMPTY))
    }

    /// The capability that was sent beside the message and stands here.
    #[inline]
    pub fn capability(self) -> Option<CapabilityIndex> {
        self.target()?.pointer.capability().map(CapabilityIndex)
    }

    #[inline]
    fn bytes(self) -> Option<&'a [u8]> {
        let Target { pointer, start } = self.target()?;
        if pointer.is_bytes() { self.arena.bytes_at(start, pointer.count()) } else { None }
    }

    #[inline]
    pub(crate) fn raw_list(self) -> Option<RawList<'a>> {
        match self.target()? {
            Target { pointer, start } if pointer.kind() == Kind::List => {
                RawList::at(self.arena, start, pointer.element(), pointer.count())
            }
            _ => None,
        }
    }
}

/// What generated code asks of each pointer before a handler sees the message: that it is what the schema says.
impl<'a> AnyReader<'a> {
    /// Refuses everything but a struct or null; `fields` looks at the struct.
    ///
    /// # Errors
    /// [`DecodeError::WrongType`], and what `fields` finds.
    #[inline]
    pub fn check_struct(
        self,
        fields: impl FnOnce(StructReader<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.is_null() {
            return Ok(());
        }
        match self.target() {
            Some(Target { pointer, start }) if pointer.kind() == Kind::Struct => {
                fields(StructReader::at(self.arena, start, pointer.data(), pointer.pointers()))
            }
            _ => Err(DecodeError::WrongType),
        }
    }

    /// Refuses everything but bytes or null.
    ///
    /// # Errors
    /// [`DecodeError::WrongType`].
    #[inline]
    pub fn check_data(self) -> Result<(), DecodeError> {
        if self.is_null() || self.bytes().is_some() { Ok(()) } else { Err(DecodeError::WrongType) }
    }

    /// Refuses everything but text, which is UTF-8 with a zero byte at its end, or null.
    ///
    /// # Errors
    /// [`DecodeError::WrongType`] or [`DecodeError::InvalidText`].
    #[inline]
    pub fn check_text(self) -> Result<(), DecodeError> {
        if self.is_null() {
            return Ok(());
        }
        match self.bytes().ok_or(DecodeError::WrongType)? {
            [text @ .., 0] if core::str::from_utf8(text).is_ok() => Ok(()),
            _ => Err(DecodeError::InvalidText),
        }
    }

    /// Refuses everything but a list that reads as one of `T`, or null; each element is checked too.
    ///
    /// # Errors
    /// [`DecodeError::WrongType`], and what is found in the elements.
    #[inline]
    pub fn check_list<T: Element>(self) -> Result<(), DecodeError> {
        if self.is_null() {
            return Ok(());
        }
        match self.raw_list() {
            Some(list) if list.reads_as(T::SIZE) => T::check_all(list),
            _ => Err(DecodeError::WrongType),
        }
    }

    /// Refuses everything but a capability or null.
    ///
    /// # Errors
    /// [`DecodeError::WrongType`].
    #[inline]
    pub fn check_capability(self) -> Result<(), DecodeError> {
        if self.is_null() || self.capability().is_some() { Ok(()) } else { Err(DecodeError::WrongType) }
    }
}
