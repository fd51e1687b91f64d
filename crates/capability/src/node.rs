//! The two tables' entries, and the intrusive circular lists that run through the nodes.

use crate::{Badge, Capability, Object, ObjectKind, Range, Rights, Slot, SpaceId, Trust};

/// The index that names no node.
pub(crate) const NONE: u32 = u32::MAX;

/// Storage for one capability and its place in the derivation tree.
///
/// Opaque: whoever builds a [`Capabilities`](crate::Capabilities) hands in a table of these, made of [`Node::EMPTY`].
#[derive(Clone, Debug)]
pub struct Node {
    /// Of the slot; counts the uses of this entry.
    pub(crate) generation: u32,
    /// The node this one was derived from, [`NONE`] for a minted one.
    pub(crate) parent: u32,
    /// The revoker: whatever was derived when it had another value is revoked. Never decreases, not even when the entry
    /// is used anew, so that a stale child can never take a stranger for its parent.
    pub(crate) epoch: u64,
    /// The parent's epoch when this was derived.
    pub(crate) seen: u64,
    /// Whose it is; for a [`State::Deleted`] one, who pays for it.
    pub(crate) space: SpaceId,
    pub(crate) state: State,
    /// Derivations between this and a minted capability.
    pub(crate) depth: u8,
    /// The youngest child; the head of a [`Chain::Siblings`].
    pub(crate) children: u32,
    pub(crate) siblings: Links,
    pub(crate) neighbours: Links,
    pub(crate) capability: Capability,
}

/// What an entry of the node table is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In the free list, by `neighbours.next`.
    Free,
    /// In its space's list: what a slot names.
    Held,
    /// In no space's list. Kept as a revoker and for its range, because it has children.
    Deleted,
    /// Its generations are used up.
    Retired,
}

/// One node's place in one circular list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    pub(crate) next: u32,
    pub(crate) previous: u32,
}

/// Which of a node's two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// Children of one parent, or capabilities condemned by revocation.
    Siblings,
    /// Capabilities of one space, or orphans of destroyed spaces.
    Neighbours,
}

impl Node {
    /// An entry that was never used.
    pub const EMPTY: Self = Self {
        generation: 1,
        parent: NONE,
        epoch: 0,
        seen: 0,
        space: SpaceId::NONE,
        state: State::Free,
        depth: 0,
        children: NONE,
        siblings: Links::UNLINKED,
        neighbours: Links::UNLINKED,
        capability: Capability {
            object: Object { kind: ObjectKind::Domain, id: 0 },
            rights: Rights::empty(),
            trust: Trust::USER,
            badge: Badge::NONE,
            range: Range::EMPTY,
        },
    };

    /// The slot that names this node, which lies at `index`.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> Slot {
        Slot { index, generation: self.generation }
    }

    #[inline]
    fn links(&mut self, chain: Chain) -> &mut Links {
        match chain {
            Chain::Siblings => &mut self.siblings,
            Chain::Neighbours => &mut self.neighbours,
        }
    }
}

impl Links {
    const UNLINKED: Self = Self { next: NONE, previous: NONE };
}

/// Puts `index` before `head`, which may be [`NONE`]: it is the new head.
#[inline(always)]
pub(crate) fn push_front(nodes: &mut [Node], head: u32, index: u32, chain: Chain) {
    let mut links = Links { next: index, previous: index };
    if head != NONE {
        let tail = core::mem::replace(&mut nodes[head as usize].links(chain).previous, index);
        nodes[tail as usize].links(chain).next = index;
        links = Links { next: head, previous: tail };
    }
    *nodes[index as usize].links(chain) = links;
}

/// Takes `index` out of the list with this head; returns the new head.
pub(crate) fn unlink(nodes: &mut [Node], head: u32, index: u32, chain: Chain) -> u32 {
    let Links { next, previous } = *nodes[index as usize].links(chain);
    *nodes[index as usize].links(chain) = Links::UNLINKED;
    if next == index {
        return NONE;
    }
    nodes[previous as usize].links(chain).next = next;
    nodes[next as usize].links(chain).previous = previous;
    if head == index { next } else { head }
}

/// Appends the list `second` to the list `first`, either of which may be empty; returns the head. Constant, because
/// the lists are circular: that is what makes condemning a million children one step.
pub(crate) fn splice(nodes: &mut [Node], first: u32, second: u32, chain: Chain) -> u32 {
    if first == NONE {
        return second;
    }
    if second == NONE {
        return first;
    }
    let first_tail = nodes[first as usize].links(chain).previous;
    let second_tail = nodes[second as usize].links(chain).previous;
    nodes[first_tail as usize].links(chain).next = second;
    nodes[second as usize].links(chain).previous = first_tail;
    nodes[second_tail as usize].links(chain).next = first;
    nodes[first as usize].links(chain).previous = second_tail;
    first
}

/// Storage for one capability space: the head of its list and what it may hold.
///
/// Opaque: whoever builds a [`Capabilities`](crate::Capabilities) hands in a table of these, made of [`Space::EMPTY`].
#[derive(Clone, Debug)]
pub struct Space {
    pub(crate) generation: u32,
    pub(crate) is_live: bool,
    /// The head of a [`Chain::Neighbours`].
    pub(crate) held: u32,
    /// Nodes charged to this space.
    pub(crate) used: u32,
    /// The most it may be charged.
    pub(crate) limit: u32,
    pub(crate) next_free: u32,
}

impl Space {
    /// An entry that was never used.
    pub const EMPTY: Self =
        Self { generation: 1, is_live: false, held: NONE, used: 0, limit: 0, next_free: NONE };
}
