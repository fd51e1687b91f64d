//! How channels wait, wake and look after their peers between Linux processes.

use std::{os::fd::OwnedFd, time::Duration};

use feuerbird_channel::{Home, Watched};

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

impl Home for LinuxHome {
    type Writer = WriterMemory;
    type Reader = ReaderMemory;
    /// A pidfd.
    type Life = OwnedFd;

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
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        }
    }

    fn is_dead(&self, life: &OwnedFd) -> bool {
        // A pidfd that cannot be polled says nothing: the kernel side will say so when the peer has gone.
        death::is_dead(life).unwrap_or(false)
    }
}
