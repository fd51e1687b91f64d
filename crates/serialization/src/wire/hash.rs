//! The hash of the canonical form, without writing it anywhere.
//!
//! The words of the form come one by one, in the order in which they would lie. Only the offsets in pointers need what has not come
//! yet: how many words the objects take in front of the one that is pointed to.

use super::{
    AnyReader, StructReader,
    arena::Target,
    canonical::{element_sections, sections},
    copy,
    list::RawList,
    pointer::{ElementSize, Kind, Pointer, SEGMENT_MAX},
};
use crate::{EncodeError, siphash::SipHash};

impl StructReader<'_> {
    /// The hash of the [canonical](Self::canonical) bytes of a message with this struct as its root: SipHash-2-4 with 128 bits.
    ///
    /// Two checked messages that say the same have the same hash, in whatever format they came; anybody who has the canonical
    /// bytes can compute it again. With a key that a sender does not know, that sender cannot make two messages with one hash;
    /// with `[0, 0]` it is a name for the content among those who trust each other. It is no signature: sign the canonical bytes.
    ///
    /// # Errors
    /// [`EncodeError::Refused`] and [`EncodeError::TooLarge`], as [`canonical`](Self::canonical).
    ///
    /// # Cost
    /// No memory; sizes are added up anew at each level of nesting.
    ///
    /// # Examples
    /// ```
    /// use feuerbird_serialization::sample::Sample;
    /// use feuerbird_serialization::{Encode, Layer, Stable, frame};
    /// use zerocopy::IntoBytes;
    ///
    /// let sample = Sample { sequence: 1, producer: 0, sent_at: 0, digest: 0, payload: b"" };
    /// let hashes = [Layer::Lite, Layer::Full].map(|layer| {
    ///     let mut buffer = [0_u64; 16];
    ///     let length = sample.encode(layer, buffer.as_mut_bytes()).unwrap();
    ///     let message = Stable::new(&buffer.as_bytes()[..length]).unwrap();
    ///     frame::open(message, layer.format(), 0, 0).unwrap().canonical_hash([1, 2])
    /// });
    /// assert_eq!(hashes[0], hashes[1]);
    /// ```
    pub fn canonical_hash(&self, key: [u64; 2]) -> Result<u128, EncodeError> {
        // The count refuses what is too deep or too much: what follows is bounded by it.
        if copy::words_below(self, self.pointer_count()) == usize::MAX {
            return Err(EncodeError::TooLarge);
        }
        let mut words = Words { hash: SipHash::new(key), at: 0 };
        let (data, pointers) = sections(self);
        words.next(Pointer::to_struct(0, data, pointers).0);
        words.structure(self)?;
        // As many as can be written.
        if words.at > SEGMENT_MAX as u64 { Err(EncodeError::TooLarge) } else { Ok(words.hash.finish()) }
    }
}

/// How many words an object takes in canonical form, and all below it.
fn size(from: AnyReader<'_>) -> u64 {
    match from.target() {
        Some(Target { pointer, .. }) if pointer.kind() == Kind::Struct => structure_size(&from.structure()),
        Some(_) => from.raw_list().map_or(0, |list| list_size(&list)),
        None => 0,
    }
}

fn structure_size(from: &StructReader<'_>) -> u64 {
    let (data, pointers) = sections(from);
    let below: u64 = (0..pointers).map(|index| size(from.pointer(index))).sum();
    u64::from(data) + u64::from(pointers) + below
}

fn list_size(from: &RawList<'_>) -> u64 {
    let count = from.len();
    match from.layout().0 {
        ElementSize::Composite => {
            let (data, pointers) = element_sections(from);
            let elements = if pointers > 0 { count } else { 0 };
            let below = (0..elements).map(|index| from.structure(index));
            let below =
                below.flat_map(|element| (0..pointers).map(move |index| size(element.pointer(index))));
            1 + u64::from(count) * (u64::from(data) + u64::from(pointers)) + below.sum::<u64>()
        }
        ElementSize::Pointer => {
            u64::from(count) + (0..count).map(|index| size(from.pointer(index))).sum::<u64>()
        }
        element => element.words(count),
    }
}

/// The words of a canonical message, as they come.
struct Words {
    hash: SipHash,
    /// The place of the next word.
    at: u64,
}

impl Words {
    fn next(&mut self, word: u64) {
        self.hash.word(word);
        self.at += 1;
    }

    /// A struct, and all below it.
    fn structure(&mut self, from: &StructReader<'_>) -> Result<(), EncodeError> {
        let (data, pointers) = sections(from);
        let mut end = self.at + u64::from(data) + u64::from(pointers);
        self.fields(from, (data, pointers), &mut end)?;
        (0..pointers).try_for_each(|index| self.object(from.pointer(index)))
    }

    /// The sections of a struct. What its pointers lead to comes at `end`, which moves behind that.
    fn fields(
        &mut self,
        from: &StructReader<'_>,
        (data, pointers): (u16, u16),
        end: &mut u64,
    ) -> Result<(), EncodeError> {
        let (words, part) = from.data_section().as_chunks::<8>();
        words.iter().take(data.into()).for_each(|word| self.next(u64::from_le_bytes(*word)));
        if usize::from(data) > words.len() {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.next(u64::from_le_bytes(word));
        }
        (0..pointers).try_for_each(|index| self.pointer(from.pointer(index), end))
    }

    fn pointer(&mut self, from: AnyReader<'_>, end: &mut u64) -> Result<(), EncodeError> {
        // More than an offset can say is more than a segment has, which is refused at the end.
        let offset = (*end - self.at - 1) as i32;
        let word = match from.target() {
            None => Pointer(0),
            Some(Target { pointer, .. }) => match pointer.kind() {
                Kind::Struct => {
                    let (data, pointers) = sections(&from.structure());
                    Pointer::to_struct(offset, data, pointers)
                }
                Kind::List => from.raw_list().map_or(Pointer(0), |list| {
                    let (element, ..) = list.layout();
                    let (data, pointers) = element_sections(&list);
                    let words = list.len().wrapping_mul(u32::from(data) + u32::from(pointers));
                    let count = if element == ElementSize::Composite { words } else { list.len() };
                    Pointer::to_list(offset, element, count)
                }),
                Kind::Far | Kind::Other => return Err(EncodeError::Refused),
            },
        };
        *end += size(from);
        self.next(word.0);
        Ok(())
    }

    /// What a pointer leads to, and all below it.
    fn object(&mut self, from: AnyReader<'_>) -> Result<(), EncodeError> {
        match from.target() {
            Some(Target { pointer, .. }) if pointer.kind() == Kind::Struct => {
                self.structure(&from.structure())
            }
            Some(_) => from.raw_list().map_or(Ok(()), |list| self.list(&list)),
            None => Ok(()),
        }
    }

    fn list(&mut self, from: &RawList<'_>) -> Result<(), EncodeError> {
        let count = from.len();
        match from.layout().0 {
            ElementSize::Composite => self.structures(from),
            ElementSize::Pointer => {
                let mut end = self.at + u64::from(count);
                (0..count).try_for_each(|index| self.pointer(from.pointer(index), &mut end))?;
                (0..count).try_for_each(|index| self.object(from.pointer(index)))
            }
            element => {
                let mut bits = u64::from(count) * u64::from(element.data_bits());
                for word in from.bytes().as_chunks::<8>().0 {
                    let mask = if bits < 64 { (1 << bits) - 1 } else { u64::MAX };
                    self.next(u64::from_le_bytes(*word) & mask);
                    bits = bits.saturating_sub(64);
                }
                Ok(())
            }
        }
    }

    fn structures(&mut self, from: &RawList<'_>) -> Result<(), EncodeError> {
        let (data, pointers) = element_sections(from);
        let count = from.len();
        self.next(u64::from(data) << 32 | u64::from(pointers) << 48 | u64::from(count) << 2);
        let size = u64::from(data) + u64::from(pointers);
        if size == 0 {
            return Ok(());
        }
        let mut end = self.at + u64::from(count) * size;
        (0..count).try_for_each(|index| self.fields(&from.structure(index), (data, pointers), &mut end))?;
        (0..count)
            .map(|index| from.structure(index))
            .try_for_each(|element| (0..pointers).try_for_each(|index| self.object(element.pointer(index))))
    }
}
