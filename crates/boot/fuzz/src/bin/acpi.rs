//! Any bytes as memory with an RSDP at its beginning, and with checksums that are right.
#![no_main]

use feuerbird_boot::acpi::{MAX_NODES, Madt, Root, memory_nodes};
use feuerbird_boot_fuzz::{BASE, Memory, check, index, seal, seal_table};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // As they came, without their headers looked at.
    tables(data, data);
    let mut sealed = data.to_vec();
    if let Some(xsdt) = index(&sealed, 24) {
        for entry in 0..16 {
            if let Some(table) = index(&sealed, xsdt.saturating_add(36 + entry * 8)) {
                seal_table(&mut sealed, table);
            }
        }
        seal_table(&mut sealed, xsdt);
    }
    for (length, at) in [(20, 8), (36, 32)] {
        if let Some(rsdp) = sealed.get_mut(..length) {
            seal(rsdp, at);
        }
    }
    let memory = Memory(&sealed);
    let Ok(root) = Root::read(&memory, BASE) else { return };
    tables(root.table(*b"APIC").unwrap_or_default(), root.table(*b"SRAT").unwrap_or_default());
});

fn tables(madt: &[u8], srat: &[u8]) {
    // Each processor has an entry of its own, of eight bytes at least.
    let most = madt.len() / 8;
    if let Ok(madt) = Madt::parse(madt) {
        assert!(madt.processors().count() <= most);
    }
    let _ = memory_nodes(srat, |range, node| {
        check(range);
        assert!(usize::from(node) < MAX_NODES);
    });
}
