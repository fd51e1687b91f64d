//! New capabilities out of old ones: derive, grant, copy, move.

use crate::node::NONE;
use crate::{Capabilities, Capability, DEPTH_LIMIT, Derivation, Error, Node, Rights, Slot, Space, SpaceId};

impl<N: AsRef<[Node]> + AsMut<[Node]>, S: AsRef<[Space]> + AsMut<[Space]>> Capabilities<N, S> {
    /// Derives a child in the same space. Needs [`Rights::DERIVE`].
    ///
    /// Children of an exclusive kind are split off upwards: each must start where the youngest that is left ends, or
    /// above, as with the watermark of seL4's untyped memory. A revocation, or the end of all children, gives the whole
    /// range back.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup) and [`Capability::derive`]; [`Error::Overlap`], [`Error::TooDeep`],
    /// [`Error::SpaceFull`], [`Error::NodesFull`], [`Error::WornOut`].
    ///
    /// # Cost
    /// A lookup and a constant number of steps, however many children there are.
    #[inline]
    pub fn derive(&mut self, space: SpaceId, slot: Slot, derivation: Derivation) -> Result<Slot, Error> {
        self.derive_into(space, slot, Rights::DERIVE, space, derivation)
    }

    /// Derives a child into another space. Needs [`Rights::GRANT`].
    ///
    /// The child is charged to the receiving space: whether that domain wants it is for the kernel to ask first.
    ///
    /// # Errors
    /// As [`derive`](Self::derive).
    ///
    /// # Cost
    /// As [`derive`](Self::derive).
    pub fn grant(
        &mut self,
        from: SpaceId,
        slot: Slot,
        to: SpaceId,
        derivation: Derivation,
    ) -> Result<Slot, Error> {
        self.derive_into(from, slot, Rights::GRANT, to, derivation)
    }

    /// Makes a second capability with the same authority in the same space, a sibling in the derivation tree: what
    /// revokes one revokes the other, and neither revokes the other's children. Needs [`Rights::DERIVE`].
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup); [`Error::Exclusive`], [`Error::SpaceFull`], [`Error::NodesFull`].
    pub fn copy(&mut self, space: SpaceId, slot: Slot) -> Result<Slot, Error> {
        let Node { capability, parent, seen, depth, .. } = *self.find_with(space, slot, Rights::DERIVE)?;
        if capability.object.kind.is_exclusive() {
            return Err(Error::Exclusive);
        }
        self.allocate(space, Node { capability, parent, seen, depth, ..Node::EMPTY })
    }

    /// Moves a capability to a new slot of the same space; its children stay its children. The old slot is empty, and
    /// tickets taken from it are dead.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup), needing no right; [`Error::WornOut`].
    pub fn move_within(&mut self, space: SpaceId, slot: Slot) -> Result<Slot, Error> {
        self.find(space, slot)?;
        self.rename(slot.index)
    }

    /// Moves a capability to another space; its children stay its children. The old slot is empty, and tickets taken
    /// from it are dead. Needs [`Rights::GRANT`].
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup); [`Error::SpaceFull`], [`Error::WornOut`].
    pub fn move_to(&mut self, from: SpaceId, slot: Slot, to: SpaceId) -> Result<Slot, Error> {
        self.find_with(from, slot, Rights::GRANT)?;
        if from == to {
            return self.rename(slot.index);
        }
        self.has_room(to)?;
        let renamed = self.rename(slot.index)?;
        self.leave(slot.index);
        self.discharge(slot.index);
        self.enter(to, slot.index);
        Ok(renamed)
    }

    #[inline(always)]
    fn derive_into(
        &mut self,
        from: SpaceId,
        slot: Slot,
        needed: Rights,
        to: SpaceId,
        derivation: Derivation,
    ) -> Result<Slot, Error> {
        let parent = self.find_with(from, slot, needed)?;
        let child = parent.capability.derive(&derivation)?;
        if parent.depth >= DEPTH_LIMIT {
            return Err(Error::TooDeep);
        }
        // The last epoch is never seen by a child, so that a revocation can always leave the one they saw.
        if parent.epoch == u64::MAX {
            return Err(Error::WornOut);
        }
        self.is_split_off(parent, &child)?;
        let (seen, depth) = (parent.epoch, parent.depth + 1);
        self.allocate(to, Node { capability: child, parent: slot.index, seen, depth, ..Node::EMPTY })
    }

    /// Whether a child of an exclusive kind lies above all its elder siblings.
    ///
    /// Children are listed youngest first and each was above those before it, so the first one has the highest end.
    #[inline(always)]
    fn is_split_off(&self, parent: &Node, child: &Capability) -> Result<(), Error> {
        let youngest = parent.children;
        if !child.object.kind.is_exclusive() || youngest == NONE {
            return Ok(());
        }
        match self.node(youngest).capability.range.end() {
            Some(end) if child.range.start >= end => Ok(()),
            _ => Err(Error::Overlap),
        }
    }

    /// Gives a held node its next generation. It stays where it is in the tree: a move can make no cycle.
    fn rename(&mut self, index: u32) -> Result<Slot, Error> {
        let node = self.node_mut(index);
        node.generation = node.generation.checked_add(1).ok_or(Error::WornOut)?;
        let slot = node.slot(index);
        self.ended += 1;
        Ok(slot)
    }
}
