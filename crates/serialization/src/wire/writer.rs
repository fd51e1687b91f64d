//! Writing structs, lists and pointers, in place and in one segment.
//!
//! Objects lie one behind the other in the order in which they are begun. Memory is never given back: setting a pointer twice
//! leaves the first object behind, unreachable.

use core::fmt;

use super::{
    AnyReader, CapabilityIndex, ListBuilder, Structure, copy,
    pointer::{COUNT_MAX, ElementSize, Pointer, SEGMENT_MAX},
    used::Used,
    walk::DEPTH_LIMIT,
};
use crate::EncodeError;

/// Takes words from the front of a segment.
pub(crate) struct Writer<'w> {
    words: &'w mut [[u8; 8]],
    used: &'w mut Used,
    /// How many levels of objects may still be begun, one below the other: what the receiver's [walk](super::walk) allows, and every
    /// other reader of Cap'n Proto too.
    levels: u8,
}

impl<'w> Writer<'w> {
    /// Writes into `words`, of which nothing is taken.
    #[inline]
    pub(crate) fn new(words: &'w mut [[u8; 8]], used: &'w mut Used) -> Self {
        Self { words, used, levels: DEPTH_LIMIT as u8 }
    }

    #[inline]
    pub(super) fn reborrow(&mut self) -> Writer<'_> {
        Writer { words: self.words, used: self.used, levels: self.levels }
    }

    /// One level down: for an object of `words` words more, which hold whatever was there; says where it begins.
    #[inline]
    fn begin(&mut self, words: usize) -> Result<u32, EncodeError> {
        self.levels = self.levels.checked_sub(1).ok_or(EncodeError::TooLarge)?;
        self.take(words)
    }

    /// The first of `words` words more, which hold whatever was there.
    #[inline]
    fn take(&mut self, words: usize) -> Result<u32, EncodeError> {
        let start = self.used.words as usize;
        let end = start.saturating_add(words);
        if end > self.words.len() {
            return Err(EncodeError::BufferTooSmall { needed: end.saturating_mul(8) });
        }
        if end > SEGMENT_MAX {
            return Err(EncodeError::TooLarge);
        }
        self.used.words = end as u32;
        Ok(start as u32)
    }

    #[inline]
    fn set(&mut self, at: u32, pointer: Pointer) {
        self.words[at as usize] = pointer.0.to_le_bytes();
    }

    #[inline]
    pub(super) fn range(&mut self, start: u32, words: usize) -> &mut [[u8; 8]] {
        &mut self.words[start as usize..][..words]
    }

    /// Begins with a pointer, as a segment does; it is null at first.
    pub(crate) fn root(mut self) -> Result<PointerBuilder<'w>, EncodeError> {
        let at = self.take(1)?;
        self.set(at, Pointer(0));
        Ok(PointerBuilder { writer: self, at })
    }

    /// Begins the root struct: no pointer leads to it from here.
    #[inline]
    pub(crate) fn structure(mut self, data: u16, pointers: u16) -> Result<StructBuilder<'w>, EncodeError> {
        let words = usize::from(data) + usize::from(pointers);
        let start = self.begin(words)?;
        self.range(start, words).fill([0; 8]);
        Ok(StructBuilder { writer: self, start, data, pointers })
    }
}

/// A struct that is being written; all of its fields are zero at first, but for the data section in [`Structure::write`].
pub struct StructBuilder<'w> {
    pub(super) writer: Writer<'w>,
    pub(super) start: u32,
    pub(super) data: u16,
    pub(super) pointers: u16,
}

macro_rules! numbers {
    ($($number:ident $set:ident)*) => {
        $(
            /// Sets the number at this index, counted in its own size.
            ///
            /// # Panics
            /// If the data section has no such number.
            #[inline]
            pub fn $set(&mut self, index: usize, value: $number) {
                const BYTES: usize = size_of::<$number>();
                self.data_bytes()[index * BYTES..][..BYTES].copy_from_slice(&value.to_le_bytes());
            }
        )*
    };
}

impl<'w> StructBuilder<'w> {
    numbers!(u8 set_u8 u16 set_u16 u32 set_u32 u64 set_u64 i8 set_i8 i16 set_i16 i32 set_i32 i64 set_i64);

    /// Makes a member of a union the one that is set, and says whether it was another before. `at` is the discriminant's index, counted
    /// in its own size.
    ///
    /// # Panics
    /// If the data section has no such number.
    #[inline]
    pub fn select(&mut self, at: usize, member: u16) -> bool {
        let place = &mut self.data_bytes()[at * 2..][..2];
        let changes = *place != member.to_le_bytes();
        place.copy_from_slice(&member.to_le_bytes());
        changes
    }

    /// Sets the bit at this index.
    ///
    /// # Panics
    /// If the data section has no such bit.
    #[inline]
    pub fn set_bool(&mut self, index: usize, value: bool) {
        let byte = &mut self.data_bytes()[index / 8];
        *byte = *byte & !(1 << (index % 8)) | u8::from(value) << (index % 8);
    }

    /// Sets the whole data section.
    ///
    /// # Panics
    /// If it does not have `D` words.
    #[inline]
    pub fn set_data<const D: usize>(&mut self, words: [u64; D]) {
        assert_eq!(D, usize::from(self.data), "the data section has another size");
        for (place, word) in self.writer.range(self.start, D).iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
    }

    #[inline]
    fn data_bytes(&mut self) -> &mut [u8] {
        self.writer.range(self.start, self.data.into()).as_flattened_mut()
    }

    /// Copies as much of a data section as there is room for.
    pub(crate) fn copy_data(&mut self, from: &[u8]) {
        let to = self.data_bytes();
        let bytes = from.len().min(to.len());
        to[..bytes].copy_from_slice(&from[..bytes]);
    }

    pub(crate) fn pointer_count(&self) -> u16 {
        self.pointers
    }

    /// The pointer at this index.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn pointer(&mut self, index: u16) -> PointerBuilder<'_> {
        assert!(index < self.pointers, "the struct has no such pointer");
        let at = self.start + u32::from(self.data) + u32::from(index);
        PointerBuilder { writer: self.writer.reborrow(), at }
    }

    /// This struct again, for a part of it that is written first.
    #[inline]
    pub fn reborrow(&mut self) -> StructBuilder<'_> {
        StructBuilder {
            writer: self.writer.reborrow(),
            start: self.start,
            data: self.data,
            pointers: self.pointers,
        }
    }
}

/// A pointer that is being set. Until something is written, it stays as it was.
pub struct PointerBuilder<'w> {
    pub(super) writer: Writer<'w>,
    pub(super) at: u32,
}

impl<'w> PointerBuilder<'w> {
    /// Makes it null: the field has its default.
    #[inline]
    pub fn clear(mut self) {
        self.writer.set(self.at, Pointer(0));
    }

    /// Begins a struct with so many words of data and so many pointers, all zero.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`], the latter also for what is nested too deep; the pointer is as
    /// before.
    #[inline]
    pub fn structure(mut self, data: u16, pointers: u16) -> Result<StructBuilder<'w>, EncodeError> {
        let words = usize::from(data) + usize::from(pointers);
        let start = self.writer.begin(words)?;
        self.writer.set(self.at, Pointer::to_struct(offset(self.at, start), data, pointers));
        self.writer.range(start, words).fill([0; 8]);
        Ok(StructBuilder { writer: self.writer, start, data, pointers })
    }

    /// Begins `bytes` bytes, all to be overwritten: they hold whatever was in the buffer.
    ///
    /// # Errors
    /// As for [`structure`](Self::structure).
    #[inline]
    pub fn init_data(mut self, bytes: usize) -> Result<&'w mut [u8], EncodeError> {
        let start = self.list_words(ElementSize::Byte, bytes)?;
        let words = bytes.div_ceil(8);
        if let Some(last) = self.writer.range(start, words).last_mut() {
            *last = [0; 8];
        }
        let Writer { words: all, .. } = self.writer;
        Ok(&mut all[start as usize..][..words].as_flattened_mut()[..bytes])
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// As for [`structure`](Self::structure).
    #[inline]
    pub fn data(self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.init_data(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes text, with the zero byte behind it.
    ///
    /// # Errors
    /// As for [`structure`](Self::structure).
    #[inline]
    pub fn text(self, text: &str) -> Result<(), EncodeError> {
        let place = self.init_data(text.len().saturating_add(1))?;
        place[..text.len()].copy_from_slice(text.as_bytes());
        place[text.len()] = 0;
        Ok(())
    }

    /// Begins a list of `count` elements of a size, all zero.
    ///
    /// # Errors
    /// As for [`structure`](Self::structure).
    ///
    /// # Panics
    /// If the size is [`ElementSize::Composite`], for which there is [`structures`](Self::structures).
    #[inline]
    pub fn list(mut self, element: ElementSize, count: usize) -> Result<ListBuilder<'w>, EncodeError> {
        assert_ne!(element, ElementSize::Composite, "structs have a size of their own");
        let start = self.list_words(element, count)?;
        let words = element.words(count as u32) as usize;
        self.writer.range(start, words).fill([0; 8]);
        let step = if element == ElementSize::Pointer { 1 } else { 0 };
        let pointers = u16::from(element == ElementSize::Pointer);
        Ok(ListBuilder { writer: self.writer, start, count, words, step, data: 0, pointers })
    }

    /// Begins a list of `count` structs, all zero.
    ///
    /// # Errors
    /// As for [`structure`](Self::structure).
    pub fn structures(self, count: usize, data: u16, pointers: u16) -> Result<ListBuilder<'w>, EncodeError> {
        let mut list = self.structures_unset(count, data, pointers)?;
        list.bytes_mut().fill(0);
        Ok(list)
    }

    /// Writes a list of `count` structs, each of which `make` gives, in order.
    ///
    /// # Errors
    /// As for [`structure`](Self::structure).
    #[inline]
    pub fn structures_from<S: Structure>(
        self,
        count: usize,
        mut make: impl FnMut(usize) -> S,
    ) -> Result<(), EncodeError> {
        // Data sections are written whole; only pointers have to be zero before.
        let mut list = match S::POINTERS {
            0 => self.structures_unset(count, S::DATA, 0)?,
            pointers => self.structures(count, S::DATA, pointers)?,
        };
        (0..count).try_for_each(|index| list.put(index, &make(index)))
    }

    /// As [`structures`](Self::structures), with whatever the buffer held in their place: every word is to be written.
    pub(crate) fn structures_unset(
        mut self,
        count: usize,
        data: u16,
        pointers: u16,
    ) -> Result<ListBuilder<'w>, EncodeError> {
        let step = usize::from(data) + usize::from(pointers);
        let words = count.checked_mul(step).filter(|words| count.max(*words) <= COUNT_MAX);
        let words = words.ok_or(EncodeError::TooLarge)?;
        let tag = self.writer.begin(words + 1)?;
        if step == 0 {
            self.writer.used.count_empties(count);
        }
        let pointer = Pointer::to_list(offset(self.at, tag), ElementSize::Composite, words as u32);
        self.writer.set(self.at, pointer);
        // An element without a size is no empty struct at its own pointer: the tag's offset is the count.
        let size = u64::from(data) << 32 | u64::from(pointers) << 48;
        self.writer.set(tag, Pointer(size | (count as u64) << 2));
        Ok(ListBuilder { writer: self.writer, start: tag + 1, count, words, step, data, pointers })
    }

    /// Says that the capability sent beside the message at this place stands here. Whoever writes the message says how many go
    /// beside it ([`Format::capabilities`](crate::Format::capabilities)); with a larger index here it is refused as a whole.
    #[inline]
    pub fn capability(mut self, index: CapabilityIndex) {
        self.writer.used.count_capability(index, self.writer.levels);
        self.writer.set(self.at, Pointer::to_capability(index.0));
    }

    /// Copies what another message's pointer leads to, and all below it.
    ///
    /// # Errors
    /// As for [`structure`](Self::structure); [`EncodeError::TooLarge`] also where what is copied is nested too deep, or is many
    /// times larger than its message because parts of it are shared. Part of it may have been written.
    pub fn copy(self, from: AnyReader<'_>) -> Result<(), EncodeError> {
        copy::copy(from, self)
    }

    #[inline]
    fn list_words(&mut self, element: ElementSize, count: usize) -> Result<u32, EncodeError> {
        if count > COUNT_MAX {
            return Err(EncodeError::TooLarge);
        }
        let start = self.writer.begin(element.words(count as u32) as usize)?;
        if element == ElementSize::Void {
            self.writer.used.count_empties(count);
        }
        self.writer.set(self.at, Pointer::to_list(offset(self.at, start), element, count as u32));
        Ok(start)
    }
}

/// Words from behind the pointer at `at` to `start`; both are below [`SEGMENT_MAX`], and objects lie behind their pointers.
#[inline]
fn offset(at: u32, start: u32) -> i32 {
    (start - at - 1) as i32
}

/// Builders print where they write and how much, and nothing of the buffer: most of it is not theirs.
impl fmt::Debug for StructBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, data, pointers, .. } = self;
        write!(f, "StructBuilder(word {start}: {data} of data, {pointers} pointers)")
    }
}

impl fmt::Debug for PointerBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PointerBuilder(word {})", self.at)
    }
}
