//! The second LibOS: for threads that loop over tables which do not fit into memory, alone or together.
//!
//! What ordinary kernels do is the worst for these. *Least recently used* gives up the very page that a loop needs soonest, so that with a
//! table of one page more than there are frames every page faults in every pass. *Round robin* has each thread find its pages taken
//! by the others. A kernel cannot know better; this program does, because it knows its loops.

use alloc::collections::VecDeque;
use core::ops::Range;

use crate::os::replacement::{Choice, Replacement, Resident};
use crate::os::schedule::Schedule;
use crate::os::threads::{THREADS, ThreadId};

/// Gives up what is no table of the running thread's first, the oldest of it, and then the page that came last: in a loop, that
/// is the one which is not needed for the longest time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MostRecent;

impl Replacement for MostRecent {
    fn choose(&mut self, frames: &[Resident], working_set: &Range<u32>) -> Choice {
        let numbered = || frames.iter().enumerate();
        let strangers = numbered().filter(|(_, frame)| !working_set.contains(&frame.page));
        let victim = strangers
            .min_by_key(|(_, frame)| frame.since)
            .or_else(|| numbered().max_by_key(|(_, frame)| frame.since));
        Choice::Evict(victim.map_or(0, |(index, _)| index))
    }
}

/// The thread whose table is in memory goes on until it yields, which it does at the end of a batch; the next one is who waits longest.
#[derive(Debug)]
pub(crate) struct ToBatchEnd {
    waiting: VecDeque<ThreadId>,
    /// For how many quanta this one has run.
    quanta: u32,
}

/// A batch of more quanta than this (some ten seconds) is cut: a thread that never yields does not starve the others.
const MOST_QUANTA: u32 = 5000;

impl Default for ToBatchEnd {
    fn default() -> Self {
        Self { waiting: VecDeque::with_capacity(THREADS), quanta: 0 }
    }
}

impl Schedule for ToBatchEnd {
    fn ready(&mut self, thread: ThreadId) {
        self.waiting.push_back(thread);
    }

    fn next(&mut self) -> Option<ThreadId> {
        self.quanta = 0;
        self.waiting.pop_front()
    }

    fn goes_on(&mut self) -> bool {
        self.quanta += 1;
        self.quanta < MOST_QUANTA
    }
}
