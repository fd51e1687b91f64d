//! The check of every pointer before anything is read: eager, without a schema, without recursion.
//!
//! Every object must lie inside of its segment, and the sum of the sizes of all objects, each counted as often as it is
//! pointed to, must stay within [`TRAVERSAL_FACTOR`] times the message. That bounds what any later reader can visit, and
//! it bounds the walk itself: cycles and shared objects use up the budget.

use super::pointer::{ElementSize, Kind, Pointer};
use super::segments::Segments;
use crate::DecodeError;

/// How deep pointers may be nested, the root being 1. Cap'n Proto's own default.
pub const DEPTH_LIMIT: usize = 64;

/// How many times the size of a message its objects may add up to. An honest message without lists of nothing needs 1.
pub const TRAVERSAL_FACTOR: u64 = 4;

/// Checks all pointers that can be reached from the root, the first word of segment 0. `capabilities` came beside the message.
#[inline]
pub(crate) fn check(segments: impl Segments, capabilities: u32) -> Result<(), DecodeError> {
    let budget = segments.total().saturating_mul(TRAVERSAL_FACTOR);
    let mut walk = Walk { segments, budget, capabilities };
    let root = walk.visit(0, 0)?;
    walk.below(root)
}

/// Checks a root struct whose pointer counts from word `base` of segment 0, and all below it; says where the struct begins.
#[inline]
pub(crate) fn check_struct(
    segments: impl Segments,
    capabilities: u32,
    base: u32,
    pointer: Pointer,
) -> Result<u32, DecodeError> {
    let budget = segments.total().saturating_mul(TRAVERSAL_FACTOR);
    let mut walk = Walk { segments, budget, capabilities };
    let start = walk.extent(0, base.into(), pointer.offset(), pointer.struct_words().into())?;
    if pointer.pointers() > 0 {
        walk.below(Some(Frame::of_struct(0, start, pointer)))?;
    }
    Ok(start)
}

/// The pointers of one object that are still to be visited.
///
/// They lie in `elements + 1` runs of `pointers` words, with `data` words between the runs. All of them are inside of the
/// segment: [`Walk::object`] has seen to that.
#[derive(Clone, Copy)]
struct Frame {
    segment: u32,
    /// The word of the next pointer.
    at: u32,
    /// Pointers left in this run.
    left: u32,
    /// Runs left behind this one.
    elements: u32,
    /// Words between two runs.
    data: u16,
    /// Pointers in each run behind this one.
    pointers: u16,
}

impl Frame {
    /// The pointers of a struct that begins at a word.
    #[inline(always)]
    fn of_struct(segment: u32, start: u32, pointer: Pointer) -> Self {
        let (data, pointers) = (pointer.data(), pointer.pointers());
        Self { segment, at: start + u32::from(data), left: pointers.into(), elements: 0, data, pointers }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        if self.left == 0 {
            self.elements = self.elements.checked_sub(1)?;
            self.at += u32::from(self.data);
            self.left = u32::from(self.pointers);
        }
        self.left -= 1;
        self.at += 1;
        Some(self.at - 1)
    }
}

struct Walk<S> {
    segments: S,
    /// How many words may still be visited.
    budget: u64,
    /// Capability pointers have indices below this.
    capabilities: u32,
}

impl<S: Segments> Walk<S> {
    /// Visits everything below the root. Most messages end one level below it, and need no stack.
    #[inline(always)]
    fn below(&mut self, root: Option<Frame>) -> Result<(), DecodeError> {
        let Some(mut root) = root else { return Ok(()) };
        while let Some(at) = root.next() {
            if let Some(child) = self.visit(root.segment, at)? {
                self.descend(child)?;
            }
        }
        Ok(())
    }

    /// Visits everything below `first`, which is one level below the root.
    #[inline(never)]
    fn descend(&mut self, first: Frame) -> Result<(), DecodeError> {
        let mut stack = [first; DEPTH_LIMIT - 1];
        let mut depth = 1_usize;
        while let Some(frame) = depth.checked_sub(1).and_then(|top| stack.get_mut(top)) {
            let Some(at) = frame.next() else {
                depth -= 1;
                continue;
            };
            let segment = frame.segment;
            // Anything below the last level is too deep, also what has no pointers: the `capnp` crate counts that, and so does a copy.
            if depth == stack.len() && self.word(segment, at)? != 0 {
                return Err(DecodeError::TooDeep);
            }
            if let Some(child) = self.visit(segment, at)? {
                *stack.get_mut(depth).ok_or(DecodeError::TooDeep)? = child;
                depth += 1;
            }
        }
        Ok(())
    }

    /// Checks the pointer at a word and what it leads to; the frame is what is left to visit there.
    #[inline(always)]
    fn visit(&mut self, segment: u32, at: u32) -> Result<Option<Frame>, DecodeError> {
        let pointer = Pointer(self.word(segment, at)?);
        match pointer.kind() {
            _ if pointer.is_null() => Ok(None),
            Kind::Struct => self.structure(segment, i64::from(at) + 1, pointer),
            Kind::List => self.list(segment, i64::from(at) + 1, pointer),
            Kind::Far if S::FAR => self.far(pointer),
            Kind::Far | Kind::Other => self.capability(pointer),
        }
    }

    #[cold]
    fn capability(&mut self, pointer: Pointer) -> Result<Option<Frame>, DecodeError> {
        match pointer.capability() {
            Some(index) if index < self.capabilities => Ok(None),
            _ => Err(DecodeError::WrongPointer),
        }
    }

    /// Follows a far pointer over its landing pad. Pads that lead to further pads, or whose tag says anything but what the
    /// object is, are refused: the implementations in use do not agree on them.
    #[cold]
    fn far(&mut self, far: Pointer) -> Result<Option<Frame>, DecodeError> {
        let (segment, at) = (far.segment(), far.pad());
        let pad = Pointer(self.word(segment, at)?);
        self.charge(1)?;
        if !far.is_double() {
            return self.object(segment, i64::from(at) + 1, pad);
        }
        let tag = Pointer(self.word(segment, at.checked_add(1).ok_or(DecodeError::OutOfBounds)?)?);
        self.charge(1)?;
        if pad.kind() != Kind::Far || pad.is_double() || tag.offset() != 0 {
            return Err(DecodeError::WrongPointer);
        }
        self.object(pad.segment(), i64::from(pad.pad()), tag)
    }

    /// Checks a struct or list, and nothing else, behind a landing pad.
    fn object(&mut self, segment: u32, base: i64, pointer: Pointer) -> Result<Option<Frame>, DecodeError> {
        match pointer.kind() {
            Kind::Struct if !pointer.is_null() => self.structure(segment, base, pointer),
            Kind::List => self.list(segment, base, pointer),
            _ => Err(DecodeError::WrongPointer),
        }
    }

    /// Checks a struct whose pointer counts from word `base`.
    #[inline(always)]
    fn structure(&mut self, segment: u32, base: i64, pointer: Pointer) -> Result<Option<Frame>, DecodeError> {
        let start = self.extent(segment, base, pointer.offset(), pointer.struct_words().into())?;
        Ok((pointer.pointers() > 0).then_some(Frame::of_struct(segment, start, pointer)))
    }

    /// Checks a list whose pointer counts from word `base`.
    #[inline(always)]
    fn list(&mut self, segment: u32, base: i64, pointer: Pointer) -> Result<Option<Frame>, DecodeError> {
        let (element, count) = (pointer.element(), pointer.count());
        if element == ElementSize::Composite {
            let start = self.extent(segment, base, pointer.offset(), u64::from(count) + 1)?;
            return self.composite(segment, start, count);
        }
        let start = self.extent(segment, base, pointer.offset(), element.words(count))?;
        match element {
            // Elements without a size: a loop over them costs, although there is nothing to see.
            ElementSize::Void => self.charge(count.into())?,
            ElementSize::Pointer if count > 0 => {
                return Ok(Some(Frame {
                    segment,
                    at: start,
                    left: count,
                    elements: 0,
                    data: 0,
                    pointers: 0,
                }));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Checks a list of structs, whose tag is at `start` and whose elements take `words` words behind it. A tag of zeros
    /// means no elements, of no size.
    #[inline(never)]
    fn composite(&mut self, segment: u32, start: u32, words: u32) -> Result<Option<Frame>, DecodeError> {
        let tag = Pointer(self.word(segment, start)?);
        if tag.kind() != Kind::Struct {
            return Err(DecodeError::WrongPointer);
        }
        let elements = u32::try_from(tag.offset()).map_err(|_| DecodeError::OutOfBounds)?;
        let (data, pointers) = (tag.data(), tag.pointers());
        let size = u64::from(tag.struct_words());
        if size == 0 {
            self.charge(elements.into())?;
        }
        if u64::from(elements) * size > u64::from(words) {
            return Err(DecodeError::OutOfBounds);
        }
        if elements == 0 || pointers == 0 {
            return Ok(None);
        }
        let at = start + 1 + u32::from(data);
        Ok(Some(Frame { segment, at, left: pointers.into(), elements: elements - 1, data, pointers }))
    }

    /// The first word of an object of so many words, if all of it is inside of the segment and the budget.
    #[inline(always)]
    fn extent(&mut self, segment: u32, base: i64, offset: i32, words: u64) -> Result<u32, DecodeError> {
        let length = self.segments.words(segment).ok_or(DecodeError::OutOfBounds)?.len() as u64;
        let start = u64::try_from(base + i64::from(offset)).map_err(|_| DecodeError::OutOfBounds)?;
        if start > length || words > length - start {
            return Err(DecodeError::OutOfBounds);
        }
        self.charge(words)?;
        u32::try_from(start).map_err(|_| DecodeError::OutOfBounds)
    }

    #[inline(always)]
    fn charge(&mut self, words: u64) -> Result<(), DecodeError> {
        self.budget = self.budget.checked_sub(words).ok_or(DecodeError::Amplified)?;
        Ok(())
    }

    #[inline(always)]
    fn word(&self, segment: u32, at: u32) -> Result<u64, DecodeError> {
        let words = self.segments.words(segment).ok_or(DecodeError::OutOfBounds)?;
        let word = usize::try_from(at).ok().and_then(|at| words.get(at)).ok_or(DecodeError::OutOfBounds)?;
        Ok(u64::from_le_bytes(*word))
    }
}
