//! Writing lists, element by element.

use core::fmt;

use super::{PointerBuilder, StructBuilder, Structure, Writer};
use crate::EncodeError;

/// A list that is being written; all of its elements are zero at first.
pub struct ListBuilder<'w> {
    pub(super) writer: Writer<'w>,
    pub(super) start: u32,
    pub(super) count: usize,
    pub(super) words: usize,
    /// Words from one element to the next; 0 for those smaller than a word.
    pub(super) step: usize,
    pub(super) data: u16,
    pub(super) pointers: u16,
}

impl ListBuilder<'_> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes of all elements, padded with zeros to whole words; the padding must stay zero.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.writer.range(self.start, self.words).as_flattened_mut()
    }

    /// Sets an element of a list of bits.
    ///
    /// # Panics
    /// If there is no such element.
    pub fn set_bool(&mut self, index: usize, value: bool) {
        assert!(index < self.count, "the list has no such element");
        let byte = &mut self.bytes_mut()[index / 8];
        *byte = *byte & !(1 << (index % 8)) | u8::from(value) << (index % 8);
    }

    /// An element of a list of structs.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn structure(&mut self, index: usize) -> StructBuilder<'_> {
        let start = self.element(index);
        StructBuilder { writer: self.writer.reborrow(), start, data: self.data, pointers: self.pointers }
    }

    /// An element of a list of pointers.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn pointer(&mut self, index: usize) -> PointerBuilder<'_> {
        assert!(self.pointers == 1 && self.data == 0, "the list is not one of pointers");
        let at = self.element(index);
        PointerBuilder { writer: self.writer.reborrow(), at }
    }

    /// Writes an element of a list of structs.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`].
    ///
    /// # Panics
    /// If there is no such element, or the list has structs of another size.
    #[inline]
    pub fn put<S: Structure>(&mut self, index: usize, value: &S) -> Result<(), EncodeError> {
        value.write(self.structure(index))
    }

    #[inline]
    fn element(&self, index: usize) -> u32 {
        assert!(index < self.count, "the list has no such element");
        self.start + (index * self.step) as u32
    }
}

/// As the other builders.
impl fmt::Debug for ListBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListBuilder(word {}: {} elements in {} words)", self.start, self.count, self.words)
    }
}
