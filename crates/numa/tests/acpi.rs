//! Firmware tables, well-formed and not.
#![allow(clippy::unwrap_used)] // a test may unwrap

mod made_up;

use feuerbird_numa::{
    Error, NodeId, Topology, UNREACHABLE,
    acpi::{self, Malformed, Table},
};
use made_up::{seal, slit, srat};
use proptest::prelude::*;

fn id(index: u16) -> NodeId {
    NodeId::new(index).unwrap()
}

/// What is wrong with an SRAT.
fn refusal(srat: &[u8]) -> Error {
    let Malformed { table, error, .. } = acpi::topology(srat, None).unwrap_err();
    assert_eq!(table, Table::Srat);
    error
}

/// Two nodes that the firmware calls 0 and 1.
fn two() -> Vec<u8> {
    srat(&[(0, 0), (1, 0), (2, 1)], &[(700, 1)], &[(0, 1 << 30), (1, 1 << 31), (0, 4096)])
}

#[test]
fn reads_processors_memory_and_distances() {
    let topology = acpi::topology(&two(), Some(&slit(2, &[10, 21, 31, 10]))).unwrap();
    assert_eq!(topology.len(), 2);
    assert_eq!(topology.node(id(0)).unwrap().memory_bytes, (1 << 30) + 4096);
    assert_eq!(topology.node_of(700), Some(id(1)));
    assert_eq!((topology.distance(id(0), id(1)), topology.distance(id(1), id(0))), (21, 31));
}

#[test]
fn domains_with_wild_numbers_become_nodes_from_zero() {
    let topology = acpi::topology(&srat(&[(0, 0xdead_beef), (1, 7)], &[], &[]), None).unwrap();
    assert_eq!(topology.node_of(0), Some(id(0)));
    assert_eq!(topology.node_of(1), Some(id(1)));
}

#[test]
fn what_is_not_enabled_is_not_there() {
    let mut table = two();
    let first_flags = 48 + 4;
    table[first_flags] = 0;
    seal(&mut table);
    assert_eq!(acpi::topology(&table, None).unwrap().node_of(0), None);
}

#[test]
fn an_unreachable_domain_is_kept_and_not_chosen() {
    let topology = acpi::topology(&two(), Some(&slit(2, &[10, 255, 255, 10]))).unwrap();
    assert_eq!(topology.distance(id(0), id(1)), UNREACHABLE);
    assert_eq!(topology.by_distance(id(0)).collect::<Vec<_>>(), [id(0)]);
}

#[test]
fn revision_one_has_domains_of_eight_bits() {
    let mut table = srat(&[(0, 0xabcd_ef00), (1, 0x0000_0001)], &[], &[(0x1234_5600, 4096)]);
    let nodes = |table: &[u8]| acpi::topology(table, None).map(|topology| topology.len());
    assert_eq!(nodes(&table), Ok(3));
    table[8] = 1;
    seal(&mut table);
    assert_eq!(nodes(&table), Ok(2), "the reserved bytes mean nothing");
}

#[test]
fn entries_of_other_kinds_are_passed_over() {
    let mut table = two();
    table.extend_from_slice(&[77, 3, 9]);
    let length = table.len() as u32;
    table[4..8].copy_from_slice(&length.to_le_bytes());
    seal(&mut table);
    assert_eq!(acpi::topology(&table, None), acpi::topology(&two(), None));
}

#[test]
fn what_is_malformed_is_refused_with_its_place() {
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut table = two();
        change(&mut table);
        seal(&mut table);
        refusal(&table)
    };
    assert_eq!(broken(&|table| table[0] = b'X'), Error::WrongSignature);
    assert_eq!(broken(&|table| table[49] = 0), Error::BadLength { at: 48 }, "an entry of no length");
    assert_eq!(
        broken(&|table| table[49] = 1),
        Error::BadLength { at: 48 },
        "an entry shorter than its header"
    );
    assert_eq!(broken(&|table| table[49] = 255), Error::BadLength { at: 48 }, "an entry beyond the table");
    assert_eq!(
        broken(&|table| table[4..8].copy_from_slice(&u32::MAX.to_le_bytes())),
        Error::BadLength { at: 4 }
    );
    assert_eq!(broken(&|table| table[4..8].copy_from_slice(&0u32.to_le_bytes())), Error::BadLength { at: 4 });
    assert_eq!(refusal(&[]), Error::BadLength { at: 4 });
    let mut unsealed = two();
    unsealed[60] ^= 1;
    assert_eq!(refusal(&unsealed), Error::BadChecksum);
    assert_eq!(refusal(&srat(&[], &[], &[])), Error::Empty);
    assert_eq!(refusal(&srat(&[], &[(5000, 0)], &[])), Error::TooManyCpus);
    assert_eq!(refusal(&srat(&[(0, 0), (0, 1)], &[], &[])), Error::Twice { number: 0 });
    let crowd: Vec<_> = (0..65).map(|domain| (u32::from(domain as u8), domain)).collect();
    assert_eq!(refusal(&srat(&[], &crowd, &[])), Error::TooManyNodes);
}

#[test]
fn an_entry_shorter_than_its_kind_is_refused_even_where_all_its_fields_fit() {
    // A processor, a memory range and an x2APIC processor: the flags end at 8, 32 and 16.
    for (table, short, least) in [
        (srat(&[(0, 0)], &[], &[]), 12, 16),
        (srat(&[], &[], &[(0, 4096)]), 32, 40),
        (srat(&[], &[(0, 0)], &[]), 16, 24),
    ] {
        for length in short..least + 2 {
            let mut table = table.clone();
            table.resize(48 + usize::from(length), 0);
            table[49] = length;
            let all = table.len() as u32;
            table[4..8].copy_from_slice(&all.to_le_bytes());
            seal(&mut table);
            if length < least {
                assert_eq!(refusal(&table), Error::BadLength { at: 48 }, "{length} of {least} bytes");
            } else {
                assert_eq!(acpi::topology(&table, None).map(|it| it.len()), Ok(1), "{length} bytes");
            }
        }
    }
}

#[test]
fn every_refusal_says_at_which_byte() {
    let of_srat = |table: &[u8]| acpi::topology(table, None).unwrap_err().at;
    let of_slit = |table: &[u8]| acpi::topology(&two(), Some(table)).unwrap_err().at;
    let mut wrong = two();
    wrong[0] = b'X';
    assert_eq!(of_srat(&wrong), 0);
    let mut unsealed = two();
    unsealed[60] ^= 1;
    assert_eq!(of_srat(&unsealed), 9);
    assert_eq!(of_srat(&srat(&[], &[], &[])), 48, "where an entry would be");
    assert_eq!(of_srat(&srat(&[(0, 0)], &[(5000, 0)], &[])), 48 + 16);
    assert_eq!(of_srat(&srat(&[(0, 0), (1, 0), (0, 1)], &[], &[])), 48 + 32);
    let crowd: Vec<_> = (0..65).map(|domain| (u32::from(domain as u8), domain)).collect();
    assert_eq!(of_srat(&srat(&[], &crowd, &[])), 48 + 64 * 24);
    assert_eq!(of_slit(&slit(1, &[10])), 36);
    assert_eq!(of_slit(&slit(2, &[10, 21, 9, 10])), 44 + 2);
    let said = acpi::topology(&two(), Some(&slit(2, &[10, 21, 9, 10]))).unwrap_err().to_string();
    assert_eq!(said, "SLIT: the distance from node 1 to node 0 makes no sense, at byte 46");
    let said = acpi::topology(&[], None).unwrap_err();
    assert_eq!(
        (said.at, said.to_string().as_str()),
        (4, "SRAT: the length at byte 4 of the table does not fit")
    );
}

#[test]
fn a_distance_table_that_does_not_fit_is_refused() {
    let with = |slit: &[u8]| {
        let Malformed { table, error, .. } = acpi::topology(&two(), Some(slit)).unwrap_err();
        assert_eq!(table, Table::Slit);
        error
    };
    assert_eq!(with(&slit(2, &[10, 21, 21])), Error::BadLength { at: 36 });
    assert_eq!(with(&slit(2, &[10, 21, 21, 10, 10])), Error::BadLength { at: 36 });
    assert_eq!(with(&slit(u64::MAX, &[10])), Error::BadLength { at: 36 });
    assert_eq!(with(&slit(1 << 32, &[])), Error::BadLength { at: 36 });
    assert_eq!(with(&slit(1, &[10])), Error::NoSuchNode { number: 1 });
    assert_eq!(with(&slit(2, &[10, 9, 21, 10])), Error::BadDistance { from: 0, to: 1 });
    assert_eq!(with(&slit(2, &[255, 20, 21, 10])), Error::BadDistance { from: 0, to: 0 });
    assert_eq!(with(&slit(2, &[10, 20, 21, 10])[..36]), Error::BadLength { at: 4 }, "cut off");
    assert_eq!(with(&two()), Error::WrongSignature);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), sealed: bool) {
        let mut table = bytes;
        if sealed && table.len() >= 48 {
            table[..4].copy_from_slice(b"SRAT");
            let length = table.len() as u32;
            table[4..8].copy_from_slice(&length.to_le_bytes());
            seal(&mut table);
        }
        let _ = acpi::topology(&table, Some(&table));
        let _ = acpi::topology(&two(), Some(&table));
    }

    #[test]
    fn a_flipped_byte_never_panics(at in 0usize..200, value: u8) {
        let mut table = two();
        let at = at % table.len();
        table[at] = value;
        seal(&mut table);
        let _ = acpi::topology(&table, None);
    }

    #[test]
    fn what_is_written_reads_back(
        cpus in proptest::collection::btree_map(0u32..1024, 0u32..8, 1..60),
        memory in proptest::collection::vec((0u32..8, any::<u32>()), 0..12),
        cells in proptest::collection::vec(11u8.., 64..=64),
    ) {
        let (narrow, wide): (Vec<_>, Vec<_>) = cpus.iter().map(|(cpu, at)| (*cpu, *at)).partition(|it| it.0 < 256);
        let narrow: Vec<_> = narrow.into_iter().map(|(cpu, domain)| (cpu as u8, domain)).collect();
        let memory: Vec<_> = memory.into_iter().map(|(domain, bytes)| (domain, u64::from(bytes) << 12)).collect();
        let cells: Vec<_> = (0..64).map(|at| if at / 8 == at % 8 { 10 } else { cells[at] }).collect();
        let topology = acpi::topology(&srat(&narrow, &wide, &memory), Some(&slit(8, &cells))).unwrap();

        let order = order_of_appearance(narrow.iter().map(|it| it.1).chain(wide.iter().map(|it| it.1))
            .chain(memory.iter().map(|it| it.0)));
        prop_assert_eq!(topology.len(), order.len());
        for (cpu, domain) in &cpus {
            prop_assert_eq!(topology.node_of(*cpu).map(|id| order[usize::from(id.index())]), Some(*domain));
        }
        prop_assert_eq!(processors(&topology), cpus.len());
        for (from, node) in topology.nodes() {
            let row = order[usize::from(from.index())];
            let bytes: u64 = memory.iter().filter(|it| it.0 == row).map(|it| it.1).sum();
            prop_assert_eq!(node.memory_bytes, bytes);
            for (to, _) in topology.nodes() {
                let column = order[usize::from(to.index())];
                prop_assert_eq!(topology.distance(from, to), cells[(row * 8 + column) as usize]);
            }
        }
    }
}

fn order_of_appearance(domains: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut order = Vec::new();
    domains.for_each(|domain| {
        if !order.contains(&domain) {
            order.push(domain)
        }
    });
    order
}

fn processors(topology: &Topology) -> usize {
    topology.nodes().map(|(_, node)| node.cpus.len()).sum()
}
