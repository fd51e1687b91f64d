//! What a domain was told and has not heard yet.

use alloc::collections::VecDeque;

use feuerbird_abi::{UNHEARD_OF, Undone, Upcall, UpcallKind};
use feuerbird_exokernel::Limits;

use crate::memory::object::Memory;

/// A queue of fixed size, which leaves out what a later upcall undoes: a peer that comes and goes, however often, is one word.
///
/// So it has room for all that others can have a domain told ([`Upcall::undoes`]). What a domain has itself told without listening,
/// by making bindings and ending them, can be too much; it is lost then and counted, and the gap in the numbers tells.
pub(crate) struct Upcalls {
    waiting: VecDeque<(Upcall, Option<Memory>)>,
    capacity: usize,
    /// How many that wait could be undone: else none is looked at.
    undoable: usize,
    lost: u64,
}

impl Upcalls {
    /// An empty queue, on the heap.
    pub(crate) fn new(limits: &Limits) -> Self {
        let [slots, bindings, peers] =
            [limits.slots_per_domain, limits.bindings_per_domain, limits.words_per_domain];
        let notices = limits.notices_per_domain;
        let capacity = (2 * slots + 3 * notices + 2 * bindings + 3 * peers) as usize;
        Self { waiting: VecDeque::with_capacity(capacity), capacity, undoable: 0, lost: 0 }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.undoable = 0;
    }

    /// Takes in what is left of an upcall after what it undoes.
    pub(crate) fn push(&mut self, upcall: &Upcall, handle: Option<Memory>) {
        if self.undoable == 0 {
            self.append(upcall, handle);
        } else if let Some(upcall) = self.annul(*upcall) {
            self.append(&upcall, handle);
        }
    }

    fn append(&mut self, upcall: &Upcall, handle: Option<Memory>) {
        if self.waiting.len() == self.capacity {
            self.lost += 1;
            return;
        }
        self.undoable += usize::from(is_undoable(upcall));
        self.waiting.push_back((*upcall, handle));
    }

    /// Has every handle for memory be one for other memory.
    pub(crate) fn replace(&mut self, memory: &Memory, other: &Memory) {
        let handles = self.waiting.iter_mut().filter_map(|(_, handle)| handle.as_mut());
        handles.for_each(|handle| handle.become_other(memory, other));
    }

    /// How many handles for that memory wait.
    pub(crate) fn count(&self, memory: &Memory) -> u32 {
        let handles = self.waiting.iter().filter_map(|(_, handle)| handle.as_ref());
        handles.filter(|handle| handle.is(memory)).count() as u32
    }

    /// How many handles for memory are among them.
    pub(crate) fn references(&self) -> usize {
        self.waiting.iter().filter(|(_, handle)| handle.is_some()).count()
    }

    /// The oldest one.
    pub(crate) fn pop(&mut self) -> Option<(Upcall, Option<Memory>)> {
        let oldest = self.waiting.pop_front()?;
        self.undoable -= usize::from(is_undoable(&oldest.0));
        Some(oldest)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many found no room, of all domains that had this queue.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// What is to be heard of a newer one. Peers that the domain has not heard of are told together as one that left, so that who waits for
    /// them hears that they are gone.
    fn annul(&mut self, newer: Upcall) -> Option<Upcall> {
        if !self.sweep(&newer) {
            return Some(newer);
        }
        let [binding, _, reason, ..] = newer.values;
        let left = UpcallKind::from_number(newer.kind).filter(|kind| *kind == UpcallKind::PeerLeft)?;
        let newer = Upcall::new(left, newer.sequence, &[binding, UNHEARD_OF, reason]);
        self.sweep(&newer);
        Some(newer)
    }

    /// Takes out what a newer one undoes; whether that itself need not be heard.
    fn sweep(&mut self, newer: &Upcall) -> bool {
        let (mut is_pointless, before) = (false, self.waiting.len());
        self.waiting.retain(|(older, _)| match newer.undoes(older) {
            Undone::Not => true,
            // Memory is announced after the peer itself, so that what is still unheard of is known by then.
            Undone::Memory => !is_pointless,
            Undone::InPart => false,
            Undone::Wholly => {
                is_pointless = true;
                false
            }
        });
        self.undoable -= before - self.waiting.len();
        is_pointless
    }
}

/// Whether a later upcall can undo this one: any but what was taken for good, of which a large revocation makes many.
fn is_undoable(upcall: &Upcall) -> bool {
    upcall.kind != UpcallKind::Repossessed as u32
}
