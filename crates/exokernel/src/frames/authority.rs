//! What a domain may have mapped, for a home that checks its page tables against it.

use feuerbird_abi::Role;
use feuerbird_capability::{Object, ObjectKind, Rights};

use crate::table::Id;
use crate::{DomainId, Kernel, Machine};

/// Who has memory that capabilities name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The holder of the youngest capability for all of it.
    pub domain: DomainId,
    /// Whether another domain could take it back: then nobody else has any of it mapped.
    pub is_lent: bool,
}

impl<M: Machine> Kernel<M> {
    /// Who has the memory of which this is so, if a capability names it. Only current where no work is left: see
    /// [`next_deadline`](Self::next_deadline).
    ///
    /// # Cost
    /// Linear in the objects: not for use in operation.
    pub fn holder_of(&self, is_it: impl Fn(&M::Handle) -> bool) -> Option<Holder> {
        let mut named = self.frames.iter().map(|(_, frames)| frames);
        let frames = named.find(|frames| frames.memory.as_ref().is_some_and(&is_it))?;
        let is_lent = self.chain(frames.youngest).any(|(_, share)| share.holder != frames.holder);
        Some(Holder { domain: frames.holder, is_lent })
    }

    /// Whether a domain may have memory mapped that another one writes: by a capability for its region, or because a peer shares it;
    /// or it has notice that it loses the capability.
    ///
    /// # Cost
    /// Linear in the regions, the pairs and the domain's slots: not for use in operation.
    pub fn may_read(&self, domain: DomainId, is_it: impl Fn(&M::Handle) -> bool) -> bool {
        let is_held = |id: Id| {
            let object = Object { kind: ObjectKind::Region, id: id.0 };
            self.held(domain).any(|(_, held)| {
                held.object == object
                    && held.rights.contains(Rights::MAP_READ)
                    && self.whole_region(&held).is_ok()
            })
        };
        let holds = |role, pair: &crate::binding::Pair<M::Handle>| {
            self.bindings.get(pair.side(role).binding).is_some_and(|it| it.holder == domain)
        };
        let mut regions = self.regions.iter().filter(|(_, region)| is_it(&region.memory));
        let mut pairs = self.pairs.iter().map(|(_, pair)| pair);
        let mut noticed = self.notices.iter().filter(|(_, notice)| notice.holder == domain);
        regions.any(|(id, _)| is_held(id))
            || noticed.any(|(_, notice)| notice.memory.as_ref().is_some_and(&is_it))
            || pairs.any(|pair| {
                [Role::Sender, Role::Receiver].into_iter().any(|role| {
                    let shared = &pair.side(role.opposite()).shared;
                    shared.as_ref().is_some_and(|(_, memory)| is_it(memory)) && holds(role, pair)
                })
            })
    }

    /// How many references to memory the tables have: regions, what capabilities for frames name, what peers share, what somebody has
    /// notice of.
    pub fn memory_references(&self) -> usize {
        let shared = self.pairs.iter().flat_map(|(_, pair)| &pair.sides).filter(|side| side.shared.is_some());
        let named = self.frames.iter().filter(|(_, frames)| frames.memory.is_some());
        let noticed = self.notices.iter().filter(|(_, notice)| notice.memory.is_some());
        self.regions.iter().count() + named.count() + shared.count() + noticed.count()
    }
}
