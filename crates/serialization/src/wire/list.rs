//! Reading lists.

use core::{fmt, iter::FusedIterator, marker::PhantomData};

use super::{
    AnyReader, CapabilityIndex, StructReader,
    arena::Arena,
    copy,
    pointer::{ElementSize, Kind, Pointer},
};
use crate::DecodeError;

/// A list of whatever elements.
#[derive(Clone, Copy)]
pub struct RawList<'a> {
    arena: Arena<'a>,
    /// The bytes of all elements, to the end of the last word.
    bytes: &'a [u8],
    /// The first word of the first element.
    start: u32,
    count: u32,
    /// Bits from one element to the next.
    step: u32,
    element: ElementSize,
    /// Words of data and pointers in each element of a list of structs.
    data: u16,
    pointers: u16,
}

/// How its elements lie, and nothing of what they hold: that is for whoever knows the schema.
impl fmt::Debug for RawList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawList({} of {:?})", self.count, self.element)
    }
}

impl<'a> RawList<'a> {
    pub(crate) const EMPTY: RawList<'static> = RawList {
        arena: Arena::EMPTY,
        bytes: &[],
        start: 0,
        count: 0,
        step: 0,
        element: ElementSize::Void,
        data: 0,
        pointers: 0,
    };

    /// The list that begins at a word, if all of it lies inside of the arena. `count` is as in the pointer.
    #[inline]
    pub(crate) fn at(arena: Arena<'a>, start: u32, element: ElementSize, count: u32) -> Option<Self> {
        if element == ElementSize::Composite {
            return Self::composite(arena, start, count);
        }
        let bytes = arena.bytes(start, u32::try_from(element.words(count)).ok()?)?;
        let pointers = u16::from(element == ElementSize::Pointer);
        let step = element.data_bits() + u32::from(pointers) * 64;
        Some(Self { arena, bytes, start, count, step, element, data: 0, pointers })
    }

    fn composite(arena: Arena<'a>, start: u32, words: u32) -> Option<Self> {
        let tag = Pointer(arena.word(start)?);
        if tag.kind() != Kind::Struct {
            return None;
        }
        let (count, data, pointers) = (u32::try_from(tag.offset()).ok()?, tag.data(), tag.pointers());
        let start = start.checked_add(1)?;
        let size = u32::from(data) + u32::from(pointers);
        if u64::from(count) * u64::from(size) > words.into() {
            return None;
        }
        let bytes = arena.bytes(start, count * size)?;
        let (step, element) = (size * 64, ElementSize::Composite);
        Some(Self { arena, bytes, start, count, step, element, data, pointers })
    }

    /// Whether the list, as it was sent, has what elements of this size need. Structs may have grown or shrunk, and a list of
    /// primitives may have become one of structs, or the reverse.
    #[inline]
    pub(crate) fn reads_as(&self, wanted: ElementSize) -> bool {
        let is_bits = self.element == ElementSize::Bit;
        match wanted {
            ElementSize::Composite => !is_bits,
            ElementSize::Bit => is_bits,
            ElementSize::Pointer => self.pointers > 0,
            _ if is_bits => false,
            _ => {
                let sent = self.element.data_bits().max(u32::from(self.data) * 64);
                sent >= wanted.data_bits()
            }
        }
    }

    pub(crate) fn arena(&self) -> Arena<'a> {
        self.arena
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.count
    }

    pub(crate) fn layout(&self) -> (ElementSize, u16, u16) {
        (self.element, self.data, self.pointers)
    }

    /// The bytes of all elements, where they lie one behind the other without anything between.
    pub(crate) fn dense(&self, element: ElementSize) -> Option<&'a [u8]> {
        if self.element != element {
            return None;
        }
        self.bytes.get(..(self.count as usize * self.step as usize) / 8)
    }

    /// The bytes of all elements, to the end of the last word.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes of an element from its first on; a list that [`reads_as`](Self::reads_as) has at least as many.
    #[inline]
    fn element<const N: usize>(&self, index: u32) -> [u8; N] {
        let first = index as usize * (self.step / 8) as usize;
        let bytes = self.bytes.get(first..).and_then(|bytes| bytes.first_chunk::<N>());
        bytes.copied().unwrap_or([0; N])
    }

    #[inline]
    fn bit(&self, index: u32) -> bool {
        self.bytes.get(index as usize / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }

    #[inline]
    pub(crate) fn pointer(&self, index: u32) -> AnyReader<'a> {
        let first = u64::from(index) * u64::from(self.step / 64) + u64::from(self.data);
        match u32::try_from(first).ok().and_then(|first| self.start.checked_add(first)) {
            Some(at) if self.pointers > 0 => AnyReader::new(self.arena, at),
            _ => AnyReader::NULL,
        }
    }

    /// An element as a struct. An element of a list of primitives is a struct whose only field it is.
    #[inline]
    pub fn structure(&self, index: u32) -> StructReader<'a> {
        if self.element != ElementSize::Composite {
            return self.structure_of_primitive(index);
        }
        let first = index as usize * (self.step / 8) as usize;
        let size = usize::from(self.data) * 8;
        // One look for all of an element's fields: behind it the length of its data is the same for every element, so that a loop asks
        // once which fields there are.
        if first.saturating_add(size) > self.bytes.len() {
            return StructReader::EMPTY;
        }
        // What does not fit was refused when the list was found: the sum is below the arena's length.
        let pointers_at = self.start.wrapping_add((first / 8) as u32).wrapping_add(self.data.into());
        StructReader::new(self.arena, &self.bytes[first..first + size], pointers_at, self.pointers)
    }

    fn structure_of_primitive(&self, index: u32) -> StructReader<'a> {
        if self.element == ElementSize::Pointer {
            return StructReader::new(self.arena, &[], self.start.saturating_add(index), 1);
        }
        let bytes = (self.step / 8) as usize;
        let section = self.bytes.get(index as usize * bytes..).and_then(|section| section.get(..bytes));
        StructReader::new(self.arena, section.unwrap_or_default(), 0, 0)
    }
}

/// What a list holds, as the schema says: a name for the type of element, not the element.
pub trait Element: 'static {
    /// How elements lie in a list that this version of the schema writes.
    const SIZE: ElementSize;

    /// What an element reads as.
    type Item<'a>;

    /// The element at an index below the length of a list that reads as one of this type.
    fn read<'a>(list: &RawList<'a>, index: u32) -> Self::Item<'a>;

    /// Refuses a list with an element that is not what the schema says.
    ///
    /// # Errors
    /// What is wrong with the first such element.
    #[inline]
    fn check_all(_: RawList<'_>) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// A list inside of a message.
pub struct List<'a, T> {
    raw: RawList<'a>,
    element: PhantomData<fn() -> T>,
}

/// All elements; of a list in an unchecked message that are without end or too many, only how many.
impl<'a, T: Element<Item<'a>: fmt::Debug>> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !copy::is_list_bounded(&self.raw) {
            return self.raw.fmt(f);
        }
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for List<'_, T> {}

impl<'a, T: Element> List<'a, T> {
    #[inline]
    pub(crate) fn new(raw: RawList<'a>) -> Self {
        Self { raw, element: PhantomData }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.raw.count as usize
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw.count == 0
    }

    /// The element at an index, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<T::Item<'a>> {
        let index = u32::try_from(index).ok().filter(|index| *index < self.raw.count)?;
        Some(T::read(&self.raw, index))
    }

    /// All elements in order.
    #[inline]
    pub fn iter(&self) -> Iter<'a, T> {
        Iter { list: *self, next: 0 }
    }
}

impl<'a, T: Element> IntoIterator for List<'a, T> {
    type Item = T::Item<'a>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The elements of a [`List`].
pub struct Iter<'a, T> {
    list: List<'a, T>,
    next: u32,
}

impl<'a, T: Element> Iterator for Iter<'a, T> {
    type Item = T::Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<T::Item<'a>> {
        if self.next >= self.list.raw.count {
            return None;
        }
        self.next += 1;
        Some(T::read(&self.list.raw, self.next - 1))
    }

    /// Over indices alone, so that nothing of the list changes in the loop.
    #[inline]
    fn fold<B, F: FnMut(B, T::Item<'a>) -> B>(self, first: B, mut f: F) -> B {
        let Self { list: List { raw, .. }, next } = self;
        (next..raw.count).fold(first, |so_far, index| f(so_far, T::read(&raw, index)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.list.raw.count - self.next) as usize;
        (left, Some(left))
    }
}

impl<T: Element> ExactSizeIterator for Iter<'_, T> {}
impl<T: Element> FusedIterator for Iter<'_, T> {}

macro_rules! number_elements {
    ($($number:ident $size:ident)*) => {
        $(impl Element for $number {
            const SIZE: ElementSize = ElementSize::$size;
            type Item<'a> = $number;
            #[inline]
            fn read<'a>(list: &RawList<'a>, index: u32) -> $number {
                $number::from_le_bytes(list.element(index))
            }
        }

        impl<'a> List<'a, $number> {
            /// All elements as they lie in the message, little-endian, if they lie one behind the other.
            #[inline]
            pub fn as_le_bytes(&self) -> Option<&'a [[u8; size_of::<$number>()]]> {
                Some(self.raw.dense(ElementSize::$size)?.as_chunks().0)
            }
        })*
    };
}
number_elements!(
    u8 Byte u16 TwoBytes u32 FourBytes u64 EightBytes i8 Byte i16 TwoBytes i32 FourBytes i64 EightBytes
    f32 FourBytes f64 EightBytes
);

impl Element for () {
    const SIZE: ElementSize = ElementSize::Void;
    type Item<'a> = ();
    fn read<'a>(_: &RawList<'a>, _: u32) {}
}

impl Element for bool {
    const SIZE: ElementSize = ElementSize::Bit;
    type Item<'a> = bool;
    #[inline]
    fn read<'a>(list: &RawList<'a>, index: u32) -> bool {
        list.bit(index)
    }
}

/// Elements that are pointers: how each is read and what it must be.
macro_rules! pointer_elements {
    ($($(#[$doc:meta])* $name:ident $(<$t:ident>)?: $item:ty, |$pointer:ident| $read:expr, $check:expr;)*) => {
        $(impl $(<$t: Element>)? Element for $name $(<$t>)? {
            const SIZE: ElementSize = ElementSize::Pointer;
            type Item<'a> = $item;
            #[inline]
            fn read<'a>(list: &RawList<'a>, index: u32) -> $item {
                let $pointer = list.pointer(index);
                $read
            }
            fn check_all(list: RawList<'_>) -> Result<(), DecodeError> {
                (0..list.len()).try_for_each(|index| {
                    let $pointer = list.pointer(index);
                    $check
                })
            }
        })*
    };
}

/// Elements of type `Text`.
#[derive(Clone, Copy, Debug)]
pub enum Text {}
/// Elements of type `Data`.
#[derive(Clone, Copy, Debug)]
pub enum Data {}
/// Elements of type `AnyPointer`.
#[derive(Clone, Copy, Debug)]
pub enum Any {}
/// Elements that are capabilities: of an interface's type.
#[derive(Clone, Copy, Debug)]
pub enum Capability {}
/// Elements that are lists.
#[derive(Clone, Copy, Debug)]
pub struct ListOf<T>(PhantomData<fn() -> T>);

pointer_elements! {
    Text: &'a str, |pointer| pointer.text(), pointer.check_text();
    Data: &'a [u8], |pointer| pointer.data(), pointer.check_data();
    Any: AnyReader<'a>, |pointer| pointer, { let _ = pointer; Ok(()) };
    Capability: Option<CapabilityIndex>, |pointer| pointer.capability(), pointer.check_capability();
    ListOf<T>: List<'a, T>, |pointer| pointer.list(), pointer.check_list::<T>();
}

/// Looks at each struct of a list; for [`Element::check_all`] of generated types.
///
/// # Errors
/// What `fields` finds.
#[inline]
pub fn check_structs<'a>(
    list: RawList<'a>,
    fields: impl Fn(StructReader<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    (0..list.len()).try_for_each(|index| fields(list.structure(index)))
}
