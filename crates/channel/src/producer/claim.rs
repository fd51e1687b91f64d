//! Room for a message, and what becomes of it: published, put off, or given back.

use super::Producer;
use crate::{Home, Overflow, PollError, layout::Stamp};
use feuerbird_zero_copy::{
    Kept, WriteRegion,
    sync::{Ordering, fence},
};

/// Room for one message. Dropped without being published, it goes back.
#[derive(Debug)]
pub struct Claim<'p, H: Home> {
    pub(super) producer: &'p mut Producer<H>,
    pub(super) bytes: usize,
    pub(super) kept: Option<Kept>,
}

impl<H: Home> Claim<'_, H> {
    /// The room claimed, in place: eight-byte aligned, holding whatever was there before.
    #[cfg(not(loom))]
    #[inline(always)]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        if self.producer.layout.terms().policy() == Overflow::DropOldest {
            return &mut self.producer.scratch.bytes_mut()[..self.bytes];
        }
        let (start, bytes) = (self.start(), self.bytes);
        // SAFETY: 1. The range is in the layout that the view was made for: `claim` bounded `bytes` by the slot or took a buffer
        // that holds as many. 2. The consumer in this process, if it is in this process, reads a slot only after its stamp, and a
        // buffer only after the stamp that names it (`Consumer::poll`); this slot's stamp is that of a lap before until
        // `announce`, because `has_room` saw that the consumer is past it; a buffer is taken from the free list, to which
        // it came when the consumer returned it. The claim borrows the producer, so there is no second slice.
        unsafe { self.producer.own_words.bytes_mut(start, bytes) }
    }

    /// Has the room claimed filled, and says what `fill` says.
    #[inline(always)]
    pub(crate) fn fill<R>(&mut self, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        #[cfg(not(loom))]
        return fill(self.bytes_mut());
        #[cfg(loom)]
        {
            if self.producer.copies_in() {
                return fill(&mut self.producer.scratch.bytes_mut()[..self.bytes]);
            }
            let (start, bytes) = (self.start(), self.bytes);
            // SAFETY: as for `bytes_mut`.
            unsafe { self.producer.own_words.fill(start, bytes, fill) }
        }
    }

    /// Copies bytes in and publishes them.
    ///
    /// # Errors
    /// Why the lane ended since the claim; nothing was published.
    ///
    /// # Panics
    /// When there are more than were claimed.
    #[inline]
    pub fn publish_copy(self, from: &[u8]) -> Result<(), PollError> {
        assert!(from.len() <= self.bytes, "more bytes than were claimed");
        if self.producer.layout.terms().policy() == Overflow::DropOldest {
            self.producer.check_valid()?;
            return self.replace(from.len(), |region, start, _| region.copy_in(start, from));
        }
        self.producer.memory.region().copy_in(self.start(), from);
        self.publish(from.len())
    }

    /// Publishes the first `bytes` bytes.
    ///
    /// # Errors
    /// Why the lane ended since the claim; nothing was published.
    ///
    /// # Panics
    /// When more than were claimed.
    #[inline(always)]
    pub fn publish(mut self, bytes: usize) -> Result<(), PollError> {
        assert!(bytes <= self.bytes, "more bytes than were claimed");
        self.producer.check_valid()?;
        if self.producer.layout.terms().policy() == Overflow::DropOldest {
            return self.replace(bytes, |region, start, scratch| region.copy_in(start, scratch));
        }
        let kept = self.kept.take();
        let producer = &mut *self.producer;
        match kept {
            None if producer.deferred == 0 => producer.announce(Stamp::new(producer.tail, bytes, false)),
            kept => producer.announce_with_deferred(kept, bytes),
        }
        Ok(())
    }

    /// Copies bytes in and publishes them, of which the last ones name the capabilities that go beside the message. Of a lane that
    /// has ended meanwhile the message is [recovered](Producer::recover) with the rest.
    ///
    /// # Panics
    /// When there are more than were claimed, or where the lane drops its oldest.
    pub(crate) fn publish_with_gifts(mut self, from: &[u8]) {
        assert!(from.len() <= self.bytes && !self.producer.copies_in(), "room that was claimed in place");
        self.producer.memory.region().copy_in(self.start(), from);
        let kept = self.kept.take();
        let producer = &mut *self.producer;
        producer.put_off(kept, from.len());
        let last = &mut producer.stamps[producer.deferred - 1];
        *last = last.with_gifts();
        producer.announce_deferred();
    }

    /// Leaves the first `bytes` bytes where they are, to be published with others by
    /// [`announce_deferred`](Producer::announce_deferred); at once where the lane drops its oldest.
    ///
    /// # Errors
    /// Why the lane ended since the claim; nothing was published.
    ///
    /// # Panics
    /// When more than were claimed.
    #[inline]
    pub fn defer(mut self, bytes: usize) -> Result<(), PollError> {
        if self.producer.layout.terms().policy() == Overflow::DropOldest {
            return self.publish(bytes);
        }
        assert!(bytes <= self.bytes, "more bytes than were claimed");
        self.producer.check_valid()?;
        let kept = self.kept.take();
        self.producer.put_off(kept, bytes);
        Ok(())
    }

    /// As [`defer`](Self::defer), with bytes that are copied in: for models, which see no bytes in place.
    ///
    /// # Errors
    /// As for [`defer`](Self::defer).
    ///
    /// # Panics
    /// When there are more than were claimed.
    #[cfg(loom)]
    pub fn defer_copy(self, from: &[u8]) -> Result<(), PollError> {
        assert!(from.len() <= self.bytes, "more bytes than were claimed");
        if self.producer.copies_in() {
            return self.publish_copy(from);
        }
        self.producer.memory.region().copy_in(self.start(), from);
        self.defer(from.len())
    }

    /// Replaces a slot that the consumer may be reading: a sequence lock, the turn being the sequence (Boehm, "Can seqlocks
    /// get along with programming language memory models?", 2012).
    fn replace(mut self, bytes: usize, fill: impl FnOnce(&H::Writer, usize, &[u8])) -> Result<(), PollError> {
        self.producer.make_room()?;
        let kept = self.kept.take();
        debug_assert!(kept.is_none(), "rings that drop their oldest have no pool");
        let producer = &mut *self.producer;
        let index = producer.tail;
        let region = producer.memory.region();
        region.writable()[producer.layout.stamp_word(index)].store(Stamp::busy(index).0, Ordering::Relaxed);
        // Whoever sees a byte of the new message sees the busy stamp when it looks again.
        fence(Ordering::Release);
        fill(
            region,
            producer.layout.slot_bytes(index),
            &producer.scratch.bytes()[..bytes.min(producer.scratch.bytes().len())],
        );
        producer.announce(Stamp::new(index, bytes, false));
        Ok(())
    }

    #[inline(always)]
    fn start(&self) -> usize {
        match &self.kept {
            None => self.producer.layout.slot_bytes(self.producer.next()),
            Some(kept) => self.producer.buffer_start(kept),
        }
    }
}

impl<H: Home> Drop for Claim<'_, H> {
    #[inline]
    fn drop(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.producer.give_up(kept);
        }
    }
}
