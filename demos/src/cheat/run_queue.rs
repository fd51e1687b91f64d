//! How long a thread was ready to run and had no processor: what a busy machine takes, and no peer.

use std::{fs::File, os::unix::fs::FileExt, time::Duration};

/// Linux's own count for one thread.
///
/// Where Linux does not count it, or the thread has gone, it stands still: what nobody counted excuses nothing.
pub(super) struct RunQueue {
    file: Option<File>,
    first: Duration,
    last: Duration,
}

impl RunQueue {
    /// The calling thread's.
    pub(super) fn own() -> Self {
        Self::open("/proc/thread-self/schedstat")
    }

    /// That of the first thread of another process.
    pub(super) fn of(pid: u32) -> Self {
        Self::open(&format!("/proc/{pid}/schedstat"))
    }

    fn open(path: &str) -> Self {
        let mut queue = Self { file: File::open(path).ok(), first: Duration::ZERO, last: Duration::ZERO };
        queue.first = queue.read();
        queue
    }

    /// Time in the queue since this was opened.
    pub(super) fn waited(&mut self) -> Duration {
        self.read().saturating_sub(self.first)
    }

    fn read(&mut self) -> Duration {
        let mut text = [0; 96];
        let bytes = self.file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        if let Some(waited) = delay(&text[..bytes]) {
            self.last = waited;
        }
        self.last
    }
}

/// The second of three numbers: nanoseconds run, nanoseconds waited on a run queue, turns (Linux, `Documentation/scheduler/sched-stats.rst`).
fn delay(schedstat: &[u8]) -> Option<Duration> {
    let number = std::str::from_utf8(schedstat).ok()?.split_whitespace().nth(1)?;
    number.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_the_wait() {
        assert_eq!(delay(b"101292 2554346 2\n"), Some(Duration::from_nanos(2_554_346)));
        assert_eq!(delay(b""), None);
        assert_eq!(RunQueue::open("/nowhere").waited(), Duration::ZERO);
    }
}
