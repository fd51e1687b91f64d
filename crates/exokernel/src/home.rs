//! Capabilities for what only a home has: its frames, slices of time, ports and interrupt lines. The kernel keeps, derives and revokes
//! them as any other; what they allow, the home does.

use feuerbird_abi::{AuditKind, Status};
use feuerbird_capability::{Capability, ObjectKind, Rights, Slot};

use crate::audit::Event;
use crate::{DomainId, Kernel, Machine};

impl<M: Machine> Kernel<M> {
    /// Puts a capability for something of the home's into a domain's space, out of nothing.
    ///
    /// # Errors
    /// [`Status::DomainGone`], [`Status::SlotsFull`], [`Status::ObjectsFull`]; [`Status::BadArgument`] for a range that
    /// overlaps another one of an exclusive kind, or is empty.
    pub fn mint_for(&mut self, domain: DomainId, capability: Capability) -> Result<Slot, Status> {
        let slot = self.mint(domain, capability)?;
        self.log_minted(domain, slot);
        Ok(slot)
    }

    /// What a slot of a domain's holds, if it is of this kind and has these rights.
    ///
    /// What the home does by it, and goes on to do, is to end where [`Machine::take_back`] says so.
    ///
    /// # Errors
    /// [`Status::DomainGone`], [`Status::NoCapability`], [`Status::WrongKind`], [`Status::MissingRight`].
    pub fn claim(
        &self,
        domain: DomainId,
        slot: Slot,
        kind: ObjectKind,
        needed: Rights,
    ) -> Result<Capability, Status> {
        self.authority(domain, slot, kind, needed)
    }

    /// Writes down what a domain did to itself or another one by a capability of its own, in a call of the home's.
    pub fn log_control(&mut self, subject: DomainId, target: DomainId, slot: Slot, call: u64) {
        if let Ok(capability) = self.capability(subject, slot) {
            let event = Event::new(AuditKind::Controlled, Some(subject), target);
            self.log(event.about(slot, &capability).with(call));
        }
    }
}
