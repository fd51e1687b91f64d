//! Protected control transfer: synchronous calls between domains, and who waits for what.
//!
//! After Aegis (Engler, Kaashoek, O'Toole, 1995): the kernel changes the domain and leaves the message in the registers. What
//! a capability allows is checked at each transfer, as seL4 does it.
//!
//! ```text
//!            call, nobody receives                   received
//!   Apart ────────────────────────────> Queued ─────────────────> Awaiting ──> Apart
//!     │  └──────── call, somebody receives ───────────────────────>┘  replied, or given up:
//!     └─ receive, nobody calls ──> Receiving ── called, or given up ──> Apart      revoked, server ended, deadline
//! ```
//!
//! # Invariants
//! 1. A domain stands in one place: it has one thread. A domain that is not [`Standing::Apart`] waits, and whatever moves it
//!    answers it, once.
//! 2. A reply is a number that its caller's record holds while it waits, with the one domain that may use it. It recurs never:
//!    so it works once, for that domain, and not after the caller has gone or has been given up.
//! 3. What a transfer relies on is either looked up now, or was looked up when [`Capabilities::ended`] had the value that it has
//!    now. So a revocation needs to find no waiting domain to be final, and stays constant; the sweep then answers them.
//!
//! [`Capabilities::ended`]: feuerbird_capability::Capabilities::ended

mod calls;
mod end;
mod notify;

use alloc::vec::Vec;

use crate::DomainId;

pub(crate) use notify::Notification;
pub use notify::Signalled;

/// The index that is no domain's.
const NOBODY: u32 = u32::MAX;

/// How many capabilities a domain's record remembers.
const KNOWN: usize = 4;

/// The lower bits of a reply's number are its caller's index.
const INDEX_BITS: u32 = 16;

/// What arrives with a message's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Of the capability that it came through; 0 in a reply.
    pub badge: u64,
    /// What to reply with; 0 where nobody waits.
    pub token: u64,
    /// How many words it has, at most [`MESSAGE_WORDS`](feuerbird_abi::MESSAGE_WORDS).
    pub length: u64,
    /// A capability that came along, as a slot of the receiver's, or 0.
    pub capability: u64,
}

/// What a domain sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many words.
    pub length: u64,
    /// The slot of a capability that goes along, or 0.
    pub capability: u64,
}

/// A message that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who has it.
    pub to: DomainId,
    /// See [`Message::badge`].
    pub badge: u64,
    /// See [`Message::token`].
    pub token: u64,
}

/// What a capability was found to allow. Bits, so that one test tells kind and right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uses(u32);

impl Uses {
    const NONE: Self = Self(0);
    /// Sending to an endpoint.
    pub(crate) const SEND: Self = Self(1);
    /// Receiving from an endpoint.
    pub(crate) const RECEIVE: Self = Self(2);
    /// Signalling a notification.
    pub(crate) const NOTIFY: Self = Self(4);
    /// Waiting for a notification.
    pub(crate) const WATCH: Self = Self(8);
}

/// A capability that was looked up: true as long as nothing has ended since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    slot: u64,
    /// What `Capabilities::ended` was.
    seen: u64,
    uses: Uses,
    /// The number of the object.
    object: u64,
    badge: u64,
}

/// What a domain waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing of this.
    Apart,
    /// A message.
    Receiving,
    /// Somebody to take its message.
    Queued,
    /// A reply.
    Awaiting,
    /// Signals.
    Watching,
}

/// One domain's part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party {
    /// Who, while it exists.
    pub(crate) domain: Option<DomainId>,
    pub(crate) standing: Standing,
    /// The number of its last call.
    token: u64,
    /// Who may reply.
    server: DomainId,
    /// The capability by which it waits.
    slot: u64,
    /// What `Capabilities::ended` was when that was found to be good.
    seen: u64,
    /// The object at which it waits.
    object: u64,
    badge: u64,
    sent: Sent,
    /// Whether it wants a reply to what is queued.
    is_call: bool,
    /// The next in the queue.
    next: u32,
    known: [Known; KNOWN],
}

/// An endpoint's part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// Who waits for a message here.
    receiver: u32,
    /// Who received here last. When that domain has ended, nobody queues here until another one receives.
    server: Option<DomainId>,
    /// The queue of those whose message nobody has taken, in order.
    first: u32,
    last: u32,
}

/// Parties by the index of the domain, points by that of the endpoint.
pub(crate) struct Transfers {
    pub(crate) parties: Vec<Party>,
    pub(crate) points: Vec<Point>,
}

impl Known {
    const NOTHING: Self = Self { slot: 0, seen: u64::MAX, uses: Uses::NONE, object: 0, badge: 0 };
}

impl Party {
    const NOBODY: Self = Self {
        domain: None,
        standing: Standing::Apart,
        token: 0,
        server: DomainId::from_bits(0),
        slot: 0,
        seen: 0,
        object: 0,
        badge: 0,
        sent: Sent { length: 0, capability: 0 },
        is_call: false,
        next: NOBODY,
        known: [Known::NOTHING; KNOWN],
    };

    /// A capability that was looked up and can be relied on.
    #[inline(always)]
    fn known(&self, slot: u64, ended: u64, uses: Uses) -> Option<&Known> {
        let known = &self.known[slot as usize % KNOWN];
        (known.slot == slot && known.seen == ended && known.uses.0 & uses.0 != 0).then_some(known)
    }

    /// A number that no call had: the index in the lower bits, the count above.
    #[inline(always)]
    fn next_token(&mut self) -> u64 {
        self.token = self.token.wrapping_add(1 << INDEX_BITS);
        self.token
    }
}

impl Point {
    const NEW: Self = Self { receiver: NOBODY, server: None, first: NOBODY, last: NOBODY };
}

impl Transfers {
    /// Nobody, nowhere. At most 65,536 domains.
    pub(crate) fn new(domains: u32, endpoints: u32) -> Self {
        let party = |index: u32| Party { token: u64::from(index), ..Party::NOBODY };
        let domains = domains.min(1 << INDEX_BITS);
        Self {
            parties: (0..domains).map(party).collect(),
            points: alloc::vec![Point::NEW; endpoints as usize],
        }
    }

    /// A new domain. Its calls go on with their numbers where the last domain of this index stopped.
    pub(crate) fn enter(&mut self, domain: DomainId) {
        if let Some(party) = self.parties.get_mut(domain.index()) {
            *party = Party { domain: Some(domain), token: party.token, ..Party::NOBODY };
        }
    }

    /// A new endpoint.
    pub(crate) fn open(&mut self, index: u32) {
        if let Some(point) = self.points.get_mut(index as usize) {
            *point = Point::NEW;
        }
    }

    /// A domain's part, while it exists.
    pub(crate) fn party(&self, domain: DomainId) -> Option<&Party> {
        self.parties.get(domain.index()).filter(|it| it.domain == Some(domain))
    }

    /// As [`party`](Self::party), to change it.
    pub(crate) fn party_mut(&mut self, domain: DomainId) -> Option<&mut Party> {
        self.parties.get_mut(domain.index()).filter(|it| it.domain == Some(domain))
    }

    /// Puts a domain at the end of a queue.
    fn queue(&mut self, point: usize, index: u32) {
        let last = self.points[point].last;
        self.parties[index as usize].next = NOBODY;
        match self.parties.get_mut(last as usize) {
            Some(party) => party.next = index,
            None => self.points[point].first = index,
        }
        self.points[point].last = index;
    }

    /// Takes the first domain out of a queue.
    fn take_first(&mut self, point: usize) -> Option<u32> {
        let first = self.points[point].first;
        let next = self.parties.get(first as usize)?.next;
        self.points[point].first = next;
        if next == NOBODY {
            self.points[point].last = NOBODY;
        }
        Some(first)
    }

    /// Takes a domain out of a queue, wherever it is in it. At most as many steps as there are domains.
    fn leave(&mut self, point: usize, index: u32) {
        let mut previous = NOBODY;
        let mut at = self.points[point].first;
        while at != index {
            let Some(party) = self.parties.get(at as usize) else { return };
            (previous, at) = (at, party.next);
        }
        let next = self.parties[index as usize].next;
        match self.parties.get_mut(previous as usize) {
            Some(party) => party.next = next,
            None => self.points[point].first = next,
        }
        if next == NOBODY {
            self.points[point].last = previous;
        }
    }

    /// Who has the time of a domain that waits: whoever works for it.
    pub(crate) fn served_by(&self, domain: DomainId) -> Option<DomainId> {
        let mut served = domain;
        // A chain of calls in progress has no circle: who is called was not waiting for a reply then.
        for _ in 0..self.parties.len() {
            match self.party(served) {
                Some(party) if party.standing == Standing::Awaiting => served = party.server,
                _ => break,
            }
        }
        (served != domain).then_some(served)
    }
}
