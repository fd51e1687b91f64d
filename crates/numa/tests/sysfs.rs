//! Linux's text, well-formed and not.
#![allow(clippy::unwrap_used)] // a test may unwrap

mod made_up;

use feuerbird_numa::{CpuSet, Error, NodeId, sysfs};
use made_up::Tree;
use proptest::prelude::*;

fn id(index: u16) -> NodeId {
    NodeId::new(index).unwrap()
}

#[test]
fn reads_a_machine_of_two_nodes() {
    let topology = sysfs::topology(&Tree::of(2)).unwrap();
    assert_eq!(topology.len(), 2);
    assert_eq!(topology.node(id(1)).unwrap().memory_bytes, 1 << 30);
    assert_eq!(topology.node_of(6), Some(id(1)));
    assert_eq!(topology.distance(id(0), id(1)), 21);
    assert_eq!(topology.distance(id(0), id(0)), 10);
}

#[test]
fn nodes_may_have_gaps_no_processors_and_no_distances() {
    let tree = Tree::default()
        .with("node/online", "0,3\n")
        .with("node/node0/cpulist", "0-1,8\n")
        .with("node/node0/meminfo", "Node 0 MemTotal: 4 kB\n")
        .with("node/node3/cpulist", "\n")
        .with("node/node3/meminfo", "Node 3 MemTotal: 8 kB");
    let topology = sysfs::topology(&tree).unwrap();
    assert_eq!(topology.nodes().map(|(id, _)| id.index()).collect::<Vec<_>>(), [0, 3]);
    assert!(topology.node(id(3)).unwrap().cpus.is_empty());
    assert_eq!(topology.distance(id(0), id(3)), 20);
}

#[test]
fn a_kernel_without_numa_is_one_node() {
    let topology = sysfs::topology(&Tree::default().with("cpu/online", "0-1\n")).unwrap();
    assert_eq!(topology.len(), 1);
    assert_eq!(topology.node(id(0)).unwrap().cpus.len(), 2);
    assert_eq!(sysfs::topology(&Tree::default()), Err(Error::Empty));
}

#[test]
fn what_is_malformed_is_refused_with_its_place() {
    let broken = |path: &str, text: &str| sysfs::topology(&Tree::of(2).with(path, text)).unwrap_err();
    assert_eq!(broken("node/online", "0-"), Error::BadText { at: 0 });
    assert_eq!(broken("node/online", "0,64"), Error::TooManyNodes);
    assert_eq!(broken("node/online", "0,0"), Error::Twice { number: 0 });
    assert_eq!(broken("node/online", "\n"), Error::Empty);
    assert_eq!(broken("node/online", "0,2"), Error::Unreadable { node: 2 });
    assert_eq!(broken("node/node1/cpulist", "4-7,3"), Error::Twice { number: 3 });
    assert_eq!(broken("node/node1/cpulist", "4,x"), Error::BadText { at: 2 });
    assert_eq!(broken("node/node1/cpulist", "9-8"), Error::BadText { at: 0 });
    assert_eq!(broken("node/node1/cpulist", "0-4294967295"), Error::TooManyCpus);
    assert_eq!(broken("node/node1/meminfo", "Node 1 MemTotal: many kB"), Error::BadText { at: 0 });
    assert_eq!(
        broken("node/node1/meminfo", "Node 1 MemTotal: 99999999999999999999 kB"),
        Error::BadText { at: 0 }
    );
    assert_eq!(broken("node/node1/meminfo", "nothing"), Error::BadText { at: 7 });
    assert_eq!(broken("node/node0/distance", "10"), Error::BadText { at: 2 });
    assert_eq!(broken("node/node0/distance", "10 21 30"), Error::BadText { at: 8 });
    assert_eq!(broken("node/node0/distance", "11 21"), Error::BadDistance { from: 0, to: 0 });
    assert_eq!(broken("node/node0/distance", "10 255"), Error::BadDistance { from: 0, to: 1 });
    assert_eq!(broken("node/node0/distance", "10 -1"), Error::BadDistance { from: 0, to: 1 });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(path in prop_oneof![
        Just("node/online"), Just("node/node0/cpulist"), Just("node/node1/meminfo"), Just("node/node1/distance")],
        text in "[-0-9, a-zA-Z:\\n]{0,80}|\\PC{0,40}") {
        let _ = sysfs::topology(&Tree::of(2).with(path, &text));
    }

    #[test]
    fn a_list_reads_back_as_its_set(cpus in proptest::collection::btree_set(0u32..1024, 0..40)) {
        let text = cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let set = CpuSet::parse(&text).unwrap();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), cpus.into_iter().collect::<Vec<_>>());
    }
}
