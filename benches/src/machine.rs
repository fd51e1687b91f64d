//! The machine under the measurement: the calibrated cycle counter, the two CPUs, the cache-line probe.

use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::raw::{Mapping, cycles};
use crate::statistics::Summary;

/// Below this many cycles a bounce stays inside one core: the two CPUs are siblings. Seen: about 110.
const SIBLING_BELOW_CYCLES: f64 = 200.0;
/// Below this many cycles a bounce is called near. Between the classes seen, about 360 and about 1250.
const NEAR_BELOW_CYCLES: f64 = 700.0;

/// The cycle counter's rate and the two CPUs that every measurement is pinned to.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Where the measuring side runs.
    pub first_cpu: usize,
    /// Where the answering side runs.
    pub second_cpu: usize,
    /// Cycles of the time stamp counter per nanosecond.
    pub cycles_per_ns: f64,
}

impl Machine {
    /// Picks the first two CPUs that this process may use, pins the calling thread to the first, and calibrates.
    ///
    /// # Errors
    /// `Unsupported` where there is only one CPU; what the system said otherwise.
    pub fn prepare() -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let (Some(first_cpu), Some(second_cpu)) = (cpus.next(), cpus.next()) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        pin(first_cpu)?;
        Ok(Self { first_cpu, second_cpu, cycles_per_ns: calibrate(Duration::from_millis(50)) })
    }

    /// Cycles as nanoseconds.
    pub fn ns(&self, cycles: f64) -> f64 {
        cycles / self.cycles_per_ns
    }

    /// A rate per cycle as a rate per second.
    pub fn per_second(&self, per_cycle: f64) -> f64 {
        per_cycle * self.cycles_per_ns * 1e9
    }

    /// Bounces one cache line between the two CPUs, with nothing else in it: the median round trip.
    ///
    /// # Errors
    /// What the system said.
    pub fn probe(&self) -> io::Result<Probe> {
        const BATCHES: u32 = 64;
        const BATCH: u32 = 64;
        let (_, line) = Mapping::create(4096)?;
        let other = line.clone();
        let cpu = self.second_cpu;
        let answer = thread::spawn(move || {
            pin(cpu)?;
            let word = other.word(0);
            for odd in (1..2 * BATCHES * BATCH).step_by(2) {
                while word.load(Ordering::Acquire) != odd {}
                word.store(odd + 1, Ordering::Release);
            }
            io::Result::Ok(())
        });
        let word = line.word(0);
        let mut samples = Vec::with_capacity(BATCHES as usize);
        for batch in 0..BATCHES {
            let start = cycles();
            for i in 0..BATCH {
                let even = 2 * (batch * BATCH + i);
                word.store(even + 1, Ordering::Release);
                while word.load(Ordering::Acquire) != even + 2 {
                    if answer.is_finished() && word.load(Ordering::Acquire) != even + 2 {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
            }
            samples.push((cycles() - start) as f64 / f64::from(BATCH));
        }
        answer.join().map_err(|_| io::ErrorKind::Other)??;
        Ok(Probe { cycles: Summary::of(&mut samples).map_or(0.0, |s| s.median) })
    }
}

/// Pins the calling thread.
///
/// # Errors
/// What the system said.
pub fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

fn calibrate(span: Duration) -> f64 {
    let (since, start) = (Instant::now(), cycles());
    while since.elapsed() < span {
        std::hint::spin_loop();
    }
    (cycles() - start) as f64 / since.elapsed().as_nanos() as f64
}

/// What a bare cache line takes to the other CPU and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Cycles of one round trip.
    pub cycles: f64,
}

impl Probe {
    /// `sibling`, `near` or `far`.
    pub fn class(self) -> &'static str {
        match self.cycles {
            0.0..SIBLING_BELOW_CYCLES => "sibling",
            SIBLING_BELOW_CYCLES..NEAR_BELOW_CYCLES => "near",
            _ => "far",
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} {}", self.cycles, self.class())
    }
}
