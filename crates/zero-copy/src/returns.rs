//! The way back: which buffers a reader is done with.
//!
//! One word per return, in memory that only the reader writes. The owner goes by stamps (see `layout`), keeps its own
//! position, and lets its [`Pool`](crate::Pool) judge every id: the ring needs no trust.

use crate::{BufferId, Region, ReleaseError, WriteRegion, layout::ReturnStamp, sync::Ordering};

/// The reader's end of a return ring.
#[derive(Debug)]
pub struct ReturnWriter {
    ring: Ring,
    next: u64,
}

/// The owner's end of a return ring.
#[derive(Debug)]
pub struct ReturnReader {
    ring: Ring,
    next: u64,
}

/// Private copy of where the ring lies.
#[derive(Clone, Copy, Debug)]
struct Ring {
    first_word: usize,
    mask: u64,
}

impl Ring {
    /// `places` is a power of two.
    fn new(offset: usize, places: u32) -> Self {
        assert!(offset.is_multiple_of(8) && places.is_power_of_two(), "a ring of 2^n words");
        Self { first_word: offset / 8, mask: u64::from(places) - 1 }
    }

    #[inline]
    fn word(self, index: u64) -> usize {
        self.first_word + (index & self.mask) as usize
    }
}

impl ReturnWriter {
    /// A ring of `places` words from byte `offset` of the reader's region.
    ///
    /// # Panics
    /// When `places` is not a power of two or `offset` not a multiple of 8.
    pub fn new(offset: usize, places: u32) -> Self {
        Self { ring: Ring::new(offset, places), next: 0 }
    }

    /// Says that a buffer is no longer needed.
    ///
    /// The ring has a place for every buffer there is, so a reader that returns only what it holds never overtakes the
    /// owner.
    #[inline]
    pub fn push(&mut self, region: &impl WriteRegion, id: BufferId) {
        let word = &region.writable()[self.ring.word(self.next)];
        // Pairs with the acquire load in `ReturnReader::pop`: what was read from the buffer was read before this.
        word.store(ReturnStamp::new(self.next, id).0, Ordering::Release);
        self.next += 1;
    }
}

impl ReturnReader {
    /// A ring of `places` words from byte `offset` of the reader's region, as mapped by the owner.
    ///
    /// # Panics
    /// When `places` is not a power of two or `offset` not a multiple of 8.
    pub fn new(offset: usize, places: u32) -> Self {
        Self { ring: Ring::new(offset, places), next: 0 }
    }

    /// Takes the next return, if there is one. What it says is not checked: give it to
    /// [`Pool::release`](crate::Pool::release).
    ///
    /// # Errors
    /// [`ReleaseError::BadStamp`] where the word is neither the expected next one nor the one of a lap before.
    #[inline]
    pub fn pop(&mut self, region: &impl Region) -> Result<Option<BufferId>, ReleaseError> {
        // Pairs with the release store in `ReturnWriter::push`.
        let stamp = ReturnStamp(region.words().load_acquire(self.ring.word(self.next)));
        let turn = ReturnStamp::turn(self.next);
        if stamp.0 as u32 == turn {
            self.next += 1;
            return Ok(Some(stamp.id()));
        }
        let places = self.ring.mask + 1;
        let lap_before = if self.next < places { 0 } else { ReturnStamp::turn(self.next - places) };
        if stamp.0 as u32 == lap_before { Ok(None) } else { Err(ReleaseError::BadStamp) }
    }
}
