//! Deep copies, from any message into one that is being written.
//!
//! Without a schema, so that fields this program does not know are kept. What is copied may be unchecked (Raw): depth and
//! amount are bounded here too.

use super::{
    AnyReader, PointerBuilder, StructBuilder, StructReader,
    arena::Target,
    list::RawList,
    pointer::{ElementSize, Kind},
    walk::{DEPTH_LIMIT, TRAVERSAL_FACTOR},
};
use crate::{Checks, EncodeError, Format, Framing, frame};

/// How many words an object takes and all below it; `usize::MAX` where it cannot be copied.
pub(crate) fn words(from: AnyReader<'_>) -> usize {
    let mut count = Count::new(from.arena().len());
    let done = count.pointer(from);
    count.size(done).map_or(usize::MAX, |size| size.words)
}

/// How many words all objects take that a struct's pointers lead to; `usize::MAX` where they cannot be copied.
pub(crate) fn words_below(from: &StructReader<'_>, pointers: u16) -> usize {
    size_below(from, pointers).map_or(usize::MAX, |size| size.words)
}

/// The size of all objects that a struct's pointers lead to; `None` where they cannot be copied.
fn size_below(from: &StructReader<'_>, pointers: u16) -> Option<Size> {
    let mut count = Count::new(from.arena().len());
    let done = count.pointers(pointers.min(from.pointer_count()), |index| from.pointer(index));
    count.size(done)
}

/// Whether all elements of a list can be visited, and what they lead to: see [`StructReader::is_bounded`].
pub(crate) fn is_list_bounded(from: &RawList<'_>) -> bool {
    let mut count = Count::new(from.arena().len());
    let done = count.list(from);
    count.size(done).is_some_and(|size| size.empties <= count.budget)
}

/// What a copy takes.
struct Size {
    words: usize,
    /// Elements without a size, which take nothing and count against the budget of whoever receives the copy.
    empties: u64,
}

impl Size {
    /// Whether the [walk](super::walk) accepts it below a root struct of so many words: what it visits, elements without a size
    /// among it, must not be more than its budget. In what was received, words that nothing leads to may have bought more.
    fn is_accepted(&self, format: Format, root: usize) -> bool {
        if format.checks == Checks::Lengths {
            return true;
        }
        let visited = (self.words as u64).saturating_add(root as u64);
        let pointer = u64::from(format.framing != Framing::Bare);
        self.empties
            <= visited.saturating_mul(TRAVERSAL_FACTOR - 1).saturating_add(TRAVERSAL_FACTOR * pointer)
    }
}

struct Count {
    /// What an honest message cannot exceed: its objects, each as often as it is pointed to.
    budget: u64,
    /// What is left of it.
    left: u64,
    depth: usize,
    empties: u64,
}

impl Count {
    fn new(words: usize) -> Self {
        let budget = (words as u64).saturating_mul(TRAVERSAL_FACTOR);
        Self { budget, left: budget, depth: DEPTH_LIMIT, empties: 0 }
    }

    fn size(&self, done: Option<()>) -> Option<Size> {
        done?;
        Some(Size { words: usize::try_from(self.budget - self.left).ok()?, empties: self.empties })
    }

    fn charge(&mut self, words: u64) -> Option<()> {
        self.left = self.left.checked_sub(words)?;
        Some(())
    }

    fn pointer(&mut self, from: AnyReader<'_>) -> Option<()> {
        let Some(Target { pointer, .. }) = from.target() else { return Some(()) };
        match pointer.kind() {
            Kind::Struct => {
                self.charge(pointer.struct_words().into())?;
                let structure = from.structure();
                self.pointers(structure.pointer_count(), |index| structure.pointer(index))
            }
            Kind::List => from.raw_list().map_or(Some(()), |list| self.list(&list)),
            Kind::Far | Kind::Other => Some(()),
        }
    }

    fn list(&mut self, list: &RawList<'_>) -> Option<()> {
        let (element, data, pointers) = list.layout();
        if element != ElementSize::Composite {
            self.charge(element.words(list.len()))?;
            if element == ElementSize::Void {
                self.empties += u64::from(list.len());
            }
            let lists = if element == ElementSize::Pointer { list.len() } else { 0 };
            return self.deeper(|count| (0..lists).try_for_each(|index| count.pointer(list.pointer(index))));
        }
        let size = u64::from(data) + u64::from(pointers);
        self.charge(1 + u64::from(list.len()) * size)?;
        if size == 0 {
            self.empties += u64::from(list.len());
        }
        if pointers == 0 {
            return self.deeper(|_| Some(()));
        }
        (0..list.len()).try_for_each(|index| {
            let structure = list.structure(index);
            self.pointers(pointers, |index| structure.pointer(index))
        })
    }

    fn pointers<'a>(&mut self, pointers: u16, at: impl Fn(u16) -> AnyReader<'a>) -> Option<()> {
        self.deeper(|count| (0..pointers).try_for_each(|index| count.pointer(at(index))))
    }

    fn deeper(&mut self, inside: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.depth = self.depth.checked_sub(1)?;
        inside(self)?;
        self.depth += 1;
        Some(())
    }
}

/// Copies an object and all below it.
pub(crate) fn copy(from: AnyReader<'_>, to: PointerBuilder<'_>) -> Result<(), EncodeError> {
    // The count refuses what is too deep or too much; what it has accepted is copied without counting again.
    if words(from) == usize::MAX {
        return Err(EncodeError::TooLarge);
    }
    pointer(from, to)
}

/// Copies a struct's fields into one that may have fewer or more, and all below it. [`words_below`] has counted it.
pub(crate) fn copy_fields(from: &StructReader<'_>, mut to: StructBuilder<'_>) -> Result<(), EncodeError> {
    to.copy_data(from.data_section());
    let pointers = from.pointer_count().min(to.pointer_count());
    (0..pointers).try_for_each(|index| pointer(from.pointer(index), to.pointer(index)))
}

fn pointer(from: AnyReader<'_>, to: PointerBuilder<'_>) -> Result<(), EncodeError> {
    let Some(Target { pointer, .. }) = from.target() else { return Ok(()) };
    match pointer.kind() {
        Kind::Struct => copy_fields(&from.structure(), to.structure(pointer.data(), pointer.pointers())?),
        Kind::List => from.raw_list().map_or(Ok(()), |from| list(&from, to)),
        Kind::Far | Kind::Other => {
            if let Some(index) = from.capability() {
                to.capability(index);
            }
            Ok(())
        }
    }
}

fn list(from: &RawList<'_>, to: PointerBuilder<'_>) -> Result<(), EncodeError> {
    let (element, data, pointers) = from.layout();
    let count = from.len();
    match element {
        ElementSize::Composite if pointers > 0 => {
            let mut to = to.structures(count as usize, data, pointers)?;
            (0..count).try_for_each(|index| copy_fields(&from.structure(index), to.structure(index as usize)))
        }
        ElementSize::Pointer => {
            let mut to = to.list(element, count as usize)?;
            (0..count).try_for_each(|index| pointer(from.pointer(index), to.pointer(index as usize)))
        }
        _ => {
            let mut to = match element {
                ElementSize::Composite => to.structures(count as usize, data, 0)?,
                _ => to.list(element, count as usize)?,
            };
            let bytes = from.bytes();
            let place = to.bytes_mut();
            let length = bytes.len().min(place.len());
            place[..length].copy_from_slice(&bytes[..length]);
            Ok(())
        }
    }
}

/// Views are sent on as they are, with the fields that this program does not know.
impl StructReader<'_> {
    /// How many words of data and pointers a copy has: as many as this struct, or in bare framing as the schema says.
    fn sections(&self, format: Format, data: u16, pointers: u16) -> (u16, u16) {
        if format.framing == Framing::Bare {
            return (data, pointers);
        }
        // A data section has at most 65,535 words.
        let data = u16::try_from(self.data_section().len().div_ceil(8)).unwrap_or(u16::MAX);
        (data, self.pointer_count())
    }

    /// The sections of a copy, and how many words all takes that is below it; `None` if this struct cannot be copied.
    fn measured(&self, format: Format, data: u16, pointers: u16) -> Option<(u16, u16, usize)> {
        let (data, pointers) = self.sections(format, data, pointers);
        let size = size_below(self, pointers)?;
        let root = usize::from(data) + usize::from(pointers);
        size.is_accepted(format, root).then_some((data, pointers, size.words))
    }

    /// How many bytes [`copied`](Self::copied) writes, exactly; `usize::MAX` if this struct cannot be copied.
    pub fn copied_size(&self, format: Format, data: u16, pointers: u16) -> usize {
        let measured = self.measured(format, data, pointers);
        measured.map_or(usize::MAX, |(data, pointers, below)| frame::size(format, data, pointers, below))
    }

    /// Writes a message with this struct as its root; `data` and `pointers` are the sections of the schema's struct.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`] or [`EncodeError::TooLarge`], the latter also for what cannot be copied: an unchecked
    /// struct that is nested too deep, or many times larger than its message because parts of it are shared; and one with more
    /// elements without a size than its receiver would accept in a message that has no words but these.
    pub fn copied(
        &self,
        format: Format,
        data: u16,
        pointers: u16,
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let sections = self.measured(format, data, pointers).ok_or(EncodeError::TooLarge)?;
        frame::write(format, out, sections, |to| copy_fields(self, to))
    }

    /// Whether all that its pointers lead to is no deeper and no more than a check would accept. What was checked is; what a
    /// trusted sender's Raw message leads to may have no end.
    pub fn is_bounded(&self) -> bool {
        let budget = Count::new(self.arena().len()).budget;
        size_below(self, self.pointer_count()).is_some_and(|size| size.empties <= budget)
    }
}
