//! Single operations in one thread: capability lookup, a buffer's way through a pool.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use feuerbird_capability::{
    Badge, Capabilities, Capability, Derivation, Node, Object, ObjectKind, Range, Rights, Slot, Space,
    SpaceId, Trust,
};
use feuerbird_hosted::os::memory::WriterMemory;
use feuerbird_zero_copy::{Pool, PoolLayout, SizeClass};

use crate::case::{Case, Ours, Subject};
use crate::disturbance::{Measured, Watch};
use crate::link::LinkError;
use crate::raw::cycles;
use crate::row::{Target, Unit};
use crate::statistics::Summary;

/// Every case of this file.
pub fn cases() -> Vec<Case> {
    vec![lookup(), loan()]
}

/// Cycles of `operation`, which says whether its result was right.
pub fn repeat(
    budget: Duration,
    batch: u32,
    mut operation: impl FnMut() -> bool,
) -> Result<Measured, LinkError> {
    let (mut samples, since, watch) = (vec![], Instant::now(), Watch::this_thread());
    while samples.is_empty() || since.elapsed() < budget {
        let (mut good, start) = (true, cycles());
        for _ in 0..batch {
            good &= operation();
        }
        samples.push((cycles() - start) as f64 / f64::from(batch));
        if !good {
            return Err(LinkError::Altered);
        }
    }
    let cycles = Summary::of(&mut samples).ok_or(LinkError::Stalled)?.median;
    Ok(Measured { cycles, disturbed: watch.share() })
}

fn lookup() -> Case {
    let at_depth = |depth: u32| Ours {
        subject: Subject::new(format!("depth {depth}"), move |_, budget| {
            let (system, space, slot) = capability_at(depth).ok_or(LinkError::Altered)?;
            repeat(budget, 256, || system.lookup(space, black_box(slot), Rights::SEND).is_ok())
        }),
        target: Target::None,
    };
    Case {
        name: "capability lookup".to_owned(),
        unit: Unit::Cycles,
        ours: vec![at_depth(0), at_depth(4)],
        limit: Subject::new("array index, generation and rights compared, no revocation", |_, budget| {
            let table: Vec<(u32, u32)> = (0..64).map(|i| (7, i | 1)).collect();
            repeat(budget, 256, || {
                let entry = table.get(black_box(5_usize));
                entry.is_some_and(|(generation, rights)| *generation == black_box(7) && rights & 1 == 1)
            })
        }),
        rivals: vec![],
    }
}

type System = Capabilities<Vec<Node>, Vec<Space>>;

/// A capability that was derived `depth` times.
fn capability_at(depth: u32) -> Option<(System, SpaceId, Slot)> {
    let mut system = Capabilities::new(vec![Node::EMPTY; 64], vec![Space::EMPTY; 2]);
    let space = system.create_space(u32::MAX).ok()?;
    let object = Object { kind: ObjectKind::Endpoint, id: 1 };
    let (rights, trust) = (Rights::all(), Trust::LIBOS);
    let root = Capability { object, rights, trust, badge: Badge::NONE, range: Range::EMPTY };
    let mut slot = system.mint(space, root).ok()?;
    for _ in 0..depth {
        slot = system.derive(space, slot, Derivation::new(Rights::all(), Trust::LIBOS)).ok()?;
    }
    Some((system, space, slot))
}

/// A buffer's way without its bytes: loaned, published to a reader, given back.
fn loan() -> Case {
    const BUFFERS: u32 = 256;
    Case {
        name: "pool loan + publish + release, 64 B buffers".to_owned(),
        unit: Unit::Cycles,
        ours: vec![Ours {
            subject: Subject::new("one reader", |_, budget| {
                let layout =
                    PoolLayout::new(0, &[SizeClass::new(64, BUFFERS)]).map_err(|_| LinkError::Altered)?;
                let (memory, _) = WriterMemory::create("bench-pool", layout.end().next_multiple_of(4096))?;
                let mut pool = Pool::new(memory, layout, BUFFERS).map_err(|_| LinkError::Altered)?;
                let reader = pool.add_reader().ok_or(LinkError::Altered)?;
                repeat(budget, 256, || {
                    let loan = pool.loan(black_box(64));
                    let Ok(Ok(id)) = loan.map(|loan| loan.publish(reader)) else { return false };
                    pool.release(reader, black_box(id)).is_ok()
                })
            }),
            target: Target::None,
        }],
        limit: Subject::new("first-in-first-out free list, nothing remembered", |_, budget| {
            let mut free: VecDeque<u32> = (0..BUFFERS).collect();
            repeat(budget, 256, || {
                let Some(id) = free.pop_front() else { return false };
                free.push_back(black_box(id));
                true
            })
        }),
        rivals: vec![Subject::new("crossbeam ArrayQueue as free list", |_, budget| {
            let free = ArrayQueue::new(BUFFERS as usize);
            (0..BUFFERS).try_for_each(|id| free.push(id)).map_err(|_| LinkError::Altered)?;
            repeat(budget, 256, || free.pop().is_some_and(|id| free.push(black_box(id)).is_ok()))
        })],
    }
}
