//! ACPI: tables in order are read, all others refused.

mod memory;

use feuerbird_boot::acpi::{Error, Madt, Root, memory_nodes};
use memory::{BASE, Memory, fix_sum};
use proptest::prelude::*;

const XSDT: u64 = BASE + 0x100;
const MADT: u64 = BASE + 0x200;

fn table(signature: &[u8; 4], rest: &[u8]) -> Vec<u8> {
    let mut table = vec![0; 36];
    table[..4].copy_from_slice(signature);
    table[8] = 3;
    table.extend_from_slice(rest);
    let length = table.len() as u32;
    table[4..8].copy_from_slice(&length.to_le_bytes());
    fix_sum(&mut table, 9);
    table
}

fn madt() -> Vec<u8> {
    let mut rest = vec![0; 8];
    rest[..4].copy_from_slice(&0xfee0_0000u32.to_le_bytes());
    // Two processors, one that is not there, one with a large id, another address, and a kind that nobody knows.
    rest.extend([0, 8, 0, 0, 1, 0, 0, 0]);
    rest.extend([0, 8, 1, 4, 1, 0, 0, 0]);
    rest.extend([0, 8, 2, 5, 0, 0, 0, 0]);
    rest.extend([9, 16, 0, 0, 0, 3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    rest.extend([5, 12, 0, 0, 0, 0, 0xd0, 0xfe, 0, 0, 0, 0]);
    rest.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0]);
    rest.extend([77, 3, 9]);
    table(b"APIC", &rest)
}

fn machine() -> Memory {
    let mut memory = Memory(Vec::new());
    let mut rsdp = vec![0; 36];
    rsdp[..8].copy_from_slice(b"RSD PTR ");
    rsdp[15] = 2;
    rsdp[24..32].copy_from_slice(&XSDT.to_le_bytes());
    fix_sum(&mut rsdp[..20], 8);
    fix_sum(&mut rsdp, 32);
    memory.put(BASE, &rsdp);
    memory.put(XSDT, &table(b"XSDT", &[0u64, MADT].map(u64::to_le_bytes).concat()));
    memory.put(MADT, &madt());
    memory
}

#[test]
fn processors_are_those_that_are_enabled() {
    let memory = machine();
    let root = Root::read(&memory, BASE).unwrap();
    let madt = Madt::parse(root.table(*b"APIC").unwrap()).unwrap();
    assert_eq!(madt.processors().collect::<Vec<_>>(), [0, 4, 0x300]);
    assert_eq!(madt.local_apic(), 0xfed0_0000);
    assert_eq!(madt.io_apics().collect::<Vec<_>>(), [(0xfec0_0000, 24)]);
    assert!(root.table(*b"SRAT").is_none());
}

#[test]
fn a_machine_of_before_the_xsdt_has_an_rsdt() {
    let mut memory = machine();
    let mut rsdp = memory.0[..36].to_vec();
    rsdp[15] = 0;
    rsdp[16..20].copy_from_slice(&(XSDT as u32).to_le_bytes());
    fix_sum(&mut rsdp[..20], 8);
    memory.put(BASE, &rsdp);
    memory.put(XSDT, &table(b"RSDT", &(MADT as u32).to_le_bytes()));
    assert!(Root::read(&memory, BASE).unwrap().table(*b"APIC").is_some());
}

#[test]
fn each_broken_byte_of_a_table_is_noticed() {
    let whole = machine();
    for at in 0..36 {
        let mut memory = whole.clone();
        memory.0[at] ^= 0x20;
        assert!(Root::read(&memory, BASE).is_err(), "byte {at} of the RSDP");
    }
    for at in 0..madt().len() {
        let mut memory = whole.clone();
        memory.0[(MADT - BASE) as usize + at] ^= 0x10;
        let root = Root::read(&memory, BASE).unwrap();
        assert!(root.table(*b"APIC").is_none(), "byte {at} of the MADT");
    }
}

#[test]
fn an_entry_without_length_or_too_long_ends_the_table() {
    for entry in [
        &[0, 0][..],
        &[0, 1],
        &[0],
        &[0, 9, 0, 0, 1, 0, 0, 0],
        &[0, 4, 0, 0],
        &[9, 8, 0, 0, 0, 0, 0, 0],
        &[1, 8, 0, 0, 0, 0, 0, 0],
    ] {
        let broken = table(b"APIC", &[&[0; 8], entry].concat());
        assert_eq!(Madt::parse(&broken).err(), Some(Error::BadEntry), "{entry:?}");
    }
    assert_eq!(Madt::parse(&madt()[..40]).err(), Some(Error::BadLength));
}

fn memory_entry(domain: u8, start: u64, bytes: u64, enabled: u8) -> Vec<u8> {
    let mut entry = vec![0; 40];
    (entry[0], entry[1], entry[2], entry[28]) = (1, 40, domain, enabled);
    entry[8..16].copy_from_slice(&start.to_le_bytes());
    entry[16..24].copy_from_slice(&bytes.to_le_bytes());
    entry
}

#[test]
fn nodes_count_in_the_order_in_which_domains_appear() {
    let mut rest = vec![0; 12];
    rest.extend([0, 16, 7, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    rest.extend(memory_entry(3, 0x1000, 0x1000, 1));
    rest.extend(memory_entry(7, 0x4000, 0x2000, 1));
    rest.extend(memory_entry(9, 0x8000, 0x2000, 0));
    rest.extend(memory_entry(3, u64::MAX, 2, 1));
    let mut found = Vec::new();
    memory_nodes(&table(b"SRAT", &rest), |range, node| found.push((range.start(), range.end(), node)))
        .unwrap();
    assert_eq!(found, [(0x1000, 0x2000, 1), (0x4000, 0x6000, 0)]);
}

proptest! {
    #[test]
    fn no_bytes_stop_a_parser(bytes in prop::collection::vec(any::<u8>(), 0..300), kinds in prop::collection::vec(0u8..12, 0..300)) {
        for rest in [&bytes, &kinds] {
            let _ = Madt::parse(rest).map(|madt| (madt.processors().count(), madt.io_apics().count()));
            let _ = memory_nodes(rest, |range, _| assert!(range.start() < range.end()));
        }
    }

    #[test]
    fn no_changed_machine_stops_a_parser(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut memory = machine();
        for (index, byte) in changes {
            let at = index.index(memory.0.len());
            memory.0[at] = byte;
        }
        if let Ok(root) = Root::read(&memory, BASE) {
            let _ = root.table(*b"APIC").map(Madt::parse);
        }
    }
}
