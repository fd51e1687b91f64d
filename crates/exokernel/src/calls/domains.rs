//! Calls about domains: create, destroy, hello; and reading the audit log.

use feuerbird_abi::{AuditKind, PAYLOAD_BYTES, RECORD_BYTES, Status};
use feuerbird_capability::{Object, ObjectKind, Rights, Slot, Trust};

use zerocopy::IntoBytes;

use super::{Asked, Beside, Values, status};
use crate::audit::{Event, Refusals};
use crate::domain::{Charges, Domain};
use crate::kernel::whole;
use crate::table::{Links, List};
use crate::{DomainId, Kernel, Machine};

/// How many audit records one reply carries.
const RECORDS: usize = PAYLOAD_BYTES / RECORD_BYTES;

impl<M: Machine> Kernel<M> {
    pub(super) fn hello(
        &mut self,
        asked: &Asked<'_, M::Handle>,
        beside: &mut Beside<M::Handle>,
    ) -> Result<Values, Status> {
        let domain = self.alive(asked.caller)?;
        let (own, trust) = (domain.own, domain.trust);
        let own = self.capability(asked.caller, own).map_or(Slot::NULL, |_| own);
        beside.handle = self.machine.validity_words(asked.caller);
        let words = u64::from(self.limits.words_per_domain);
        let audit = self.held(asked.caller).find(|(_, held)| held.object.kind == ObjectKind::Audit);
        let audit = audit.map_or(Slot::NULL, |(slot, _)| slot);
        Ok([own.to_bits(), u64::from(trust.level()), words, audit.to_bits(), 0, 0])
    }

    pub(super) fn create_domain(
        &mut self,
        asked: &Asked<'_, M::Handle>,
        beside: &mut Beside<M::Handle>,
    ) -> Result<Values, Status> {
        let trust = asked.words().trust(0)?;
        let make = |machine: &mut M, domain| machine.create_domain(domain);
        let (_, slot, gate) = self.new_child(asked.caller, trust, make)?;
        beside.handle = gate;
        Ok([slot.to_bits(), 0, 0, 0, 0, 0])
    }

    pub(super) fn destroy_domain(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let named =
            self.authority(asked.caller, asked.words().slot(0), ObjectKind::Domain, Rights::REVOKE)?;
        let target = DomainId(named.object.id);
        self.alive(target)?;
        self.end_domain(target, Some(asked.caller));
        Ok([0; 6])
    }

    pub(super) fn read_audit(
        &mut self,
        asked: &Asked<'_, M::Handle>,
        beside: &mut Beside<M::Handle>,
    ) -> Result<Values, Status> {
        self.authority(asked.caller, asked.words().slot(0), ObjectKind::Audit, Rights::INSPECT)?;
        let wanted = asked.arguments[1].max(1);
        let first = wanted.clamp(self.audit.oldest_sequence(), self.audit.next_sequence());
        let mut records = 0;
        for record in self.audit.since(first).take(RECORDS) {
            beside.payload.extend(record.as_bytes());
            records += 1;
        }
        Ok([first + records, first.saturating_sub(wanted), records, 0, 0, 0])
    }

    /// Makes a domain that `parent` asked for, or that the home puts under it; the slot is the parent's.
    pub(crate) fn new_child<R>(
        &mut self,
        parent: DomainId,
        trust: Trust,
        make: impl FnOnce(&mut M, DomainId) -> Result<R, Status>,
    ) -> Result<(DomainId, Slot, R), Status> {
        let asking = self.alive(parent)?;
        if trust > asking.trust {
            return Err(Status::Escalation);
        }
        // An eighth: who may create a few hundred may let those create some, and their children none.
        let max_children = asking.max_children / 8;
        let is_one_left =
            |id: DomainId| self.domains.get(id.id()).is_none_or(|it| it.charges.children < it.max_children);
        if !self.creators(Some(parent)).all(is_one_left) {
            return Err(Status::QuotaExceeded);
        }
        let domain = self.make_domain(Some(parent), trust, max_children)?;
        let object = Object { kind: ObjectKind::Domain, id: domain.to_bits() };
        let slot = match self.mint(parent, whole(object, Rights::all(), trust)) {
            Ok(slot) => slot,
            Err(status) => {
                self.forget_domain(domain);
                return Err(status);
            }
        };
        match make(&mut self.machine, domain) {
            Ok(made) => {
                self.charge_creators(Some(parent), |children| *children += 1);
                self.log_domain(domain, Some(parent));
                self.log_minted(parent, slot);
                Ok((domain, slot, made))
            }
            Err(status) => {
                let space = self.alive(parent)?.space;
                // Nothing can hang on it yet, so that there is nothing to finalise.
                let _ = self.capabilities.delete(space, slot);
                self.forget_domain(domain);
                Err(status)
            }
        }
    }

    /// Makes a domain with a space that holds a capability for itself. Nobody else knows of it yet.
    pub(crate) fn make_domain(
        &mut self,
        parent: Option<DomainId>,
        trust: Trust,
        max_children: u32,
    ) -> Result<DomainId, Status> {
        let space = self.capabilities.create_space(self.limits.slots_per_domain).map_err(status)?;
        let made = self.domains.insert(Domain {
            parent,
            max_children,
            trust,
            space,
            own: Slot::NULL,
            is_ending: false,
            refusals: Refusals::default(),
            upcalls: 0,
            words: crate::words::FreeWords::NONE,
            charges: Charges::default(),
            bindings: List::EMPTY,
            regions: List::EMPTY,
            notices: List::EMPTY,
            links: Links::default(),
        });
        let Some(id) = made else {
            let _ = self.capabilities.destroy_space(space);
            return Err(Status::ObjectsFull);
        };
        let domain = DomainId(id.0);
        self.transfers.enter(domain);
        self.space_holders[space.index() as usize] = domain;
        let words = self.words.reset(domain.index());
        let object = Object { kind: ObjectKind::Domain, id: domain.to_bits() };
        match self.mint(domain, whole(object, Rights::all(), trust)) {
            Ok(own) => {
                let made = self.alive_mut(domain)?;
                (made.own, made.words) = (own, words);
                Ok(domain)
            }
            Err(status) => {
                self.forget_domain(domain);
                Err(status)
            }
        }
    }

    /// A domain, who created it, who created that one, and so on.
    pub(crate) fn creators(&self, first: Option<DomainId>) -> impl Iterator<Item = DomainId> {
        core::iter::successors(first, |id| self.domains.get(id.id())?.parent)
    }

    /// Changes how many domains are charged to a creator and to all above it.
    pub(crate) fn charge_creators(&mut self, first: Option<DomainId>, change: impl Fn(&mut u32)) {
        let mut next = first;
        while let Some(creator) = next.and_then(|id| self.domains.get_mut(id.id())) {
            change(&mut creator.charges.children);
            next = creator.parent;
        }
    }

    /// Takes back a domain that nobody knows of.
    pub(crate) fn forget_domain(&mut self, domain: DomainId) {
        if let Some(forgotten) = self.domains.remove(domain.id()) {
            self.end_party(domain);
            let _ = self.capabilities.destroy_space(forgotten.space);
        }
    }

    /// Writes down a new domain with its capability for itself.
    pub(crate) fn log_domain(&mut self, domain: DomainId, parent: Option<DomainId>) {
        let object = Object { kind: ObjectKind::Domain, id: domain.to_bits() };
        self.log(Event::new(AuditKind::DomainCreated, parent, domain).on(object));
        if let Ok(own) = self.alive(domain).map(|it| it.own) {
            self.log_minted(domain, own);
        }
    }

    /// Ends a domain: at once for itself and the machine, step by step for what hangs on it.
    pub(crate) fn end_domain(&mut self, domain: DomainId, by: Option<DomainId>) {
        let Ok(ending) = self.alive_mut(domain) else { return };
        ending.is_ending = true;
        let space = ending.space;
        let rest = ending.refusals.rest(Event::new(AuditKind::RefusedMore, Some(domain), domain));
        // It is live as long as its domain is.
        let _ = self.capabilities.destroy_space(space);
        self.domains.push(&mut self.ending, domain.id(), ());
        self.end_party(domain);
        self.machine.destroy_domain(domain);
        if let Some(rest) = rest {
            self.log(rest);
        }
        let object = Object { kind: ObjectKind::Domain, id: domain.to_bits() };
        let event = Event::new(AuditKind::DomainEnded, by, domain).on(object);
        self.log(event.with(u64::from(by.is_some())));
        self.hurry_orphaned_revocations();
    }
}
