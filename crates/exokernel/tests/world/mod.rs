//! A kernel over the fake machine, with short ways to make calls. Shared by all tests of this crate.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "not every test uses all of it, and a test may panic"
)]

use feuerbird_abi::{Call, Reason, Reply, Request, Role, Status, Upcall, UpcallKind};
use feuerbird_capability::{Rights, Trust};
use feuerbird_exokernel::fake::{FakeHandle, FakeMachine};
use feuerbird_exokernel::{Answer, DomainId, Kernel, Limits, Outcome};

/// What an answer is in a test: the values, or why not.
pub type Answered = Result<[u64; 6], Status>;

pub const CONTRACT: &[u8] = b"a reading of 48 bytes";

pub struct World {
    pub kernel: Kernel<FakeMachine>,
    pub root: DomainId,
    /// The root domain's capabilities, for itself and for the audit log.
    pub root_slot: u64,
    pub audit_slot: u64,
    pub sequence: u64,
    /// Upcalls that were looked at.
    seen: usize,
}

/// A child of the root domain that the root can grant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    pub id: DomainId,
    /// Of the child, in the root's space.
    pub slot: u64,
}

/// A binding as `Bind` returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub number: u64,
    pub trust: u64,
    pub terms: u64,
    pub word: u32,
    pub value: u32,
}

/// A pair as one side was told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    pub binding: u64,
    pub peer: u64,
    pub trust: u64,
    pub terms: u64,
    pub word: u32,
    pub value: u32,
    pub death: Option<FakeHandle>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Limits { domains: 8, memory_objects: 16, audit_records: 1 << 16, ..Limits::SMALL })
    }

    pub fn with(limits: Limits) -> Self {
        let mut kernel = Kernel::new(FakeMachine::default(), limits);
        let root = kernel.boot_domain(Trust::KERNEL).unwrap();
        let mut world = Self { kernel, root, root_slot: 0, audit_slot: 0, sequence: 0, seen: 0 };
        world.root_slot = world.ok(root, Call::Hello, &[])[0];
        let (audit, _) = world.kernel.held(root).find(|(slot, _)| slot.to_bits() != world.root_slot).unwrap();
        world.audit_slot = audit.to_bits();
        world
    }

    /// Makes a call, with everything beside it; the tables are checked afterwards.
    pub fn full(
        &mut self,
        caller: DomainId,
        call: Call,
        arguments: &[u64],
        payload: &[u8],
        handle: Option<FakeHandle>,
    ) -> Outcome<FakeHandle> {
        self.sequence += 1;
        let request = Request::new(call, self.sequence, arguments);
        let outcome = self.kernel.dispatch(caller, &request, payload, handle);
        assert_eq!(self.kernel.verify(), Ok(()), "after {call:?}");
        if let Outcome::Reply(answer) = &outcome {
            assert_eq!(answer.reply.sequence, self.sequence);
        }
        outcome
    }

    pub fn answer(
        &mut self,
        caller: DomainId,
        call: Call,
        arguments: &[u64],
        payload: &[u8],
        handle: Option<FakeHandle>,
    ) -> Answer<FakeHandle> {
        match self.full(caller, call, arguments, payload, handle) {
            Outcome::Reply(answer) => answer,
            Outcome::Pending => panic!("{call:?} was left pending"),
        }
    }

    pub fn call(&mut self, caller: DomainId, call: Call, arguments: &[u64]) -> Answered {
        values(&self.answer(caller, call, arguments, &[], None).reply)
    }

    pub fn ok(&mut self, caller: DomainId, call: Call, arguments: &[u64]) -> [u64; 6] {
        self.call(caller, call, arguments).unwrap_or_else(|status| panic!("{call:?} was refused: {status}"))
    }

    pub fn child(&mut self, trust: Trust) -> Child {
        let (id, slot) = self.kernel.adopt_domain(self.root, trust).unwrap();
        Child { id, slot: slot.to_bits() }
    }

    pub fn endpoint(&mut self, terms: u64) -> u64 {
        self.ok(self.root, Call::CreateEndpoint, &[terms])[0]
    }

    /// Grants from the root's space into a child's.
    pub fn grant(&mut self, slot: u64, to: Child, rights: Rights, trust: Trust) -> u64 {
        let arguments = [slot, to.slot, u64::from(rights.bits()), u64::from(trust.level()), 0];
        self.ok(self.root, Call::Grant, &arguments)[0]
    }

    pub fn bind(&mut self, domain: DomainId, slot: u64, role: Role, terms: u64) -> Result<Bound, Status> {
        let arguments = [slot, role as u64, terms];
        let answer = self.answer(domain, Call::Bind, &arguments, CONTRACT, None);
        let [number, trust, terms, word, value, _] = values(&answer.reply)?;
        Ok(Bound { number, trust, terms, word: word as u32, value: value as u32 })
    }

    pub fn region(&mut self, domain: DomainId, bytes: u64) -> Answered {
        let memory = FakeHandle::Memory { number: self.sequence, bytes, writer: Some(domain) };
        let answer = self.answer(domain, Call::RegisterRegion, &[bytes], &[], Some(memory));
        values(&answer.reply)
    }

    /// Advances the clock and does all that is due.
    pub fn at(&mut self, now_ns: u64) -> Option<u64> {
        self.kernel.machine_mut().now_ns = now_ns;
        let mut next = self.kernel.tick(now_ns);
        while next.is_some_and(|next| next <= now_ns) {
            next = self.kernel.tick(now_ns);
        }
        assert_eq!(self.kernel.verify(), Ok(()));
        next
    }

    pub fn now(&self) -> u64 {
        self.kernel.machine().now_ns
    }

    /// The upcalls since the last look.
    pub fn upcalls(&mut self) -> Vec<(DomainId, Upcall, Option<FakeHandle>)> {
        let all = &self.kernel.machine().upcalls;
        let new = all[self.seen..].to_vec();
        self.seen = all.len();
        new
    }

    /// The upcalls of one kind to one domain since the last look at any.
    pub fn told(&mut self, domain: DomainId, kind: UpcallKind) -> Vec<Upcall> {
        let upcalls = self.upcalls();
        let told = upcalls.iter().filter(|(to, upcall, _)| *to == domain && upcall.kind == kind as u32);
        told.map(|(_, upcall, _)| *upcall).collect()
    }

    /// The `PeerJoined` upcalls since the last look, each with whom it went to.
    pub fn joined(&mut self) -> Vec<(DomainId, Joined)> {
        let of_kind = |upcall: &Upcall| upcall.kind == UpcallKind::PeerJoined as u32;
        let upcalls = self.upcalls().into_iter().filter(|(_, upcall, _)| of_kind(upcall));
        upcalls.map(|(to, upcall, death)| (to, joined(&upcall, death))).collect()
    }

    pub fn is_valid(&self, domain: DomainId, joined: &Joined) -> bool {
        self.kernel.machine().word(domain, joined.word) == joined.value
    }
}

/// A sender and a receiver that have met at one endpoint.
pub struct Meeting {
    pub world: World,
    pub endpoint: u64,
    pub sender: Child,
    pub receiver: Child,
    pub sender_slot: u64,
    pub receiver_slot: u64,
    pub sending: Bound,
    pub receiving: Bound,
    /// As the sender and the receiver were told.
    pub at_sender: Joined,
    pub at_receiver: Joined,
}

impl Meeting {
    pub fn new() -> Self {
        Self::of(World::new(), Trust::USER, Trust::LIBOS)
    }

    pub fn of(mut world: World, sender_trust: Trust, receiver_trust: Trust) -> Self {
        let (sender, receiver) = (world.child(sender_trust), world.child(receiver_trust));
        let endpoint = world.endpoint(77);
        let sender_slot = world.grant(endpoint, sender, Rights::SEND | Rights::INSPECT, sender_trust);
        let receiver_slot = world.grant(endpoint, receiver, Rights::RECEIVE, receiver_trust);
        let sending = world.bind(sender.id, sender_slot, Role::Sender, 5).unwrap();
        let receiving = world.bind(receiver.id, receiver_slot, Role::Receiver, 6).unwrap();
        let met = world.joined();
        let find = |child: Child| met.iter().find(|(to, _)| *to == child.id).unwrap().1;
        let (at_sender, at_receiver) = (find(sender), find(receiver));
        Self {
            world,
            endpoint,
            sender,
            receiver,
            sender_slot,
            receiver_slot,
            sending,
            receiving,
            at_sender,
            at_receiver,
        }
    }

    /// Has the root ask for a revocation that must wait.
    pub fn revoke_later(&mut self, slot: u64, deadline: u64) {
        let root = self.world.root;
        let outcome = self.world.full(root, Call::Revoke, &[slot, deadline], &[], None);
        assert!(matches!(outcome, Outcome::Pending));
    }

    /// Whether both sides see the pair as valid; they must agree.
    pub fn is_valid(&self) -> bool {
        let [sender, receiver] = self.validity();
        assert_eq!(sender, receiver);
        sender
    }

    pub fn validity(&self) -> [bool; 2] {
        [
            self.world.is_valid(self.sender.id, &self.at_sender),
            self.world.is_valid(self.receiver.id, &self.at_receiver),
        ]
    }

    /// What a child was told about the end of the pair since the last look: the reasons.
    pub fn reasons(&mut self, child: Child) -> Vec<Reason> {
        let told = self.world.told(child.id, UpcallKind::PeerLeft);
        told.iter().map(|upcall| Reason::from_number(upcall.values[2]).unwrap()).collect()
    }
}

pub fn joined(upcall: &Upcall, death: Option<FakeHandle>) -> Joined {
    let [binding, peer, trust, terms, word, value] = upcall.values;
    Joined { binding, peer, trust, terms, word: word as u32, value: value as u32, death }
}

pub fn values(reply: &Reply) -> Answered {
    match Status::from_number(reply.status).unwrap() {
        Status::Ok => Ok(reply.values),
        status => {
            assert_eq!(reply.values, [0; 6], "a refusal says nothing else");
            Err(status)
        }
    }
}
