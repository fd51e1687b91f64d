//! Reading a machine, and asking where memory should go.
#![allow(clippy::unwrap_used)] // made-up machines of which the tests say that they are good

#[path = "../tests/made_up/mod.rs"]
mod made_up;

use criterion::{Criterion, criterion_group, criterion_main};
use feuerbird_numa::{NodeId, Placement, acpi, sysfs};

fn benches(criterion: &mut Criterion) {
    let tree = made_up::Tree::of(8);
    criterion.bench_function("numa/parse sysfs, 8 nodes", |bencher| {
        bencher.iter(|| sysfs::topology(&tree).unwrap())
    });
    let cpus: Vec<_> = (0..64u8).map(|cpu| (cpu, u32::from(cpu / 8))).collect();
    let memory: Vec<_> = (0..8).map(|domain| (domain, 1 << 30)).collect();
    let table = made_up::srat(&cpus, &[], &memory);
    criterion.bench_function("numa/parse SRAT, 64 processors", |bencher| {
        bencher.iter(|| acpi::topology(&table, None).unwrap());
    });
    let machine = sysfs::topology(&tree).unwrap();
    assert_eq!((machine.len(), acpi::topology(&table, None).unwrap().len()), (8, 8));
    let seventh = NodeId::new(7).unwrap();
    criterion.bench_function("numa/nearest", |bencher| {
        bencher.iter(|| assert_eq!(Placement::Nearest(seventh).next(&machine, 4096), Some(seventh)));
    });
    let (mut turns, mut turn) = (Placement::interleave(), 0);
    criterion.bench_function("numa/interleave", |bencher| {
        bencher.iter(|| {
            assert_eq!(turns.next(&machine, 4096), NodeId::new(turn % 8));
            turn = turn.wrapping_add(1);
        });
    });
}

criterion_group!(group, benches);
criterion_main!(group);
