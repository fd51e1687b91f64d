//! The kernel's tables checked against each other, for tests and for a home that wants to know.

use feuerbird_abi::Role;
use feuerbird_capability::{Capability, ObjectKind};

use crate::binding::{Binding, Chain, State};
use crate::domain::{Charges, Domain};
use crate::notice;
use crate::table::{Id, Linked, List, Table};
use crate::{DomainId, Kernel, Machine};

/// What is wrong with a kernel's tables. None of it can happen by what domains or homes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    /// In the capability spaces.
    Capabilities(feuerbird_capability::Damage),
    /// What a domain is charged is not what it has.
    Charges,
    /// A list does not hold what it should.
    List,
    /// A domain's free validity words and those in use are not all it has.
    Words,
    /// An endpoint or a region counts capabilities or bindings that are not there.
    References,
    /// A pair's side is missing.
    Pair,
    /// A revocation waits for what is not there.
    Revocation,
    /// The capabilities for all pages of some memory are not a chain, or the pages are not with who has the youngest.
    Frames,
    /// A domain waits where nobody would find it, or is found where it does not wait.
    Transfer,
}

impl<M: Machine> Kernel<M> {
    /// Recounts everything.
    ///
    /// # Errors
    /// What is wrong first.
    ///
    /// # Cost
    /// More than quadratic in the tables: not for use in operation.
    pub fn verify(&self) -> Result<(), Damage> {
        self.capabilities.verify().map_err(Damage::Capabilities)?;
        self.domains.iter().try_for_each(|(id, domain)| self.verify_domain(DomainId(id.0), domain))?;
        self.bindings.iter().try_for_each(|(id, binding)| self.verify_binding(id, binding))?;
        self.pairs.iter().try_for_each(|(id, pair)| {
            let knows = |role: Role| {
                let binding = self.bindings.get(pair.side(role).binding);
                binding.is_some_and(|it| it.role == role && holds(&self.pairs, it.pairs, id, role))
            };
            check(knows(Role::Sender) && knows(Role::Receiver), Damage::Pair)
        })?;
        self.verify_revocations()?;
        self.verify_transfers()?;
        self.verify_frames()?;
        // A capability that the sweep has not reached is counted and not held.
        if self.capabilities.is_swept() { self.verify_references() } else { Ok(()) }
    }

    fn verify_domain(&self, id: DomainId, domain: &Domain) -> Result<(), Damage> {
        let regions = || self.regions.iter().filter(|(_, it)| it.owner == id);
        let bindings = || self.bindings.iter().filter(|(_, it)| it.holder == id);
        let charges = Charges {
            endpoints: count(self.endpoints.iter().filter(|(_, it)| it.owner == id)),
            notifications: count(self.notifications.iter().filter(|(_, it)| it.owner == id)),
            regions: count(regions()),
            region_bytes: regions().map(|(_, it)| it.bytes).sum(),
            bindings: count(bindings()),
            revocations: count(self.revocations.iter().filter(|(_, it)| it.requester() == id)),
            notices: count(self.notices.iter().filter(|(_, it)| it.holder == id)),
            children: count(
                self.domains.iter().filter(|(_, it)| self.creators(it.parent).any(|above| above == id)),
            ),
            // What the sweep has not reached is counted and not held: see `verify_references`.
            along: domain.charges.along,
        };
        check(charges == domain.charges, Damage::Charges)?;
        let current = || bindings().filter(|(_, it)| !matches!(it.state, State::Doomed { .. }));
        let listed = length(&self.bindings, domain.bindings, Chain::Holder);
        check(listed == count(current()), Damage::List)?;
        check(length(&self.regions, domain.regions, ()) == count(regions()), Damage::List)?;
        let noticed = length(&self.notices, domain.notices, notice::Listed::Holder);
        check(noticed == charges.notices, Damage::List)?;
        let used = count(current()) + bindings().map(|(_, it)| it.peers).sum::<u32>();
        let all = self.limits.words_per_domain;
        check(domain.is_ending || domain.words.count() + used == all, Damage::Words)
    }

    fn verify_binding(&self, id: Id, binding: &Binding) -> Result<(), Damage> {
        let Binding { role, state, .. } = *binding;
        check(length(&self.pairs, binding.pairs, role) == binding.peers, Damage::List)?;
        let endpoint = self.endpoints.get(Id(binding.endpoint.id)).ok_or(Damage::References)?;
        let made_with = self.made_with[binding.ticket.slot().index as usize];
        let is_bound = state == State::Bound;
        let is_meeting = holds(&self.bindings, endpoint.bound[role as usize], id, Chain::Endpoint);
        check(is_meeting == is_bound, Damage::List)?;
        check(holds(&self.bindings, made_with, id, Chain::Capability) == is_bound, Damage::List)?;
        let is_doomed = matches!(state, State::Doomed { .. });
        check(holds(&self.bindings, self.doomed, id, Chain::Queue) == is_doomed, Damage::List)
    }

    fn verify_references(&self) -> Result<(), Damage> {
        // What somebody has notice of is held until that is over.
        let held = |kind, id: Id| {
            let is_it = |it: &Capability| it.object.kind == kind && it.object.id == id.0;
            let all = self.domains.iter().flat_map(|(domain, _)| self.held(DomainId(domain.0)));
            let noticed = self.notices.iter().filter(|(_, it)| is_it(&it.capability));
            count(all.filter(|(_, it)| is_it(it))) + count(noticed)
        };
        self.domains.iter().filter(|(_, it)| !it.is_ending).try_for_each(|(id, it)| {
            let along = self.held(DomainId(id.0)).filter(|(slot, _)| self.came_along[slot.index as usize]);
            check(it.charges.along == count(along), Damage::Charges)
        })?;
        self.endpoints.iter().try_for_each(|(id, it)| {
            let bindings = count(self.bindings.iter().filter(|(_, binding)| binding.endpoint.id == id.0));
            let is_right = it.references == held(ObjectKind::Endpoint, id) && it.bindings == bindings;
            check(is_right && it.references + it.bindings > 0, Damage::References)
        })?;
        self.notifications.iter().try_for_each(|(id, it)| {
            check(
                it.references == held(ObjectKind::Notification, id) && it.references > 0,
                Damage::References,
            )
        })?;
        self.regions.iter().try_for_each(|(id, it)| {
            check(it.references == held(ObjectKind::Region, id) && it.references > 0, Damage::References)
        })?;
        self.frames.iter().try_for_each(|(id, it)| {
            check(it.references == held(ObjectKind::Frame, id) && it.references > 0, Damage::References)
        })
    }

    fn verify_revocations(&self) -> Result<(), Damage> {
        self.revocations.iter().try_for_each(|(id, it)| {
            let waiting = self.bindings.iter().filter(|(_, binding)| match binding.state {
                State::Bound => false,
                State::Revoking { revocation, .. } => revocation == id,
                State::Doomed { revocation, .. } => revocation == Some(id),
            });
            let absorbed = self.revocations.iter().filter(|(_, it)| it.absorber() == Some(id));
            let noticed = count(self.notices.iter().filter(|(_, it)| it.revocation == id));
            check(length(&self.notices, it.noticed, notice::Listed::Revocation) == noticed, Damage::List)?;
            check(it.counts() == (count(waiting) + noticed, count(absorbed)), Damage::Revocation)
        })
    }
}

pub(crate) fn check(is_right: bool, damage: Damage) -> Result<(), Damage> {
    if is_right { Ok(()) } else { Err(damage) }
}

fn count(items: impl Iterator) -> u32 {
    items.count() as u32
}

fn entries<T: Linked<C>, C: Copy>(table: &Table<T>, list: List, chain: C) -> impl Iterator<Item = Id> {
    core::iter::successors(list.head(), move |&id| table.next(id, chain))
}

fn length<T: Linked<C>, C: Copy>(table: &Table<T>, list: List, chain: C) -> u32 {
    count(entries(table, list, chain))
}

fn holds<T: Linked<C>, C: Copy>(table: &Table<T>, list: List, id: Id, chain: C) -> bool {
    entries(table, list, chain).any(|found| found == id)
}
