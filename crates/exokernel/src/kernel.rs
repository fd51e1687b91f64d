//! The kernel as its home sees it.

use alloc::vec::Vec;

use feuerbird_abi::{AuditKind, Request, Status};
use feuerbird_capability::{
    Badge, Capabilities, Capability, Node, Object, ObjectKind, Range, Rights, Slot, Space, Trust,
};

use crate::audit::{AuditRing, Event};
use crate::binding::{Binding, Pair};
use crate::domain::{Domain, DomainId};
use crate::frames::{Frames, Share};
use crate::notice::Notice;
use crate::object::{Endpoint, Region};
use crate::revocation::Revocation;
use crate::table::{Id, List, Table};
use crate::transfer::{Notification, Transfers};
use crate::words::Words;
use crate::work::Then;
use crate::{Limits, Machine, Outcome, Plain};

/// All state of one kernel, over one machine.
///
/// # Locking
/// None: one call at a time. A home with several threads or processors puts it behind its own lock.
pub struct Kernel<M: Machine> {
    pub(crate) machine: M,
    pub(crate) limits: Limits,
    pub(crate) capabilities: Capabilities<Vec<Node>, Vec<Space>>,
    /// By the index of a slot: the bindings made with the capability in it.
    pub(crate) made_with: Vec<List>,
    /// By the index of a slot: whether the capability came along with a message, and lies where it came.
    pub(crate) came_along: Vec<bool>,
    pub(crate) domains: Table<Domain>,
    /// By the index of a space: whose it is.
    pub(crate) space_holders: Vec<DomainId>,
    pub(crate) words: Words,
    pub(crate) endpoints: Table<Endpoint>,
    pub(crate) notifications: Table<Notification>,
    pub(crate) transfers: Transfers,
    pub(crate) regions: Table<Region<M::Handle>>,
    pub(crate) frames: Table<Frames<M::Handle>>,
    /// By the index of a slot: its place among the capabilities for the same memory.
    pub(crate) shares: Vec<Share>,
    pub(crate) bindings: Table<Binding>,
    pub(crate) pairs: Table<Pair<M::Handle>>,
    pub(crate) revocations: Table<Revocation>,
    pub(crate) notices: Table<Notice<M::Handle>>,
    /// The revocation on whose account the sweep finds capabilities.
    pub(crate) sweeping: Option<Id>,
    /// What is to follow when that is taken which is being withdrawn; nothing where nothing is.
    pub(crate) then: Option<Then>,
    /// Bindings whose pairs are being ended.
    pub(crate) doomed: List,
    /// Domains that are being taken down.
    pub(crate) ending: List,
    pub(crate) audit: AuditRing,
}

impl<M: Machine> Kernel<M> {
    /// A kernel without domains. All tables are allocated here.
    pub fn new(machine: M, limits: Limits) -> Self {
        let times = |per_domain: u32| limits.domains.saturating_mul(per_domain);
        let slots = times(limits.slots_per_domain) as usize;
        let nodes = alloc::vec![Node::EMPTY; slots];
        let spaces = alloc::vec![Space::EMPTY; limits.domains as usize];
        Self {
            machine,
            limits,
            capabilities: Capabilities::new(nodes, spaces),
            made_with: alloc::vec![List::EMPTY; slots],
            came_along: alloc::vec![false; slots],
            domains: Table::new(limits.domains),
            space_holders: alloc::vec![DomainId(0); limits.domains as usize],
            words: Words::new(limits.domains, limits.words_per_domain),
            endpoints: Table::new(times(limits.endpoints_per_domain)),
            notifications: Table::new(times(limits.endpoints_per_domain)),
            transfers: Transfers::new(
                limits.domains,
                times(limits.endpoints_per_domain),
                times(limits.endpoints_per_domain),
            ),
            regions: Table::new(times(limits.regions_per_domain)),
            frames: Table::new(limits.memory_objects),
            shares: alloc::vec![Share::NONE; if limits.memory_objects > 0 { slots } else { 0 }],
            bindings: Table::new(times(limits.bindings_per_domain)),
            // Each pair takes a word on each side, so this many there can be at most.
            pairs: Table::new(times(limits.words_per_domain).div_ceil(2)),
            revocations: Table::new(times(limits.revocations_per_domain)),
            notices: Table::new(times(limits.notices_per_domain)),
            sweeping: None,
            then: None,
            doomed: List::EMPTY,
            ending: List::EMPTY,
            audit: AuditRing::new(limits.audit_records),
        }
    }

    /// The machine below.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine below, for the home's own records.
    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// The sizes this kernel was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The audit log, for the home to read. Domains read it by [`Call::ReadAudit`](feuerbird_abi::Call::ReadAudit).
    pub fn audit(&self) -> &AuditRing {
        &self.audit
    }

    /// Whether a domain exists and is not ending.
    pub fn is_alive(&self, domain: DomainId) -> bool {
        self.alive(domain).is_ok()
    }

    /// What a domain holds, in no promised order; nothing for one that is gone.
    pub fn held(&self, domain: DomainId) -> impl Iterator<Item = (Slot, Capability)> + '_ {
        let space = self.alive(domain).ok().map(|it| it.space);
        space.and_then(|space| self.capabilities.held(space).ok()).into_iter().flatten()
    }

    /// Makes a domain that nobody asked for: the first one, with capabilities for itself and for the audit log. The
    /// machine is not called: the home has this domain in hand already.
    ///
    /// # Errors
    /// [`Status::ObjectsFull`], [`Status::SlotsFull`].
    pub fn boot_domain(&mut self, trust: Trust) -> Result<DomainId, Status> {
        let domain = self.make_domain(None, trust, self.limits.children_per_domain)?;
        let audit = Object { kind: ObjectKind::Audit, id: 1 };
        let slot = self.mint(domain, whole(audit, Rights::all(), trust));
        let slot = slot.inspect_err(|_| self.forget_domain(domain))?;
        self.log_domain(domain, None);
        self.log_minted(domain, slot);
        Ok(domain)
    }

    /// Makes a domain that the home brings in (a program that connected), as if `parent` had created it: the slot names
    /// it in the parent's space. The machine is not called: the home has this domain in hand already.
    ///
    /// # Errors
    /// As [`Call::CreateDomain`](feuerbird_abi::Call::CreateDomain).
    pub fn adopt_domain(&mut self, parent: DomainId, trust: Trust) -> Result<(DomainId, Slot), Status> {
        self.new_child(parent, trust, |_, _| Ok(())).map(|(domain, slot, ())| (domain, slot))
    }

    /// Carries out one system call of `caller`.
    ///
    /// Any request is allowed: what it may not do is refused in the reply. Upcalls may be made before this returns, also
    /// to the caller. May leave work to [`tick`](Self::tick): see [`next_deadline`](Self::next_deadline).
    ///
    /// # Cost
    /// Bounded by the limits, whatever the request.
    pub fn dispatch(
        &mut self,
        caller: DomainId,
        request: &Request,
        payload: &[u8],
        handle: Option<M::Handle>,
    ) -> Outcome<M::Handle> {
        self.serve(caller, request, payload, handle)
    }

    /// Carries out a call that came as six words in registers, if it is one that never brings or takes more: as
    /// [`dispatch`](Self::dispatch) does, without room for a payload. What it says is in the words then. `None` has changed nothing:
    /// it is for `dispatch`.
    ///
    /// Work that is left, also by others, is all [`tick`](Self::tick)'s: only a revocation does a part of its own.
    ///
    /// # Cost
    /// Bounded by the limits, whatever the request.
    #[inline]
    pub fn dispatch_plain(&mut self, caller: DomainId, number: u32, words: &mut [u64; 6]) -> Option<Plain> {
        self.serve_plain(caller, number, words)
    }

    /// Refuses a request without looking at it, because the home could not bring all of it here: it has no descriptors
    /// left, say. The refusal is in the audit log, as any other.
    pub fn refuse(&mut self, caller: DomainId, request: &Request, status: Status) -> Outcome<M::Handle> {
        self.serve_refusal(caller, request, status)
    }

    /// Ends a domain that has died by itself. Idempotent; a domain that is gone already is ignored.
    pub fn domain_died(&mut self, domain: DomainId) {
        if self.is_alive(domain) {
            self.end_domain(domain, None);
            self.work(self.machine.now_ns());
        }
    }

    /// Does what is due at `now_ns`, a bounded part of it, and returns when to call again, as
    /// [`next_deadline`](Self::next_deadline).
    pub fn tick(&mut self, now_ns: u64) -> Option<u64> {
        self.work(now_ns);
        self.next_deadline()
    }

    /// When [`tick`](Self::tick) has to be called next, in nanoseconds of the machine's clock. 0: at once, because work
    /// was left. `None`: not before another call.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.is_quiet() { self.earliest_deadline() } else { Some(0) }
    }

    /// The domain, unless it is gone or going.
    pub(crate) fn alive(&self, domain: DomainId) -> Result<&Domain, Status> {
        self.domains.get(domain.id()).filter(|it| !it.is_ending).ok_or(Status::DomainGone)
    }

    /// As [`alive`](Self::alive), to change it.
    pub(crate) fn alive_mut(&mut self, domain: DomainId) -> Result<&mut Domain, Status> {
        self.domains.get_mut(domain.id()).filter(|it| !it.is_ending).ok_or(Status::DomainGone)
    }

    /// Puts a capability out of nothing into a domain's space.
    pub(crate) fn mint(&mut self, domain: DomainId, capability: Capability) -> Result<Slot, Status> {
        let space = self.alive(domain)?.space;
        self.capabilities.mint(space, capability).map_err(crate::calls::status)
    }

    pub(crate) fn log(&mut self, event: Event) {
        let record = self.audit.append(self.machine.now_ns(), &event);
        self.machine.record(&record);
    }

    /// Writes down a capability that was minted for its holder.
    pub(crate) fn log_minted(&mut self, domain: DomainId, slot: Slot) {
        if let Ok(capability) = self.capability(domain, slot) {
            self.log(Event::new(AuditKind::Minted, None, domain).about(slot, &capability));
        }
    }
}

/// A capability for all of an object without parts.
pub(crate) fn whole(object: Object, rights: Rights, trust: Trust) -> Capability {
    Capability { object, rights, trust, badge: Badge::NONE, range: Range::EMPTY }
}
