//! The canonical form: of all messages that say the same, the one that everybody agrees on.
//!
//! One segment without a table, the root pointer first; objects in preorder; zeros at the end of structs and null pointers left out,
//! of a list's structs as far as all of them have them; no padding that is not zero. Cap'n Proto's specification defines it,
//! so that what is signed or [hashed](StructReader::canonical_hash) here can be checked with any implementation.

use super::{
    AnyReader, PointerBuilder, StructBuilder, StructReader, Used, Writer,
    arena::Target,
    copy,
    list::RawList,
    pointer::{ElementSize, Kind},
};
use crate::EncodeError;

impl StructReader<'_> {
    /// An upper bound, in bytes, of what [`canonical`](Self::canonical) writes; `usize::MAX` if this struct cannot be copied.
    pub fn canonical_bound(&self) -> usize {
        let root = 1 + self.data_section().len().div_ceil(8) + usize::from(self.pointer_count());
        copy::words_below(self, self.pointer_count()).saturating_add(root).saturating_mul(8)
    }

    /// Writes the canonical form of a message with this struct as its root, and says how many bytes it has.
    ///
    /// Two checked messages say the same, whatever the schema, if and only if these bytes are equal: hash or sign them. A schema that
    /// has grown changes nothing as long as its new fields are not set. A pointer that was never set says something else than one to
    /// nothing (a text without letters, a struct of zeros), as in every implementation; a list keeps its kind of elements.
    ///
    /// A list of many structs that say nothing shrinks to elements of no size, of which a reader accepts no more than its
    /// budget allows ([`DecodeError::Amplified`](crate::DecodeError::Amplified)): these bytes are to be compared, not to be sent.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`], never if `out` has [`canonical_bound`](Self::canonical_bound) bytes;
    /// [`EncodeError::Refused`] if there is a capability, which only means something beside its message;
    /// [`EncodeError::TooLarge`] for what cannot be copied.
    ///
    /// # Examples
    /// ```
    /// use feuerbird_serialization::sample::Sample;
    /// use feuerbird_serialization::{Encode, Layer, Stable, frame};
    /// use zerocopy::IntoBytes;
    ///
    /// let sample = Sample { sequence: 1, producer: 0, sent_at: 0, digest: 0, payload: b"" };
    /// let mut buffer = [0_u64; 16];
    /// let length = sample.encode(Layer::Full, buffer.as_mut_bytes())?;
    /// let root = frame::open(Stable::new(&buffer.as_bytes()[..length])?, Layer::Full.format(), 0, 0)?;
    ///
    /// let mut canonical = [0; 64];
    /// let length = root.canonical(&mut canonical)?;
    /// // A pointer to one word of data, for all else is zero or empty.
    /// assert_eq!(canonical[..length], [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn canonical(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        // The count refuses what is too deep or too much: what follows is bounded by it.
        if copy::words_below(self, self.pointer_count()) == usize::MAX {
            return Err(EncodeError::TooLarge);
        }
        let mut used = Used::default();
        let root = Writer::new(out.as_chunks_mut::<8>().0, &mut used).root()?;
        structure(self, root)?;
        Ok(used.words as usize * 8)
    }
}

/// Words of data and pointers up to the last ones that are not zero and not null.
pub(super) fn sections(from: &StructReader<'_>) -> (u16, u16) {
    let (words, part) = from.data_section().as_chunks::<8>();
    let data = match part.iter().any(|byte| *byte != 0) {
        // The element of a list of numbers that is read as a struct.
        true => words.len() + 1,
        false => words.iter().rposition(|word| *word != [0; 8]).map_or(0, |last| last + 1),
    };
    let pointers = (0..from.pointer_count()).rfind(|index| from.pointer(*index).target().is_some());
    // A data section has at most 65,535 words.
    (u16::try_from(data).unwrap_or(u16::MAX), pointers.map_or(0, |last| last + 1))
}

/// Of a list of structs, the sections that hold those of all elements; of others, none.
pub(super) fn element_sections(from: &RawList<'_>) -> (u16, u16) {
    let (element, data, pointers) = from.layout();
    // Elements of no size may be many.
    let is_sized = element == ElementSize::Composite && (data, pointers) != (0, 0);
    let sized = if is_sized { from.len() } else { 0 };
    (0..sized).fold((0, 0), |(data, pointers), index| {
        let own = sections(&from.structure(index));
        (own.0.max(data), own.1.max(pointers))
    })
}

fn structure(from: &StructReader<'_>, to: PointerBuilder<'_>) -> Result<(), EncodeError> {
    let (data, pointers) = sections(from);
    fields(from, to.structure(data, pointers)?)
}

fn fields(from: &StructReader<'_>, mut to: StructBuilder<'_>) -> Result<(), EncodeError> {
    to.copy_data(from.data_section());
    (0..to.pointer_count().min(from.pointer_count()))
        .try_for_each(|index| pointer(from.pointer(index), to.pointer(index)))
}

fn pointer(from: AnyReader<'_>, to: PointerBuilder<'_>) -> Result<(), EncodeError> {
    match from.target() {
        None => Ok(()),
        Some(Target { pointer, .. }) => match pointer.kind() {
            Kind::Struct => structure(&from.structure(), to),
            Kind::List => from.raw_list().map_or(Ok(()), |from| list(&from, to)),
            Kind::Far | Kind::Other => Err(EncodeError::Refused),
        },
    }
}

fn list(from: &RawList<'_>, to: PointerBuilder<'_>) -> Result<(), EncodeError> {
    let (element, ..) = from.layout();
    let count = from.len();
    match element {
        ElementSize::Composite => {
            let (data, pointers) = element_sections(from);
            let mut to = to.structures(count as usize, data, pointers)?;
            if data == 0 && pointers == 0 {
                return Ok(());
            }
            (0..count).try_for_each(|index| fields(&from.structure(index), to.structure(index as usize)))
        }
        ElementSize::Pointer => {
            let mut to = to.list(element, count as usize)?;
            (0..count).try_for_each(|index| pointer(from.pointer(index), to.pointer(index as usize)))
        }
        _ => {
            let bits = u64::from(count) * u64::from(element.data_bits());
            let mut to = to.list(element, count as usize)?;
            let to = to.bytes_mut();
            let (whole, rest) = ((bits / 8) as usize, bits % 8);
            let from = from.bytes();
            to[..whole].copy_from_slice(&from[..whole]);
            if rest > 0 {
                to[whole] = from[whole] & ((1 << rest) - 1);
            }
            Ok(())
        }
    }
}
