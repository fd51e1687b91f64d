//! The end of capabilities: delete, revoke, and the sweep that follows.

use crate::node::{Chain, NONE, State, splice, unlink};
use crate::{Capabilities, Capability, Error, Node, Rights, Slot, Space, SpaceId};

/// A capability that has ended, reported exactly once: by [`delete`](Capabilities::delete) or by
/// [`sweep`](Capabilities::sweep).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finalised {
    /// The space it was in, which may be gone.
    pub space: SpaceId,
    /// The slot it was in, which will never name anything again.
    pub slot: Slot,
    /// What it was.
    pub capability: Capability,
    /// What ended it.
    pub cause: Cause,
}

/// What ended a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its holder deleted it.
    Deleted,
    /// A capability above it was revoked.
    Revoked,
    /// Its space was destroyed.
    SpaceDestroyed,
}

/// How far a [`sweep`](Capabilities::sweep) came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Nodes visited, at most the budget.
    pub steps: usize,
    /// Whether nothing is left to sweep.
    pub is_done: bool,
}

impl<N: AsRef<[Node]> + AsMut<[Node]>, S: AsRef<[Space]> + AsMut<[Space]>> Capabilities<N, S> {
    /// Ends one capability. Needs no right. What was derived from it lives on under its parent, no deeper than before
    /// and no shallower, and with its range still reserved where the kind is exclusive.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::NoCapability`], [`Error::Revoked`] for one that the sweep will report.
    ///
    /// # Cost
    /// A lookup and at most [`DEPTH_LIMIT`](crate::DEPTH_LIMIT) steps, however many children there are.
    pub fn delete(&mut self, space: SpaceId, slot: Slot) -> Result<Finalised, Error> {
        self.find(space, slot)?;
        self.ended += 1;
        let finalised = self.empty(slot.index, Cause::Deleted);
        self.release(slot.index);
        Ok(finalised)
    }

    /// Revokes everything derived from a capability, which itself stays. Needs [`Rights::REVOKE`].
    ///
    /// When it returns, no lookup and no ticket of a descendant succeeds in any space. Their nodes wait for
    /// [`sweep`](Self::sweep). Idempotent. An exclusive range can be derived anew at once; a kernel whose bindings still
    /// use it sweeps first.
    ///
    /// Returns whether there was anything to revoke.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    ///
    /// # Cost
    /// A lookup and a constant number of steps, however many descendants there are.
    pub fn revoke(&mut self, space: SpaceId, slot: Slot) -> Result<bool, Error> {
        self.find_with(space, slot, Rights::REVOKE)?;
        Ok(self.condemn_children(slot.index))
    }

    /// Ends capabilities that revocations and destroyed spaces left behind, at most `budget` of them, and reports each.
    ///
    /// To be called until it is done; other operations may come between two calls. Each node is visited once for each
    /// way it ended, so the whole sweep is linear, and there is no recursion.
    ///
    /// # Cost
    /// Per step constant, at most [`DEPTH_LIMIT`](crate::DEPTH_LIMIT) when ancestors end with it.
    pub fn sweep(&mut self, budget: usize, mut report: impl FnMut(Finalised)) -> Progress {
        let mut steps = 0;
        while steps < budget && !self.is_swept() {
            self.sweep_one().into_iter().for_each(&mut report);
            steps += 1;
        }
        Progress { steps, is_done: self.is_swept() }
    }

    /// As [`sweep`](Self::sweep) of one capability, if there is one; `None` also for a node that was kept after its capability had
    /// ended. A condemned one's children become condemned in turn.
    ///
    /// # Cost
    /// A step of [`sweep`](Self::sweep).
    pub fn sweep_one(&mut self) -> Option<Finalised> {
        let index = if self.condemned != NONE { self.condemned } else { self.orphans };
        let node = self.nodes.as_ref().get(index as usize)?;
        let (state, space) = (node.state, node.space);
        if self.condemned != NONE {
            self.condemn_children(index);
        }
        let finalised = (state == State::Held).then(|| {
            self.empty(index, if self.is_current(space) { Cause::Revoked } else { Cause::SpaceDestroyed })
        });
        self.release(index);
        finalised
    }

    /// Whether there is nothing to sweep.
    pub fn is_swept(&self) -> bool {
        self.condemned == NONE && self.orphans == NONE
    }

    /// Leaves the epoch that the children saw, and puts them all on the list of the condemned.
    fn condemn_children(&mut self, index: u32) -> bool {
        let node = self.node_mut(index);
        let children = core::mem::replace(&mut node.children, NONE);
        if children == NONE {
            return false;
        }
        // Cannot overflow: `derive` leaves the last epoch without children.
        node.epoch += 1;
        self.ended += 1;
        self.condemned = splice(self.nodes.as_mut(), self.condemned, children, Chain::Siblings);
        true
    }

    /// Empties a held node's slot. The node is to be [released](Self::release).
    #[inline]
    fn empty(&mut self, index: u32, cause: Cause) -> Finalised {
        self.leave(index);
        let node = self.node_mut(index);
        node.state = State::Deleted;
        Finalised { space: node.space, slot: node.slot(index), capability: node.capability, cause }
    }

    /// Frees a deleted node without children, then those ancestors that were only kept for it.
    #[inline]
    fn release(&mut self, index: u32) {
        let mut index = index;
        while index != NONE && self.node(index).state == State::Deleted && self.node(index).children == NONE {
            let parent = self.detach(index);
            self.discharge(index);
            self.free(index);
            index = parent;
        }
    }

    /// Takes a node out of the list of its siblings. Returns the parent if it was still the parent's child.
    ///
    /// A node whose parent has left the epoch it saw is among the condemned: the two happen together.
    fn detach(&mut self, index: u32) -> u32 {
        let Node { parent, seen, .. } = *self.node(index);
        if parent == NONE {
            return NONE;
        }
        let Node { epoch, children, .. } = *self.node(parent);
        if epoch == seen {
            let children = unlink(self.nodes.as_mut(), children, index, Chain::Siblings);
            self.node_mut(parent).children = children;
            parent
        } else {
            self.condemned = unlink(self.nodes.as_mut(), self.condemned, index, Chain::Siblings);
            NONE
        }
    }

    /// Takes a held node out of the list of its space, or of the orphans if that is gone.
    pub(crate) fn leave(&mut self, index: u32) {
        let id = self.node(index).space;
        match self.space(id).map(|space| space.held) {
            Ok(held) => {
                let held = unlink(self.nodes.as_mut(), held, index, Chain::Neighbours);
                self.spaces.as_mut()[id.index as usize].held = held;
            }
            Err(_) => self.orphans = unlink(self.nodes.as_mut(), self.orphans, index, Chain::Neighbours),
        }
    }

    /// Stops charging a node to its space.
    pub(crate) fn discharge(&mut self, index: u32) {
        let id = self.node(index).space;
        if self.is_current(id) {
            self.spaces.as_mut()[id.index as usize].used -= 1;
        }
    }

    /// Offers a node again under its next generation, or retires it after the last.
    fn free(&mut self, index: u32) {
        let next = self.free_node;
        let node = self.node_mut(index);
        node.space = SpaceId::NONE;
        node.parent = NONE;
        match node.generation.checked_add(1) {
            Some(generation) => {
                node.generation = generation;
                node.state = State::Free;
                node.neighbours.next = next;
                self.free_node = index;
            }
            None => node.state = State::Retired,
        }
    }
}
