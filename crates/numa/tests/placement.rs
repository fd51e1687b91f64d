//! Policies over made-up machines.
#![allow(clippy::unwrap_used)] // a test may unwrap

use feuerbird_numa::{CpuSet, Error, Node, NodeId, Placement, Topology, UNREACHABLE};
use proptest::prelude::*;

fn id(index: u16) -> NodeId {
    NodeId::new(index).unwrap()
}

/// Three nodes; the last has processors only.
fn machine() -> Topology {
    let mut machine = Topology::empty();
    for (index, (cpus, memory_bytes)) in [("0-1", 1000), ("2-3", 5000), ("4-5", 0)].into_iter().enumerate() {
        machine.add(id(index as u16), Node { cpus: CpuSet::parse(cpus).unwrap(), memory_bytes }).unwrap();
    }
    machine.set_distance(id(2), id(1), 12).unwrap();
    machine.set_distance(id(2), id(0), 30).unwrap();
    machine
}

#[test]
fn nearest_is_itself_then_by_distance() {
    let machine = machine();
    assert_eq!(Placement::Nearest(id(0)).next(&machine, 100), Some(id(0)));
    assert_eq!(Placement::Nearest(id(0)).next(&machine, 2000), Some(id(1)), "too small: the next one");
    assert_eq!(
        Placement::near_cpu(&machine, 4).unwrap().next(&machine, 100),
        Some(id(1)),
        "no memory of its own"
    );
    assert_eq!(Placement::Nearest(id(0)).next(&machine, 9000), None);
    assert_eq!(Placement::near_cpu(&machine, 77), None);
    assert_eq!(machine.by_distance(id(2)).map(NodeId::index).collect::<Vec<_>>(), [2, 1, 0]);
    assert_eq!(
        machine.by_distance(id(1)).map(NodeId::index).collect::<Vec<_>>(),
        [1, 0, 2],
        "equal: the lower first"
    );
}

#[test]
fn interleave_takes_turns_among_those_that_fit() {
    let machine = machine();
    let mut policy = Placement::interleave();
    let chosen: Vec<_> = (0..4).map(|_| policy.next(&machine, 100).unwrap().index()).collect();
    assert_eq!(chosen, [0, 1, 0, 1]);
    assert_eq!(policy.next(&machine, 2000), Some(id(1)));
    assert_eq!(policy.next(&machine, 9000), None);
    assert_eq!(Placement::interleave().next(&Topology::empty(), 1), None);
}

#[test]
fn a_machine_that_contradicts_itself_is_refused() {
    let mut machine = machine();
    let node = |cpus: &str| Node { cpus: CpuSet::parse(cpus).unwrap(), memory_bytes: 1 };
    assert_eq!(machine.add(id(1), node("9")), Err(Error::Twice { number: 1 }));
    assert_eq!(machine.add(id(7), node("9,3")), Err(Error::Twice { number: 3 }));
    assert_eq!(machine.set_distance(id(0), id(1), 10), Err(Error::BadDistance { from: 0, to: 1 }));
    assert_eq!(machine.set_distance(id(0), id(9), 20), Err(Error::NoSuchNode { number: 9 }));
    assert_eq!(NodeId::new(64), None);
}

#[test]
fn what_cannot_be_reached_is_not_near() {
    let mut machine = machine();
    machine.set_distance(id(2), id(1), UNREACHABLE).unwrap();
    assert_eq!(machine.by_distance(id(2)).map(NodeId::index).collect::<Vec<_>>(), [2, 0]);
    assert_eq!(Placement::Nearest(id(2)).next(&machine, 2000), None, "only node 1 has so much");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn policies_agree_with_a_sorted_list(
        nodes in proptest::collection::btree_map(0u16..64, 0u64..4, 1..20),
        distances in proptest::collection::vec(11u8.., 400..=400),
        bytes in 0u64..4,
    ) {
        let mut machine = Topology::empty();
        for (index, memory_bytes) in &nodes {
            machine.add(id(*index), Node { cpus: CpuSet::EMPTY, memory_bytes: *memory_bytes }).unwrap();
        }
        let mut distances = distances.into_iter();
        for (from, to) in nodes.keys().flat_map(|from| nodes.keys().map(move |to| (*from, *to))) {
            if let (true, Some(distance)) = (from != to, distances.next()) {
                machine.set_distance(id(from), id(to), distance).unwrap();
            }
        }
        let none_stated = nodes.values().all(|memory| *memory == 0);
        let fits = |index: &u16| none_stated || (nodes[index] > 0 && nodes[index] >= bytes);
        for from in nodes.keys() {
            let mut order: Vec<_> = nodes.keys().map(|to| (machine.distance(id(*from), id(*to)), *to)).collect();
            order.retain(|(distance, _)| *distance != UNREACHABLE);
            order.sort_unstable();
            let order: Vec<_> = order.into_iter().map(|(_, to)| to).collect();
            let ours: Vec<_> = machine.by_distance(id(*from)).map(NodeId::index).collect();
            prop_assert_eq!(&ours, &order);
            let nearest = Placement::Nearest(id(*from)).next(&machine, bytes);
            prop_assert_eq!(nearest.map(NodeId::index), order.into_iter().find(fits));
        }
        let fitting: Vec<_> = nodes.keys().copied().filter(fits).collect();
        let mut turns = Placement::interleave();
        for round in 0..2 * fitting.len() {
            prop_assert_eq!(turns.next(&machine, bytes), Some(id(fitting[round % fitting.len()])));
        }
    }
}
