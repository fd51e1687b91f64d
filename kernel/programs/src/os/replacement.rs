//! Which page is given up where another one is needed: the trait, and what ordinary kernels do.

use core::ops::Range;

/// What a policy is told of a frame that has a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resident {
    /// The page in it.
    pub(crate) page: u32,
    /// Whether touching the page makes no fault. Where it does, the page has not been touched since it was [suspected](Choice::Suspect).
    pub(crate) is_mapped: bool,
    /// Whether the page would have to be written back.
    pub(crate) is_dirty: bool,
    /// A count that grows: when the page came.
    pub(crate) since: u64,
}

/// What a policy wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The page of this frame is given up.
    Evict(usize),
    /// The page of this frame is unmapped, and stays: whether it is touched from now on shows whether it is in use. The processor's own
    /// mark for that is in page tables, which no domain reads.
    Suspect(usize),
}

/// A policy of replacement.
pub(crate) trait Replacement: Send {
    /// Chooses among frames that all have a page; asked again after each suspicion. `working_set` are the pages of the thread that runs.
    fn choose(&mut self, frames: &[Resident], working_set: &Range<u32>) -> Choice;
}

/// Second chance, which is an approximation of least recently used (Corbató's clock, 1968): a hand goes round the frames, suspects the
/// page that it meets, and gives it up when it meets it again untouched.
#[derive(Debug, Default)]
pub(crate) struct SecondChance {
    hand: usize,
}

impl Replacement for SecondChance {
    fn choose(&mut self, frames: &[Resident], _: &Range<u32>) -> Choice {
        let met = self.hand % frames.len();
        self.hand = met + 1;
        if frames[met].is_mapped { Choice::Suspect(met) } else { Choice::Evict(met) }
    }
}
