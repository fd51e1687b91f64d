//! What a message takes and costs, counted while it is written.

use super::{CapabilityIndex, walk::TRAVERSAL_FACTOR};
use crate::{Checks, EncodeError, Format, Framing};

/// What was taken of a segment, and what else its receiver will count.
#[derive(Default)]
pub(crate) struct Used {
    /// Words, from the front.
    pub(crate) words: u32,
    /// Elements without a size: they take no words, and count against the receiver's budget all the same.
    empties: u64,
    /// One more than the largest index of a capability.
    capabilities: u64,
}

impl Used {
    /// So many words are taken from the start.
    #[inline]
    pub(crate) fn words(words: u32) -> Self {
        Self { words, ..Self::default() }
    }

    #[inline]
    pub(super) fn count_empties(&mut self, count: usize) {
        self.empties = self.empties.saturating_add(count as u64);
    }

    /// A capability behind a pointer below which so many levels are left: without one, the `capnp` crate refuses it.
    pub(super) fn count_capability(&mut self, index: CapabilityIndex, levels: u8) {
        self.capabilities = self.capabilities.max(u64::from(index.0) + 1);
        if levels == 0 {
            self.empties = u64::MAX;
        }
    }

    /// Whether the receiver will accept it: what would be refused as an attack there is the caller's mistake here.
    ///
    /// Everything written is counted as if something led to it; a list that was set a second time counts twice.
    #[inline]
    pub(crate) fn check(&self, format: Format) -> Result<(), EncodeError> {
        if self.capabilities > u64::from(format.capabilities) {
            return Err(EncodeError::NoCapability);
        }
        // In front of the root struct stands its pointer, which the walk does not visit.
        let pointer = u64::from(format.framing != Framing::Bare);
        let visited = u64::from(self.words).saturating_sub(pointer).saturating_add(self.empties);
        let budget = u64::from(self.words) * TRAVERSAL_FACTOR;
        if self.empties > 0 && format.checks != Checks::Lengths && visited > budget {
            return Err(EncodeError::TooLarge);
        }
        Ok(())
    }
}
