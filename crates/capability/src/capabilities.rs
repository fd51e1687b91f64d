//! The system of all capability spaces: making it, its spaces, minting and looking up.

use crate::node::{Chain, NONE, State, push_front};
use crate::{Capability, Error, Node, Rights, Slot, Space, SpaceId, Ticket};

/// The most derivations between a capability and the minted one it comes from.
///
/// It bounds every walk towards the root, lookup's above all.
pub const DEPTH_LIMIT: u8 = 32;

/// All capability spaces of one kernel with the derivation tree that runs through them.
///
/// `N` and `S` are the tables, handed in by the caller: slices, boxes or vectors of [`Node`] and [`Space`]. A space has
/// no table of its own, so that no space's size must be known when it is made; its limit bounds what it may take.
///
/// # Locking
/// None. Lookups take `&self`, changes `&mut self`: a kernel with several processors puts it behind its own lock.
#[derive(Clone, Debug)]
pub struct Capabilities<N, S> {
    pub(crate) nodes: N,
    pub(crate) spaces: S,
    pub(crate) free_node: u32,
    pub(crate) free_space: u32,
    /// Detached by a revocation, to be swept; the head of a [`Chain::Siblings`].
    pub(crate) condemned: u32,
    /// Of destroyed spaces, to be swept; the head of a [`Chain::Neighbours`].
    pub(crate) orphans: u32,
    /// See [`ended`](Self::ended).
    pub(crate) ended: u64,
}

/// What is known about a capability beside the capability itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The capability.
    pub capability: Capability,
    /// Derivations between it and a minted one, 0 to [`DEPTH_LIMIT`].
    pub depth: u8,
    /// Whether something is derived from it, so that a revocation would not be idle.
    pub has_children: bool,
}

impl<N: AsRef<[Node]> + AsMut<[Node]>, S: AsRef<[Space]> + AsMut<[Space]>> Capabilities<N, S> {
    /// An empty system over these tables, whose former content is lost. Only the first `u32::MAX` entries are used.
    ///
    /// # Cost
    /// Linear in the tables, once.
    pub fn new(mut nodes: N, mut spaces: S) -> Self {
        let mut free_node = NONE;
        let usable = nodes.as_ref().len().min(NONE as usize);
        for (index, node) in nodes.as_mut()[..usable].iter_mut().enumerate().rev() {
            *node = Node::EMPTY;
            node.neighbours.next = free_node;
            free_node = index as u32;
        }
        let mut free_space = NONE;
        let usable = spaces.as_ref().len().min(NONE as usize);
        for (index, space) in spaces.as_mut()[..usable].iter_mut().enumerate().rev() {
            *space = Space { next_free: free_space, ..Space::EMPTY };
            free_space = index as u32;
        }
        Self { nodes, spaces, free_node, free_space, condemned: NONE, orphans: NONE, ended: 0 }
    }

    /// Makes a capability space that may hold `limit` capabilities.
    ///
    /// A deleted capability counts against its last space until nothing derived from it is left.
    ///
    /// # Errors
    /// [`Error::SpacesFull`].
    pub fn create_space(&mut self, limit: u32) -> Result<SpaceId, Error> {
        let index = self.free_space;
        let space = self.spaces.as_mut().get_mut(index as usize).ok_or(Error::SpacesFull)?;
        self.free_space = space.next_free;
        *space = Space { generation: space.generation, is_live: true, limit, ..Space::EMPTY };
        Ok(SpaceId { index, generation: space.generation })
    }

    /// Ends a capability space. Nothing in it is found from now on; [`sweep`](Self::sweep) deletes what it held, and
    /// what was derived from that into other spaces lives on.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    ///
    /// # Cost
    /// Constant.
    pub fn destroy_space(&mut self, id: SpaceId) -> Result<(), Error> {
        let held = self.space(id)?.held;
        self.orphans = crate::node::splice(self.nodes.as_mut(), self.orphans, held, Chain::Neighbours);
        let next_free = self.free_space;
        self.ended += 1;
        let space = &mut self.spaces.as_mut()[id.index as usize];
        space.is_live = false;
        // A space whose generations are used up is not offered again: its ids must not recur.
        if let Some(generation) = space.generation.checked_add(1) {
            space.generation = generation;
            space.next_free = next_free;
            self.free_space = id.index;
        }
        Ok(())
    }

    /// Makes a capability out of nothing: only for the kernel, about objects it made.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::OutsideRange`] when the range overflows, [`Error::EmptyRange`] for no units of an
    /// exclusive kind, [`Error::SpaceFull`], [`Error::NodesFull`].
    pub fn mint(&mut self, space: SpaceId, capability: Capability) -> Result<Slot, Error> {
        if capability.range.end().is_none() {
            return Err(Error::OutsideRange);
        }
        if capability.object.kind.is_exclusive() && capability.range.length == 0 {
            return Err(Error::EmptyRange);
        }
        self.allocate(space, Node { capability, ..Node::EMPTY })
    }

    /// Finds what a slot holds, if it holds at least these rights.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::NoCapability`], [`Error::Revoked`], [`Error::MissingRight`].
    ///
    /// # Cost
    /// One step per derivation between the capability and the minted one, at most [`DEPTH_LIMIT`].
    #[inline]
    pub fn lookup(&self, space: SpaceId, slot: Slot, needed: Rights) -> Result<Capability, Error> {
        self.find_with(space, slot, needed).map(|node| node.capability)
    }

    /// What a slot holds that was given out a moment ago: no walk towards the root, and nobody's space. `None` where it holds
    /// nothing any more.
    ///
    /// # Cost
    /// Constant.
    #[inline]
    pub fn given(&self, slot: Slot) -> Option<&Capability> {
        let node = self.nodes.as_ref().get(slot.index as usize)?;
        (node.generation == slot.generation && node.state == State::Held).then_some(&node.capability)
    }

    /// Looks up like [`lookup`](Self::lookup), with something to keep: see [`Ticket`].
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub fn ticket(&self, space: SpaceId, slot: Slot, needed: Rights) -> Result<(Capability, Ticket), Error> {
        let capability = self.lookup(space, slot, needed)?;
        Ok((capability, Ticket { slot }))
    }

    /// Whether the lookup that gave this ticket would still succeed.
    ///
    /// # Cost
    /// As [`lookup`](Self::lookup).
    #[inline]
    pub fn is_live(&self, ticket: &Ticket) -> bool {
        let Some(node) = self.nodes.as_ref().get(ticket.slot.index as usize) else { return false };
        node.generation == ticket.slot.generation
            && node.state == State::Held
            && self.is_current(node.space)
            && self.is_rooted(node)
    }

    /// What a slot held until it was revoked, as long as the sweep has not come there: nobody was told of that yet.
    ///
    /// # Cost
    /// As [`lookup`](Self::lookup).
    pub fn condemned(&self, space: SpaceId, slot: Slot) -> Option<Capability> {
        if self.find(space, slot).err() != Some(Error::Revoked) {
            return None;
        }
        self.given(slot).copied()
    }

    /// A number that grows whenever anything ends that a lookup could have found: by delete, move, revoke or the end of a space.
    ///
    /// What a lookup found stays true for as long as the number is the same, so that who keeps both need not look again: one
    /// comparison instead of the walk towards the root, and nothing to call back. Never decreases.
    #[inline]
    pub const fn ended(&self) -> u64 {
        self.ended
    }

    /// Where [`ended`](Self::ended) lies, for who compares it without a call; as long as this is not moved or dropped.
    pub const fn ended_place(&self) -> *const u64 {
        &raw const self.ended
    }

    /// Finds what a slot holds and how it stands in the derivation tree. Needs [`Rights::INSPECT`].
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub fn inspect(&self, space: SpaceId, slot: Slot) -> Result<Inspection, Error> {
        let node = self.find_with(space, slot, Rights::INSPECT)?;
        Ok(Inspection { capability: node.capability, depth: node.depth, has_children: node.children != NONE })
    }

    /// The nearest capability above that somebody still holds: its space and slot. For whoever draws the tree.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::NoCapability`], [`Error::Revoked`].
    pub fn parent(&self, space: SpaceId, slot: Slot) -> Result<Option<(SpaceId, Slot)>, Error> {
        let mut index = self.find(space, slot)?.parent;
        while index != NONE {
            let node = self.node(index);
            if node.state == State::Held && self.is_current(node.space) {
                return Ok(Some((node.space, node.slot(index))));
            }
            index = node.parent;
        }
        Ok(None)
    }

    /// What a space holds and could look up, in no promised order.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    pub fn held(&self, space: SpaceId) -> Result<impl Iterator<Item = (Slot, Capability)> + '_, Error> {
        let head = self.space(space)?.held;
        let mut next = head;
        let indices = core::iter::from_fn(move || {
            let index = (next != NONE).then_some(next)?;
            let after = self.node(index).neighbours.next;
            next = if after == head { NONE } else { after };
            Some(index)
        });
        let found = indices.map(|index| (index, self.node(index))).filter(|(_, node)| self.is_rooted(node));
        Ok(found.map(|(index, node)| (node.slot(index), node.capability)))
    }

    /// How many nodes are charged to a space, and how many may be.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    pub fn usage(&self, space: SpaceId) -> Result<(u32, u32), Error> {
        self.space(space).map(|space| (space.used, space.limit))
    }

    /// The node that `slot` of `space` names.
    #[inline(always)]
    pub(crate) fn find(&self, space: SpaceId, slot: Slot) -> Result<&Node, Error> {
        if !self.is_current(space) {
            return Err(Error::NoSpace);
        }
        let node = self.nodes.as_ref().get(slot.index as usize).ok_or(Error::NoCapability)?;
        if node.generation != slot.generation || node.state != State::Held || node.space != space {
            return Err(Error::NoCapability);
        }
        if self.is_rooted(node) { Ok(node) } else { Err(Error::Revoked) }
    }

    /// As [`find`](Self::find), where it holds at least these rights.
    #[inline(always)]
    pub(crate) fn find_with(&self, space: SpaceId, slot: Slot, needed: Rights) -> Result<&Node, Error> {
        let node = self.find(space, slot)?;
        if node.capability.rights.contains(needed) { Ok(node) } else { Err(Error::MissingRight) }
    }

    /// Whether nothing between this node and its minted ancestor was revoked.
    #[inline(always)]
    pub(crate) fn is_rooted(&self, node: &Node) -> bool {
        let nodes = self.nodes.as_ref();
        let mut node = node;
        for _ in 0..u32::from(DEPTH_LIMIT) + 1 {
            if node.parent == NONE {
                return true;
            }
            let parent = &nodes[node.parent as usize];
            if parent.epoch != node.seen {
                return false;
            }
            node = parent;
        }
        false
    }

    #[inline]
    pub(crate) fn is_current(&self, id: SpaceId) -> bool {
        self.space(id).is_ok()
    }

    #[inline]
    pub(crate) fn space(&self, id: SpaceId) -> Result<&Space, Error> {
        let space = self.spaces.as_ref().get(id.index as usize).ok_or(Error::NoSpace)?;
        if space.is_live && space.generation == id.generation { Ok(space) } else { Err(Error::NoSpace) }
    }

    #[inline]
    pub(crate) fn node(&self, index: u32) -> &Node {
        &self.nodes.as_ref()[index as usize]
    }

    #[inline]
    pub(crate) fn node_mut(&mut self, index: u32) -> &mut Node {
        &mut self.nodes.as_mut()[index as usize]
    }

    /// Takes a node for a new capability of `space`: what it is, and where it comes from.
    #[inline(always)]
    pub(crate) fn allocate(&mut self, space: SpaceId, new: Node) -> Result<Slot, Error> {
        self.has_room(space)?;
        let (index, parent) = (self.free_node, new.parent);
        let node = self.nodes.as_mut().get_mut(index as usize).ok_or(Error::NodesFull)?;
        self.free_node = node.neighbours.next;
        let slot = node.slot(index);
        *node = Node { generation: node.generation, epoch: node.epoch, state: State::Held, ..new };
        self.enter(space, index);
        if parent != NONE {
            let elder = core::mem::replace(&mut self.node_mut(parent).children, index);
            push_front(self.nodes.as_mut(), elder, index, Chain::Siblings);
        }
        Ok(slot)
    }

    #[inline]
    pub(crate) fn has_room(&self, space: SpaceId) -> Result<(), Error> {
        let space = self.space(space)?;
        if space.used < space.limit { Ok(()) } else { Err(Error::SpaceFull) }
    }

    /// Puts a node into the list of a space and charges it.
    #[inline(always)]
    pub(crate) fn enter(&mut self, id: SpaceId, index: u32) {
        self.node_mut(index).space = id;
        let space = &mut self.spaces.as_mut()[id.index as usize];
        space.used += 1;
        let first = core::mem::replace(&mut space.held, index);
        push_front(self.nodes.as_mut(), first, index, Chain::Neighbours);
    }
}

#[cfg(test)]
mod tests {
    //! Generations near their end, which only this crate can bring about.
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    extern crate std;

    use super::*;
    use crate::{Badge, Derivation, Object, ObjectKind, Range, Trust};
    use std::vec;
    use std::vec::Vec;

    const ROOT: Capability = Capability {
        object: Object { kind: ObjectKind::Endpoint, id: 1 },
        rights: Rights::all(),
        trust: Trust::KERNEL,
        badge: Badge::NONE,
        range: Range::EMPTY,
    };
    const ALL: Derivation = Derivation::new(Rights::all(), Trust::KERNEL);

    fn system(nodes: usize) -> (Capabilities<Vec<Node>, Vec<Space>>, SpaceId) {
        let mut system = Capabilities::new(vec![Node::EMPTY; nodes], vec![Space::EMPTY; 1]);
        let space = system.create_space(8).unwrap();
        (system, space)
    }

    #[test]
    fn a_node_is_as_large_as_the_readme_says() {
        assert_eq!(size_of::<Node>(), 104);
    }

    #[test]
    fn a_slot_retires_when_its_generation_saturates() {
        let (mut system, space) = system(1);
        system.nodes[0].generation = u32::MAX - 1;
        let before = system.mint(space, ROOT).unwrap();
        system.delete(space, before).unwrap();
        let last = system.mint(space, ROOT).unwrap();
        assert_eq!(last.generation, u32::MAX);
        assert_eq!(system.move_within(space, last), Err(Error::WornOut));
        assert!(system.lookup(space, last, Rights::all()).is_ok());
        system.delete(space, last).unwrap();
        assert_eq!(system.mint(space, ROOT), Err(Error::NodesFull));
        assert_eq!(system.lookup(space, last, Rights::empty()), Err(Error::NoCapability));
        assert_eq!(system.usage(space), Ok((0, 8)));
        assert_eq!(system.verify(), Ok(()));
    }

    #[test]
    fn a_worn_out_revoker_still_revokes() {
        let (mut system, space) = system(4);
        let slot = system.mint(space, ROOT).unwrap();
        system.nodes[slot.index as usize].epoch = u64::MAX - 1;
        let child = system.derive(space, slot, ALL).unwrap();
        assert_eq!(system.revoke(space, slot), Ok(true));
        assert_eq!(system.lookup(space, child, Rights::empty()), Err(Error::Revoked));
        assert_eq!(system.derive(space, slot, ALL), Err(Error::WornOut));
        assert_eq!(system.revoke(space, slot), Ok(false));
        assert!(system.sweep(8, |_| ()).is_done);
        assert_eq!(system.verify(), Ok(()));
    }

    #[test]
    fn a_node_is_not_reborn_into_the_epoch_of_its_last_life() {
        let (mut system, space) = system(3);
        let slot = system.mint(space, ROOT).unwrap();
        let middle = system.derive(space, slot, ALL).unwrap();
        let child = system.derive(space, middle, ALL).unwrap();
        system.revoke(space, slot).unwrap();
        // The sweep has freed the parent and not yet the child, when the parent's node is used anew.
        system.sweep(1, |finalised| assert_eq!(finalised.slot, middle));
        let reborn = system.mint(space, ROOT).unwrap();
        assert_eq!(reborn.index, middle.index);
        assert_eq!(system.lookup(space, child, Rights::empty()), Err(Error::Revoked));
        assert_eq!(system.verify(), Ok(()));
    }

    #[test]
    fn a_space_retires_when_its_generation_saturates() {
        let (mut system, space) = system(1);
        system.destroy_space(space).unwrap();
        system.spaces[0].generation = u32::MAX;
        let last = system.create_space(1).unwrap();
        system.destroy_space(last).unwrap();
        assert_eq!(system.create_space(1), Err(Error::SpacesFull));
    }
}
