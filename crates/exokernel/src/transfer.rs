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
pub mod records;

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

/// What a capability was found to allow. Bits, so that one test tells kind and right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
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
#[repr(C)]
pub(crate) struct Known {
    slot: u64,
    /// What `Capabilities::ended` was.
    seen: u64,
    /// The number of the object.
    object: u64,
    badge: u64,
    uses: Uses,
}

/// What a domain waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
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
#[repr(C)]
pub(crate) struct Party {
    /// Who, while it exists.
    id: Whose,
    /// The number of its last call.
    token: u64,
    /// Who may reply.
    server: Whose,
    /// The capability by which it waits.
    slot: u64,
    /// What `Capabilities::ended` was when that was found to be good.
    seen: u64,
    /// The object at which it waits.
    object: u64,
    known: [Known; KNOWN],
    badge: u64,
    sent: Sent,
    /// The next in the queue.
    next: u32,
    pub(crate) standing: Standing,
    /// Whether it wants a reply to what is queued.
    is_call: bool,
}

/// An endpoint's part.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Point {
    /// Who waits for a message here.
    receiver: u32,
    /// The queue of those whose message nobody has taken, in order.
    first: u32,
    last: u32,
    /// Who received here last. When that domain has ended, nobody queues here until another one receives.
    server: Whose,
}

/// A notification's part.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Bell {
    /// What nobody has taken: none where somebody waits.
    bits: u64,
    /// Who waits for it.
    watcher: Whose,
    /// Who is told when some come and nobody waits for them, and the capability by which it is.
    listener: Whose,
    ear: u64,
}

/// A domain or nobody, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Whose(u64);

impl Whose {
    /// No domain's number is 0.
    const NOBODY: Self = Self(0);

    pub(crate) fn domain(self) -> Option<DomainId> {
        (self != Self::NOBODY).then_some(DomainId::from_bits(self.0))
    }
}

impl From<DomainId> for Whose {
    fn from(domain: DomainId) -> Self {
        Self(domain.to_bits())
    }
}

/// Parties by the index of the domain, points by that of the endpoint, bells by that of the notification.
pub(crate) struct Transfers {
    parties: Vec<Party>,
    points: Vec<Point>,
    bells: Vec<Bell>,
}

impl Known {
    const NOTHING: Self = Self { slot: 0, seen: u64::MAX, object: 0, badge: 0, uses: Uses::NONE };
}

impl Party {
    const NOBODY: Self = Self {
        id: Whose::NOBODY,
        token: 0,
        server: Whose::NOBODY,
        slot: 0,
        seen: 0,
        object: 0,
        known: [Known::NOTHING; KNOWN],
        badge: 0,
        sent: Sent { length: 0, capability: 0 },
        next: NOBODY,
        standing: Standing::Apart,
        is_call: false,
    };

    /// Who, while it exists.
    pub(crate) fn domain(&self) -> Option<DomainId> {
        self.id.domain()
    }

    /// A capability that was looked up and can be relied on.
    fn known(&self, slot: u64, ended: u64, uses: Uses) -> Option<&Known> {
        let known = &self.known[slot as usize % KNOWN];
        (known.slot == slot && known.seen == ended && known.uses.0 & uses.0 != 0).then_some(known)
    }

    /// A number that no call had: the index in the lower bits, the count above.
    fn next_token(&mut self) -> u64 {
        self.token = self.token.wrapping_add(1 << INDEX_BITS);
        self.token
    }
}

impl Point {
    const NEW: Self = Self { receiver: NOBODY, first: NOBODY, last: NOBODY, server: Whose::NOBODY };
}

impl Bell {
    const NEW: Self = Self { bits: 0, watcher: Whose::NOBODY, listener: Whose::NOBODY, ear: 0 };
}

impl Transfers {
    /// Nobody, nowhere. At most 65,536 domains.
    pub(crate) fn new(domains: u32, endpoints: u32, notifications: u32) -> Self {
        let party = |index: u32| Party { token: u64::from(index), ..Party::NOBODY };
        let domains = domains.min(1 << INDEX_BITS);
        Self {
            parties: (0..domains).map(party).collect(),
            points: alloc::vec![Point::NEW; endpoints as usize],
            bells: alloc::vec![Bell::NEW; notifications as usize],
        }
    }

    /// A new domain. Its calls go on with their numbers where the last domain of this index stopped.
    pub(crate) fn enter(&mut self, domain: DomainId) {
        if let Some(party) = self.parties.get_mut(domain.index()) {
            *party = Party { id: domain.into(), token: party.token, ..Party::NOBODY };
        }
    }

    /// A new endpoint.
    pub(crate) fn open(&mut self, index: u32) {
        if let Some(point) = self.points.get_mut(index as usize) {
            *point = Point::NEW;
        }
    }

    /// A new notification.
    fn hang(&mut self, index: u32) {
        if let Some(bell) = self.bells.get_mut(index as usize) {
            *bell = Bell::NEW;
        }
    }

    /// A domain's part, while it exists.
    pub(crate) fn party(&self, domain: DomainId) -> Option<&Party> {
        self.parties.get(domain.index()).filter(|it| it.id == domain.into())
    }

    /// As [`party`](Self::party), to change it.
    pub(crate) fn party_mut(&mut self, domain: DomainId) -> Option<&mut Party> {
        self.parties.get_mut(domain.index()).filter(|it| it.id == domain.into())
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
                Some(party) if party.standing == Standing::Awaiting => match party.server.domain() {
                    Some(server) => served = server,
                    None => break,
                },
                _ => break,
            }
        }
        (served != domain).then_some(served)
    }
}
