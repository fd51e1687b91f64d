//! Calls about capabilities: inspect, derive, copy, move, grant, delete. Revoke is in `revocation`.
//!
//! All but grant have no more than their words, and leave what they say in these. None is inlined where it is called: in one function
//! they would keep each other's values out of the registers.

use feuerbird_abi::{AuditKind, Status, UpcallKind};
use feuerbird_capability::{Capability, Derivation, Object, ObjectKind, Rights, Slot};

use super::{Asked, Values, Words, status};
use crate::audit::Event;
use crate::binding::Chain;
use crate::table::Id;
use crate::{DomainId, Kernel, Machine};

impl<M: Machine> Kernel<M> {
    #[inline(never)]
    pub(super) fn inspect(&mut self, caller: DomainId, words: &mut Values) -> Result<(), Status> {
        let space = self.alive(caller)?.space;
        let found = self.capabilities.inspect(space, Words(words).slot(0)).map_err(status)?.capability;
        let Capability { object, rights, trust, badge, range } = found;
        *words = [
            object.kind.number(),
            u64::from(rights.bits()),
            u64::from(trust.level()),
            badge.0,
            range.start,
            range.length,
        ];
        Ok(())
    }

    #[inline(never)]
    pub(super) fn derive(&mut self, caller: DomainId, words: &mut Values) -> Result<(), Status> {
        let space = self.alive(caller)?.space;
        let asked = Words(words);
        let derivation = Derivation { range: asked.range(4), ..asked.derivation(1)? };
        let slot = self.capabilities.derive(space, asked.slot(0), derivation).map_err(status)?;
        self.entered(AuditKind::Derived, caller, caller, slot)?;
        *words = [slot.to_bits(), 0, 0, 0, 0, 0];
        Ok(())
    }

    #[inline(never)]
    pub(super) fn copy(&mut self, caller: DomainId, words: &mut Values) -> Result<(), Status> {
        let space = self.alive(caller)?.space;
        let slot = self.capabilities.copy(space, Words(words).slot(0)).map_err(status)?;
        self.entered(AuditKind::Copied, caller, caller, slot)?;
        *words = [slot.to_bits(), 0, 0, 0, 0, 0];
        Ok(())
    }

    #[inline(never)]
    pub(super) fn delete(&mut self, caller: DomainId, words: &mut Values) -> Result<(), Status> {
        self.delete_slot(caller, Words(words).slot(0))?;
        *words = [0; 6];
        Ok(())
    }

    /// Bindings and unanswered revocations follow the capability to its new slot.
    #[inline(never)]
    pub(super) fn move_slot(&mut self, caller: DomainId, words: &mut Values) -> Result<(), Status> {
        let old = Words(words).slot(0);
        let domain = self.alive_mut(caller)?;
        let (space, was_own) = (domain.space, domain.own == old);
        let new = self.capabilities.move_within(space, old).map_err(status)?;
        self.taken_from_where_it_came(space, old);
        if was_own {
            self.alive_mut(caller)?.own = new;
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
        let event = Event::new(AuditKind::Moved, Some(caller), caller);
        self.log(event.about(new, &capability).with(old.to_bits()));
        *words = [new.to_bits(), 0, 0, 0, 0, 0];
        Ok(())
    }

    pub(super) fn grant(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let from = self.alive(asked.caller)?.space;
        let derivation = asked.words().derivation(2)?;
        let named = self.authority(asked.caller, asked.words().slot(1), ObjectKind::Domain, Rights::SEND)?;
        let target = DomainId(named.object.id);
        let to = self.alive(target)?.space;
        self.check_handing_over(asked.caller, asked.words().slot(0), target)?;
        let slot = self.capabilities.grant(from, asked.words().slot(0), to, derivation);
        let slot = slot.map_err(|error| self.refused_grant(error))?;
        self.entered(AuditKind::Granted, asked.caller, target, slot)?;
        let granted = *self.capabilities.given(slot).ok_or(Status::NoCapability)?;
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

    /// Empties a slot of a domain's, and does what follows from that.
    ///
    /// # Errors
    /// [`Status::DomainGone`], [`Status::NoCapability`].
    pub fn delete_slot(&mut self, domain: DomainId, slot: Slot) -> Result<(), Status> {
        let space = self.alive(domain)?.space;
        let finalised = self.capabilities.delete(space, slot).map_err(status)?;
        self.finalise(&finalised, self.machine.now_ns());
        self.finish_withdrawals();
        self.hurry_orphaned_revocations();
        Ok(())
    }

    /// Counts and writes down a capability that came into a space.
    #[inline(always)]
    pub(crate) fn entered(
        &mut self,
        kind: AuditKind,
        subject: DomainId,
        target: DomainId,
        slot: Slot,
    ) -> Result<(), Status> {
        let capability = self.capabilities.given(slot).ok_or(Status::NoCapability)?;
        let object = capability.object;
        let event = Event::new(kind, Some(subject), target).about(slot, capability);
        if object.kind == ObjectKind::Frame {
            let capability = *capability;
            self.frames_entered(target, slot, &capability);
        }
        self.refer(object);
        self.log(event);
        Ok(())
    }

    /// One more capability names this object.
    #[inline(always)]
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
