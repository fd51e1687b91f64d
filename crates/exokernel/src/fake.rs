//! A machine made of vectors, for tests: of this crate, and of whatever is written against a kernel.
//!
//! It remembers all that it is told, and panics where the kernel does what [`Machine`] says it does not.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use feuerbird_abi::{Reply, Status, UNHEARD_OF, Upcall, UpcallKind};
use feuerbird_capability::{Capability, Slot};

use crate::{DomainId, Machine, Message};

/// A machine made of vectors.
#[derive(Default)]
pub struct FakeMachine {
    /// The clock.
    pub now_ns: u64,
    /// Why the next domains cannot be made.
    pub refusal: Option<Status>,
    /// The domains that the kernel asked for.
    pub created: Vec<DomainId>,
    /// The domains that are over.
    pub destroyed: Vec<DomainId>,
    /// All upcalls, in their order.
    pub upcalls: Vec<(DomainId, Upcall, Option<FakeHandle>)>,
    /// All deferred replies, in their order.
    pub replies: Vec<(DomainId, Reply)>,
    /// All messages: from whom, to whom, and what came with the words.
    pub deliveries: Vec<(DomainId, DomainId, Message)>,
    /// Domains that act as if they had upcalls to hear.
    pub deaf: Vec<DomainId>,
    /// What was taken back of whom, in that order.
    pub withdrawn: Vec<(DomainId, FakeHandle)>,
    /// What was left to whom when its peer was gone.
    pub kept: Vec<(DomainId, FakeHandle)>,
    /// Memory that others than its holder use.
    pub shared: Vec<FakeHandle>,
    /// What went from whom to whom, and whether that one may write it, in that order.
    pub handed_over: Vec<(FakeHandle, DomainId, DomainId, bool)>,
    /// The slots of capabilities for slices, ports and lines that what was done by them ended with.
    pub taken_back: Vec<Slot>,
    /// From which slot to which such a capability went.
    pub followed: Vec<(Slot, Slot)>,
    /// Who may not read the log any more.
    pub withdrawn_logs: Vec<DomainId>,
    /// How many pieces memory is taken back in, beside the last one.
    pub pieces: u32,
    /// What is being taken, with how many pieces are left.
    taking: VecDeque<(u32, Taking)>,
    /// What was written to validity words; the others are 0.
    pub validity: BTreeMap<(DomainId, u32), u32>,
    /// By domain, binding and peer: the word a pair has, and the value it is valid with.
    pairs: BTreeMap<(DomainId, u64, u64), (u32, u32)>,
}

/// Memory on its way.
enum Taking {
    Back(DomainId, FakeHandle),
    Over(FakeHandle, DomainId, DomainId, bool),
}

/// Something to pass beside a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeHandle {
    /// Memory.
    Memory {
        /// Which.
        number: u64,
        /// Its size.
        bytes: u64,
        /// The one domain that can write it, if there is only one.
        writer: Option<DomainId>,
    },
    /// A domain's validity words.
    Words(DomainId),
    /// Tells when a domain has ended.
    Death(DomainId),
    /// A new domain's end of its gate.
    Gate(DomainId),
}

impl FakeMachine {
    /// What a validity word is.
    pub fn word(&self, domain: DomainId, word: u32) -> u32 {
        self.validity.get(&(domain, word)).copied().unwrap_or(0)
    }

    /// A peer that joins is valid when it is announced, and one that left is not.
    fn check_order(&mut self, domain: DomainId, upcall: &Upcall) {
        let [binding, peer, _, _, word, value] = upcall.values;
        let pair = (domain, binding, peer);
        if upcall.kind == UpcallKind::PeerJoined as u32 {
            assert_eq!(u64::from(self.word(domain, word as u32)), value, "announced before it was valid");
            self.pairs.insert(pair, (word as u32, value as u32));
        } else if upcall.kind == UpcallKind::PeerLeft as u32 && peer != UNHEARD_OF {
            let (word, value) = self.pairs.remove(&pair).expect("only who has joined can leave");
            assert_ne!(self.word(domain, word), value, "told before the word had changed");
        }
    }

    fn begin(&mut self, taking: Taking) {
        match self.pieces {
            0 => self.end(taking),
            pieces => self.taking.push_back((pieces, taking)),
        }
    }

    fn end(&mut self, taking: Taking) {
        match taking {
            Taking::Back(domain, memory) => self.withdrawn.push((domain, memory)),
            Taking::Over(memory, from, to, is_writable) => {
                self.handed_over.push((memory, from, to, is_writable));
            }
        }
    }

    fn must_be_there(&self, domain: DomainId) {
        assert!(!self.destroyed.contains(&domain), "the kernel spoke of a domain after its end");
    }
}

impl Machine for FakeMachine {
    type Handle = FakeHandle;

    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn create_domain(&mut self, domain: DomainId) -> Result<Option<FakeHandle>, Status> {
        if let Some(status) = self.refusal {
            return Err(status);
        }
        self.created.push(domain);
        Ok(Some(FakeHandle::Gate(domain)))
    }

    fn destroy_domain(&mut self, domain: DomainId) {
        self.must_be_there(domain);
        self.destroyed.push(domain);
    }

    fn validity_words(&self, domain: DomainId) -> Option<FakeHandle> {
        self.must_be_there(domain);
        Some(FakeHandle::Words(domain))
    }

    fn death_notice(&self, domain: DomainId) -> Option<FakeHandle> {
        self.must_be_there(domain);
        Some(FakeHandle::Death(domain))
    }

    fn set_validity(&mut self, domain: DomainId, word: u32, value: u32) {
        self.must_be_there(domain);
        let before = self.validity.insert((domain, word), value);
        assert!(value > before.unwrap_or(0), "a validity word took a value that it may have had");
    }

    fn withdraw(&mut self, domain: DomainId, memory: &FakeHandle) {
        self.must_be_there(domain);
        self.begin(Taking::Back(domain, *memory));
    }

    fn keep(&mut self, domain: DomainId, memory: &FakeHandle) {
        self.must_be_there(domain);
        self.kept.push((domain, *memory));
    }

    fn take_back(&mut self, slot: Slot, _: &Capability) {
        self.taken_back.push(slot);
    }

    fn follow(&mut self, old: Slot, new: Slot, _: &Capability) {
        self.followed.push((old, new));
    }

    fn withdraw_log(&mut self, domain: DomainId) {
        self.must_be_there(domain);
        self.withdrawn_logs.push(domain);
    }

    fn is_shared(&self, _: DomainId, memory: &FakeHandle) -> bool {
        self.shared.contains(memory)
    }

    fn hand_over(&mut self, memory: &FakeHandle, from: DomainId, to: DomainId, is_writable: bool) {
        self.must_be_there(to);
        self.begin(Taking::Over(*memory, from, to, is_writable));
    }

    fn is_withdrawing(&self) -> bool {
        !self.taking.is_empty()
    }

    fn is_on_its_way(&self, memory: &FakeHandle) -> bool {
        let of = |taking: &Taking| match taking {
            Taking::Back(_, memory) | Taking::Over(memory, ..) => *memory,
        };
        self.taking.iter().any(|(_, taking)| of(taking) == *memory)
    }

    fn go_on(&mut self) {
        match self.taking.front_mut() {
            Some((left @ 1.., _)) => *left -= 1,
            _ => {
                let first = self.taking.pop_front().expect("the kernel has asked whether there is something");
                self.end(first.1);
            }
        }
    }

    fn check_sealed(&self, domain: DomainId, memory: &FakeHandle, bytes: u64) -> Result<(), Status> {
        self.must_be_there(domain);
        match *memory {
            FakeHandle::Memory { writer, .. } if writer != Some(domain) => Err(Status::NotSealed),
            FakeHandle::Memory { bytes: size, .. } if size != bytes => Err(Status::BadArgument),
            FakeHandle::Memory { .. } => Ok(()),
            _ => Err(Status::NoHandle),
        }
    }

    fn upcall(&mut self, domain: DomainId, upcall: &Upcall, handle: Option<&FakeHandle>) {
        self.must_be_there(domain);
        self.check_order(domain, upcall);
        self.upcalls.push((domain, *upcall, handle.copied()));
    }

    fn deliver(&mut self, from: DomainId, to: DomainId, message: &Message) {
        self.must_be_there(from);
        self.must_be_there(to);
        self.deliveries.push((from, to, *message));
    }

    fn has_upcalls(&self, domain: DomainId) -> bool {
        self.deaf.contains(&domain)
    }

    fn reply(&mut self, domain: DomainId, reply: &Reply) {
        self.must_be_there(domain);
        self.replies.push((domain, *reply));
    }
}
