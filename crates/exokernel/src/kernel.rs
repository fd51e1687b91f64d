//! The kernel as its home sees it.

use feuerbird_abi::{Request, Status};
use feuerbird_capability::{Slot, Trust};

use crate::{DomainId, Limits, Machine, Outcome};

/// All state of one kernel, over one machine.
///
/// # Locking
/// None: one call at a time. A home with several threads or processors puts it behind its own lock.
pub struct Kernel<M: Machine> {
    machine: M,
    limits: Limits,
}

impl<M: Machine> Kernel<M> {
    /// A kernel without domains.
    pub fn new(machine: M, limits: Limits) -> Self {
        Self { machine, limits }
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

    /// Makes a domain that nobody asked for: the first one, with capabilities for itself and for the audit log.
    ///
    /// # Errors
    /// [`Status::ObjectsFull`], [`Status::SlotsFull`].
    pub fn boot_domain(&mut self, trust: Trust) -> Result<DomainId, Status> {
        let _ = trust;
        todo!()
    }

    /// Makes a domain that the home brings in (a program that connected), as if `parent` had created it: the slot names
    /// it in the parent's space.
    ///
    /// # Errors
    /// As [`Call::CreateDomain`](feuerbird_abi::Call::CreateDomain).
    pub fn adopt_domain(&mut self, parent: DomainId, trust: Trust) -> Result<(DomainId, Slot), Status> {
        let _ = (parent, trust);
        todo!()
    }

    /// Carries out one system call of `caller`.
    ///
    /// Any request is allowed: what it may not do is refused in the reply. May leave work to [`tick`](Self::tick): see
    /// [`next_deadline`](Self::next_deadline).
    pub fn dispatch(
        &mut self,
        caller: DomainId,
        request: &Request,
        payload: &[u8],
        handle: Option<M::Handle>,
    ) -> Outcome<M::Handle> {
        let _ = (caller, request, payload, handle);
        todo!()
    }

    /// Ends a domain that has died by itself. Idempotent; a domain that is gone already is ignored.
    pub fn domain_died(&mut self, domain: DomainId) {
        let _ = domain;
        todo!()
    }

    /// Does what is due at `now_ns`, a bounded part of it, and returns when to call again, as
    /// [`next_deadline`](Self::next_deadline).
    pub fn tick(&mut self, now_ns: u64) -> Option<u64> {
        let _ = now_ns;
        todo!()
    }

    /// When [`tick`](Self::tick) has to be called next, in nanoseconds of the machine's clock. 0: at once, because work
    /// was left. `None`: not before another call.
    pub fn next_deadline(&self) -> Option<u64> {
        todo!()
    }

    /// Whether a domain exists and is not ending.
    pub fn is_alive(&self, domain: DomainId) -> bool {
        let _ = domain;
        todo!()
    }
}
