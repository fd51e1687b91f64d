//! Any bytes as an SRAT and a SLIT, split by the first of them, with signatures, lengths and checksums that are right.
#![no_main]

use feuerbird_boot_fuzz::seal;
use feuerbird_numa::{MAX_NODES, Topology, acpi};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((split, tables)) = data.split_first() else { return };
    let (srat, slit) = tables.split_at(tables.len().min((*split).into()));
    let _ = acpi::topology(srat, Some(slit));
    let [srat, slit] = [(srat, b"SRAT"), (slit, b"SLIT")].map(|(bytes, signature)| {
        let mut table = bytes.to_vec();
        if table.len() >= 36 {
            table[..4].copy_from_slice(signature);
            table[4..8].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
            seal(&mut table, 9);
        }
        table
    });
    for topology in [acpi::topology(&srat, None), acpi::topology(&srat, Some(&slit))].into_iter().flatten() {
        hold(&topology);
    }
});

/// What every topology promises.
fn hold(topology: &Topology) {
    assert!(
        !topology.is_empty() && topology.len() <= MAX_NODES && topology.nodes().count() == topology.len()
    );
    for (id, node) in topology.nodes() {
        assert!(node.cpus.iter().all(|cpu| topology.node_of(cpu) == Some(id)));
        assert!(topology.by_distance(id).count() <= topology.len());
    }
}
