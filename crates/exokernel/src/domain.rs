//! Domains, as the kernel knows them.

use feuerbird_capability::{Slot, SpaceId, Trust};

use crate::audit::Refusals;
use crate::table::{Id, Linked, Links, List};
use crate::words::FreeWords;

/// One protection domain. The number never recurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(pub(crate) u64);

impl DomainId {
    /// The domain as one word; never 0.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The domain that this word names, if it names one.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// A small number that no other domain has at the same time, below [`Limits::domains`](crate::Limits).
    pub const fn index(self) -> usize {
        self.0 as u32 as usize
    }

    pub(crate) fn id(self) -> Id {
        Id(self.0)
    }
}

/// One protection domain.
pub(crate) struct Domain {
    /// Who asked for it, and pays for it; once that is gone, who pays for that.
    pub(crate) parent: Option<DomainId>,
    /// How many domains there may be below it.
    pub(crate) max_children: u32,
    pub(crate) trust: Trust,
    pub(crate) space: SpaceId,
    /// Where it had a capability for itself when it last moved that.
    pub(crate) own: Slot,
    /// Its space and its machine's side are gone; what is left is taken down step by step.
    pub(crate) is_ending: bool,
    /// The calls it was refused.
    pub(crate) refusals: Refusals,
    /// The upcalls it got.
    pub(crate) upcalls: u64,
    pub(crate) words: FreeWords,
    pub(crate) charges: Charges,
    /// The bindings it holds that are not doomed.
    pub(crate) bindings: List,
    /// The regions it registered.
    pub(crate) regions: List,
    /// What it has been given notice of.
    pub(crate) notices: List,
    /// Its place among those that are ending.
    pub(crate) links: Links,
}

/// What counts against a domain's quotas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charges {
    pub(crate) endpoints: u32,
    pub(crate) notifications: u32,
    pub(crate) regions: u32,
    pub(crate) region_bytes: u64,
    pub(crate) bindings: u32,
    pub(crate) revocations: u32,
    pub(crate) notices: u32,
    /// Capabilities that came along and lie where they came.
    pub(crate) along: u32,
    /// Domains below it, at any depth.
    pub(crate) children: u32,
}

impl Linked<()> for Domain {
    fn links(&mut self, (): ()) -> &mut Links {
        &mut self.links
    }

    fn next(&self, (): ()) -> Option<Id> {
        self.links.next()
    }
}
