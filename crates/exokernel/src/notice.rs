//! Notice: time to let go of what was in use by a capability that was revoked.
//!
//! The capability itself is gone at once: nothing more is derived, granted, mapped or taken by it. What its holder was using by it
//! already, as it uses a binding, stays until the holder acknowledges that it was told, or until the deadline:
//!
//! | kind | what stays |
//! |---|---|
//! | `Frame` | the pages, if the holder has them now, and what it has mapped of them |
//! | `Region` | what it has mapped |
//! | `TimeSlice` | the slices that somebody runs in by it |
//! | `IoPort`, `Interrupt` | reading and writing the ports; the lines that it took |
//!
//! Then all of that is taken, by force if the deadline came first.

use feuerbird_abi::{AuditKind, NO_BINDING, Status, UpcallKind};
use feuerbird_capability::{Capability, Object, ObjectKind, Rights, Slot};

use crate::audit::Event;
use crate::binding::Ending;
use crate::revocation::WHOLE;
use crate::table::{Id, Linked, Links};
use crate::work::Then;
use crate::{DomainId, Kernel, Machine};

/// A capability that was revoked, and whose holder has time.
pub(crate) struct Notice<H> {
    pub(crate) holder: DomainId,
    pub(crate) revocation: Id,
    /// Where it was; another one may be there now.
    slot: Slot,
    pub(crate) capability: Capability,
    /// The number of the upcall that said so.
    upcall: u64,
    /// Of a region, whose owner may end first; until it is taken.
    pub(crate) memory: Option<H>,
    links: [Links; 2],
}

/// The lists that a notice is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Given for one revocation.
    Revocation = 0,
    /// Given to one domain.
    Holder = 1,
}

impl<H> Linked<Listed> for Notice<H> {
    fn links(&mut self, listed: Listed) -> &mut Links {
        &mut self.links[listed as usize]
    }

    fn next(&self, listed: Listed) -> Option<Id> {
        self.links[listed as usize].next()
    }
}

impl<M: Machine> Kernel<M> {
    /// Tells the holder of a revoked capability that it goes at the deadline, if there is time and something to let go of. Whether it
    /// was told.
    pub(crate) fn give_notice(
        &mut self,
        holder: DomainId,
        slot: Slot,
        capability: &Capability,
        now: u64,
    ) -> bool {
        if !self.is_in_use(holder, slot, capability) {
            return false;
        }
        let Some(revocation) = self.sweeping else { return false };
        let due = self.due(revocation);
        if due <= now {
            return false;
        }
        let has_room = self.alive(holder).is_ok_and(|it| it.charges.notices < self.limits.notices_per_domain);
        if !has_room {
            return false;
        }
        let object = capability.object;
        let region = (object.kind == ObjectKind::Region).then(|| self.regions.get(Id(object.id))).flatten();
        let memory = region.map(|region| region.memory.clone());
        let capability = *capability;
        let links = [Links::default(); 2];
        let notice = Notice { holder, revocation, slot, capability, upcall: 0, memory, links };
        let Some(id) = self.notices.insert(notice) else { return false };
        let (Some(domain), Some(it)) =
            (self.domains.get_mut(holder.id()), self.revocations.get_mut(revocation))
        else {
            self.notices.remove(id);
            return false;
        };
        domain.charges.notices += 1;
        self.notices.push(&mut domain.notices, id, Listed::Holder);
        it.waits_for_another();
        self.notices.push(&mut it.noticed, id, Listed::Revocation);
        if object.kind == ObjectKind::Frame {
            self.give_time_for_frames(object, id);
        }
        let values = [NO_BINDING, WHOLE, due, slot.to_bits(), object.kind.number(), object.id];
        let upcall = self.tell(holder, UpcallKind::RevocationRequested, &values, None);
        if let Some(notice) = self.notices.get_mut(id) {
            notice.upcall = upcall;
        }
        true
    }

    /// Takes what was in use, and then lets its holder and the revocation know.
    pub(crate) fn end_notice(&mut self, id: Id, ending: Ending) {
        self.finish_withdrawals();
        let Some(notice) = self.notices.get_mut(id) else { return };
        let (holder, slot, capability) = (notice.holder, notice.slot, notice.capability);
        let object = capability.object;
        match (object.kind, notice.memory.take()) {
            (ObjectKind::Frame, _) => self.end_time_for_frames(object, id, holder),
            (ObjectKind::Region, memory) => {
                memory.iter().for_each(|memory| self.withdraw(holder, Id(object.id), memory));
            }
            _ => self.machine.take_back(slot, &capability),
        }
        self.when_withdrawn(Then::EndNotice(id, ending));
    }

    /// What somebody had notice of has been taken.
    pub(crate) fn forget_notice(&mut self, id: Id, ending: Ending) {
        let Some(&Notice { holder, revocation, slot, capability, .. }) = self.notices.get(id) else { return };
        if let Some(domain) = self.domains.get_mut(holder.id()) {
            domain.charges.notices -= 1;
            self.notices.unlink(&mut domain.notices, id, Listed::Holder);
        }
        if let Some(it) = self.revocations.get_mut(revocation) {
            self.notices.unlink(&mut it.noticed, id, Listed::Revocation);
        }
        self.notices.remove(id);
        let object = capability.object;
        self.release(object);
        if ending == Ending::Forced {
            let values = [NO_BINDING, slot.to_bits(), object.kind.number(), object.id];
            self.tell(holder, UpcallKind::Repossessed, &values, None);
        }
        let event = Event::new(AuditKind::GivenUp, None, holder).about(slot, &capability);
        self.log(event.with(u64::from(ending == Ending::Forced)));
        self.settle(revocation, ending);
    }

    /// The notice that a domain was given by that upcall.
    pub(crate) fn notice_told_by(&self, holder: DomainId, upcall: u64) -> Option<Id> {
        self.notices_of(holder).find(|&id| self.notices.get(id).is_some_and(|it| it.upcall == upcall))
    }

    /// As [`claim`](Self::claim), without the ticket, and also by a capability that its holder has notice of: for what was begun while it
    /// was live.
    ///
    /// # Errors
    /// As there.
    pub fn claim_use(
        &self,
        domain: DomainId,
        slot: Slot,
        kind: ObjectKind,
        needed: Rights,
    ) -> Result<Capability, Status> {
        let refused = match self.authority(domain, slot, kind, needed) {
            Err(status @ Status::NoCapability) => status,
            other => return other,
        };
        let capability = self.on_notice(domain, slot).ok_or(refused)?;
        let is_right = capability.object.kind == kind && capability.rights.contains(needed);
        if is_right { Ok(capability) } else { Err(refused) }
    }

    /// What a domain has notice of, or will have as soon as the sweep comes there.
    fn on_notice(&self, domain: DomainId, slot: Slot) -> Option<Capability> {
        let mut noticed = self.notices_of(domain).filter_map(|id| self.notices.get(id));
        let (revocation, capability) = match noticed.find(|notice| notice.slot == slot) {
            Some(notice) => (notice.revocation, notice.capability),
            None => (self.sweeping?, self.capabilities.condemned(self.alive(domain).ok()?.space, slot)?),
        };
        // It may be over, and nobody have come to take it.
        (self.due(revocation) > self.machine.now_ns()).then_some(capability)
    }

    /// Whether a domain has notice that it loses a capability for this region.
    pub(crate) fn has_notice_of(&self, domain: DomainId, region: Object) -> bool {
        let mut noticed = self.notices_of(domain).filter_map(|id| self.notices.get(id));
        noticed.any(|notice| notice.capability.object == region && notice.memory.is_some())
    }

    fn notices_of(&self, domain: DomainId) -> impl Iterator<Item = Id> {
        let first = self.alive(domain).ok().and_then(|it| it.notices.head());
        core::iter::successors(first, |&id| self.notices.next(id, Listed::Holder))
    }

    /// Whether there is anything to let go of.
    fn is_in_use(&self, holder: DomainId, slot: Slot, capability: &Capability) -> bool {
        let object = capability.object;
        match object.kind {
            ObjectKind::Frame => self.has_frames_by(holder, slot, object),
            ObjectKind::Region => {
                let is_anothers = self.whole_region(capability).is_ok_and(|region| region.owner != holder);
                is_anothers && capability.rights.contains(Rights::MAP_READ)
            }
            ObjectKind::TimeSlice | ObjectKind::IoPort | ObjectKind::Interrupt => {
                capability.rights.contains(Rights::CONTROL)
            }
            _ => false,
        }
    }
}
