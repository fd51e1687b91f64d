//! What the operations cost: lookup by depth, derive, revoke until unusable by the number of descendants, sweep.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use feuerbird_capability::*;

type System = Capabilities<Vec<Node>, Vec<Space>>;

const ALL: Derivation = Derivation::new(Rights::all(), Trust::LIBOS);

/// Two spaces and one minted capability, with room for `descendants`.
fn system(descendants: usize) -> (System, SpaceId, SpaceId, Slot) {
    let nodes = vec![Node::EMPTY; descendants + 64];
    let mut system = Capabilities::new(nodes, vec![Space::EMPTY; 2]);
    let [from, to] = [(); 2].map(|()| system.create_space(u32::MAX).expect("room for two spaces"));
    let object = Object { kind: ObjectKind::Endpoint, id: 1 };
    let (rights, trust) = (Rights::all(), Trust::LIBOS);
    let root = Capability { object, rights, trust, badge: Badge::NONE, range: Range::EMPTY };
    let slot = system.mint(from, root).expect("room for a root");
    (system, from, to, slot)
}

/// The same with a tree of eight children to a parent, all in the other space. Returns the root's children too.
fn tree(descendants: usize) -> (System, SpaceId, SpaceId, Slot, Vec<Slot>) {
    let (mut system, from, to, root) = system(descendants);
    let mut granted = vec![];
    for index in 0..descendants {
        let child = match index / 8 {
            0 => system.grant(from, root, to, ALL),
            parent => system.derive(to, granted[parent - 1], ALL),
        };
        granted.push(child.expect("room for the tree"));
    }
    granted.truncate(8);
    (system, from, to, root, granted)
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    let (mut system, from, _, root) = system(64);
    let mut slot = root;
    for depth in 0..=DEPTH_LIMIT {
        if [0, 1, 4, DEPTH_LIMIT].contains(&depth) {
            group.bench_function(BenchmarkId::new("depth", depth), |bencher| {
                bencher.iter(|| {
                    let found = system.lookup(from, black_box(slot), Rights::SEND);
                    assert!(found.is_ok());
                    found
                });
            });
        }
        slot = system.derive(from, slot, ALL).unwrap_or(slot);
    }
    let (_, ticket) = system.ticket(from, root, Rights::SEND).expect("the root is there");
    group.bench_function("ticket", |bencher| bencher.iter(|| assert!(system.is_live(black_box(&ticket)))));
    group.finish();
}

fn derive(criterion: &mut Criterion) {
    const BATCH: u64 = 1024;
    let mut group = criterion.benchmark_group("derive");
    let (mut system, from, _, root) = system(2 * BATCH as usize);
    group.bench_function("derive", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            let mut left = iterations;
            while left > 0 {
                let count = left.min(BATCH);
                let start = Instant::now();
                for _ in 0..count {
                    let child = system.derive(from, black_box(root), ALL);
                    assert!(child.is_ok());
                }
                total += start.elapsed();
                left -= count;
                assert_eq!(system.revoke(from, root), Ok(true));
                assert!(system.sweep(BATCH as usize, |_| ()).is_done);
            }
            total
        });
    });
    group.bench_function("derive_and_delete", |bencher| {
        bencher.iter(|| {
            let child = system.derive(from, black_box(root), ALL).expect("room for one");
            assert!(system.delete(from, child).is_ok());
        });
    });
    group.finish();
}

/// Revokes what is below `root`, and asks for `child`, which must be refused.
#[inline(never)]
fn revoke_and_ask(
    system: &mut System,
    (from, root): (SpaceId, Slot),
    (to, child): (SpaceId, Slot),
) -> Duration {
    let start = Instant::now();
    let revoked = system.revoke(from, black_box(root));
    let refused = system.lookup(to, black_box(child), Rights::SEND);
    let elapsed = start.elapsed();
    assert_eq!((revoked, refused), (Ok(true), Err(Error::Revoked)));
    elapsed
}

/// A tree can be revoked once, so each iteration copies one, and two readings of the clock are part of its time. Of the
/// largest tree two are revoked per sample, reported as if every iteration had taken as long.
fn revoke(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("revoke_until_unusable");
    group.sample_size(10).warm_up_time(Duration::from_millis(1));
    for descendants in [1, 1_000, 1_000_000] {
        let (mut whole, from, to, root, children) = tree(descendants);
        let other = whole.copy(from, root).expect("room for another root");
        let is_large = descendants >= 1_000_000;
        group.measurement_time(Duration::from_millis(if is_large { 1000 } else { 20 }));
        group.bench_function(BenchmarkId::new("descendants", descendants), |bencher| {
            bencher.iter_custom(|iterations| {
                let samples = if is_large { 2 } else { iterations };
                let mut total = Duration::ZERO;
                for _ in 0..samples {
                    let mut system = whole.clone();
                    // What is touched is in the cache, as in a small tree: else the copying of a hundred megabytes just
                    // before would be measured.
                    assert!(children.iter().all(|child| system.lookup(to, *child, Rights::all()).is_ok()));
                    assert!(system.inspect(from, root).is_ok_and(|root| root.has_children));
                    for _ in 0..8 {
                        let child = system.grant(from, other, to, ALL).expect("room for one more");
                        revoke_and_ask(&mut system, (from, other), (to, child));
                    }
                    total += revoke_and_ask(&mut system, (from, root), (to, children[0]));
                }
                total.mul_f64(iterations as f64 / samples as f64)
            });
        });
    }
    group.finish();
}

fn sweep(criterion: &mut Criterion) {
    const COUNT: usize = 1 << 16;
    let mut group = criterion.benchmark_group("sweep");
    group.sample_size(10).throughput(Throughput::Elements(COUNT as u64));
    let (mut whole, from, _, root, _) = tree(COUNT);
    assert_eq!(whole.revoke(from, root), Ok(true));
    group.bench_function("capabilities", |bencher| {
        let routine = |system: &mut System| {
            let mut finalised = 0;
            while !system.sweep(256, |_| finalised += 1).is_done {}
            assert_eq!(finalised, COUNT);
        };
        bencher.iter_batched_ref(|| whole.clone(), routine, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, lookup, derive, revoke, sweep);
criterion_main!(benches);
