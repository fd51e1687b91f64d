//! Small systems to test in, one of which counts its steps.

use std::cell::Cell;

use feuerbird_capability::*;

pub(crate) type System = Capabilities<Vec<Node>, Vec<Space>>;
pub(crate) type Counted = Capabilities<CountedNodes, Vec<Space>>;

/// A system with two spaces that may hold `limit` each.
pub(crate) fn system(limit: u32) -> (System, [SpaceId; 2]) {
    let mut system = Capabilities::new(vec![Node::EMPTY; 2 * limit as usize], vec![Space::EMPTY; 4]);
    let spaces = [(); 2].map(|()| system.create_space(limit).unwrap());
    (system, spaces)
}

fn all(kind: ObjectKind, range: Range) -> Capability {
    Capability {
        object: Object { kind, id: 1 },
        rights: Rights::all(),
        trust: Trust::LIBOS,
        badge: Badge::NONE,
        range,
    }
}

pub(crate) fn endpoint() -> Capability {
    all(ObjectKind::Endpoint, Range::EMPTY)
}

pub(crate) fn region() -> Capability {
    all(ObjectKind::Region, Range::new(0, 8))
}

pub(crate) fn frames() -> Capability {
    all(ObjectKind::Frame, Range::new(0, 8))
}

/// Sweeps to the end, one at a time.
pub(crate) fn take_all(system: &mut System) -> Vec<Slot> {
    let mut slots = vec![];
    while !system.sweep(1, |finalised| slots.push(finalised.slot)).is_done {}
    slots
}

thread_local! {
    static ACCESSES: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has turned to a table of [`CountedNodes`].
pub(crate) fn accesses() -> u64 {
    ACCESSES.get()
}

/// A table of nodes that counts who turns to it.
pub(crate) struct CountedNodes(Vec<Node>);

impl AsRef<[Node]> for CountedNodes {
    fn as_ref(&self) -> &[Node] {
        ACCESSES.set(ACCESSES.get() + 1);
        &self.0
    }
}

impl AsMut<[Node]> for CountedNodes {
    fn as_mut(&mut self) -> &mut [Node] {
        ACCESSES.set(ACCESSES.get() + 1);
        &mut self.0
    }
}

/// A system that counts, with one space.
pub(crate) fn counted(limit: u32) -> (Counted, SpaceId) {
    let nodes = CountedNodes(vec![Node::EMPTY; limit as usize]);
    let mut system = Capabilities::new(nodes, vec![Space::EMPTY; 1]);
    let space = system.create_space(limit).unwrap();
    (system, space)
}
