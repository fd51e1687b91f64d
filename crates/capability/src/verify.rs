//! A check of the whole structure, for tests and for a kernel that suspects itself.

use crate::node::{Chain, Links, NONE, State};
use crate::{Capabilities, Node, Space};

/// What [`verify`](Capabilities::verify) found broken. Never the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    /// A list does not close, or does not lead back.
    List,
    /// A node is in a list it does not belong to.
    Membership,
    /// A node is in no list, or in too many.
    Count,
    /// A child is not one deeper than its parent.
    Depth,
    /// A child has more authority than its parent.
    Authority,
    /// Two children of an exclusive capability overlap.
    Overlap,
    /// A space's charge is not the number of its nodes.
    Charge,
    /// A deleted node without children was kept.
    Leftover,
}

impl<N: AsRef<[Node]> + AsMut<[Node]>, S: AsRef<[Space]> + AsMut<[Space]>> Capabilities<N, S> {
    /// Checks every list, link and count, and every child against its parent.
    ///
    /// # Errors
    /// The first [`Damage`] found.
    ///
    /// # Cost
    /// Linear in the nodes, times the spaces.
    pub fn verify(&self) -> Result<(), Damage> {
        self.verify_tree()?;
        self.verify_spaces()?;
        self.verify_free()
    }

    /// Every derived node is among its parent's children or among the condemned, and nowhere else.
    fn verify_tree(&self) -> Result<(), Damage> {
        let mut listed = self.verify_list(self.condemned, Chain::Siblings, |node| {
            let parent = self.nodes.as_ref().get(node.parent as usize).ok_or(Damage::Membership)?;
            if parent.epoch == node.seen { Err(Damage::Membership) } else { Ok(()) }
        })?;
        let in_use = || self.nodes.as_ref().iter().enumerate().filter(|(_, node)| node.is_in_use());
        for (index, parent) in in_use() {
            if parent.state == State::Deleted && parent.children == NONE && self.is_rooted(parent) {
                return Err(Damage::Leftover);
            }
            let mut elder_end = None;
            listed += self.verify_list(parent.children, Chain::Siblings, |child| {
                verify_child(index, parent, child)?;
                let is_below = elder_end.is_none_or(|start| child.capability.range.end() <= Some(start));
                elder_end = Some(child.capability.range.start);
                if parent.capability.object.kind.is_exclusive() && !is_below {
                    return Err(Damage::Overlap);
                }
                Ok(())
            })?;
        }
        let derived = in_use().filter(|(_, node)| node.parent != NONE).count();
        if listed == derived { Ok(()) } else { Err(Damage::Count) }
    }

    /// Every held node is in its space's list, or among the orphans when that is gone, and every charge is right.
    fn verify_spaces(&self) -> Result<(), Damage> {
        let mut listed = self.verify_list(self.orphans, Chain::Neighbours, |node| {
            let is_orphan = node.state == State::Held && !self.is_current(node.space);
            if is_orphan { Ok(()) } else { Err(Damage::Membership) }
        })?;
        for (index, space) in self.spaces.as_ref().iter().enumerate().filter(|(_, space)| space.is_live) {
            let is_own =
                |node: &Node| node.space.index as usize == index && node.space.generation == space.generation;
            listed += self.verify_list(space.held, Chain::Neighbours, |node| {
                let is_member = node.state == State::Held && is_own(node);
                if is_member { Ok(()) } else { Err(Damage::Membership) }
            })?;
            let charged = self.nodes.as_ref().iter().filter(|node| node.is_in_use() && is_own(node)).count();
            if charged != space.used as usize || space.used > space.limit {
                return Err(Damage::Charge);
            }
        }
        let held = self.nodes.as_ref().iter().filter(|node| node.state == State::Held).count();
        if listed == held { Ok(()) } else { Err(Damage::Count) }
    }

    /// Every free node is in the free list.
    fn verify_free(&self) -> Result<(), Damage> {
        let nodes = self.nodes.as_ref();
        let (mut listed, mut index) = (0, self.free_node);
        while index != NONE {
            let node = nodes.get(index as usize).ok_or(Damage::List)?;
            if node.state != State::Free {
                return Err(Damage::Membership);
            }
            listed += 1;
            if listed > nodes.len() {
                return Err(Damage::List);
            }
            index = node.neighbours.next;
        }
        let free = nodes.iter().filter(|node| node.state == State::Free).count();
        if listed == free { Ok(()) } else { Err(Damage::Count) }
    }

    /// Walks one circular list; returns how many are in it.
    fn verify_list(
        &self,
        head: u32,
        chain: Chain,
        mut member: impl FnMut(&Node) -> Result<(), Damage>,
    ) -> Result<usize, Damage> {
        let nodes = self.nodes.as_ref();
        let (mut count, mut index) = (0, head);
        while index != NONE {
            let node = nodes.get(index as usize).ok_or(Damage::List)?;
            member(node)?;
            count += 1;
            let Links { next, .. } = node.chain(chain);
            let is_linked_back =
                nodes.get(next as usize).is_some_and(|node| node.chain(chain).previous == index);
            if !is_linked_back || count > nodes.len() {
                return Err(Damage::List);
            }
            index = if next == head { NONE } else { next };
        }
        Ok(count)
    }
}

fn verify_child(parent_index: usize, parent: &Node, child: &Node) -> Result<(), Damage> {
    let (greater, lesser) = (&parent.capability, &child.capability);
    if child.parent as usize != parent_index || child.seen != parent.epoch {
        return Err(Damage::Membership);
    }
    if child.depth != parent.depth + 1 {
        return Err(Damage::Depth);
    }
    let is_lesser = greater.object == lesser.object
        && greater.rights.contains(lesser.rights)
        && lesser.trust <= greater.trust
        && (!greater.badge.is_some() || greater.badge == lesser.badge)
        && greater.range.contains(lesser.range);
    if is_lesser { Ok(()) } else { Err(Damage::Authority) }
}

impl Node {
    fn is_in_use(&self) -> bool {
        matches!(self.state, State::Held | State::Deleted)
    }

    fn chain(&self, chain: Chain) -> Links {
        match chain {
            Chain::Siblings => self.siblings,
            Chain::Neighbours => self.neighbours,
        }
    }
}
