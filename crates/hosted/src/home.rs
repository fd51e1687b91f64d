//! How channels wait, wake and look after their peers between Linux processes.

use std::{
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering, fence},
    time::Duration,
};

use feuerbird_channel::{Home, SLICE_NS, Watched};

use crate::os::{
    clock, death, futex, membarrier,
    memory::{ReaderMemory, WriterMemory},
};

/// Linux, for channels: memfd, futex, pidfd, membarrier.
#[derive(Clone, Copy, Debug)]
pub struct LinuxHome {
    has_heavy_barrier: bool,
}

impl LinuxHome {
    /// Registers this process for heavy barriers where the kernel has them.
    pub fn new() -> Self {
        Self { has_heavy_barrier: membarrier::supported() && membarrier::register().is_ok() }
    }
}

impl Default for LinuxHome {
    fn default() -> Self {
        Self::new()
    }
}

/// How long what was seen of a peer's process holds. Less than the slices in which channels sleep, so that who sleeps one
/// out looks each time, and who is woken all the time does not.
const LOOK_NS: u64 = SLICE_NS / 2;

/// A peer's process: a pidfd that is looked at now and then.
#[derive(Debug)]
pub struct PeerLife {
    process: OwnedFd,
    /// When to look again, in nanoseconds of the monotonic clock. Written by whoever looks; two that look at once is one
    /// too many and no harm.
    next_look_ns: AtomicU64,
}

impl From<OwnedFd> for PeerLife {
    fn from(process: OwnedFd) -> Self {
        Self { process, next_look_ns: AtomicU64::new(0) }
    }
}

impl Home for LinuxHome {
    type Writer = WriterMemory;
    type Reader = ReaderMemory;
    type Life = PeerLife;

    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }

    fn wait(&self, words: &[Watched], timeout_ns: u64) {
        let timeout = Duration::from_nanos(timeout_ns);
        // However a wait ends, the caller looks again; a wait that the kernel refuses ends at once, so it is slept out.
        let waited = match words {
            [] => {
                std::thread::sleep(timeout);
                return;
            }
            [word] => futex::wait(word.address.cast(), word.seen, Some(timeout)),
            words => {
                let mut low_halves = [(std::ptr::null(), 0); futex::MAX_WORDS];
                let count = low_halves
                    .iter_mut()
                    .zip(words)
                    .map(|(half, word)| *half = (word.address.cast::<u32>(), word.seen))
                    .count();
                futex::wait_any(&low_halves[..count], Some(timeout))
            }
        };
        if waited.is_err() {
            std::thread::sleep(timeout.min(Duration::from_millis(1)));
        }
    }

    fn wake(&self, address: *const u64) {
        // An address of ours: the kernel cannot refuse it.
        let _ = futex::wake_all(address.cast());
    }

    fn has_heavy_barrier(&self) -> bool {
        self.has_heavy_barrier
    }

    fn heavy_barrier(&self) {
        if !self.has_heavy_barrier || membarrier::heavy_barrier().is_err() {
            fence(Ordering::SeqCst);
        }
    }

    fn is_dead(&self, life: &PeerLife) -> bool {
        let now = clock::now_ns();
        if now < life.next_look_ns.load(Ordering::Relaxed) {
            return false;
        }
        life.next_look_ns.store(now + LOOK_NS, Ordering::Relaxed);
        // A pidfd that cannot be polled says nothing: the kernel side will say so when the peer has gone.
        death::is_dead(&life.process).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_death_shows_within_a_slice_and_not_by_a_look_at_every_wake() {
        let home = LinuxHome::new();
        let mut process = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let life = PeerLife::from(death::open(process.id()).unwrap());
        assert!(!home.is_dead(&life));
        let next = life.next_look_ns.load(Ordering::Relaxed);
        process.kill().unwrap();
        process.wait().unwrap();
        let is_dead = home.is_dead(&life);
        assert!(!is_dead || clock::now_ns() >= next, "it looked again at once");
        std::thread::sleep(Duration::from_nanos(SLICE_NS));
        assert!(home.is_dead(&life));
    }
}
