//! Bindings and pairs: authority that was checked once and is used without the kernel.
//!
//! ```text
//!             Bind                       revoked, with time left
//!   (nothing) ────> Bound ───────────────────────────────> Revoking
//!                     │ unbound, deleted, died,               │ acknowledged, unbound, died,
//!                     │ revoked without time                  │ deadline
//!                     └──────────────> Doomed <───────────────┘
//!                                        │ its pairs end, one a step
//!                                        └──> (nothing)
//! ```

use feuerbird_abi::{GRANTS_ALONG, Reason, Role};
use feuerbird_capability::{Object, Slot, Ticket, Trust};

use crate::DomainId;
use crate::table::{Id, Linked, Links, List};

/// One side's use of an endpoint.
pub(crate) struct Binding {
    pub(crate) holder: DomainId,
    pub(crate) endpoint: Object,
    pub(crate) role: Role,
    /// Of the capability it was made with.
    pub(crate) trust: Trust,
    /// The holder's word to its peers.
    pub(crate) terms: u64,
    /// The capability it was made with.
    pub(crate) ticket: Ticket,
    /// The holder's validity word for the binding itself.
    pub(crate) word: u32,
    pub(crate) state: State,
    pub(crate) pairs: List,
    pub(crate) peers: u32,
    links: [Links; 4],
}

/// Where a binding stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In use. On the lists of its capability, its endpoint and its holder.
    Bound,
    /// Its capability was revoked; its pairs go on until the holder acknowledges that upcall, or the deadline. On the
    /// lists of the revocation and its holder.
    Revoking { revocation: Id, upcall: u64 },
    /// About to go. On the list of the doomed.
    Doomed { ending: Ending, revocation: Option<Id> },
}

/// How a binding ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its holder ended it, or deleted its capability.
    Unbound,
    /// Its holder's domain ended.
    Died,
    /// Its capability was revoked, and the holder let go in time.
    Acknowledged,
    /// Its capability was revoked, and the holder did not let go or had no time to.
    Forced,
}

impl Ending {
    /// What the peers are told.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Unbound => Reason::Unbound,
            Self::Died => Reason::Died,
            Self::Acknowledged | Self::Forced => Reason::Revoked,
        }
    }
}

/// The lists a binding can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// Made with one capability.
    Capability = 0,
    /// Of one role at one endpoint.
    Endpoint = 1,
    /// Held by one domain.
    Holder = 2,
    /// Waiting for one revocation, or doomed.
    Queue = 3,
}

impl Binding {
    pub(crate) fn new(
        holder: DomainId,
        endpoint: Object,
        (role, terms): (Role, u64),
        (trust, ticket): (Trust, Ticket),
        word: u32,
    ) -> Self {
        let (state, pairs, links) = (State::Bound, List::EMPTY, [Links::default(); 4]);
        Self { holder, endpoint, role, trust, terms, ticket, word, state, pairs, peers: 0, links }
    }
}

impl Linked<Chain> for Binding {
    fn links(&mut self, chain: Chain) -> &mut Links {
        &mut self.links[chain as usize]
    }

    fn next(&self, chain: Chain) -> Option<Id> {
        self.links[chain as usize].next()
    }
}

/// A sender's and a receiver's binding that have met. Its number is the `peer` of both.
pub(crate) struct Pair<H> {
    /// By role.
    pub(crate) sides: [Side<H>; 2],
    /// The last capabilities that came along, in the receiver's space. What is not there any more has made room.
    pub(crate) along: [Slot; GRANTS_ALONG],
}

/// One half of a pair.
#[derive(Clone, Debug)]
pub(crate) struct Side<H> {
    pub(crate) binding: Id,
    /// In the validity words of that binding's holder.
    pub(crate) word: u32,
    /// The region that it lets the other side map, and its memory: once is all, so that nobody is told things without end.
    pub(crate) shared: Option<(Id, H)>,
    links: Links,
}

impl<H> Side<H> {
    pub(crate) fn new(binding: Id, word: u32) -> Self {
        Self { binding, word, shared: None, links: Links::default() }
    }
}

impl<H> Pair<H> {
    pub(crate) fn side(&self, role: Role) -> &Side<H> {
        &self.sides[role as usize]
    }

    pub(crate) fn side_mut(&mut self, role: Role) -> &mut Side<H> {
        &mut self.sides[role as usize]
    }
}

impl<H> Linked<Role> for Pair<H> {
    fn links(&mut self, role: Role) -> &mut Links {
        &mut self.sides[role as usize].links
    }

    fn next(&self, role: Role) -> Option<Id> {
        self.sides[role as usize].links.next()
    }
}
