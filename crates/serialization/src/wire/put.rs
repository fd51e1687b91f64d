//! Plain values that can be written as structs and as elements of lists.

use super::{
    AnyReader, CapabilityIndex, PointerBuilder, StructBuilder, copy,
    list::{Any, Capability, Data, Element, ListOf, Text},
    pointer::ElementSize,
};
use crate::EncodeError;

/// A value that is written as a struct; generated types implement it.
pub trait Structure {
    /// Words of the data section.
    const DATA: u16;
    /// Pointers of the pointer section.
    const POINTERS: u16;

    /// How many words all objects take that its pointers lead to, exactly; saturates.
    fn below(&self) -> usize;

    /// Writes all fields: the whole data section, whose words hold whatever the buffer held, and each pointer that is not null; the
    /// pointers are null before. [`set_data`](StructBuilder::set_data) writes the section whole.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`].
    fn write(&self, to: StructBuilder<'_>) -> Result<(), EncodeError>;
}

/// Values that can be the elements of a list of `E`.
pub trait Put<E: Element>: Sized {
    /// How many words the list takes and all below it, exactly; saturates.
    fn words(values: &[Self]) -> usize;

    /// Writes the list.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`].
    fn put(values: &[Self], to: PointerBuilder<'_>) -> Result<(), EncodeError>;
}

/// How many words a text takes, with the zero byte behind it.
#[inline]
pub const fn text_words(text: &str) -> usize {
    (text.len() + 1).div_ceil(8)
}

macro_rules! put_numbers {
    ($($number:ident $size:ident)*) => {
        $(impl Put<$number> for $number {
            #[inline]
            fn words(values: &[Self]) -> usize {
                size_of_val(values).div_ceil(8)
            }
            #[inline]
            fn put(values: &[Self], to: PointerBuilder<'_>) -> Result<(), EncodeError> {
                let mut list = to.list(ElementSize::$size, values.len())?;
                let places = list.bytes_mut().as_chunks_mut().0;
                places.iter_mut().zip(values).for_each(|(place, value)| *place = value.to_le_bytes());
                Ok(())
            }
        })*
    };
}
put_numbers!(u8 Byte u16 TwoBytes u32 FourBytes u64 EightBytes i8 Byte i16 TwoBytes i32 FourBytes i64 EightBytes
    f32 FourBytes f64 EightBytes);

impl Put<()> for () {
    fn words(_: &[Self]) -> usize {
        0
    }
    fn put(values: &[Self], to: PointerBuilder<'_>) -> Result<(), EncodeError> {
        to.list(ElementSize::Void, values.len()).map(drop)
    }
}

impl Put<bool> for bool {
    fn words(values: &[Self]) -> usize {
        values.len().div_ceil(64)
    }
    fn put(values: &[Self], to: PointerBuilder<'_>) -> Result<(), EncodeError> {
        let mut list = to.list(ElementSize::Bit, values.len())?;
        values.iter().enumerate().for_each(|(index, value)| list.set_bool(index, *value));
        Ok(())
    }
}

/// How many words a struct behind a pointer takes and all below it; saturates.
#[inline]
pub fn structure_words<S: Structure>(value: &S) -> usize {
    (usize::from(S::DATA) + usize::from(S::POINTERS)).saturating_add(value.below())
}

/// Writes a struct behind a pointer.
///
/// # Errors
/// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`].
#[inline]
pub fn put_structure<S: Structure>(value: &S, to: PointerBuilder<'_>) -> Result<(), EncodeError> {
    value.write(to.structure(S::DATA, S::POINTERS)?)
}

/// How many words a list of structs takes and all below it; saturates.
#[inline]
pub fn structures_words<S: Structure>(values: &[S]) -> usize {
    let each = usize::from(S::DATA) + usize::from(S::POINTERS);
    let own = values.len().saturating_mul(each).saturating_add(1);
    if S::POINTERS == 0 {
        return own;
    }
    values.iter().fold(own, |sum, value| sum.saturating_add(value.below()))
}

/// Writes a list of structs.
///
/// # Errors
/// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`].
#[inline]
pub fn put_structures<S: Structure>(values: &[S], to: PointerBuilder<'_>) -> Result<(), EncodeError> {
    let mut list = match S::POINTERS {
        0 => to.structures_unset(values.len(), S::DATA, 0)?,
        pointers => to.structures(values.len(), S::DATA, pointers)?,
    };
    values.iter().enumerate().try_for_each(|(index, value)| value.write(list.structure(index)))
}

/// Values whose elements are pointers: how many words each takes, and how it is written.
macro_rules! put_pointers {
    ($($(#[$doc:meta])* [$($generics:tt)*] $element:ty, $value:ty:
        |$one:ident| $words:expr, |$to:ident| $put:expr;)*) => {
        $(impl<$($generics)*> Put<$element> for $value {
            fn words(values: &[Self]) -> usize {
                values.iter().fold(values.len(), |sum, $one| sum.saturating_add($words))
            }
            fn put(values: &[Self], to: PointerBuilder<'_>) -> Result<(), EncodeError> {
                let mut list = to.list(ElementSize::Pointer, values.len())?;
                values.iter().enumerate().try_for_each(|(index, $one)| {
                    let $to = list.pointer(index);
                    $put
                })
            }
        })*
    };
}

put_pointers! {
    [] Text, &str: |text| text_words(text), |to| to.text(text);
    [] Data, &[u8]: |data| data.len().div_ceil(8), |to| to.data(data);
    [] Any, AnyReader<'_>: |any| copy::words(*any), |to| to.copy(*any);
    [] Capability, Option<CapabilityIndex>: |index| { let _ = index; 0 }, |to| {
        if let Some(index) = index {
            to.capability(*index);
        }
        Ok(())
    };
    [E: Element, V: Put<E>] ListOf<E>, &[V]: |values| V::words(values), |to| V::put(values, to);
}
