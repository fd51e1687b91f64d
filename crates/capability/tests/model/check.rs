//! What must hold after every step. The numbers are those of the README's list of invariants.

use feuerbird_capability::*;

use super::{Known, Model, wide_end};

/// How many names of the past are asked for again after each step.
const REMEMBERED: usize = 48;

impl Model {
    /// Compares everything that can be asked with what the model knows.
    pub(crate) fn check(&self) {
        assert_eq!(self.system.verify(), Ok(()));
        for (id, known) in &self.known {
            self.check_access(*id, known);
            self.check_tree(*id, known);
        }
        self.check_siblings();
        self.check_past();
        self.check_spaces();
    }

    /// (1) and (4): found by its holder exactly while it lives, by nobody else, and its ticket says the same.
    fn check_access(&self, id: u32, known: &Known) {
        let expected = self.find(id);
        for (index, space) in self.spaces.iter().enumerate() {
            let found = self.system.lookup(space.id, known.slot, Rights::empty());
            match index == known.space {
                true => assert_eq!(found, expected, "{:?}", known.slot),
                false => {
                    assert!(matches!(found, Err(Error::NoCapability | Error::NoSpace)), "foreign {found:?}")
                }
            }
        }
        assert_eq!(self.system.is_live(&known.ticket), expected.is_ok());
        if let Ok(capability) = expected {
            let space = self.spaces[known.space].id;
            let missing = !capability.rights;
            let refused = self.system.lookup(space, known.slot, missing);
            assert_eq!(refused.is_err(), !missing.is_empty());
        }
    }

    /// (2), (3) and the first half of (9): below its parent in everything, and where the tree says.
    fn check_tree(&self, id: u32, known: &Known) {
        let mut above = known.parent.filter(|_| self.is_live(id));
        if !self.is_live(id) {
            return;
        }
        let (mut nearest, mut steps) = (None, 0);
        while let Some(parent) = above.map(|above| &self.known[&above]) {
            let (greater, lesser) = (&parent.capability, &known.capability);
            assert!(greater.rights.contains(lesser.rights) && lesser.trust <= greater.trust);
            assert!(greater.range.start <= lesser.range.start);
            assert!(wide_end(lesser.range) <= wide_end(greater.range));
            let is_held = !parent.finalised && self.spaces[parent.space].is_live;
            nearest = nearest.or(is_held.then(|| (self.spaces[parent.space].id, parent.slot)));
            above = parent.parent;
            steps += 1;
            assert!(steps <= DEPTH_LIMIT, "a cycle, or deeper than allowed");
        }
        assert_eq!(steps, known.depth);
        let space = self.spaces[known.space].id;
        assert_eq!(self.system.parent(space, known.slot), Ok(nearest));
        if let Ok(inspection) = self.system.inspect(space, known.slot) {
            let has_children = self.children(id).any(|child| self.is_present(child));
            assert_eq!(
                inspection,
                Inspection { capability: known.capability, depth: known.depth, has_children }
            );
        }
    }

    /// The second half of (9): what was split is not shared.
    fn check_siblings(&self) {
        let is_open = |known: &&Known| !known.revoked && !known.finalised && known.parent.is_some();
        let open: Vec<_> = self.known.values().filter(is_open).collect();
        for (index, one) in open.iter().enumerate() {
            for other in &open[index + 1..] {
                let are_siblings = one.parent == other.parent && one.capability.object.kind.is_exclusive();
                assert!(!are_siblings || !one.capability.range.overlaps(other.capability.range));
            }
        }
    }

    /// (6): what is over stays over.
    fn check_past(&self) {
        for passed in self.passed.iter().rev().take(REMEMBERED) {
            let found = self.system.lookup(self.spaces[passed.space].id, passed.slot, Rights::empty());
            assert!(
                matches!(found, Err(Error::NoCapability | Error::NoSpace)),
                "{:?} came back",
                passed.slot
            );
            assert!(!self.system.is_live(&passed.ticket));
        }
    }

    /// (10): who wrote down what the calls returned knows what every space holds, no more and no less.
    fn check_spaces(&self) {
        for (index, space) in self.spaces.iter().enumerate() {
            let Ok(held) = self.system.held(space.id) else {
                assert!(!space.is_live);
                continue;
            };
            let mut held: Vec<_> = held.map(|(slot, _)| slot).collect();
            let in_space = self.known.iter().filter(|(_, known)| known.space == index);
            let mut expected: Vec<_> =
                in_space.filter(|(id, _)| self.is_live(**id)).map(|(_, known)| known.slot).collect();
            held.sort();
            expected.sort();
            assert_eq!(held, expected);
            let (least, most) = self.charge(Some(index));
            let (used, limit) = self.system.usage(space.id).unwrap();
            assert!((least..=most).contains(&used) && used <= limit, "{used} of {limit}");
        }
    }
}
