//! Calls about capabilities: inspect, derive, copy, move, grant, delete. Revoke is in `revocation`.

use feuerbird_abi::{AuditKind, Status, UpcallKind};
use feuerbird_capability::{Capability, Object, ObjectKind, Rights, Slot};

use super::{Asked, Values, status};
use crate::audit::Event;
use crate::binding::Chain;
use crate::table::Id;
use crate::{DomainId, Kernel, Machine};

impl<M: Machine> Kernel<M> {
    pub(super) fn inspect(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let space = self.alive(asked.caller)?.space;
        let found = self.capabilities.inspect(space, asked.slot(0)).map_err(status)?.capability;
        let Capability { object, rights, trust, badge, range } = found;
        Ok([
            object.kind.number(),
            u64::from(rights.bits()),
            u64::from(trust.level()),
            badge.0,
            range.start,
            range.length,
        ])
    }

    pub(super) fn derive(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let space = self.alive(asked.caller)?.space;
        let derivation = feuerbird_capability::Derivation { range: asked.range(4), ..asked.derivation(1)? };
        let slot = self.capabilities.derive(space, asked.slot(0), derivation).map_err(status)?;
        self.entered(AuditKind::Derived, asked.caller, asked.caller, slot)?;
        Ok([slot.to_bits(), 0, 0, 0, 0, 0])
    }

    pub(super) fn copy(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let space = self.alive(asked.caller)?.space;
        let slot = self.capabilities.copy(space, asked.slot(0)).map_err(status)?;
        self.entered(AuditKind::Copied, asked.caller, asked.caller, slot)?;
        Ok([slot.to_bits(), 0, 0, 0, 0, 0])
    }

    /// Bindings and unanswered revocations follow the capability to its new slot.
    pub(super) fn move_slot(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let old = asked.slot(0);
        let domain = self.alive_mut(asked.caller)?;
        let (space, was_own) = (domain.space, domain.own == old);
        let new = self.capabilities.move_within(space, old).map_err(status)?;
        self.taken_from_where_it_came(space, old);
        if was_own {
            self.alive_mut(asked.caller)?.own = new;
        }
        let (capability, ticket) = self.capabilities.ticket(space, new, Rights::empty()).map_err(status)?;
        let mut next = self.made_with[new.index as usize].head();
        while let Some(binding) = next.and_then(|id| self.bindings.get_mut(id)) {
            binding.ticket = ticket;
            next = next.and_then(|id| self.bindings.next(id, Chain::Capability));
        }
        for (_, revocation) in self.revocations.iter_mut() {
            if revocation.revoker.slot() == old {
                revocation.revoker = ticket;
            }
        }
        match capability.object.kind {
            ObjectKind::Frame => self.frames_moved(ticket),
            ObjectKind::TimeSlice | ObjectKind::IoPort | ObjectKind::Interrupt => {
                self.machine.follow(old, new, &capability);
            }
            _ => (),
        }
        let event = Event::new(AuditKind::Moved, Some(asked.caller), asked.caller);
        self.log(event.about(new, &capability).with(old.to_bits()));
        Ok([new.to_bits(), 0, 0, 0, 0, 0])
    }

    pub(super) fn grant(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let from = self.alive(asked.caller)?.space;
        let derivation = asked.derivation(2)?;
        let named = self.authority(asked.caller, asked.slot(1), ObjectKind::Domain, Rights::SEND)?;
        let target = DomainId(named.object.id);
        let to = self.alive(target)?.space;
        self.check_handing_over(asked.caller, asked.slot(0), target)?;
        let slot = self.capabilities.grant(from, asked.slot(0), to, derivation);
        let slot = slot.map_err(|error| self.refused_grant(error))?;
        let granted = self.entered(AuditKind::Granted, asked.caller, target, slot)?;
        self.tell(
            target,
            UpcallKind::Granted,
            &[
                slot.to_bits(),
                granted.object.kind.number(),
                u64::from(granted.rights.bits()),
                u64::from(granted.trust.level()),
                granted.badge.0,
            ],
            None,
        );
        Ok([slot.to_bits(), 0, 0, 0, 0, 0])
    }

    pub(super) fn delete(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        self.delete_slot(asked.caller, asked.slot(0)).map(|()| [0; 6])
    }

    /// Empties a slot of a domain's, and does what follows from that.
    ///
    /// # Errors
    /// [`Status::DomainGone`], [`Status::NoCapability`].
    pub fn delete_slot(&mut self, domain: DomainId, slot: Slot) -> Result<(), Status> {
        let space = self.alive(domain)?.space;
        let finalised = self.capabilities.delete(space, slot).map_err(status)?;
        self.finalise(&finalised, self.machine.now_ns());
        self.hurry_orphaned_revocations();
        Ok(())
    }

    /// Counts and writes down a capability that came into a space.
    pub(crate) fn entered(
        &mut self,
        kind: AuditKind,
        subject: DomainId,
        target: DomainId,
        slot: Slot,
    ) -> Result<Capability, Status> {
        let capability = *self.capabilities.given(slot).ok_or(Status::NoCapability)?;
        self.refer(capability.object);
        if capability.object.kind == ObjectKind::Frame {
            self.frames_entered(target, slot, &capability);
        }
        self.log(Event::new(kind, Some(subject), target).about(slot, &capability));
        Ok(capability)
    }

    /// One more capability names this object.
    fn refer(&mut self, object: Object) {
        let references = match object.kind {
            ObjectKind::Endpoint => self.endpoints.get_mut(Id(object.id)).map(|it| &mut it.references),
            ObjectKind::Notification => {
                self.notifications.get_mut(Id(object.id)).map(|it| &mut it.references)
            }
            ObjectKind::Region => self.regions.get_mut(Id(object.id)).map(|it| &mut it.references),
            ObjectKind::Frame => self.frames.get_mut(Id(object.id)).map(|it| &mut it.references),
            _ => None,
        };
        if let Some(references) = references {
            *references += 1;
        }
    }
}
