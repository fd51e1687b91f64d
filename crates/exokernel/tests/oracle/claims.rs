//! What domains hold by the audit log and by what they were told, kept without looking into the kernel.

use std::collections::{BTreeMap, BTreeSet};

use feuerbird_abi::{Along, AuditKind, AuditRecord, Call, GRANTS_ALONG, Role, Upcall, UpcallKind};
use feuerbird_capability::{Capability, Object, ObjectKind, Rights, Slot};
use feuerbird_exokernel::fake::{FakeHandle, FakeMachine};
use feuerbird_exokernel::{AuditRing, DomainId, Kernel};

use super::role;

#[derive(Default)]
pub struct Claims {
    /// The next audit record to read.
    next: u64,
    /// By domain and slot: kind, object, rights, trust.
    held: BTreeMap<(u64, u64), (u8, u64, u32, u8)>,
    /// By number: the holder.
    bindings: BTreeMap<u64, DomainId>,
    /// By binding and peer: the word and its value.
    pairs: BTreeMap<(u64, u64), (DomainId, u32, u32)>,
    /// Words that some pair has had, with the value that must not come again.
    over: BTreeSet<(DomainId, u32, u32)>,
    /// Requests to let go that were not answered.
    requests: BTreeMap<DomainId, u64>,
    upcalls: BTreeMap<DomainId, u64>,
    /// By domain and peer, and for each domain in all: what came along and lies where it came, by domain and slot.
    along: BTreeMap<(DomainId, Option<u64>), Vec<Place>>,
    /// How often each kind of upcall was made.
    seen: BTreeMap<u32, u32>,
}

/// A domain and a slot.
type Place = (u64, u64);

impl Claims {
    pub fn read_log(&mut self, log: &AuditRing) {
        let first = self.next.max(1);
        for record in log.since(first) {
            assert_eq!(record.sequence, self.next.max(1), "the log lost something");
            self.next = record.sequence + 1;
            self.read(record);
        }
    }

    fn read(&mut self, it: &AuditRecord) {
        let place = (it.target, it.slot);
        let what = (it.object_kind, it.object, it.rights, it.trust);
        match AuditKind::from_number(it.kind).unwrap() {
            AuditKind::Minted | AuditKind::Derived | AuditKind::Copied | AuditKind::Granted => {
                assert_eq!(self.held.insert(place, what), None, "a slot was given twice");
            }
            AuditKind::Moved => {
                assert_eq!(self.held.remove(&(it.target, it.detail)), Some(what));
                self.held.insert(place, what);
            }
            AuditKind::Deleted | AuditKind::Revoked => {
                assert_eq!(self.held.remove(&place), Some(what), "what ended was not there");
            }
            AuditKind::Bound => {
                assert!(self.held.contains_key(&place));
                let holder = DomainId::from_bits(it.target);
                assert_eq!(self.bindings.insert(it.detail, holder), None, "a binding's number recurred");
            }
            AuditKind::Unbound => {
                assert_eq!(self.bindings.remove(&it.detail), Some(DomainId::from_bits(it.target)));
                self.end_pairs(|binding, _| binding == it.detail);
            }
            AuditKind::DomainEnded => {
                self.held.retain(|(domain, _), _| *domain != it.target);
                self.end_pairs(|_, holder| holder.to_bits() == it.target);
            }
            AuditKind::RevocationBegan
            | AuditKind::Mapped
            | AuditKind::Shared
            | AuditKind::DomainCreated
            | AuditKind::Refused
            | AuditKind::RefusedMore
            | AuditKind::Controlled
            | AuditKind::GivenUp => (),
        }
    }

    /// Whoever parts from a peer is not told of it.
    pub fn part(&mut self, binding: u64, peer: u64) {
        let parted = self.pairs.remove(&(binding, peer)).expect("only what is there can be parted from");
        self.over.insert(parted);
    }

    fn end_pairs(&mut self, is_over: impl Fn(u64, DomainId) -> bool) {
        self.pairs.retain(|&(binding, _), &mut (holder, word, value)| {
            let ends = is_over(binding, holder);
            if ends {
                self.over.insert((holder, word, value));
            }
            !ends
        });
    }

    /// Takes in an upcall. The log was read before, so that what it says of the future is let pass.
    pub fn hear(
        &mut self,
        domain: DomainId,
        upcall: &Upcall,
        handle: Option<FakeHandle>,
        machine: &FakeMachine,
    ) {
        let count = self.upcalls.entry(domain).or_default();
        *count += 1;
        assert_eq!(upcall.sequence, *count, "an upcall is missing");
        *self.seen.entry(upcall.kind).or_default() += 1;
        let [binding, peer, _, _, word, value] = upcall.values;
        match UpcallKind::from_number(upcall.kind).unwrap() {
            UpcallKind::PeerJoined => {
                let valid = (domain, word as u32, value as u32);
                assert_eq!(value % 2, 1);
                if self.bindings.contains_key(&binding) && !machine.destroyed.contains(&domain) {
                    assert_eq!(self.pairs.insert((binding, peer), valid), None, "a peer's number recurred");
                } else {
                    self.over.insert(valid);
                }
            }
            UpcallKind::PeerLeft => {
                let ended = self.pairs.remove(&(binding, peer));
                if let Some((domain, word, value)) = ended {
                    assert_ne!(machine.word(domain, word), value, "told before the word changed");
                    self.over.insert((domain, word, value));
                }
            }
            UpcallKind::Shared => match handle {
                Some(FakeHandle::Memory { writer: Some(writer), .. }) => {
                    assert!(self.pairs.keys().any(|&(_, known)| known == peer) || writer != domain);
                }
                other => panic!("shared {other:?}"),
            },
            UpcallKind::RevocationRequested => {
                self.requests.insert(domain, upcall.sequence);
            }
            UpcallKind::GrantedAlong => {
                let kind = upcall.values[5];
                let place = (domain.to_bits(), word);
                let is_held = self.held.get(&place).is_none_or(|held| u64::from(held.0) == kind);
                assert!(is_held, "another capability is there than was told");
                for (peer, limit) in
                    [(Some(peer), GRANTS_ALONG), (None, super::LIMITS.along_per_domain as usize)]
                {
                    let here = self.along.entry((domain, peer)).or_default();
                    here.retain(|place| self.held.contains_key(place));
                    here.push(place);
                    assert!(here.len() <= limit, "senders fill their peer's space");
                }
            }
            UpcallKind::Granted | UpcallKind::Repossessed => (),
        }
    }

    pub fn upcalls_by_kind(&self) -> [u32; 7] {
        core::array::from_fn(|index| self.seen.get(&(index as u32 + 1)).copied().unwrap_or(0))
    }

    pub fn bindings_of(&self, domain: DomainId) -> Vec<u64> {
        self.bindings.iter().filter(|(_, holder)| **holder == domain).map(|(number, _)| *number).collect()
    }

    pub fn peers_of(&self, binding: u64) -> Vec<u64> {
        self.pairs.keys().filter(|(number, _)| *number == binding).map(|(_, peer)| *peer).collect()
    }

    pub fn request_to(&self, domain: DomainId) -> Option<u64> {
        self.requests.get(&domain).copied()
    }

    /// A call about a binding must be by its holder.
    pub fn check_binding(&self, caller: DomainId, call: Call, arguments: &[u64; 6]) {
        if matches!(call, Call::Share | Call::Unbind | Call::Part | Call::GrantAlong) {
            assert_eq!(self.bindings.get(&arguments[0]), Some(&caller), "{call:?} of another's binding");
        }
    }

    /// No pair that is over ever looks valid again.
    pub fn never_valid_again(&self, machine: &FakeMachine) {
        for &(domain, word, value) in &self.over {
            let is_gone = machine.destroyed.contains(&domain);
            assert!(is_gone || machine.word(domain, word) != value, "an ended pair looks valid");
        }
    }

    /// What the log says is held is held, and what was said to be paired is valid, on both sides.
    pub fn match_kernel(&self, kernel: &Kernel<FakeMachine>, domains: &[DomainId]) {
        let mut found = BTreeMap::new();
        for &domain in domains.iter().filter(|&&domain| kernel.is_alive(domain)) {
            found.extend(kernel.held(domain).map(|(slot, capability)| {
                let Capability { object, rights, trust, .. } = capability;
                let what = (object.kind as u8, object.id, rights.bits(), trust.level());
                ((domain.to_bits(), slot.to_bits()), what)
            }));
        }
        assert_eq!(found, self.held, "the log and the spaces differ");
        assert!(self.bindings.values().all(|&holder| kernel.is_alive(holder)));
        let mut sides: BTreeMap<u64, u32> = BTreeMap::new();
        for (&(_, peer), &(domain, word, value)) in &self.pairs {
            assert_eq!(kernel.machine().word(domain, word), value, "a pair ended and nobody was told");
            *sides.entry(peer).or_default() += 1;
        }
        assert!(sides.values().all(|&sides| sides == 2), "one side of a pair lives on alone");
    }
}

/// An accepted call must have been within what the caller held: no other way leads to an object.
pub fn check_authority(call: Call, arguments: &[u64; 6], along: &[Along], held: &BTreeMap<Slot, Capability>) {
    let may = |slot: u64, needed: Rights, kind: Option<ObjectKind>| {
        let Some(found) = held.get(&Slot::from_bits(slot)) else {
            panic!("{call:?} was accepted for a slot that is not the caller's")
        };
        let Object { kind: found_kind, .. } = found.object;
        assert!(found.rights.contains(needed), "{call:?} was accepted without {needed:?}");
        assert!(kind.is_none_or(|kind| kind == found_kind), "{call:?} was accepted for a {found_kind:?}");
    };
    let has = |argument: usize, needed, kind| may(arguments[argument], needed, kind);
    let any = None;
    match call {
        Call::Null | Call::CreateEndpoint | Call::RegisterRegion | Call::Unbind | Call::Part => (),
        Call::Acknowledge | Call::CreateDomain | Call::Hello => (),
        Call::GrantAlong => along.iter().for_each(|it| may(it.slot, Rights::GRANT, any)),
        Call::Inspect => has(0, Rights::INSPECT, any),
        Call::Derive | Call::Copy => has(0, Rights::DERIVE, any),
        Call::Move | Call::Delete => has(0, Rights::empty(), any),
        Call::Grant => {
            has(0, Rights::GRANT, any);
            has(1, Rights::SEND, Some(ObjectKind::Domain));
        }
        Call::Revoke => has(0, Rights::REVOKE, any),
        Call::MapRegion => has(0, Rights::MAP_READ, Some(ObjectKind::Region)),
        Call::Bind => {
            let needed = if role(arguments) == Role::Sender { Rights::SEND } else { Rights::RECEIVE };
            has(0, needed, Some(ObjectKind::Endpoint));
        }
        Call::Share => has(2, Rights::MAP_READ, Some(ObjectKind::Region)),
        Call::ReadAudit => has(0, Rights::INSPECT, Some(ObjectKind::Audit)),
        Call::DestroyDomain => has(0, Rights::REVOKE, Some(ObjectKind::Domain)),
    }
}
