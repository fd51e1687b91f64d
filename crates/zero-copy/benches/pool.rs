//! Loan, fill, publish and release of one buffer, on one thread.

use criterion::{Criterion, criterion_group, criterion_main};
use feuerbird_zero_copy::{Pool, PoolLayout, SizeClass, heap_region};

fn cycle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("zero-copy/loan+publish+release");
    for bytes in [64usize, 4096, 65536] {
        let layout = PoolLayout::new(0, &[SizeClass::new(bytes as u32, 64)]).expect("one good class");
        // SAFETY: nothing reads through the reading half, which is dropped here.
        let (writer, _) = unsafe { heap_region(layout.end()) };
        let mut pool = Pool::new(writer, layout, 64).expect("the region has the layout's size");
        let reader = pool.add_reader().expect("a fresh pool has room");
        group.bench_function(format!("{bytes} B"), |bencher| {
            bencher.iter(|| {
                let mut loan = pool.loan(bytes).expect("one buffer at a time");
                loan.bytes_mut()[0] = 1;
                let id = loan.publish(reader).expect("under the quota");
                pool.release(reader, id).expect("held");
            });
        });
        assert_eq!(pool.in_flight(), 0);
        let counters = pool.counters();
        assert_eq!(counters.published, counters.released);
    }
    group.finish();
}

criterion_group!(benches, cycle);
criterion_main!(benches);
