//! Memory that was mapped by authority that is gone.
//!
//! A domain may map what another one writes by a capability for its region, or because a peer shared it. Each is looked at when
//! it ends, however it ends: who could keep a mapping by deleting the capability for it, or by unbinding, would be out of
//! reach of a later revocation, and would keep its writer's memory at the writer's cost.
//!
//! What a peer left behind is the exception: who has not left may still read it, at its own cost.

use feuerbird_abi::Role;
use feuerbird_capability::{Capability, Object, ObjectKind, Rights, Slot};

use crate::binding::{Chain, Side};
use crate::table::Id;
use crate::{DomainId, Kernel, Machine};

impl<M: Machine> Kernel<M> {
    /// A capability has gone from its holder's space: so goes what was mapped by it, unless there is other authority for the same.
    pub(crate) fn withdraw_by(&mut self, holder: DomainId, slot: Slot, capability: &Capability) {
        match capability.object.kind {
            ObjectKind::TimeSlice | ObjectKind::IoPort | ObjectKind::Interrupt => {
                self.machine.take_back(slot, capability);
            }
            ObjectKind::Region if capability.rights.contains(Rights::MAP_READ) => {
                let id = Id(capability.object.id);
                let memory = self.regions.get(id).filter(|region| region.owner != holder);
                if let Some(memory) = memory.map(|region| region.memory.clone()) {
                    self.withdraw(holder, id, &memory);
                }
            }
            ObjectKind::Audit if self.is_alive(holder) && !self.may_read_log(holder, capability.object) => {
                self.machine.withdraw_log(holder);
            }
            _ => (),
        }
    }

    /// A pair is over. Whoever left it, or lost the authority for it, loses what the other side had shared; who did neither keeps it.
    pub(crate) fn settle_shared(&mut self, sides: &[Side<M::Handle>; 2], leaving: Role) {
        for role in [leaving, leaving.opposite()] {
            let Some((region, memory)) = &sides[role.opposite() as usize].shared else { continue };
            let Some(binding) = self.bindings.get(sides[role as usize].binding) else { continue };
            let holder = binding.holder;
            if role == leaving || !self.capabilities.is_live(&binding.ticket) {
                self.withdraw(holder, *region, memory);
            } else if self.is_alive(holder) && !self.may_map(holder, *region) {
                self.machine.keep(holder, memory);
            }
        }
    }

    pub(crate) fn withdraw(&mut self, holder: DomainId, region: Id, memory: &M::Handle) {
        if self.is_alive(holder) && !self.may_map(holder, region) {
            self.machine.withdraw(holder, memory);
        }
    }

    /// Whether a domain has authority to map a region, by a capability or a peer, or has notice that it loses such a capability.
    ///
    /// # Cost
    /// One look at each slot, notice, binding and pair of the domain.
    fn may_map(&self, domain: DomainId, region: Id) -> bool {
        let object = Object { kind: ObjectKind::Region, id: region.0 };
        let gives_all = |held: &Capability| {
            held.object == object && held.rights.contains(Rights::MAP_READ) && self.whole_region(held).is_ok()
        };
        self.held(domain).any(|(_, held)| gives_all(&held))
            || self.has_notice_of(domain, object)
            || self.is_shared_with(domain, region)
    }

    fn is_shared_with(&self, domain: DomainId, region: Id) -> bool {
        let first = self.alive(domain).ok().and_then(|it| it.bindings.head());
        let bindings = core::iter::successors(first, |&id| self.bindings.next(id, Chain::Holder));
        bindings.filter_map(|id| self.bindings.get(id)).any(|binding| {
            let role = binding.role;
            let pairs = core::iter::successors(binding.pairs.head(), |&id| self.pairs.next(id, role));
            let mut shared = pairs.filter_map(|id| self.pairs.get(id)?.side(role.opposite()).shared.as_ref());
            shared.any(|(shared, _)| *shared == region)
        })
    }

    fn may_read_log(&self, domain: DomainId, log: Object) -> bool {
        self.held(domain).any(|(_, held)| held.object == log && held.rights.contains(Rights::INSPECT))
    }
}
