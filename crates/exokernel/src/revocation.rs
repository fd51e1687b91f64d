//! Visible revocation, then the abort protocol.
//!
//! Revoking makes every descendant unusable at once, in the capability spaces. What was bound with one of them before, or is in use by it
//! in another way (see [`notice`](crate::notice)), is found by the sweep: its holder is told and may let go by itself until the deadline,
//! then it is taken by force. The revocation is answered when nothing hangs on it any more.
//!
//! Two revocations can meet. One that revokes the revoker of another (or is the same one asked for again) must not be
//! answered before that other is complete, and its deadline holds for both: it *absorbs* the other. The same goes for one
//! that comes while the sweep is still busy with another, because the sweep cannot tell whose descendant it finds. A
//! revocation whose revoker is deleted, or whose domain ends, has nobody left who would grant time: it is due at once. Whoever comes next may
//! have been above that revoker, so it absorbs it, too. Who comes after the one that revoked a revoker does not: if it is above the one, it
//! is above the other.

use feuerbird_abi::{AuditKind, Reply, Status, UpcallKind};
use feuerbird_capability::{Cause, Finalised, ObjectKind, Rights, Ticket};

use crate::audit::Event;
use crate::binding::{Binding, Chain, Ending, State};
use crate::calls::{Values, Words, status};
use crate::table::{Id, List};
use crate::work::Then;
use crate::{DomainId, Kernel, Machine};

/// In place of a peer's number: all of the binding.
pub(crate) const WHOLE: u64 = u64::MAX;

/// One revocation that is not complete.
pub(crate) struct Revocation {
    requester: DomainId,
    /// Of the request, for the reply.
    sequence: u64,
    /// The capability whose descendants it revokes.
    pub(crate) revoker: Ticket,
    standing: Standing,
    deadline: u64,
    /// The revocation that waits for this one.
    absorbed_by: Option<Id>,
    /// How many it has absorbed that are not complete.
    waits_for: u32,
    /// Bindings whose holders still have time.
    pending: List,
    /// Notices that others still have.
    pub(crate) noticed: List,
    /// Bindings and notices that are not gone, those with time included.
    outstanding: u32,
    revoked: u64,
    forced: u64,
    answer: How,
}

/// What has become of a revoker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Live,
    /// Revoked, by the revocation that has absorbed this one.
    Revoked,
    /// Deleted, or its domain has ended.
    Gone,
}

/// How a revocation will be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// By the dispatch that began it.
    AtOnce,
    /// By the machine's `reply`.
    Later,
}

impl Revocation {
    pub(crate) fn requester(&self) -> DomainId {
        self.requester
    }

    pub(crate) fn absorber(&self) -> Option<Id> {
        self.absorbed_by
    }

    /// One more thing has to go before it is complete.
    pub(crate) fn waits_for_another(&mut self) {
        self.outstanding += 1;
    }

    /// Whether somebody still has time.
    fn has_given_time(&self) -> bool {
        !self.pending.is_empty() || !self.noticed.is_empty()
    }

    /// Bindings or notices, and revocations, that it waits for.
    pub(crate) fn counts(&self) -> (u32, u32) {
        (self.outstanding, self.waits_for)
    }
}

impl<M: Machine> Kernel<M> {
    /// Makes everything derived from a slot unusable. The rest is [`work`](Self::work).
    pub(crate) fn begin_revocation(
        &mut self,
        caller: DomainId,
        sequence: u64,
        words: Words<'_>,
    ) -> Result<Id, Status> {
        let (slot, deadline) = (words.slot(0), words.word(1));
        let domain = self.alive(caller)?;
        let space = domain.space;
        let (capability, revoker) = self.capabilities.ticket(space, slot, Rights::REVOKE).map_err(status)?;
        if domain.charges.revocations >= self.limits.revocations_per_domain {
            return Err(Status::QuotaExceeded);
        }
        let id = self.revocations.insert(Revocation {
            requester: caller,
            sequence,
            revoker,
            standing: Standing::Live,
            deadline,
            absorbed_by: None,
            waits_for: 0,
            pending: List::EMPTY,
            noticed: List::EMPTY,
            outstanding: 0,
            revoked: 0,
            forced: 0,
            answer: How::AtOnce,
        });
        let id = id.ok_or(Status::ObjectsFull)?;
        self.alive_mut(caller)?.charges.revocations += 1;
        // Cannot fail: the ticket says so.
        let _ = self.capabilities.revoke(space, slot);
        let event = Event::new(AuditKind::RevocationBegan, Some(caller), caller);
        self.log(event.about(slot, &capability).with(deadline));
        self.absorb_others(id, &revoker);
        Ok(id)
    }

    /// Makes a new revocation wait for those it concerns.
    fn absorb_others(&mut self, new: Id, revoker: &Ticket) {
        let mut index = 0;
        for _ in 0..self.revocations.used() {
            let Some(other) = self.revocations.next_from(index) else { break };
            index = other.index() + 1;
            let Some(found) = self.revocations.get_mut(other) else { continue };
            if found.standing == Standing::Live && !self.capabilities.is_live(&found.revoker) {
                found.standing = Standing::Revoked;
                self.absorb(other, new);
            } else if found.revoker == *revoker || found.standing == Standing::Gone {
                self.absorb(other, new);
            }
        }
        match self.sweeping {
            Some(busy) => self.absorb(busy, new),
            None => self.sweeping = Some(new),
        }
    }

    /// Makes `new` wait for `other`, or for whatever waits for that already.
    fn absorb(&mut self, other: Id, new: Id) {
        let root = self.last_absorber(other);
        if root == new {
            return;
        }
        if let Some(root) = self.revocations.get_mut(root) {
            root.absorbed_by = Some(new);
        }
        if let Some(new) = self.revocations.get_mut(new) {
            new.waits_for += 1;
        }
    }

    fn absorbers(&self, id: Id) -> impl Iterator<Item = Id> {
        core::iter::successors(Some(id), |&id| self.revocations.get(id)?.absorbed_by)
    }

    fn last_absorber(&self, id: Id) -> Id {
        self.absorbers(id).last().unwrap_or(id)
    }

    /// When the time of a revocation's holders is over: the earliest deadline of those that wait for it.
    pub(crate) fn due(&self, id: Id) -> u64 {
        let deadlines = self.absorbers(id).filter_map(|id| Some(self.revocations.get(id)?.deadline));
        deadlines.min().unwrap_or(0)
    }

    /// The earliest deadline of a holder who has not let go.
    pub(crate) fn earliest_deadline(&self) -> Option<u64> {
        let waiting = self.revocations.iter().filter(|(_, it)| it.has_given_time());
        waiting.map(|(id, _)| self.due(id)).min()
    }

    /// A revocation whose revoker is gone has nobody left who would grant time.
    pub(crate) fn hurry_orphaned_revocations(&mut self) {
        let capabilities = &self.capabilities;
        for (_, revocation) in self.revocations.iter_mut() {
            if revocation.standing == Standing::Live && !capabilities.is_live(&revocation.revoker) {
                revocation.standing = Standing::Gone;
                if revocation.absorbed_by.is_none() {
                    revocation.deadline = 0;
                }
            }
        }
    }

    /// Takes by force one thing whose holder's time is over. Whether there was one.
    pub(crate) fn expire_one(&mut self, now: u64) -> bool {
        let late = self.revocations.iter().find(|&(id, it)| it.has_given_time() && self.due(id) <= now);
        let Some((_, it)) = late else { return false };
        match (it.pending.head(), it.noticed.head()) {
            (Some(binding), _) => self.doom(binding, Ending::Forced),
            (None, Some(notice)) => self.end_notice(notice, Ending::Forced),
            (None, None) => return false,
        }
        true
    }

    /// Acts on the end of a capability: what was bound with it, what it named, and the log.
    pub(crate) fn finalise(&mut self, finalised: &Finalised, now: u64) {
        self.finish_withdrawals();
        let Finalised { space, slot, capability, cause } = *finalised;
        let holder = self.space_holders[space.index() as usize];
        self.end_waiting_by(holder, slot);
        self.taken_from_where_it_came(space, slot);
        let had_bindings = !self.made_with[slot.index as usize].is_empty();
        while let Some(binding) = self.made_with[slot.index as usize].head() {
            match cause {
                Cause::Deleted => self.doom(binding, Ending::Unbound),
                Cause::SpaceDestroyed => self.doom(binding, Ending::Died),
                Cause::Revoked => self.revoke_binding(binding, now),
            }
        }
        let mut has_notice = false;
        match cause {
            Cause::Deleted => {
                self.log(Event::new(AuditKind::Deleted, Some(holder), holder).about(slot, &capability));
            }
            Cause::Revoked => {
                self.log(Event::new(AuditKind::Revoked, None, holder).about(slot, &capability));
                if let Some(it) = self.sweeping.and_then(|id| self.revocations.get_mut(id)) {
                    it.revoked += 1;
                }
                has_notice = self.give_notice(holder, slot, &capability, now);
            }
            // The end of the domain is in the log.
            Cause::SpaceDestroyed => (),
        }
        if capability.object.kind == ObjectKind::Frame {
            self.frames_left(slot, capability.object, cause);
        }
        if !has_notice {
            self.withdraw_by(holder, slot, &capability);
            self.release(capability.object);
        }
        if cause == Cause::Revoked && !had_bindings && !has_notice {
            self.when_withdrawn(Then::Tell { holder, slot, object: capability.object });
        }
    }

    /// Gives the holder of a binding until the deadline, if that is not over.
    fn revoke_binding(&mut self, id: Id, now: u64) {
        let revocation = self.sweeping;
        let due = revocation.map_or(0, |revocation| self.due(revocation));
        let Some(revocation) = revocation else { return self.doom(id, Ending::Forced) };
        self.detach_from_endpoint(id);
        if let (Some(binding), Some(it)) = (self.bindings.get_mut(id), self.revocations.get_mut(revocation)) {
            binding.state = State::Revoking { revocation, upcall: 0 };
            it.outstanding += 1;
            self.bindings.push(&mut it.pending, id, Chain::Queue);
        }
        let Some(&Binding { holder, endpoint, ticket, .. }) = self.bindings.get(id) else { return };
        if due <= now {
            return self.doom(id, Ending::Forced);
        }
        let values = [id.0, WHOLE, due, ticket.slot().to_bits(), endpoint.kind.number(), endpoint.id];
        let upcall = self.tell(holder, UpcallKind::RevocationRequested, &values, None);
        if let Some(binding) = self.bindings.get_mut(id) {
            binding.state = State::Revoking { revocation, upcall };
        }
    }

    /// A binding that this revocation waited for is gone.
    pub(crate) fn settle(&mut self, revocation: Id, ending: Ending) {
        if let Some(it) = self.revocations.get_mut(revocation) {
            it.outstanding -= 1;
            it.forced += u64::from(ending == Ending::Forced);
        }
    }

    /// Answers the revocations that are complete.
    pub(crate) fn answer_revocations(&mut self) {
        while let Some(id) = self.complete_revocation() {
            let Some(it) = self.revocations.get(id) else { return };
            let (requester, sequence) = (it.requester, it.sequence);
            if let Some(values) = self.take_revocation(id)
                && self.is_alive(requester)
            {
                self.machine.reply(requester, &Reply::new(Status::Ok, sequence, &values));
            }
        }
    }

    fn complete_revocation(&self) -> Option<Id> {
        let later = self.revocations.iter().filter(|(_, it)| it.answer == How::Later);
        later.map(|(id, _)| id).find(|&id| self.is_complete(id))
    }

    /// Whether nothing hangs on a revocation any more. What others left to do counts too: it may be a pair that was made
    /// with a capability that this one has revoked.
    fn is_complete(&self, id: Id) -> bool {
        let is_settled = |it: &Revocation| it.outstanding == 0 && it.waits_for == 0 && it.pending.is_empty();
        self.is_quiet() && self.revocations.get(id).is_some_and(is_settled)
    }

    /// The values of a revocation that is complete; any other will be answered by the machine.
    pub(crate) fn take_if_complete(&mut self, id: Id) -> Option<Values> {
        if self.is_complete(id) {
            let values = self.take_revocation(id);
            self.answer_revocations();
            return values;
        }
        self.revocations.get_mut(id)?.answer = How::Later;
        None
    }

    fn take_revocation(&mut self, id: Id) -> Option<Values> {
        let done = self.revocations.remove(id)?;
        if let Some(absorber) = done.absorbed_by.and_then(|id| self.revocations.get_mut(id)) {
            absorber.waits_for -= 1;
        }
        if let Some(requester) = self.domains.get_mut(done.requester.id()) {
            requester.charges.revocations -= 1;
        }
        Some([done.revoked, done.forced, 0, 0, 0, 0])
    }

    /// The list that a binding with time left is on.
    pub(crate) fn pending_of(&mut self, revocation: Id) -> Option<&mut List> {
        self.revocations.get_mut(revocation).map(|it| &mut it.pending)
    }
}
