//! Time: nanoseconds of the monotonic clock, and cycles of the time stamp counter.

use std::{fmt, hint, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// How long a calibration takes.
const CALIBRATION: Duration = Duration::from_millis(20);

/// Nanoseconds of `CLOCK_MONOTONIC`; the same in all processes of a machine.
///
/// # Cost
/// 60 cycles.
#[inline]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // The clock starts at 0 when the machine boots, so both are positive, and 584 years do not overflow.
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// Cycles of the time stamp counter; nanoseconds on machines without one.
///
/// Does not wait for earlier instructions: fine for intervals over some hundred cycles.
///
/// # Cost
/// 25 cycles.
#[inline]
pub fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86_64 processor has the instruction, and Linux lets user mode execute it unless a process asks for
    // a trap (PR_SET_TSC), which nothing here does; it touches no memory.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    now_ns()
}

/// How fast [`cycles`] counts, measured against the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    cycles_per_ns: f64,
}

impl Calibration {
    /// Measures for 20 ms, spinning.
    pub fn measure() -> Self {
        let (start_ns, start) = sample();
        while now_ns() < start_ns + CALIBRATION.as_nanos() as u64 {
            hint::spin_loop();
        }
        let (end_ns, end) = sample();
        Self { cycles_per_ns: end.wrapping_sub(start) as f64 / (end_ns - start_ns) as f64 }
    }

    /// Cycles in a nanosecond.
    pub fn cycles_per_ns(self) -> f64 {
        self.cycles_per_ns
    }

    /// Converts cycles to nanoseconds.
    pub fn ns(self, cycles: u64) -> f64 {
        cycles as f64 / self.cycles_per_ns
    }

    /// Converts nanoseconds to cycles.
    pub fn cycles(self, ns: f64) -> f64 {
        ns * self.cycles_per_ns
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TSC {:.3} GHz", self.cycles_per_ns)
    }
}

/// Both clocks at the same moment: the narrowest of a few attempts, for we may be preempted between the two.
fn sample() -> (u64, u64) {
    let attempt = || {
        let before = cycles();
        let ns = now_ns();
        let after = cycles();
        (after.wrapping_sub(before), ns, before.wrapping_add(after.wrapping_sub(before) / 2))
    };
    let (_, ns, cycles) = (1..10).fold(attempt(), |best, _| best.min(attempt()));
    (ns, cycles)
}
