//! Which thread runs: the trait, and what ordinary kernels do.

use alloc::collections::VecDeque;

use crate::os::threads::{THREADS, ThreadId};

/// A policy of scheduling. Each thread that can run and does not is the policy's to keep.
pub(crate) trait Schedule: Send {
    /// This one can run from now on.
    fn ready(&mut self, thread: ThreadId);

    /// Gives back one that is to run.
    fn next(&mut self) -> Option<ThreadId>;

    /// The thread that runs has run for a quantum: whether it goes on.
    fn goes_on(&mut self) -> bool;
}

/// Each in turn, for one quantum.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    waiting: VecDeque<ThreadId>,
}

impl Default for RoundRobin {
    fn default() -> Self {
        // The handler does not allocate.
        Self { waiting: VecDeque::with_capacity(THREADS) }
    }
}

impl Schedule for RoundRobin {
    fn ready(&mut self, thread: ThreadId) {
        self.waiting.push_back(thread);
    }

    fn next(&mut self) -> Option<ThreadId> {
        self.waiting.pop_front()
    }

    fn goes_on(&mut self) -> bool {
        false
    }
}
