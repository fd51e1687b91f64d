//! How much of a measurement somebody else took: without it a busy machine's figures look like figures.

use std::fs;
use std::time::Instant;

/// Above this share of waiting for a CPU a measurement says more about the neighbours than about its subject. Below what one
/// busy neighbour takes (a half), above what wake-ups of the sleeping subjects cost.
pub const TOLERABLE: f64 = 0.2;

/// Watches a thread or process for the time that it was runnable and not running.
pub struct Watch {
    file: String,
    waited_ns: u64,
    since: Instant,
}

impl Watch {
    /// Watches the calling thread.
    pub fn this_thread() -> Self {
        Self::on("/proc/thread-self/schedstat".to_owned())
    }

    /// Watches the first thread of another process.
    pub fn process(pid: u32) -> Self {
        Self::on(format!("/proc/{pid}/schedstat"))
    }

    fn on(file: String) -> Self {
        let waited_ns = waited_ns(&file).unwrap_or(0);
        Self { file, waited_ns, since: Instant::now() }
    }

    /// The share of the time since then; 0 where the kernel does not count it. For [`Watch::this_thread`], on the same thread.
    pub fn share(&self) -> f64 {
        let waited = waited_ns(&self.file).map_or(0, |now| now.saturating_sub(self.waited_ns));
        waited as f64 / self.since.elapsed().as_nanos().max(1) as f64
    }
}

/// The second number of `schedstat`: nanoseconds on a run queue (Documentation/scheduler/sched-stats.rst).
fn waited_ns(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.split_whitespace().nth(1)?.parse().ok()
}

/// What a subject took, and how far it was disturbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Median cycles: of a round trip, of a message, of an operation.
    pub cycles: f64,
    /// The larger of both sides' shares.
    pub disturbed: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_cpu_is_noticed() {
        let machine = crate::machine::Machine::prepare();
        let Ok(machine) = machine else { return };
        let hog = std::thread::spawn(move || {
            crate::machine::pin(machine.first_cpu).unwrap();
            spin(300);
        });
        let watch = Watch::this_thread();
        spin(200);
        let share = watch.share();
        hog.join().unwrap();
        assert!(share > TOLERABLE, "{share}");
    }

    fn spin(ms: u128) {
        let since = Instant::now();
        while since.elapsed().as_millis() < ms {}
    }
}
