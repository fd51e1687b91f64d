//! The two patterns, from both sides: a round trip, and one way in stages that the far side acknowledges.

use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::link::{Link, LinkError};
use crate::raw::cycles;
use crate::statistics::Summary;

/// What is done with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pattern {
    /// Every message is answered by one of the same size before the next is sent.
    RoundTrip,
    /// Messages go one way, each published by itself; stages end with one message back.
    OneWay,
    /// As one way, published and taken in batches of 32.
    Batches,
}

/// Everything both sides must agree on.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The pattern.
    pub pattern: Pattern,
    /// Bytes of a message, a multiple of 8.
    pub bytes: usize,
    /// Messages of a stage.
    pub stage: u64,
}

/// Messages published at once by [`Pattern::Batches`].
const BATCH: u64 = 32;

impl Plan {
    /// A plan whose stages move at most 16 MiB and, on the slowest transport, last some tens of milliseconds.
    pub fn new(pattern: Pattern, bytes: usize) -> Self {
        let stage = ((16 << 20) / bytes as u64).clamp(BATCH, 20_000).next_multiple_of(BATCH);
        Self { pattern, bytes, stage }
    }

    fn words(self) -> u64 {
        (self.bytes / 8) as u64
    }

    fn check(self, stamp: u64, sum: u64) -> Result<(), LinkError> {
        if sum == stamp.wrapping_mul(self.words()) { Ok(()) } else { Err(LinkError::Altered) }
    }
}

/// The measuring side. Cycles of a round trip, or cycles per message one way.
///
/// # Errors
/// [`LinkError`]; nothing is reported of a measurement in which one message was wrong.
pub fn measure(link: &mut (impl Link + ?Sized), plan: Plan, budget: Duration) -> Result<Summary, LinkError> {
    let mut samples = Vec::new();
    let mut stamp = 1;
    match plan.pattern {
        Pattern::RoundTrip => {
            timed(budget / 5, || trips(link, plan, &mut stamp).map(drop))?;
            timed(budget, || trips(link, plan, &mut stamp).map(|cycles| samples.push(cycles)))?;
        }
        Pattern::OneWay | Pattern::Batches => {
            stage(link, plan, &mut stamp)?;
            timed(budget, || stage(link, plan, &mut stamp).map(|cycles| samples.push(cycles)))?;
        }
    }
    link.send(0)?;
    Summary::of(&mut samples).ok_or(LinkError::Stalled)
}

/// At least once, then again until the time is over.
fn timed(budget: Duration, mut step: impl FnMut() -> Result<(), LinkError>) -> Result<(), LinkError> {
    let since = Instant::now();
    loop {
        step()?;
        if since.elapsed() >= budget {
            return Ok(());
        }
    }
}

/// A few round trips, so that the clock costs nothing; the mean of one.
fn trips(link: &mut (impl Link + ?Sized), plan: Plan, stamp: &mut u64) -> Result<f64, LinkError> {
    let batch = if plan.bytes <= 4096 { 16 } else { 2 };
    let start = cycles();
    for _ in 0..batch {
        link.send(*stamp)?;
        plan.check(*stamp, link.receive()?)?;
        *stamp += 1;
    }
    Ok((cycles() - start) as f64 / batch as f64)
}

/// One stage and its acknowledgement; the mean of a message.
fn stage(link: &mut (impl Link + ?Sized), plan: Plan, stamp: &mut u64) -> Result<f64, LinkError> {
    let start = cycles();
    let end = *stamp + plan.stage;
    match plan.pattern {
        Pattern::Batches => {
            (*stamp..end).step_by(BATCH as usize).try_for_each(|first| link.send_many(first, BATCH))?
        }
        _ => (*stamp..end).try_for_each(|stamp| link.send(stamp))?,
    }
    plan.check(end, link.receive()?)?;
    *stamp = end;
    Ok((cycles() - start) as f64 / plan.stage as f64)
}

/// The answering side: until a message of zeroes.
///
/// # Errors
/// [`LinkError`], [`LinkError::Altered`] at the first message that is not the next one.
pub fn answer(link: &mut (impl Link + ?Sized), plan: Plan) -> Result<(), LinkError> {
    let mut stamp = 1;
    loop {
        let sum = link.receive()?;
        if sum == 0 {
            return Ok(());
        }
        plan.check(stamp, sum)?;
        stamp += 1;
        match plan.pattern {
            Pattern::RoundTrip => link.send(stamp - 1)?,
            Pattern::OneWay => {
                for _ in 1..plan.stage {
                    plan.check(stamp, link.receive()?)?;
                    stamp += 1;
                }
                link.send(stamp)?;
            }
            Pattern::Batches => {
                take_batches(link, plan, &mut stamp)?;
                link.send(stamp)?;
            }
        }
    }
}

/// The rest of a stage, at most a batch at a time.
fn take_batches(link: &mut (impl Link + ?Sized), plan: Plan, stamp: &mut u64) -> Result<(), LinkError> {
    let mut good = true;
    let mut left = plan.stage - 1;
    while left > 0 {
        let batch = left.min(BATCH);
        link.receive_many(batch, &mut |sum| {
            good &= sum == stamp.wrapping_mul(plan.words());
            *stamp += 1;
        })?;
        left -= batch;
    }
    if good { Ok(()) } else { Err(LinkError::Altered) }
}
