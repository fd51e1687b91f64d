//! The reference model: capability spaces as one would first write them, with plain vectors, recursion and no care for
//! time. It drives the real system, predicts every result, and compares everything after every step.
#![allow(dead_code, reason = "each test file uses its own part")]

mod check;
mod program;

use std::collections::{BTreeMap, HashSet};

use feuerbird_capability::*;

#[allow(unused_imports, reason = "each test file uses its own part")]
pub(crate) use program::{Ask, Op, programs};

pub(crate) const NODES: usize = 40;
pub(crate) const SPACES: usize = 4;

/// What the model knows of one capability, alive or kept for its children.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) space: usize,
    pub(crate) slot: Slot,
    pub(crate) ticket: Ticket,
    pub(crate) capability: Capability,
    pub(crate) parent: Option<u32>,
    pub(crate) depth: u8,
    /// Something above was revoked.
    pub(crate) revoked: bool,
    /// The parent itself was revoked since: it is no child of it any more.
    pub(crate) cut: bool,
    /// It has been reported as ended.
    pub(crate) finalised: bool,
}

#[derive(Clone)]
pub(crate) struct KnownSpace {
    pub(crate) id: SpaceId,
    pub(crate) is_live: bool,
    pub(crate) limit: u32,
}

/// A slot that named something once.
#[derive(Clone)]
pub(crate) struct Passed {
    pub(crate) space: usize,
    pub(crate) slot: Slot,
    pub(crate) ticket: Ticket,
}

#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) system: Capabilities<Vec<Node>, Vec<Space>>,
    pub(crate) known: BTreeMap<u32, Known>,
    pub(crate) spaces: Vec<KnownSpace>,
    pub(crate) passed: Vec<Passed>,
    /// Every slot ever given out.
    pub(crate) names: HashSet<u64>,
    pub(crate) next: u32,
    pub(crate) sweep_steps: usize,
}

/// Why the model thinks that an operation is refused: for certain, or perhaps (the sweep frees in its own order).
#[derive(Default, Debug)]
pub(crate) struct Objections {
    pub(crate) certain: Vec<Error>,
    pub(crate) possible: Vec<Error>,
}

impl Objections {
    pub(crate) fn add(&mut self, holds: bool, error: Error) {
        if holds {
            self.certain.push(error);
        }
    }

    /// Panics unless the result is one that these allow.
    #[track_caller]
    pub(crate) fn judge<T: std::fmt::Debug>(&self, result: &Result<T, Error>) {
        match result {
            Ok(_) => assert!(self.certain.is_empty(), "{result:?} in spite of {self:?}"),
            Err(error) => {
                let is_foreseen = self.certain.contains(error) || self.possible.contains(error);
                assert!(is_foreseen, "{result:?} but {self:?}");
            }
        }
    }
}

impl Model {
    pub(crate) fn new() -> Self {
        let system = Capabilities::new(vec![Node::EMPTY; NODES], vec![Space::EMPTY; SPACES]);
        let mut model = Self {
            system,
            known: BTreeMap::new(),
            spaces: vec![],
            passed: vec![],
            names: HashSet::new(),
            next: 0,
            sweep_steps: 0,
        };
        model.create_space(40);
        model.create_space(8);
        model
    }

    // What can be said about one capability.

    pub(crate) fn is_live(&self, id: u32) -> bool {
        self.find(id).is_ok()
    }

    /// What a lookup that needs no rights must say.
    pub(crate) fn find(&self, id: u32) -> Result<Capability, Error> {
        let known = &self.known[&id];
        match known {
            _ if !self.spaces[known.space].is_live => Err(Error::NoSpace),
            _ if known.finalised => Err(Error::NoCapability),
            _ if known.revoked => Err(Error::Revoked),
            _ => Ok(known.capability),
        }
    }

    pub(crate) fn children(&self, id: u32) -> impl Iterator<Item = u32> + '_ {
        self.known.iter().filter(move |(_, known)| known.parent == Some(id) && !known.cut).map(|(id, _)| *id)
    }

    /// Whether it still takes up a node: because it has not ended, or because something below it has not.
    pub(crate) fn is_present(&self, id: u32) -> bool {
        !self.known[&id].finalised || self.children(id).any(|child| self.is_present(child))
    }

    /// How many nodes must be, and how many may be, in use by `space` (or by all).
    pub(crate) fn charge(&self, space: Option<usize>) -> (u32, u32) {
        let mut bounds = (0, 0);
        for (id, known) in &self.known {
            if space.is_some_and(|space| space != known.space) {
                continue;
            }
            let is_certain = !known.finalised || (!known.revoked && self.is_present(*id));
            let is_possible = is_certain || (known.revoked && !self.system.is_swept());
            bounds.0 += u32::from(is_certain);
            bounds.1 += u32::from(is_possible);
        }
        bounds
    }

    // Naive rules.

    pub(crate) fn object_to_use(&self, id: u32, needed: Rights, objections: &mut Objections) {
        match self.find(id) {
            Ok(capability) => objections.add(!capability.rights.contains(needed), Error::MissingRight),
            Err(error) => objections.certain.push(error),
        }
    }

    pub(crate) fn object_to_room(&self, space: usize, takes_node: bool, objections: &mut Objections) {
        objections.add(!self.spaces[space].is_live, Error::NoSpace);
        let (least, most) = self.charge(Some(space));
        objections.add(least >= self.spaces[space].limit, Error::SpaceFull);
        if most >= self.spaces[space].limit {
            objections.possible.push(Error::SpaceFull);
        }
        let (least, most) = self.charge(None);
        objections.add(takes_node && least as usize >= NODES, Error::NodesFull);
        if takes_node && most as usize >= NODES {
            objections.possible.push(Error::NodesFull);
        }
    }

    fn object_to_derivation(&self, id: u32, child: &Capability, objections: &mut Objections) {
        let parent = &self.known[&id].capability;
        objections.add(child.rights.bits() & !parent.rights.bits() != 0, Error::MoreRights);
        objections.add(child.trust.level() > parent.trust.level(), Error::HigherTrust);
        objections.add(parent.badge.0 != 0 && child.badge.0 != parent.badge.0, Error::AlreadyBadged);
        let (start, end) = (u128::from(child.range.start), wide_end(child.range));
        let is_inside = u128::from(parent.range.start) <= start && end <= wide_end(parent.range);
        objections.add(!is_inside || end > u128::from(u64::MAX), Error::OutsideRange);
        objections.add(self.known[&id].depth >= DEPTH_LIMIT, Error::TooDeep);
        if parent.object.kind.is_exclusive() {
            objections.add(child.range.length == 0, Error::EmptyRange);
            let present = self.children(id).filter(|child| self.is_present(*child));
            let watermark =
                present.map(|child| wide_end(self.known[&child].capability.range)).max().unwrap_or(0);
            objections.add(start < watermark, Error::Overlap);
        }
    }

    // The operations, naively.

    pub(crate) fn create_space(&mut self, limit: u32) {
        let live = self.spaces.iter().filter(|space| space.is_live).count();
        let mut objections = Objections::default();
        objections.add(live >= SPACES, Error::SpacesFull);
        let result = self.system.create_space(limit);
        objections.judge(&result);
        if let Ok(id) = result {
            assert!(self.spaces.iter().all(|space| space.id != id), "a space id recurred");
            self.spaces.push(KnownSpace { id, is_live: true, limit });
        }
    }

    pub(crate) fn destroy_space(&mut self, space: usize) {
        let mut objections = Objections::default();
        objections.add(!self.spaces[space].is_live, Error::NoSpace);
        let result = self.system.destroy_space(self.spaces[space].id);
        objections.judge(&result);
        self.spaces[space].is_live = false;
    }

    pub(crate) fn mint(&mut self, space: usize, capability: Capability) {
        let mut objections = Objections::default();
        objections.add(wide_end(capability.range) > u128::from(u64::MAX), Error::OutsideRange);
        let is_empty = capability.range.length == 0;
        objections.add(is_empty && capability.object.kind.is_exclusive(), Error::EmptyRange);
        self.object_to_room(space, true, &mut objections);
        let result = self.system.mint(self.spaces[space].id, capability);
        objections.judge(&result);
        if let Ok(slot) = result {
            self.enter(space, slot, capability, None, 0);
        }
    }

    /// Derives in place, or grants to `to`.
    pub(crate) fn derive(&mut self, id: u32, ask: &Ask, to: Option<usize>) {
        let Known { space, slot, capability: parent, depth, .. } = self.known[&id].clone();
        let derivation = ask.of(&parent);
        let badge = derivation.badge.filter(|badge| badge.0 != 0).unwrap_or(parent.badge);
        let Derivation { rights, trust, range, .. } = derivation;
        let child = Capability { rights, trust, badge, range: range.unwrap_or(parent.range), ..parent };
        let mut objections = Objections::default();
        let needed = if to.is_some() { Rights::GRANT } else { Rights::DERIVE };
        self.object_to_use(id, needed, &mut objections);
        self.object_to_derivation(id, &child, &mut objections);
        self.object_to_room(to.unwrap_or(space), true, &mut objections);
        let from = self.spaces[space].id;
        let result = match to {
            Some(to) => self.system.grant(from, slot, self.spaces[to].id, derivation),
            None => self.system.derive(from, slot, derivation),
        };
        objections.judge(&result);
        if let Ok(slot) = result {
            self.enter(to.unwrap_or(space), slot, child, Some(id), depth + 1);
        }
    }

    pub(crate) fn copy(&mut self, id: u32) {
        let Known { space, slot, capability, parent, depth, .. } = self.known[&id].clone();
        let mut objections = Objections::default();
        self.object_to_use(id, Rights::DERIVE, &mut objections);
        objections.add(capability.object.kind.is_exclusive(), Error::Exclusive);
        self.object_to_room(space, true, &mut objections);
        let result = self.system.copy(self.spaces[space].id, slot);
        objections.judge(&result);
        if let Ok(slot) = result {
            self.enter(space, slot, capability, parent, depth);
        }
    }

    /// Moves within the space, or to another.
    pub(crate) fn move_to(&mut self, id: u32, to: Option<usize>) {
        let Known { space, slot, ticket, .. } = self.known[&id].clone();
        let mut objections = Objections::default();
        let needed = if to.is_some() { Rights::GRANT } else { Rights::empty() };
        self.object_to_use(id, needed, &mut objections);
        if let Some(to) = to.filter(|to| *to != space) {
            self.object_to_room(to, false, &mut objections);
        }
        let from = self.spaces[space].id;
        let result = match to {
            Some(to) => self.system.move_to(from, slot, self.spaces[to].id),
            None => self.system.move_within(from, slot),
        };
        objections.judge(&result);
        if let Ok(moved) = result {
            self.passed.push(Passed { space, slot, ticket });
            let space = to.unwrap_or(space);
            self.name(moved);
            let ticket = self.system.ticket(self.spaces[space].id, moved, Rights::empty()).unwrap().1;
            let known = self.known.get_mut(&id).unwrap();
            (known.space, known.slot, known.ticket) = (space, moved, ticket);
        }
    }

    pub(crate) fn delete(&mut self, id: u32) {
        let Known { space, slot, .. } = self.known[&id].clone();
        let mut objections = Objections::default();
        self.object_to_use(id, Rights::empty(), &mut objections);
        let result = self.system.delete(self.spaces[space].id, slot);
        objections.judge(&result);
        if let Ok(finalised) = result {
            assert_eq!(finalised.cause, Cause::Deleted);
            self.end(finalised);
        }
    }

    pub(crate) fn revoke(&mut self, id: u32) {
        let Known { space, slot, .. } = self.known[&id].clone();
        let mut objections = Objections::default();
        self.object_to_use(id, Rights::REVOKE, &mut objections);
        let has_children = self.children(id).any(|child| self.is_present(child));
        let result = self.system.revoke(self.spaces[space].id, slot);
        objections.judge(&result);
        if let Ok(revoked) = result {
            assert_eq!(revoked, has_children);
            let children: Vec<_> = self.children(id).collect();
            for child in children {
                self.mark_revoked(child);
                self.known.get_mut(&child).unwrap().cut = true;
            }
        }
    }

    fn mark_revoked(&mut self, id: u32) {
        self.known.get_mut(&id).unwrap().revoked = true;
        let children: Vec<_> = self.children(id).collect();
        for child in children {
            self.mark_revoked(child);
        }
    }

    pub(crate) fn sweep(&mut self, budget: usize) {
        let mut ended = vec![];
        let progress = self.system.sweep(budget, |finalised| ended.push(finalised));
        assert!(progress.steps <= budget && ended.len() <= progress.steps);
        assert!(progress.is_done || progress.steps == budget, "stopped early");
        self.sweep_steps += progress.steps;
        assert!(self.sweep_steps <= 2 * self.names.len(), "a node is visited again and again");
        for finalised in ended {
            self.end(finalised);
        }
        if progress.is_done {
            let is_over = |known: &Known| known.revoked || !self.spaces[known.space].is_live;
            assert!(self.known.values().all(|known| known.finalised || !is_over(known)), "sweep forgot one");
        }
    }

    /// A slot out of thin air.
    pub(crate) fn forge(&self, space: usize, slot: Slot) {
        let real = self.known.iter().find(|(_, known)| known.slot == slot && known.space == space);
        let expected = match real {
            Some((id, _)) => self.find(*id),
            None if !self.spaces[space].is_live => Err(Error::NoSpace),
            None => Err(Error::NoCapability),
        };
        assert_eq!(self.system.lookup(self.spaces[space].id, slot, Rights::empty()), expected);
    }

    fn enter(&mut self, space: usize, slot: Slot, capability: Capability, parent: Option<u32>, depth: u8) {
        self.name(slot);
        let found = self.system.ticket(self.spaces[space].id, slot, Rights::empty());
        let (_, ticket) = found.expect("a new capability is found");
        let known = Known {
            space,
            slot,
            ticket,
            capability,
            parent,
            depth,
            revoked: false,
            cut: false,
            finalised: false,
        };
        self.known.insert(self.next, known);
        self.next += 1;
    }

    fn name(&mut self, slot: Slot) {
        assert!(self.names.insert(slot.to_bits()), "{slot:?} recurred");
    }

    /// Takes note of a report, which must be of one that is over and was not reported before.
    fn end(&mut self, finalised: Finalised) {
        let mut open = self.known.iter_mut().filter(|(_, known)| !known.finalised);
        let (_, known) = open.find(|(_, known)| known.slot == finalised.slot).expect("finalised again");
        assert_eq!(finalised.capability, known.capability);
        assert_eq!(finalised.space, self.spaces[known.space].id);
        match finalised.cause {
            Cause::Deleted => assert!(!known.revoked && self.spaces[known.space].is_live),
            Cause::Revoked => assert!(known.revoked && self.spaces[known.space].is_live),
            Cause::SpaceDestroyed => assert!(!self.spaces[known.space].is_live),
        }
        known.finalised = true;
    }

    /// Moves what left nothing behind from the known to the passed.
    pub(crate) fn forget(&mut self) {
        let is_swept = self.system.is_swept();
        let gone = |id: &u32| !self.is_present(*id) && (is_swept || !self.known[id].revoked);
        let gone: Vec<_> = self.known.keys().copied().filter(gone).collect();
        for id in gone {
            let Some(Known { space, slot, ticket, .. }) = self.known.remove(&id) else { continue };
            self.passed.push(Passed { space, slot, ticket });
        }
    }
}

pub(crate) fn wide_end(range: Range) -> u128 {
    u128::from(range.start) + u128::from(range.length)
}
