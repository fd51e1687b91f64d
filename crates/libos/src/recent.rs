//! The newest of what happened, in bounded memory.

use alloc::{collections::VecDeque, vec::Vec};

/// Keeps so many values; where there are more, the oldest is counted and dropped.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    kept: VecDeque<T>,
    limit: usize,
    lost: u64,
}

impl<T: Clone> Recent<T> {
    /// Room for `limit` values, at least one, allocated here.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        Self { kept: VecDeque::with_capacity(limit), limit, lost: 0 }
    }

    pub(crate) fn push(&mut self, value: T) {
        if self.kept.len() == self.limit {
            self.kept.pop_front();
            self.lost += 1;
        }
        self.kept.push_back(value);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.kept.pop_front()
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> Vec<T> {
        self.kept.iter().cloned().collect()
    }

    /// How many values had to go unseen.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}
