//! Whether a pair of bindings still holds.

use alloc::sync::Arc;

use feuerbird_zero_copy::{
    Region,
    sync::{AtomicU64, Ordering, fence},
};

use crate::{Lie, PollError, view::View};

/// Why a pair ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Ended {
    /// The peer closed its side.
    Unbound = 1,
    /// The peer's domain ended.
    Died = 2,
    /// The authority behind the pair was revoked.
    Revoked = 3,
}

/// How a pair stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Valid,
    /// It ended, and why is not known here yet: nothing may be done with it.
    Ending,
    /// It ended.
    Over(Ended),
}

/// What an operation on a lane in this standing says, where it has nothing better. A lane that holds and gives nothing more was
/// closed.
impl From<Standing> for PollError {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Over(Ended::Revoked) => Self::Revoked,
            Standing::Ending => Self::Ending,
            Standing::Over(Ended::Unbound | Ended::Died) | Standing::Valid => Self::Disconnected,
        }
    }
}

/// A pair's validity: a word that only the kernel side writes, and the reason, which it tells later.
///
/// One relaxed load per look. The word is what makes a revocation take effect in every domain at once, without its help.
#[derive(Debug)]
pub struct Validity<R> {
    /// The word, in `table`; where there is no table, `reason`, so that every look is at one.
    word: View,
    /// What the low half of the word has to be.
    value: u32,
    table: Option<(Arc<R>, usize)>,
    /// 0, then the number of an [`Ended`], for good. Written by whoever hears first.
    reason: Arc<AtomicU64>,
}

impl<R: Region> Validity<R> {
    /// Valid as long as the low half of word `index` of `table` is `value`. `None` where there is no such word.
    pub fn new(table: Arc<R>, index: usize, value: u32) -> Option<Self> {
        if index >= table.words().len() {
            return None;
        }
        Some(Self::with_word(table, index, value, Arc::new(AtomicU64::new(0))))
    }

    /// Of a word that is there.
    fn with_word(table: Arc<R>, index: usize, value: u32, reason: Arc<AtomicU64>) -> Self {
        // SAFETY: the region goes into the same struct, behind an `Arc`.
        let word = unsafe { View::of_word(&*table, index) };
        Self { word, value, table: Some((table, index)), reason }
    }

    /// Valid until [`end`](Self::end) is called: for both sides in one domain.
    pub fn unconditional() -> Self {
        Self::with_reason(Arc::new(AtomicU64::new(0)))
    }

    fn with_reason(reason: Arc<AtomicU64>) -> Self {
        // SAFETY: the word goes into the same struct, behind an `Arc`.
        let word = unsafe { View::of_atomic(&reason) };
        Self { word, value: 0, table: None, reason }
    }

    /// A second view of the same pair, for whoever hears the kernel.
    pub fn share(&self) -> Self {
        let reason = Arc::clone(&self.reason);
        match &self.table {
            Some((table, index)) => Self::with_word(Arc::clone(table), *index, self.value, reason),
            None => Self::with_reason(reason),
        }
    }

    /// Tells why the pair ended. The first reason stays.
    pub fn end(&self, reason: Ended) {
        let _ = self.reason.compare_exchange(0, reason as u64, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whether the pair holds.
    #[inline]
    pub fn is_valid(&self) -> bool {
        // SAFETY: the view is of this one word.
        let holds = unsafe { self.word.load(0) } as u32 == self.value;
        holds && self.reason.load(Ordering::Relaxed) == 0
    }

    /// Whether the pair ended, and why is not known here yet.
    pub fn is_ending(&self) -> bool {
        self.standing() == Standing::Ending
    }

    /// How the pair stands.
    #[inline]
    pub fn standing(&self) -> Standing {
        if self.is_valid() {
            return Standing::Valid;
        }
        match self.reason.load(Ordering::Acquire) {
            0 => Standing::Ending,
            1 => Standing::Over(Ended::Unbound),
            2 => Standing::Over(Ended::Died),
            _ => Standing::Over(Ended::Revoked),
        }
    }

    /// Whether nothing of the pair's may be taken any more, even of what was published before it ended.
    #[inline]
    pub(crate) fn is_barred(&self) -> bool {
        !self.is_valid() && matches!(self.standing(), Standing::Ending | Standing::Over(Ended::Revoked))
    }

    /// What is said of a peer whose memory holds what no peer writes: that it lied, or how the pair stands where its memory may have
    /// been withdrawn.
    ///
    /// Withdrawn memory reads as zeroes, from any moment between a look at the word and the look at the memory: so the word is asked
    /// again once the memory was read. It changes before memory is withdrawn.
    #[cold]
    pub(crate) fn judge(&self, lie: Lie) -> PollError {
        // The look at the word is not to come before that at the memory.
        fence(Ordering::Acquire);
        if self.is_barred() { self.standing().into() } else { PollError::PeerMisbehaved(lie) }
    }
}
