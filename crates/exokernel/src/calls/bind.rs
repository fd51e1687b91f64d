//! Calls about endpoints and bindings: create, bind, unbind, acknowledge; and how two bindings meet.

use feuerbird_abi::{AuditKind, GRANTS_ALONG, Reason, Role, Status, UNHEARD_OF, UpcallKind};
use feuerbird_capability::{Object, ObjectKind, Rights, Slot, Ticket};

use super::{Asked, Beside, Values, status};
use crate::audit::Event;
use crate::binding::{Binding, Chain, Ending, Pair, Side, State};
use crate::kernel::whole;
use crate::object::{Contract, Endpoint};
use crate::table::Id;
use crate::words::ValidWord;
use crate::{DomainId, Kernel, Machine};

/// A pair as the holder of one side sees it: who is on the other.
pub(super) struct Met {
    pub(super) peer: Id,
    /// The asking side's.
    pub(super) role: Role,
    /// The other side's binding, and its holder.
    pub(super) theirs: Id,
    pub(super) other: DomainId,
}

impl<M: Machine> Kernel<M> {
    pub(super) fn create_endpoint(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let caller = asked.caller;
        let domain = self.alive(caller)?;
        let trust = domain.trust;
        if domain.charges.endpoints >= self.limits.endpoints_per_domain {
            return Err(Status::QuotaExceeded);
        }
        let endpoint = Endpoint::new(caller, asked.arguments[0]);
        let id = self.endpoints.insert(endpoint).ok_or(Status::ObjectsFull)?;
        self.transfers.open(id.index());
        let object = Object { kind: ObjectKind::Endpoint, id: id.0 };
        match self.mint(caller, whole(object, Rights::all(), trust)) {
            Ok(slot) => {
                self.alive_mut(caller)?.charges.endpoints += 1;
                self.log_minted(caller, slot);
                Ok([slot.to_bits(), 0, 0, 0, 0, 0])
            }
            Err(status) => {
                self.endpoints.remove(id);
                Err(status)
            }
        }
    }

    pub(super) fn bind(
        &mut self,
        asked: &Asked<'_, M::Handle>,
        beside: &mut Beside<M::Handle>,
    ) -> Result<Values, Status> {
        let (caller, slot) = (asked.caller, asked.words().slot(0));
        let role = Role::from_number(asked.arguments[1]).ok_or(Status::BadArgument)?;
        let contract = Contract::new(asked.payload).ok_or(Status::BadArgument)?;
        let needed = match role {
            Role::Sender => Rights::SEND,
            Role::Receiver => Rights::RECEIVE,
        };
        let capability = self.authority(caller, slot, ObjectKind::Endpoint, needed)?;
        let space = self.alive(caller)?.space;
        let (_, ticket) = self.capabilities.ticket(space, slot, needed).map_err(status)?;
        let endpoint = Id(capability.object.id);
        self.agree(endpoint, &contract, beside)?;
        self.has_room_to_bind(caller, endpoint, role)?;

        let own = self.take_word(caller).ok_or(Status::QuotaExceeded)?;
        let authority = (capability.trust, ticket);
        let binding =
            Binding::new(caller, capability.object, (role, asked.arguments[2]), authority, own.word);
        let Some(id) = self.bindings.insert(binding) else {
            self.end_word(caller, own.word);
            return Err(Status::ObjectsFull);
        };
        let terms = self.enrol(id, &contract).unwrap_or_default();
        let event = Event::new(AuditKind::Bound, Some(caller), caller);
        self.log(event.about(slot, &capability).with(id.0));
        self.meet(id, endpoint, role);
        let trust = u64::from(capability.trust.level());
        Ok([id.0, trust, terms, u64::from(own.word), u64::from(own.value), 0])
    }

    pub(super) fn unbind(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        self.own_binding(asked.caller, asked.arguments[0])?;
        self.doom(Id(asked.arguments[0]), Ending::Unbound);
        self.end_some_pairs();
        Ok([0; 6])
    }

    pub(super) fn part(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let [number, peer, ..] = asked.arguments;
        let role = self.own_binding(asked.caller, number)?.role;
        self.pair_of(number, peer, role)?;
        self.end_pair(Id(peer), role, Reason::Unbound);
        self.finish_withdrawals();
        Ok([0; 6])
    }

    pub(super) fn acknowledge(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let mut next = self.alive(asked.caller)?.bindings.head();
        while let Some(id) = next {
            let binding = self.bindings.get(id).ok_or(Status::BadArgument)?;
            match binding.state {
                State::Revoking { upcall, .. } if upcall == asked.arguments[0] => {
                    self.doom(id, Ending::Acknowledged);
                    return Ok([0; 6]);
                }
                _ => next = self.bindings.next(id, Chain::Holder),
            }
        }
        // One that is being taken by force has not been let go.
        self.finish_withdrawals();
        let notice = self.notice_told_by(asked.caller, asked.arguments[0]).ok_or(Status::BadArgument)?;
        self.end_notice(notice, Ending::Acknowledged);
        self.finish_withdrawals();
        self.answer_revocations();
        Ok([0; 6])
    }

    /// A binding that the caller holds and that is not about to go.
    pub(super) fn own_binding(&self, caller: DomainId, number: u64) -> Result<&Binding, Status> {
        let binding = self.bindings.get(Id(number)).ok_or(Status::NoBinding)?;
        let is_theirs = binding.holder == caller && !matches!(binding.state, State::Doomed { .. });
        if is_theirs { Ok(binding) } else { Err(Status::NoBinding) }
    }

    /// A pair of this binding, of that role.
    pub(super) fn pair_of(&self, number: u64, peer: u64, role: Role) -> Result<&Pair<M::Handle>, Status> {
        let pair = self.pairs.get(Id(peer)).ok_or(Status::NoPeer)?;
        if pair.side(role).binding == Id(number) { Ok(pair) } else { Err(Status::NoPeer) }
    }

    /// Who the caller has met through this pair of its binding, if both may still use it.
    pub(super) fn met(&self, caller: DomainId, number: u64, peer: u64) -> Result<Met, Status> {
        let binding = self.own_binding(caller, number)?;
        if binding.state != State::Bound || !self.capabilities.is_live(&binding.ticket) {
            return Err(Status::NoCapability);
        }
        let role = binding.role;
        let theirs = self.pair_of(number, peer, role)?.side(role.opposite()).binding;
        let other = self.bindings.get(theirs).ok_or(Status::NoPeer)?;
        if matches!(other.state, State::Doomed { .. }) {
            return Err(Status::NoPeer);
        }
        let other = other.holder;
        self.alive(other).map_err(|_| Status::NoPeer)?;
        Ok(Met { peer: Id(peer), role, theirs, other })
    }

    /// Compares with the endpoint's contract, if it has one.
    fn agree(&self, endpoint: Id, contract: &Contract, beside: &mut Beside<M::Handle>) -> Result<(), Status> {
        let endpoint = self.endpoints.get(endpoint).ok_or(Status::NoCapability)?;
        match &endpoint.contract {
            Some(fixed) if fixed.bytes() != contract.bytes() => {
                beside.payload.extend(fixed.bytes());
                Err(Status::ContractMismatch)
            }
            _ => Ok(()),
        }
    }

    /// Whether a domain can take a binding and a word for it and for each peer it would have.
    fn has_room_to_bind(&self, domain: DomainId, endpoint: Id, role: Role) -> Result<(), Status> {
        let asking = self.alive(domain)?;
        if self.bindings_at(asking.bindings.head(), endpoint, role) >= self.limits.bindings_per_endpoint {
            return Err(Status::QuotaExceeded);
        }
        let endpoint = self.endpoints.get(endpoint).ok_or(Status::NoCapability)?;
        let mut words = 1;
        let mut peers = 0;
        let mut next = endpoint.bound[role.opposite() as usize].head();
        while let Some(id) = next.filter(|_| peers < self.limits.peers_per_binding) {
            let is_own = self.bindings.get(id).is_some_and(|it| it.holder == domain);
            words += if is_own { 2 } else { 1 };
            peers += 1;
            next = self.bindings.next(id, Chain::Endpoint);
        }
        let has_room =
            asking.charges.bindings < self.limits.bindings_per_domain && asking.words.count() >= words;
        if has_room { Ok(()) } else { Err(Status::QuotaExceeded) }
    }

    /// How many of a holder's bindings are of this role at this endpoint.
    fn bindings_at(&self, first: Option<Id>, endpoint: Id, role: Role) -> u32 {
        let held = core::iter::successors(first, |&id| self.bindings.next(id, Chain::Holder));
        let bindings = held.filter_map(|id| self.bindings.get(id));
        bindings.filter(|it| it.endpoint.id == endpoint.0 && it.role == role).count() as u32
    }

    /// Puts a new binding on its lists; returns the endpoint's terms.
    fn enrol(&mut self, id: Id, contract: &Contract) -> Option<u64> {
        let &Binding { holder, role, ticket, endpoint, .. } = self.bindings.get(id)?;
        let domain = self.domains.get_mut(holder.id())?;
        domain.charges.bindings += 1;
        self.bindings.push(&mut domain.bindings, id, Chain::Holder);
        let made_with = &mut self.made_with[ticket.slot().index as usize];
        self.bindings.push(made_with, id, Chain::Capability);
        let endpoint = self.endpoints.get_mut(Id(endpoint.id))?;
        endpoint.bindings += 1;
        endpoint.contract.get_or_insert(*contract);
        self.bindings.push(endpoint.bound(role), id, Chain::Endpoint);
        Some(endpoint.terms)
    }

    /// Pairs a new binding with all of the other side. Where there is no room for a pair, the new one hears that somebody has left: it
    /// shall not wait for those.
    fn meet(&mut self, id: Id, endpoint: Id, role: Role) {
        let mut next = self.endpoints.get_mut(endpoint).and_then(|it| it.bound(role.opposite()).head());
        let mut is_refused = false;
        while let Some(other) = next {
            next = self.bindings.next(other, Chain::Endpoint);
            let pair = match role {
                Role::Sender => self.pair(id, other),
                Role::Receiver => self.pair(other, id),
            };
            is_refused |= pair.is_none();
        }
        if is_refused && let Some(holder) = self.bindings.get(id).map(|it| it.holder) {
            self.tell(holder, UpcallKind::PeerLeft, &[id.0, UNHEARD_OF, Reason::Unbound as u64], None);
        }
    }

    /// Pairs two bindings, unless one of them has no room for another peer or its capability is no longer usable.
    fn pair(&mut self, sender: Id, receiver: Id) -> Option<()> {
        let (sending, receiving) = (self.bindings.get(sender)?, self.bindings.get(receiver)?);
        let limit = self.limits.peers_per_binding;
        if sending.peers >= limit || receiving.peers >= limit {
            return None;
        }
        if !self.is_usable(&sending.ticket) || !self.is_usable(&receiving.ticket) {
            return None;
        }
        let (here, there) = (sending.holder, receiving.holder);
        let sender_word = self.take_word(here)?;
        let Some(receiver_word) = self.take_word(there) else {
            self.end_word(here, sender_word.word);
            return None;
        };
        let sides = [Side::new(sender, sender_word.word), Side::new(receiver, receiver_word.word)];
        let Some(peer) = self.pairs.insert(Pair { sides, along: [Slot::NULL; GRANTS_ALONG] }) else {
            self.end_word(here, sender_word.word);
            self.end_word(there, receiver_word.word);
            return None;
        };
        for (id, role) in [(sender, Role::Sender), (receiver, Role::Receiver)] {
            let binding = self.bindings.get_mut(id)?;
            binding.peers += 1;
            self.pairs.push(&mut binding.pairs, peer, role);
        }
        self.introduce(sender, receiver, peer, sender_word)?;
        self.introduce(receiver, sender, peer, receiver_word)
    }

    fn is_usable(&self, ticket: &Ticket) -> bool {
        self.capabilities.is_live(ticket)
    }

    /// Tells the holder of `to` about its peer.
    fn introduce(&mut self, to: Id, about: Id, peer: Id, valid: ValidWord) -> Option<()> {
        let (told, other) = (self.bindings.get(to)?, self.bindings.get(about)?);
        let trust = told.trust.min(other.trust);
        let (holder, terms, stranger) = (told.holder, other.terms, other.holder);
        let notice = self.machine.death_notice(stranger);
        let values =
            [to.0, peer.0, u64::from(trust.level()), terms, u64::from(valid.word), u64::from(valid.value)];
        self.tell(holder, UpcallKind::PeerJoined, &values, notice.as_ref());
        Some(())
    }
}
