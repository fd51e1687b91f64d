//! Lanes on their way from whoever made them to their endpoint.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};

use feuerbird_zero_copy::sync::{AtomicU64, Ordering};
#[cfg(not(loom))]
use spin::Mutex;

#[cfg(loom)]
use self::modelled::Mutex;

/// Lanes that wait until their endpoint's owner looks, oldest first.
///
/// # Locking
/// A spin lock, for one edit. The endpoint does not wait for it: lanes that it cannot have now come with its next look, and it is never
/// told that there are none while somebody else has them in hand.
#[derive(Debug)]
pub struct Arriving<L> {
    lanes: Mutex<VecDeque<L>>,
    /// How many there are, for whoever only wants to know whether it is worth looking.
    count: AtomicU64,
    /// How many are being made.
    expected: Arc<AtomicU64>,
}

/// A lane that is being made: while this is kept, its endpoint does not say that everybody is gone.
#[derive(Debug)]
pub struct Expected(Arc<AtomicU64>);

impl Drop for Expected {
    fn drop(&mut self) {
        // Whoever sees that it is expected no more sees the lane.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl<L> Default for Arriving<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L> Arriving<L> {
    /// None.
    pub fn new() -> Self {
        Self {
            lanes: Mutex::new(VecDeque::new()),
            count: AtomicU64::new(0),
            expected: Arc::new(AtomicU64::new(0)),
        }
    }

    /// A lane is being made. The result is to be dropped when it has been pushed, or comes to nothing.
    pub fn expect(&self) -> Expected {
        self.expected.fetch_add(1, Ordering::Relaxed);
        Expected(Arc::clone(&self.expected))
    }

    /// Whether there are none, and none are being made.
    #[doc(hidden)] // public for the models
    pub fn is_over(&self) -> bool {
        // In this order: one that is expected no more has been pushed.
        self.expected.load(Ordering::Acquire) == 0 && self.is_empty()
    }

    /// Puts a lane behind the others.
    pub fn push(&self, lane: L) {
        let mut lanes = self.lanes.lock();
        lanes.push_back(lane);
        self.count.store(lanes.len() as u64, Ordering::Release);
    }

    /// The oldest, if there is one and nobody else edits.
    #[doc(hidden)] // public for the models
    pub fn pop(&self) -> Option<L> {
        let mut lanes = self.lanes.try_lock()?;
        let lane = lanes.pop_front();
        self.count.store(lanes.len() as u64, Ordering::Release);
        lane
    }

    /// Whether there are none. One relaxed load's cost.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Takes out those that are of no more use, and counts, of the others, all and those with a certain property. What was taken out is
    /// dropped by the caller, outside the lock.
    pub fn sort_out(
        &self,
        mut is_useless: impl FnMut(&L) -> bool,
        mut is_counted: impl FnMut(&L) -> bool,
    ) -> (Vec<L>, usize, usize) {
        let mut lanes = self.lanes.lock();
        let all = core::mem::take(&mut *lanes).into_iter();
        let (useless, left): (Vec<_>, Vec<_>) = all.partition(|lane| is_useless(lane));
        *lanes = left.into();
        self.count.store(lanes.len() as u64, Ordering::Release);
        let counted = lanes.iter().filter(|lane| is_counted(lane)).count();
        (useless, lanes.len(), counted)
    }
}

/// The same lock, as the models see it.
#[cfg(loom)]
mod modelled {
    #[derive(Debug)]
    pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(|error| error.into_inner())
        }

        pub(super) fn try_lock(&self) -> Option<loom::sync::MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_hand_is_not_gone() {
        let arriving = Arriving::new();
        (0..5).for_each(|lane| arriving.push(lane));
        let seen = |_: &i32| {
            assert!(
                !arriving.is_empty() && arriving.pop().is_none(),
                "the owner neither waits nor believes it"
            );
            false
        };
        assert_eq!(arriving.sort_out(seen, |lane| lane % 2 == 0), (alloc::vec![], 5, 3));
        assert_eq!(arriving.sort_out(|lane| lane % 2 == 0, |_| true), (alloc::vec![0, 2, 4], 2, 2));
        assert_eq!([arriving.pop(), arriving.pop(), arriving.pop()], [Some(1), Some(3), None]);
        assert!(arriving.is_empty());
    }

    #[test]
    fn nobody_is_gone_while_a_lane_is_made() {
        let arriving = Arriving::new();
        let (first, second) = (arriving.expect(), arriving.expect());
        assert!(arriving.is_empty() && !arriving.is_over());
        arriving.push(1);
        drop(first);
        assert_eq!((arriving.pop(), arriving.is_over()), (Some(1), false));
        drop(second);
        assert!(arriving.is_over());
    }
}
