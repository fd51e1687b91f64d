//! Random domains, and what the kernel may have told and allowed them, by what it said before.
#![allow(unreachable_pub, reason = "shared by module, not by crate")]

mod claims;

use std::collections::BTreeMap;

use feuerbird_abi::{Along, Call, PAYLOAD_BYTES, Request, Role, Status};
use feuerbird_capability::{Capability, ObjectKind, Slot, Trust};
use feuerbird_exokernel::fake::{FakeHandle, FakeMachine};
use feuerbird_exokernel::{DomainId, Kernel, Limits, Outcome};

use crate::random::Random;
use claims::Claims;
use zerocopy::IntoBytes;

pub const LIMITS: Limits = Limits {
    domains: 6,
    slots_per_domain: 40,
    along_per_domain: 10,
    endpoints_per_domain: 3,
    regions_per_domain: 4,
    region_bytes_per_domain: 1 << 20,
    memory_objects: 8,
    bindings_per_domain: 5,
    bindings_per_endpoint: 4,
    words_per_domain: 16,
    peers_per_binding: 4,
    revocations_per_domain: 3,
    notices_per_domain: 4,
    // So that children can have children, and these too.
    children_per_domain: 64,
    audit_records: 1 << 12,
    refusals_per_turn: u32::MAX,
    steps_per_call: 1,
};

pub struct Oracle {
    kernel: Kernel<FakeMachine>,
    random: Random,
    root: DomainId,
    /// Every domain there ever was, the newest last.
    domains: Vec<DomainId>,
    /// Numbers that were seen somewhere and may be tried anywhere.
    numbers: Vec<u64>,
    sequence: u64,
    /// Revocations that were left pending, with who asked.
    pending: BTreeMap<u64, DomainId>,
    claims: Claims,
    /// How often each call was accepted: a run that does nothing proves nothing.
    accepted: [u32; Call::ALL.len()],
}

impl Oracle {
    pub fn new(seed: u64, steps_per_call: u32) -> Self {
        let mut kernel = Kernel::new(FakeMachine::default(), Limits { steps_per_call, ..LIMITS });
        let root = kernel.boot_domain(Trust::KERNEL).unwrap();
        Self {
            kernel,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            root,
            domains: vec![root],
            numbers: vec![0, u64::MAX],
            sequence: 0,
            pending: BTreeMap::new(),
            claims: Claims::default(),
            accepted: [0; Call::ALL.len()],
        }
    }

    /// One thing that happens: mostly a call, at times a death, the passing of time, or a program that connects.
    pub fn step(&mut self) {
        match self.random.below(400) {
            0 => {
                let victim = self.any_domain();
                if victim != self.root {
                    self.kernel.domain_died(victim);
                }
            }
            1..=8 => {
                let parent = self.any_domain();
                let trust = Trust::new(self.random.below(16) as u8).unwrap();
                if let Ok((child, slot)) = self.kernel.adopt_domain(parent, trust) {
                    self.domains.push(child);
                    self.learn(slot.to_bits());
                }
            }
            9..=30 => {
                let machine = self.kernel.machine_mut();
                machine.now_ns += self.random.below(200);
                let now = machine.now_ns;
                self.kernel.tick(now);
            }
            31..=50 => {
                let holder = self.any_domain();
                let memory = FakeHandle::Memory { number: self.sequence, bytes: 2 * 4096, writer: None };
                if let Ok(slot) = self.kernel.mint_frames(holder, memory, 2) {
                    self.learn(slot.to_bits());
                }
            }
            _ => self.call(),
        }
        self.observe();
    }

    /// Makes a random call and holds the answer against what the caller had before.
    fn call(&mut self) {
        let caller = self.any_domain();
        let favoured = [Call::Derive, Call::Grant, Call::Bind, Call::Bind, Call::Share, Call::Acknowledge];
        let choices = if self.random.below(2) == 0 { &favoured[..] } else { &Call::ALL[..] };
        let mut call = *self.random.of(choices).unwrap();
        if self.kernel.held(caller).count() > 30 && self.random.below(2) == 0 {
            call = Call::Delete;
        }
        let mut arguments = self.good_arguments(caller, call);
        if self.random.below(4) == 0 {
            let spoilt = self.random.below(6) as usize;
            arguments[spoilt] = self.bad_number();
        }
        self.sequence += 1;
        let mut request = Request::new(call, self.sequence, &arguments);
        if self.random.below(50) == 0 {
            (request.number, request.class) = (self.random.next() as u32, self.random.below(5) as u32);
        }
        let mut payload = [self.random.below(20) as u8 / 19; PAYLOAD_BYTES];
        let mut length = if self.random.below(30) == 0 { self.random.below(900) } else { 4 } as usize;
        let mut along = Vec::new();
        if call == Call::GrantAlong && self.random.below(20) > 0 {
            along = self.along(caller);
            length = size_of_val(&along[..]);
            payload[..length].copy_from_slice(along.as_bytes());
        }
        let handle = self.handle(caller, call, arguments[0]);
        let held: BTreeMap<Slot, Capability> = self.kernel.held(caller).collect();
        let first_record = self.kernel.audit().next_sequence();
        match self.kernel.dispatch(caller, &request, &payload[..length], handle) {
            Outcome::Pending => {
                assert_eq!(call, Call::Revoke);
                self.pending.insert(self.sequence, caller);
            }
            Outcome::Reply(answer) => {
                assert_eq!(answer.reply.sequence, self.sequence);
                let status = Status::from_number(answer.reply.status).unwrap();
                if status == Status::Ok {
                    self.accepted[call as usize] += 1;
                    claims::check_authority(call, &arguments, &along, &held);
                    self.claims.check_binding(caller, call, &arguments);
                    if call == Call::Part {
                        self.claims.part(arguments[0], arguments[1]);
                    }
                    answer.reply.values.iter().take(2).for_each(|&value| self.learn(value));
                } else {
                    assert_eq!(answer.reply.values, [0; 6]);
                    assert_eq!(answer.handle, None);
                    let last = self.kernel.audit().since(first_record).last().unwrap();
                    assert_eq!(last.detail, u64::from(answer.reply.status), "a refusal was not logged");
                }
                if let Some(FakeHandle::Gate(child)) = answer.handle {
                    self.domains.push(child);
                }
            }
        }
    }

    /// Arguments that this call may well accept.
    fn good_arguments(&mut self, caller: DomainId, call: Call) -> [u64; 6] {
        let held: Vec<(Slot, Capability)> = self.kernel.held(caller).collect();
        let bindings = self.claims.bindings_of(caller);
        let kind = match call {
            Call::Derive | Call::Grant | Call::Revoke => {
                (self.random.below(3) > 0).then_some(ObjectKind::Endpoint)
            }
            other => kind_of(other),
        };
        let first = self.slot(&held, kind);
        let domain = self.slot(&held, Some(ObjectKind::Domain));
        let region = self.slot(&held, Some(ObjectKind::Region));
        let parent = held.iter().find(|(slot, _)| slot.to_bits() == first).map(|(_, it)| *it);
        let mask = if self.random.below(3) == 0 { self.random.next() } else { u64::MAX };
        let rights = parent.map_or(0x7FF, |it| u64::from(it.rights.bits())) & mask;
        let number = self.random.of(&self.numbers).copied().unwrap_or(0);
        let highest = parent.map_or(4, |it| u64::from(it.trust.level()));
        let trust = self.random.below(highest + 1);
        let binding = self.random.of(&bindings).copied().unwrap_or(number);
        let peer = self.random.of(&self.claims.peers_of(binding)).copied().unwrap_or(number);
        let time = match self.random.below(3) {
            0 => 0,
            _ => self.kernel.machine().now_ns + self.random.below(2000),
        };
        match call {
            Call::Derive => [first, rights, trust, 0, 0, self.random.below(20) / 15],
            Call::Grant => [first, domain, rights, trust, self.random.below(3), 0],
            Call::Revoke => [first, time, 0, 0, 0, 0],
            Call::RegisterRegion => [1 + self.random.below(100), 0, 0, 0, 0, 0],
            Call::Bind => [first, self.random.below(2), number, 0, 0, 0],
            Call::Share => [binding, peer, region, 0, 0, 0],
            Call::Part => [binding, peer, 0, 0, 0, 0],
            Call::GrantAlong => [binding, peer, self.random.below(5), 0, 0, 0],
            Call::Unbind => [binding, 0, 0, 0, 0, 0],
            Call::Acknowledge => [self.claims.request_to(caller).unwrap_or(number), 0, 0, 0, 0, 0],
            Call::CreateDomain => [trust, 0, 0, 0, 0, 0],
            // Too many deaths leave too little to die.
            Call::DestroyDomain if self.random.below(16) > 0 => [0; 6],
            Call::DestroyDomain if caller == self.root => [0; 6],
            _ => [first, number, 0, 0, 0, 0],
        }
    }

    /// Capabilities to go along, most of which may.
    fn along(&mut self, caller: DomainId) -> Vec<Along> {
        let held: Vec<(Slot, Capability)> = self.kernel.held(caller).collect();
        let count = 1 + self.random.below(3) + self.random.below(20) / 19 * 8;
        let kinds = [ObjectKind::Endpoint, ObjectKind::Region, ObjectKind::Domain, ObjectKind::Frame];
        let mut any = || {
            let kind = *self.random.of(&kinds).unwrap();
            let slot = self.slot(&held, Some(kind));
            let rights =
                held.iter().find(|(it, _)| it.to_bits() == slot).map_or(7, |(_, it)| it.rights.bits());
            Along { slot, badge: 0, rights, trust: self.random.below(2) as u32 }
        };
        (0..count).map(|_| any()).collect()
    }

    /// A slot of this kind, mostly.
    fn slot(&mut self, held: &[(Slot, Capability)], kind: Option<ObjectKind>) -> u64 {
        let is_right = |it: &&(Slot, Capability)| kind.is_none_or(|kind| it.1.object.kind == kind);
        let right: Vec<_> = held.iter().filter(is_right).collect();
        self.random.of(&right).map_or(0, |(slot, _)| slot.to_bits())
    }

    fn bad_number(&mut self) -> u64 {
        match self.random.below(4) {
            0 => self.random.next(),
            1 => self.random.below(40),
            2 => 1 << self.random.below(64),
            _ => self.random.of(&self.numbers).copied().unwrap_or(0),
        }
    }

    fn handle(&mut self, caller: DomainId, call: Call, bytes: u64) -> Option<FakeHandle> {
        let writer = if self.random.below(10) == 0 { self.any_domain() } else { caller };
        let memory = FakeHandle::Memory { number: self.sequence, bytes, writer: Some(writer) };
        (call == Call::RegisterRegion || self.random.below(20) == 0).then_some(memory)
    }

    /// Mostly one that is alive.
    fn any_domain(&mut self) -> DomainId {
        let alive: Vec<_> =
            self.domains.iter().rev().take(100).filter(|&&it| self.kernel.is_alive(it)).copied().collect();
        let dead_too = self.random.below(20) == 0;
        let choices = if dead_too || alive.is_empty() { &self.domains } else { &alive };
        *self.random.of(choices).unwrap()
    }

    fn learn(&mut self, number: u64) {
        if self.numbers.len() == 64 {
            self.numbers.swap_remove(self.random.below(64) as usize);
        }
        self.numbers.push(number);
    }

    /// Takes in what the kernel has logged and said.
    fn observe(&mut self) {
        self.claims.read_log(self.kernel.audit());
        if !self.kernel.is_alive(self.root) {
            self.root = self.kernel.boot_domain(Trust::KERNEL).unwrap_or(self.root);
            self.domains.push(self.root);
            self.claims.read_log(self.kernel.audit());
        }
        let machine = self.kernel.machine_mut();
        for (domain, upcall, handle) in std::mem::take(&mut machine.upcalls) {
            self.claims.hear(domain, &upcall, handle, machine);
        }
        for (domain, reply) in std::mem::take(&mut machine.replies) {
            assert_eq!(self.pending.remove(&reply.sequence), Some(domain), "a reply nobody waits for");
        }
    }

    /// Whether the tables, the log and what domains were told agree.
    pub fn check(&mut self) {
        assert_eq!(self.kernel.verify(), Ok(()));
        self.claims.never_valid_again(self.kernel.machine());
        // In the midst of its work the kernel is ahead of what it has said.
        if self.kernel.next_deadline() != Some(0) {
            self.claims.match_kernel(&self.kernel, &self.domains);
        }
    }

    /// Lets all deadlines pass: every revocation is answered then, unless its requester has gone.
    /// Returns how often each call was accepted, and each kind of upcall made.
    pub fn finish(mut self) -> ([u32; Call::ALL.len()], [u32; 7]) {
        let mut calls = 0;
        while let Some(next) = self.kernel.next_deadline() {
            let now = self.kernel.machine().now_ns.max(next);
            self.kernel.machine_mut().now_ns = now;
            self.kernel.tick(now);
            self.observe();
            calls += 1;
            assert!(calls < 10_000, "the work does not end");
        }
        self.check();
        let waiting = self.pending.values().filter(|&&domain| self.kernel.is_alive(domain)).count();
        assert_eq!(waiting, 0, "a revocation was never answered");
        (self.accepted, self.claims.upcalls_by_kind())
    }
}

/// What a call's first slot must be, where that matters.
fn kind_of(call: Call) -> Option<ObjectKind> {
    match call {
        Call::Bind | Call::Grant => Some(ObjectKind::Endpoint),
        Call::MapRegion => Some(ObjectKind::Region),
        Call::ReadAudit => Some(ObjectKind::Audit),
        Call::DestroyDomain => Some(ObjectKind::Domain),
        _ => None,
    }
}

/// The role that `Bind` was asked for.
pub fn role(arguments: &[u64; 6]) -> Role {
    Role::from_number(arguments[1]).unwrap()
}
