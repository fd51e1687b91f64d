//! The words of a message, whether they lie in one segment or in many.

use super::arena::Words;

/// Where the pointers of a message may lead.
pub(crate) trait Segments: Copy {
    /// Whether pointers may lead from one segment to another.
    const FAR: bool;

    /// The words of a segment, if there is one with this number.
    fn words(&self, segment: u32) -> Option<Words<'_>>;

    /// How many words there are in all segments.
    fn total(&self) -> u64;
}

/// The only segment of a Lite message.
#[derive(Clone, Copy)]
pub(crate) struct Single<'a>(pub(crate) Words<'a>);

impl Segments for Single<'_> {
    const FAR: bool = false;

    #[inline]
    fn words(&self, segment: u32) -> Option<Words<'_>> {
        (segment == 0).then_some(self.0)
    }

    #[inline]
    fn total(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The segments of a Full message.
#[derive(Clone, Copy)]
pub(crate) struct Many<'a>(pub(crate) &'a [&'a [u8]]);

impl Segments for Many<'_> {
    const FAR: bool = true;

    #[inline]
    fn words(&self, segment: u32) -> Option<Words<'_>> {
        Some(self.0.get(usize::try_from(segment).ok()?)?.as_chunks().0)
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|segment| (segment.len() / 8) as u64).sum()
    }
}
