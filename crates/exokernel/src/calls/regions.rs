//! Calls about regions: register, map, share; and the end of endpoints and regions that nothing names any more.

use feuerbird_abi::{AuditKind, Status, UpcallKind};
use feuerbird_capability::{Capability, Object, ObjectKind, Range, Rights};

use super::bind::Met;
use super::{Asked, Beside, Values};
use crate::audit::Event;
use crate::kernel::whole;
use crate::object::Region;
use crate::table::{Id, Links};
use crate::{DomainId, Kernel, Machine};

impl<M: Machine> Kernel<M> {
    pub(super) fn register_region(&mut self, asked: Asked<'_, M::Handle>) -> Result<Values, Status> {
        let (caller, bytes) = (asked.caller, asked.arguments[0]);
        let memory = asked.handle.ok_or(Status::NoHandle)?;
        let total = self.region_charge(caller, bytes)?;
        self.machine.check_sealed(caller, &memory, bytes)?;
        let region = Region { owner: caller, bytes, memory, references: 1, links: Links::default() };
        let id = self.regions.insert(region).ok_or(Status::ObjectsFull)?;
        let rights = Rights::MAP_READ | Rights::GRANT | Rights::DERIVE | Rights::REVOKE | Rights::INSPECT;
        let object = Object { kind: ObjectKind::Region, id: id.0 };
        let trust = self.alive(caller)?.trust;
        let capability = Capability { range: Range::new(0, bytes), ..whole(object, rights, trust) };
        let slot = match self.mint(caller, capability) {
            Ok(slot) => slot,
            Err(status) => {
                self.regions.remove(id);
                return Err(status);
            }
        };
        if let Some(owner) = self.domains.get_mut(caller.id()) {
            owner.charges.regions += 1;
            owner.charges.region_bytes = total;
            self.regions.push(&mut owner.regions, id, ());
        }
        self.log_minted(caller, slot);
        Ok([slot.to_bits(), 0, 0, 0, 0, 0])
    }

    pub(super) fn map_region(
        &mut self,
        asked: &Asked<'_, M::Handle>,
        beside: &mut Beside<M::Handle>,
    ) -> Result<Values, Status> {
        let (caller, slot) = (asked.caller, asked.words().slot(0));
        let capability = self.authority(caller, slot, ObjectKind::Region, Rights::MAP_READ)?;
        let region = self.whole_region(&capability)?;
        let bytes = region.bytes;
        beside.handle = Some(region.memory.clone());
        let event = Event::new(AuditKind::Mapped, Some(caller), caller);
        self.log(event.about(slot, &capability).with(bytes));
        Ok([bytes, 0, 0, 0, 0, 0])
    }

    pub(super) fn share(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let (caller, slot) = (asked.caller, asked.words().slot(2));
        let Met { peer, role, theirs, other } = self.met(caller, asked.arguments[0], asked.arguments[1])?;
        if self.pairs.get(peer).is_none_or(|pair| pair.side(role).shared.is_some()) {
            return Err(Status::AlreadyShared);
        }
        let capability = self.authority(caller, slot, ObjectKind::Region, Rights::MAP_READ)?;
        let region = self.whole_region(&capability)?;
        if region.owner != caller {
            return Err(Status::BadArgument);
        }
        let (bytes, memory) = (region.bytes, region.memory.clone());
        if let Some(pair) = self.pairs.get_mut(peer) {
            pair.side_mut(role).shared = Some((Id(capability.object.id), memory.clone()));
        }
        self.tell(other, UpcallKind::Shared, &[theirs.0, peer.0, bytes], Some(&memory));
        let event = Event::new(AuditKind::Shared, Some(caller), other);
        self.log(event.about(slot, &capability).with(bytes));
        Ok([0; 6])
    }

    /// The region that a capability names, if it names all of it.
    pub(crate) fn whole_region(&self, capability: &Capability) -> Result<&Region<M::Handle>, Status> {
        let region = self.regions.get(Id(capability.object.id)).ok_or(Status::NoCapability)?;
        let whole = Range::new(0, region.bytes);
        if capability.range == whole { Ok(region) } else { Err(Status::Escalation) }
    }

    /// The bytes a domain would be charged with one more region.
    fn region_charge(&self, domain: DomainId, bytes: u64) -> Result<u64, Status> {
        if bytes == 0 {
            return Err(Status::BadArgument);
        }
        let charges = &self.alive(domain)?.charges;
        let total = charges.region_bytes.checked_add(bytes).ok_or(Status::QuotaExceeded)?;
        let fits = total <= self.limits.region_bytes_per_domain;
        let is_one_left = charges.regions < self.limits.regions_per_domain;
        if fits && is_one_left { Ok(total) } else { Err(Status::QuotaExceeded) }
    }

    /// One capability less names this object; the last one takes it along.
    pub(crate) fn release(&mut self, object: Object) {
        let id = Id(object.id);
        match object.kind {
            ObjectKind::Endpoint => {
                if let Some(endpoint) = self.endpoints.get_mut(id) {
                    endpoint.references -= 1;
                }
                self.collect_endpoint(id);
            }
            ObjectKind::Notification => self.collect_notification(id),
            ObjectKind::Region => {
                let Some(region) = self.regions.get_mut(id) else { return };
                region.references -= 1;
                if region.references == 0 {
                    self.release_region(id);
                }
            }
            ObjectKind::Frame => {
                let Some(frames) = self.frames.get_mut(id) else { return };
                frames.references -= 1;
                if frames.references == 0 {
                    self.frames.remove(id);
                }
            }
            _ => (),
        }
    }

    /// Forgets an endpoint that nothing names or uses any more.
    pub(crate) fn collect_endpoint(&mut self, id: Id) {
        let Some(endpoint) = self.endpoints.get(id) else { return };
        if endpoint.references > 0 || endpoint.bindings > 0 {
            return;
        }
        let owner = endpoint.owner;
        self.endpoints.remove(id);
        if let Some(owner) = self.domains.get_mut(owner.id()) {
            owner.charges.endpoints -= 1;
        }
    }

    /// Forgets a region, whoever still names it.
    pub(crate) fn release_region(&mut self, id: Id) {
        let Some(region) = self.regions.get(id) else { return };
        let (owner, bytes) = (region.owner, region.bytes);
        if let Some(owner) = self.domains.get_mut(owner.id()) {
            self.regions.unlink(&mut owner.regions, id, ());
            owner.charges.regions -= 1;
            owner.charges.region_bytes -= bytes;
        }
        self.regions.remove(id);
    }
}
