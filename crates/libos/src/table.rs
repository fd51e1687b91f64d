//! The bindings of a domain, and what the kernel says about bindings whose reply is still on its way.
//!
//! # Locking
//! The table lies behind a spin lock, so that nothing here may wait: every method is an edit of a few hundred nanoseconds.
//! System calls, making and mapping memory, attaching lanes and dropping any of them happen outside, with what the edit
//! returned. A home whose supervisor stands still therefore blocks who called it, and nobody else.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use feuerbird_abi::Upcall;

use crate::{Annulled, Gate, annul, binding::Binding};

/// An upcall, with the handle that came beside it.
pub(crate) type Told<G> = (Upcall, Option<<G as Gate>::Handle>);

/// What becomes of an upcall.
pub(crate) enum Admitted<G: Gate> {
    /// It is its turn.
    Now(Told<G>),
    /// It waits, or came to nothing; these are of no more use, to be dropped outside the lock.
    Later(Vec<Told<G>>),
}

/// One call to bind that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asking(u64);

/// What a domain has bound.
pub(crate) struct Table<G: Gate> {
    bindings: BTreeMap<u64, Binding<G>>,
    /// The kernel pairs a new binding before it answers, so the first upcalls about it come before its number is known
    /// here. Each is kept as long as a call runs that had begun when it came: its binding may be that call's.
    early: VecDeque<(Asking, Told<G>)>,
    asking: BTreeSet<Asking>,
    last: Asking,
}

impl<G: Gate> Table<G> {
    pub(crate) fn new() -> Self {
        let (bindings, early, asking) = (BTreeMap::new(), VecDeque::new(), BTreeSet::new());
        Self { bindings, early, asking, last: Asking(0) }
    }

    /// A call to bind begins.
    pub(crate) fn begin(&mut self) -> Asking {
        self.last.0 += 1;
        self.asking.insert(self.last);
        self.last
    }

    /// It is answered: the binding is known, and what came early waits in it for [`next_early`](Self::next_early). Returns
    /// what can concern nobody any more, to be dropped outside the lock.
    #[must_use]
    pub(crate) fn install(&mut self, asking: Asking, number: u64, mut binding: Binding<G>) -> Vec<Told<G>> {
        let (own, others) = self.early.drain(..).partition(|(_, (upcall, _))| upcall.values[0] == number);
        let own: VecDeque<(Asking, Told<G>)> = own;
        self.early = others;
        binding.backlog = Some(own.into_iter().map(|(_, told)| told).collect());
        self.bindings.insert(number, binding);
        self.end(asking)
    }

    /// It is refused, or answered and done with. Returns what can concern nobody any more.
    #[must_use]
    pub(crate) fn end(&mut self, asking: Asking) -> Vec<Told<G>> {
        self.asking.remove(&asking);
        let oldest = self.asking.first().copied();
        let (kept, stale): (VecDeque<_>, VecDeque<_>) =
            self.early.drain(..).partition(|(last, _)| oldest.is_some_and(|oldest| oldest <= *last));
        self.early = kept;
        stale.into_iter().map(|(_, told)| told).collect()
    }

    /// Takes in an upcall about a binding, to be acted on now or in its turn.
    pub(crate) fn admit(&mut self, told: Told<G>) -> Admitted<G> {
        match self.bindings.get_mut(&told.0.values[0]) {
            Some(Binding { backlog: Some(backlog), .. }) => {
                let Annulled { newer, removed } = annul(backlog, &told.0, |(older, _)| Some(*older));
                backlog.extend(newer.map(|newer| (newer, told.1)));
                Admitted::Later(removed)
            }
            None if !self.asking.is_empty() => {
                let Annulled { newer, removed } =
                    annul(&mut self.early, &told.0, |(_, (older, _))| Some(*older));
                self.early.extend(newer.map(|newer| (self.last, (newer, told.1))));
                Admitted::Later(removed.into_iter().map(|(_, told)| told).collect())
            }
            _ => Admitted::Now(told),
        }
    }

    /// The next upcall that came early for a binding. When there is none left, later ones are acted on as they come.
    pub(crate) fn next_early(&mut self, number: u64) -> Option<Told<G>> {
        let binding = self.bindings.get_mut(&number)?;
        let next = binding.backlog.as_mut()?.pop_front();
        if next.is_none() {
            binding.backlog = None;
        }
        next
    }

    pub(crate) fn binding(&mut self, number: u64) -> Option<&mut Binding<G>> {
        self.bindings.get_mut(&number)
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Binding<G>> {
        self.bindings.remove(&number)
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Binding<G>> {
        self.bindings.values_mut()
    }
}
