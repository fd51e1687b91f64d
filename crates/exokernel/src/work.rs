//! Unfinished work, done in bounded steps: bindings ended, domains taken down, revocations swept and enforced.

use feuerbird_abi::{AuditKind, NO_BINDING, Reason, Role, Upcall, UpcallKind};
use feuerbird_capability::{Object, Slot};

use crate::audit::Event;
use crate::binding::{Binding, Chain, Ending, State};
use crate::table::Id;
use crate::words::ValidWord;
use crate::{DomainId, Kernel, Machine};

/// How many pairs end in the call that ends their binding; the others follow.
const PAIRS_AT_ONCE: u32 = 8;

/// What follows when memory has been withdrawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// The holder of a capability that was revoked hears of it.
    Tell { holder: DomainId, slot: Slot, object: Object },
    /// So does whoever had notice, if it was taken by force, and the revocation.
    EndNotice(Id, Ending),
}

impl<M: Machine> Kernel<M> {
    /// Does a bounded part of what there is to do.
    pub(crate) fn work(&mut self, now: u64) {
        self.do_steps(self.limits.steps_per_call, now);
    }

    /// As [`work`](Self::work), in the call that has begun a revocation: that was a step.
    pub(crate) fn work_on(&mut self, now: u64) {
        self.do_steps(self.limits.steps_per_call.saturating_sub(1), now);
    }

    #[inline(never)]
    fn do_steps(&mut self, steps: u32, now: u64) {
        for _ in 0..steps.max(1) {
            if !self.step(now) {
                break;
            }
        }
        self.answer_revocations();
    }

    /// Whether nothing is left to do but wait for deadlines.
    pub(crate) fn is_quiet(&self) -> bool {
        self.doomed.is_empty()
            && !self.machine.is_withdrawing()
            && self.ending.is_empty()
            && self.capabilities.is_swept()
            && self.sweeping.is_none()
    }

    /// One constant step. What peers wait for comes first. Whether there was something to do.
    fn step(&mut self, now: u64) -> bool {
        self.withdraw_some()
            || self.end_doomed()
            || self.take_down_domain()
            || self.sweep(now)
            || self.expire_one(now)
    }

    #[inline]
    fn withdraw_some(&mut self) -> bool {
        let is_left = self.machine.is_withdrawing();
        if is_left {
            self.machine.go_on();
            if !self.machine.is_withdrawing()
                && let Some(then) = self.then.take()
            {
                self.follow(then);
            }
        }
        is_left
    }

    /// Has nobody lose memory any more who had it: before somebody else has it.
    #[inline]
    pub fn wait_for(&mut self, memory: &M::Handle) {
        if self.machine.is_on_its_way(memory) {
            self.finish_withdrawals();
        }
    }

    /// Leaves nothing withdrawn in part: before what a domain did itself is answered, and before somebody else has the memory.
    #[inline]
    pub(crate) fn finish_withdrawals(&mut self) {
        if self.withdraw_some() {
            while self.withdraw_some() {}
            self.answer_revocations();
        }
    }

    /// Does what follows when that is taken which is being withdrawn.
    #[inline]
    pub(crate) fn when_withdrawn(&mut self, then: Then) {
        if self.machine.is_withdrawing() {
            self.then = Some(then);
        } else {
            self.follow(then);
        }
    }

    #[inline]
    fn follow(&mut self, then: Then) {
        match then {
            Then::Tell { holder, slot, object } => {
                let values = [NO_BINDING, slot.to_bits(), object.kind.number(), object.id];
                self.tell(holder, UpcallKind::Repossessed, &values, None);
            }
            Then::EndNotice(notice, ending) => self.forget_notice(notice, ending),
        }
    }

    /// Ends what pairs a binding mostly has, or some of them, before the call is answered that dooms it.
    pub(crate) fn end_some_pairs(&mut self) {
        for _ in 0..PAIRS_AT_ONCE {
            self.finish_withdrawals();
            if !self.end_doomed() {
                break;
            }
        }
        self.finish_withdrawals();
        self.answer_revocations();
    }

    fn sweep(&mut self, now: u64) -> bool {
        if self.capabilities.is_swept() && self.sweeping.is_none() {
            return false;
        }
        let found = self.capabilities.sweep_one();
        let is_done = self.capabilities.is_swept();
        if let Some(finalised) = &found {
            self.finalise(finalised, now);
        }
        if is_done {
            self.sweeping = None;
        }
        true
    }

    /// Ends one binding or one region of a domain that is ending, or the domain's entry.
    fn take_down_domain(&mut self) -> bool {
        let Some(id) = self.ending.head() else { return false };
        let Some(domain) = self.domains.get(id) else { return false };
        if let Some(binding) = domain.bindings.head() {
            self.doom(binding, Ending::Died);
        } else if let Some(notice) = domain.notices.head() {
            self.end_notice(notice, Ending::Died);
        } else if let Some(region) = domain.regions.head() {
            self.release_region(region);
        } else {
            let parent = domain.parent;
            self.domains.unlink(&mut self.ending, id, ());
            self.domains.remove(id);
            // What it created lives on, at the cost of who paid for it.
            let children = self.domains.iter_mut().filter(|(_, it)| it.parent == Some(DomainId(id.0)));
            children.for_each(|(_, child)| child.parent = parent);
            self.charge_creators(parent, |children| *children -= 1);
        }
        true
    }

    /// Ends one pair of a doomed binding, or the binding.
    fn end_doomed(&mut self) -> bool {
        let Some(id) = self.doomed.head() else { return false };
        let Some(binding) = self.bindings.get(id) else { return false };
        let State::Doomed { ending, .. } = binding.state else { return false };
        match binding.pairs.head() {
            Some(pair) => self.end_pair(pair, binding.role, ending.reason()),
            None => self.end_binding(id),
        }
        true
    }

    /// Takes a binding off all other lists and puts it among the doomed. Its own word changes now.
    pub(crate) fn doom(&mut self, id: Id, ending: Ending) {
        let Some(binding) = self.bindings.get(id) else { return };
        let (holder, word, state) = (binding.holder, binding.word, binding.state);
        let revocation = match state {
            State::Doomed { .. } => return,
            State::Bound => None,
            State::Revoking { revocation, .. } => Some(revocation),
        };
        match revocation {
            None => self.detach_from_endpoint(id),
            Some(revocation) => self.detach_from_revocation(id, revocation),
        }
        if let Some(holder) = self.domains.get_mut(holder.id()) {
            self.bindings.unlink(&mut holder.bindings, id, Chain::Holder);
        }
        if let Some(binding) = self.bindings.get_mut(id) {
            binding.state = State::Doomed { ending, revocation };
        }
        self.bindings.push(&mut self.doomed, id, Chain::Queue);
        self.end_word(holder, word);
    }

    /// Takes a bound binding off the lists of its capability and its endpoint: it finds no new peers.
    pub(crate) fn detach_from_endpoint(&mut self, id: Id) {
        let Some(&Binding { endpoint, role, ticket, .. }) = self.bindings.get(id) else { return };
        let made_with = &mut self.made_with[ticket.slot().index as usize];
        self.bindings.unlink(made_with, id, Chain::Capability);
        if let Some(endpoint) = self.endpoints.get_mut(Id(endpoint.id)) {
            self.bindings.unlink(endpoint.bound(role), id, Chain::Endpoint);
        }
    }

    fn detach_from_revocation(&mut self, id: Id, revocation: Id) {
        let Some(mut pending) = self.pending_of(revocation).copied() else { return };
        self.bindings.unlink(&mut pending, id, Chain::Queue);
        if let Some(changed) = self.pending_of(revocation) {
            *changed = pending;
        }
    }

    /// Ends a pair: first both sides can see it, then the other one is told, then its memory is settled.
    pub(crate) fn end_pair(&mut self, peer: Id, leaving: Role, reason: Reason) {
        let Some(pair) = self.pairs.get(peer) else { return };
        let sides = pair.sides.clone();
        for (side, role) in sides.iter().zip([Role::Sender, Role::Receiver]) {
            let Some(binding) = self.bindings.get_mut(side.binding) else { continue };
            binding.peers -= 1;
            self.pairs.unlink(&mut binding.pairs, peer, role);
            let holder = binding.holder;
            self.end_word(holder, side.word);
        }
        self.pairs.remove(peer);
        let left = sides[leaving.opposite() as usize].binding;
        if let Some(holder) = self.bindings.get(left).map(|it| it.holder) {
            self.tell(holder, UpcallKind::PeerLeft, &[left.0, peer.0, reason as u64], None);
        }
        self.settle_shared(&sides, leaving);
    }

    /// Ends a doomed binding without pairs.
    fn end_binding(&mut self, id: Id) {
        self.bindings.unlink(&mut self.doomed, id, Chain::Queue);
        let Some(binding) = self.bindings.remove(id) else { return };
        let Binding { holder, endpoint, ticket, state, .. } = binding;
        if let Some(holder) = self.domains.get_mut(holder.id()) {
            holder.charges.bindings -= 1;
        }
        if let State::Doomed { ending, revocation } = state {
            if ending == Ending::Forced {
                let values = [id.0, ticket.slot().to_bits(), endpoint.kind.number(), endpoint.id];
                self.tell(holder, UpcallKind::Repossessed, &values, None);
            }
            if let Some(revocation) = revocation {
                self.settle(revocation, ending);
            }
        }
        self.log(Event::new(AuditKind::Unbound, None, holder).on(endpoint).with(id.0));
        if let Some(endpoint) = self.endpoints.get_mut(Id(endpoint.id)) {
            endpoint.bindings -= 1;
        }
        self.collect_endpoint(Id(endpoint.id));
    }

    /// Makes an upcall to a domain that can take one; returns its number, or 0.
    #[inline]
    pub(crate) fn tell<const N: usize>(
        &mut self,
        domain: DomainId,
        kind: UpcallKind,
        values: &[u64; N],
        handle: Option<&M::Handle>,
    ) -> u64 {
        // How many values there are is known here: so they are padded without a loop.
        self.make_upcall(domain, Upcall::new(kind, 0, values), handle)
    }

    fn make_upcall(&mut self, domain: DomainId, mut upcall: Upcall, handle: Option<&M::Handle>) -> u64 {
        let Ok(told) = self.alive_mut(domain) else { return 0 };
        told.upcalls += 1;
        upcall.sequence = told.upcalls;
        self.machine.upcall(domain, &upcall, handle);
        self.interrupt(domain);
        upcall.sequence
    }

    /// Takes a validity word of a domain and writes its value to memory.
    pub(crate) fn take_word(&mut self, domain: DomainId) -> Option<ValidWord> {
        let holder = self.domains.get_mut(domain.id()).filter(|it| !it.is_ending)?;
        let taken = self.words.take(domain.index(), &mut holder.words)?;
        self.machine.set_validity(domain, taken.word, taken.value);
        Some(taken)
    }

    /// Ends the use of a validity word: whoever remembers its value sees that it is over.
    pub(crate) fn end_word(&mut self, domain: DomainId, word: u32) {
        let holder = self.domains.get_mut(domain.id()).filter(|it| !it.is_ending);
        if let Some(holder) = holder {
            let value = self.words.end(domain.index(), &mut holder.words, word);
            self.machine.set_validity(domain, word, value);
        }
    }
}
