//! Linux's text, well-formed and not.
#![allow(clippy::unwrap_used)] // a test may unwrap

mod made_up;

use feuerbird_numa::{
    CpuSet, Error, NodeId, Placement, UNREACHABLE,
    sysfs::{self, File, Malformed},
};
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
    assert_eq!(
        Placement::Nearest(id(0)).next(&topology, 4096),
        Some(id(0)),
        "memory of unknown size is memory"
    );
    assert_eq!(Placement::interleave().next(&topology, 4096), Some(id(0)));
    assert_eq!(
        sysfs::topology(&Tree::default()),
        Err(Malformed { file: File::Cpus, error: Error::Missing }),
        "processors are not invented"
    );
}

#[test]
fn a_node_without_its_files_or_with_bytes_that_are_no_text_is_refused() {
    let broken = |tree: Tree| sysfs::topology(&tree).unwrap_err();
    let refused = |file, error| Malformed { file, error };
    assert_eq!(
        broken(Tree::of(2).with("node/online", "0,2")),
        refused(File::NodeCpus(id(2)), Error::Missing)
    );
    assert_eq!(
        broken(Tree::of(2).with("node/node1/meminfo", &" ".repeat(5000))),
        refused(File::NodeMemory(id(1)), Error::TooLong)
    );
    assert_eq!(
        broken(Tree::of(2).with("cpu/online", "0\n").with_bytes("node/online", b"0\xff")),
        refused(File::Nodes, Error::BadText { at: 1 }),
        "not taken for a kernel without NUMA"
    );
    assert_eq!(
        broken(Tree::of(2).with("cpu/online", "0\n").with("node/online", &"0,".repeat(3000))),
        refused(File::Nodes, Error::TooLong),
        "not taken for a kernel without NUMA"
    );
    let said = broken(Tree::of(2).with("node/node1/cpulist", "4,x")).to_string();
    assert_eq!(said, "node/node1/cpulist: the text is not of the expected form at byte 2");
}

#[test]
fn a_source_that_lies_about_lengths_is_not_believed() {
    struct Liar;
    impl sysfs::Source for Liar {
        fn read(&self, _: &str, _: &mut [u8]) -> Option<usize> {
            Some(usize::MAX)
        }
    }
    assert_eq!(sysfs::topology(&Liar).unwrap_err().error, Error::TooLong);
}

#[test]
fn distances_are_in_ascending_order_of_nodes_and_255_is_unreachable() {
    let tree = Tree::of(2).with("node/online", "1,0").with("node/node0/distance", "10 255");
    let topology = sysfs::topology(&tree).unwrap();
    assert_eq!(topology.distance(id(0), id(1)), UNREACHABLE);
    assert_eq!(topology.distance(id(1), id(0)), 21);
    assert_eq!(topology.by_distance(id(0)).collect::<Vec<_>>(), [id(0)]);
}

#[test]
fn the_largest_machine_is_read_whole() {
    let topology = sysfs::topology(&Tree::of(64).with("node/node63/cpulist", "252-1023")).unwrap();
    assert_eq!((topology.len(), topology.node_of(1023)), (64, Some(id(63))));
    let too_many = sysfs::topology(&Tree::of(65)).unwrap_err();
    assert_eq!(too_many, Malformed { file: File::Nodes, error: Error::TooManyNodes });
}

#[test]
fn what_is_malformed_is_refused_with_its_place() {
    let broken = |path: &str, text: &str| {
        let malformed = sysfs::topology(&Tree::of(2).with(path, text)).unwrap_err();
        assert_eq!(malformed.file.to_string(), path);
        malformed.error
    };
    assert_eq!(broken("node/online", "0-"), Error::BadText { at: 0 });
    assert_eq!(broken("node/online", "0,64"), Error::TooManyNodes);
    assert_eq!(broken("node/online", "0-5000"), Error::TooManyNodes, "it is nodes that are too many");
    assert_eq!(broken("node/online", "0,4294967295"), Error::TooManyNodes);
    assert_eq!(broken("node/online", "0,0"), Error::Twice { number: 0 });
    assert_eq!(broken("node/online", "\n"), Error::Empty);
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
    assert_eq!(broken("node/node0/distance", "10 256"), Error::BadDistance { from: 0, to: 1 });
    assert_eq!(broken("node/node0/distance", "10 -1"), Error::BadDistance { from: 0, to: 1 });
}

#[test]
fn a_set_is_shown_in_its_shortest_form() {
    for text in ["", "0", "0-1", "0-3,8-11", "63-64,1023", "0-1023"] {
        assert_eq!(CpuSet::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(CpuSet::parse("1,0,2-3,3").unwrap().to_string(), "0-3");
    for text in ["-", "+1", "1,", ",1", "0x1", "1-2-3", " 1", "99999999999"] {
        assert!(matches!(CpuSet::parse(text), Err(Error::BadText { .. })), "{text:?}");
    }
    assert_eq!(CpuSet::parse("1024"), Err(Error::TooManyCpus));
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
    fn no_bytes_panic(path in 0usize..7, bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let tree = Tree::of(2);
        let path = tree.0.keys().nth(path).cloned().unwrap();
        let _ = sysfs::topology(&tree.with_bytes(&path, &bytes));
    }

    #[test]
    fn a_set_reads_back_from_how_it_is_shown(
        ranges in proptest::collection::vec((0u32..1024, 0u32..90), 0..12)
    ) {
        let mut set = CpuSet::EMPTY;
        for (first, more) in ranges {
            (first..(first + more).min(1024)).for_each(|cpu| { set.insert(cpu).unwrap(); });
        }
        prop_assert_eq!(CpuSet::parse(&set.to_string()), Ok(set));
    }

    #[test]
    fn a_list_reads_back_as_its_set(cpus in proptest::collection::btree_set(0u32..1024, 0..40)) {
        let text = cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let set = CpuSet::parse(&text).unwrap();
        prop_assert_eq!(set.len(), cpus.len());
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), cpus.into_iter().collect::<Vec<_>>());
    }
}
