//! Firmware tables, well-formed and not.
#![allow(clippy::unwrap_used)] // a test may unwrap

mod made_up;

use feuerbird_numa::{Error, NodeId, acpi};
use made_up::{seal, slit, srat};
use proptest::prelude::*;

fn id(index: u16) -> NodeId {
    NodeId::new(index).unwrap()
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
fn what_is_malformed_is_refused_with_its_place() {
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut table = two();
        change(&mut table);
        seal(&mut table);
        acpi::topology(&table, None).unwrap_err()
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
    assert_eq!(acpi::topology(&[], None), Err(Error::BadLength { at: 4 }));
    let mut unsealed = two();
    unsealed[60] ^= 1;
    assert_eq!(acpi::topology(&unsealed, None), Err(Error::BadChecksum));
    assert_eq!(acpi::topology(&srat(&[], &[], &[]), None), Err(Error::Empty));
    assert_eq!(acpi::topology(&srat(&[], &[(5000, 0)], &[]), None), Err(Error::TooManyCpus));
    assert_eq!(acpi::topology(&srat(&[(0, 0), (0, 1)], &[], &[]), None), Err(Error::Twice { number: 0 }));
    let crowd: Vec<_> = (0..65).map(|domain| (u32::from(domain as u8), domain)).collect();
    assert_eq!(acpi::topology(&srat(&[], &crowd, &[]), None), Err(Error::TooManyNodes));
}

#[test]
fn a_distance_table_that_does_not_fit_is_refused() {
    let with = |table: &[u8]| acpi::topology(&two(), Some(table)).unwrap_err();
    assert_eq!(with(&slit(2, &[10, 21, 21])), Error::BadLength { at: 36 });
    assert_eq!(with(&slit(u64::MAX, &[10])), Error::BadLength { at: 36 });
    assert_eq!(with(&slit(1 << 32, &[])), Error::BadLength { at: 36 });
    assert_eq!(with(&slit(1, &[10])), Error::NoSuchNode { number: 1 });
    assert_eq!(with(&slit(2, &[10, 9, 21, 10])), Error::BadDistance { from: 0, to: 1 });
    assert_eq!(with(&slit(2, &[10, 255, 21, 10])), Error::BadDistance { from: 0, to: 1 });
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
    fn what_is_written_reads_back(cpus in proptest::collection::btree_map(any::<u8>(), 0u32..8, 1..30)) {
        let list: Vec<_> = cpus.iter().map(|(cpu, domain)| (*cpu, *domain)).collect();
        let topology = acpi::topology(&srat(&list, &[], &[]), None).unwrap();
        for (cpu, domain) in &list {
            for (other, its_domain) in &list {
                let same = topology.node_of((*cpu).into()) == topology.node_of((*other).into());
                prop_assert_eq!(same, domain == its_domain);
            }
        }
    }
}
