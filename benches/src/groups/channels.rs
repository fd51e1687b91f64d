//! Channels in one process: uncontended in one thread, and between two pinned threads.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{Case, Ours, Subject, link_case_name, size_name};
use crate::disturbance::{Measured, Watch};
use crate::groups::{many, supervised};
use crate::link::{Incoming, Link, LinkError, Outgoing, Spinning};
use crate::links::lane::pair_within;
use crate::links::limit::{Ends, one_ring};
use crate::links::threads::{Crossbeam, Kind, Queue, Rtrb, Std};
use crate::machine::{Machine, pin};
use crate::measure::{Pattern, Plan, answer, measure};
use crate::raw::cycles;
use crate::row::{Target, Unit};
use crate::statistics::Summary;

/// Every case of this file.
pub fn cases() -> Vec<Case> {
    let uncontended = [uncontended_case::<1>(), uncontended_case::<8>()];
    let trips = [Plan::new(Pattern::RoundTrip, 8), Plan::new(Pattern::RoundTrip, 64)];
    let one_way = [Plan::new(Pattern::OneWay, 8), Plan::new(Pattern::OneWay, 64)];
    let batches = [Plan::new(Pattern::Batches, 8), Plan::new(Pattern::Batches, 64)];
    let threads = [trips, one_way].concat().into_iter().map(|plan| case(plan, rivals(plan)));
    // Only rtrb has a way to publish many at once.
    let batches = batches.map(|plan| case(plan, vec![between::<Rtrb>(plan)]));
    let others = [many::case(), supervised::case()];
    uncontended.into_iter().chain(threads).chain(batches).chain(others).collect()
}

fn uncontended_case<const N: usize>() -> Case {
    Case {
        name: format!("uncontended send + receive {}", size_name(8 * N)),
        unit: Unit::Cycles,
        ours: vec![
            Ours {
                subject: lane_alone::<N>("lane, any trust, copied out", Reading::Copied),
                target: Target::None,
            },
            // The promise is for Raw, which is read in place.
            Ours {
                subject: lane_alone::<N>("lane, trusted, in place", Reading::InPlace),
                target: Target::Value(if N == 1 { 8.0 } else { 30.0 }),
            },
        ],
        limit: Subject::new("limit ring", |_, budget| {
            let (outgoing, incoming) = one_ring(8 * N)?;
            uncontended::<N>(outgoing, incoming, budget)
        }),
        rivals: vec![alone::<Rtrb, N>(), alone::<Queue, N>(), alone::<Crossbeam, N>(), alone::<Std, N>()],
    }
}

/// How the receiver of a lane reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Copied,
    InPlace,
}

fn lane_alone<const N: usize>(name: &str, reading: Reading) -> Subject {
    Subject::new(name, move |_, budget| {
        // Both directions are made, and one is used: first sends, second receives.
        let (first, second) = pair_within(8 * N)?;
        let outgoing = first.copied().outgoing;
        match reading {
            Reading::Copied => uncontended::<N>(outgoing, second.copied().incoming, budget),
            Reading::InPlace => uncontended::<N>(outgoing, second.in_place().incoming, budget),
        }
    })
}

fn lane_between(plan: Plan, name: &str, reading: Reading) -> Subject {
    Subject::new(name, move |machine, budget| {
        let (first, second) = pair_within(plan.bytes)?;
        match reading {
            Reading::Copied => between_threads(machine, first.copied(), second.copied(), plan, budget),
            Reading::InPlace => between_threads(machine, first.in_place(), second.in_place(), plan, budget),
        }
    })
}

fn alone<K: Kind, const N: usize>() -> Subject {
    Subject::new(K::NAME, |_, budget| {
        let (outgoing, incoming) = K::channel::<N>();
        uncontended::<N>(outgoing, incoming, budget)
    })
}

/// Cycles of sending one message and receiving it in the same thread.
///
/// # Errors
/// [`LinkError`].
pub fn uncontended<const N: usize>(
    mut outgoing: impl Outgoing,
    mut incoming: impl Incoming,
    budget: Duration,
) -> Result<Measured, LinkError> {
    const BATCH: u64 = 256;
    let mut samples = Vec::new();
    let (mut stamp, since, watch) = (1_u64, Instant::now(), Watch::this_thread());
    while samples.is_empty() || since.elapsed() < budget {
        let (mut good, start) = (true, cycles());
        for _ in 0..BATCH {
            good &= outgoing.try_send(black_box(stamp))?;
            good &= incoming.try_receive()? == Some(stamp.wrapping_mul(N as u64));
            stamp += 1;
        }
        samples.push((cycles() - start) as f64 / BATCH as f64);
        if !good {
            return Err(LinkError::Altered);
        }
    }
    let cycles = Summary::of(&mut samples).ok_or(LinkError::Stalled)?.median;
    Ok(Measured { cycles, disturbed: watch.share() })
}

fn case(plan: Plan, rivals: Vec<Subject>) -> Case {
    let target = match plan.pattern {
        Pattern::RoundTrip => Target::Ratio(1.05),
        // 120 million messages a second, where the limit made 131.
        Pattern::Batches if plan.bytes == 64 => Target::Ratio(120.0 / 131.0),
        Pattern::Batches | Pattern::OneWay => Target::None,
    };
    Case {
        name: link_case_name(plan, ", two threads"),
        unit: if plan.pattern == Pattern::RoundTrip { Unit::Cycles } else { Unit::Messages },
        ours: vec![
            Ours { subject: lane_between(plan, "lane, any trust, copied out", Reading::Copied), target },
            Ours { subject: lane_between(plan, "lane, trusted, in place", Reading::InPlace), target },
        ],
        limit: Subject::new("limit ring", move |machine, budget| {
            let (fd, first) = Ends::create(plan.bytes)?;
            let second = Ends::attach(fd, plan.bytes)?;
            between_threads(machine, first.spinning(), second.spinning(), plan, budget)
        }),
        rivals,
    }
}

fn rivals(plan: Plan) -> Vec<Subject> {
    vec![between::<Rtrb>(plan), between::<Queue>(plan), between::<Crossbeam>(plan), between::<Std>(plan)]
}

fn between<K: Kind>(plan: Plan) -> Subject {
    Subject::new(K::NAME, move |machine, budget| match plan.bytes {
        8 => two_channels::<K, 1>(machine, plan, budget),
        _ => two_channels::<K, 8>(machine, plan, budget),
    })
}

fn two_channels<K: Kind, const N: usize>(
    machine: &Machine,
    plan: Plan,
    budget: Duration,
) -> Result<Measured, LinkError> {
    assert_eq!(plan.bytes, 8 * N);
    let (to_second, from_first) = K::channel::<N>();
    let (to_first, from_second) = K::channel::<N>();
    let first = Spinning { outgoing: to_second, incoming: from_second };
    let second = Spinning { outgoing: to_first, incoming: from_first };
    between_threads(machine, first, second, plan, budget)
}

/// Measures between this thread and a new one, each pinned to its CPU.
///
/// # Errors
/// [`LinkError`] of either side.
pub fn between_threads(
    machine: &Machine,
    mut first: impl Link,
    mut second: impl Link + Send + 'static,
    plan: Plan,
    budget: Duration,
) -> Result<Measured, LinkError> {
    let cpu = machine.second_cpu;
    let answering = thread::spawn(move || {
        pin(cpu)?;
        let watch = Watch::this_thread();
        answer(&mut second, plan).map(|()| watch.share())
    });
    let watch = Watch::this_thread();
    let summary = measure(&mut first, plan, budget);
    let here = watch.share();
    let there = answering.join().map_err(|_| LinkError::Disconnected)??;
    summary.map(|summary| Measured { cycles: summary.median, disturbed: here.max(there) })
}
