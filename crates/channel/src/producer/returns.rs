//! Which message is in each buffer, so that a buffer comes back when its message was taken, and not before.
//!
//! A consumer returns a buffer just before it takes the message, and may be killed in between: then the message is another one's, and
//! must be in its buffer still. A hostile one returns what it likes.

use alloc::{vec, vec::Vec};

use feuerbird_zero_copy::{BufferId, Region, ReleaseError, ReturnReader};

/// What the peer returns, as the producer believes it.
#[derive(Debug)]
pub(super) struct Returns {
    ring: ReturnReader,
    /// By the number of a buffer: the index of the message that was last in it.
    messages: Vec<u64>,
    /// Was returned before its message was taken. What is behind it waits, too.
    early: Option<BufferId>,
}

impl Returns {
    pub(super) fn new(ring: ReturnReader, buffers: u32) -> Self {
        Self { ring, messages: vec![0; buffers as usize], early: None }
    }

    /// Says that a message is in a buffer.
    pub(super) fn fill(&mut self, id: BufferId, message: u64) {
        if let Some(place) = self.messages.get_mut(id.0 as usize) {
            *place = message;
        }
    }

    /// The next buffer that was returned, and its message, which was taken if it is below the consumer's position. Give it
    /// [back](Self::put_back) otherwise.
    ///
    /// # Errors
    /// As [`ReturnReader::pop`].
    pub(super) fn next(&mut self, peer: &impl Region) -> Result<Option<(BufferId, u64)>, ReleaseError> {
        let id = match self.early.take() {
            Some(id) => Some(id),
            None => self.ring.pop(peer)?,
        };
        // One that is none of the pool's is refused by that.
        Ok(id.map(|id| (id, self.messages.get(id.0 as usize).copied().unwrap_or(0))))
    }

    pub(super) fn put_back(&mut self, id: BufferId) {
        self.early = Some(id);
    }
}
