//! Waiting until a word in shared memory changes.
//!
//! Words are given by address, because a waiter may see them through a read-only mapping, and because only the kernel
//! reads them: a wrong address is an error (`EFAULT`), never undefined behaviour. That is why these functions are safe.
//!
//! The futexes are shared ones (no private flag): waiter and waker are different processes.

use std::{
    io, ptr,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    thread::futex::{Wait, WaitFlags, WaitPtr, WaitvFlags, waitv},
    time::{ClockId, Timespec},
};

/// How long the fallback of [`wait_any`] looks away from the words it does not sleep on.
const FALLBACK_SLICE: Duration = Duration::from_millis(1);

/// Most words that one [`wait_any`] takes.
pub const MAX_WORDS: usize = 128; // FUTEX_WAITV_MAX of linux/futex.h

/// Why a wait ended. All of them mean: look again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waited {
    /// Somebody woke the word with this index (0 when there is one).
    Woken(usize),
    /// A word did not have the expected value, so there was nothing to wait for.
    Differed,
    /// The time is over.
    TimedOut,
    /// A signal came.
    Interrupted,
}

/// Waits until somebody wakes `word`, unless it has another value than `expected` already.
///
/// # Errors
/// `EFAULT` for an address without memory, `EINVAL` for an odd one.
pub fn wait(word: *const u32, expected: u32, timeout: Option<Duration>) -> io::Result<Waited> {
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the kernel alone dereferences `word`, and answers EFAULT where there is no memory. `timeout` is null or
    // points to a timespec (rustix's has the kernel's layout) that outlives the call. FUTEX_WAIT uses no more arguments.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.addr(), libc::FUTEX_WAIT, expected, timeout) };
    if result == 0 {
        return Ok(Waited::Woken(0));
    }
    outcome(io::Error::last_os_error())
}

/// Waits until somebody wakes one of the words, unless one has another value than expected already.
///
/// At most [`MAX_WORDS`] words. On a kernel before 5.16 it sleeps on the first and looks at the others every
/// millisecond; there a wake without a change of value goes unnoticed.
///
/// # Errors
/// `EINVAL` for no or too many words and for odd addresses, `EFAULT` for an address without memory.
pub fn wait_any(words: &[(*const u32, u32)], timeout: Option<Duration>) -> io::Result<Waited> {
    if words.is_empty() || words.len() > MAX_WORDS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut waits = [Wait::new(); MAX_WORDS];
    for (wait, &(word, expected)) in waits.iter_mut().zip(words) {
        wait.val = u64::from(expected);
        wait.uaddr = WaitPtr::new(word.cast_mut().cast());
        wait.flags = WaitFlags::SIZE_U32;
    }
    let deadline = timeout.map(deadline);
    match waitv(&waits[..words.len()], WaitvFlags::empty(), deadline.as_ref(), ClockId::Monotonic) {
        Ok(index) => Ok(Waited::Woken(index)),
        Err(Errno::NOSYS) => wait_any_by_turns(words, timeout),
        Err(error) => outcome(error.into()),
    }
}

/// Wakes at most `count` waiters of a word; says how many there were.
///
/// # Errors
/// As for [`wait`].
pub fn wake(word: *const u32, count: u32) -> io::Result<usize> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: FUTEX_WAKE does not even read the word, it uses its address as a name; no more arguments.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.addr(), libc::FUTEX_WAKE, count) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Wakes all waiters of a word; says how many there were.
///
/// # Errors
/// As for [`wait`].
pub fn wake_all(word: *const u32) -> io::Result<usize> {
    wake(word, u32::MAX)
}

fn wait_any_by_turns(words: &[(*const u32, u32)], timeout: Option<Duration>) -> io::Result<Waited> {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        for (index, &(word, expected)) in words.iter().enumerate() {
            // A wait of no length is a question: has it changed?
            match wait(word, expected, Some(Duration::ZERO))? {
                Waited::TimedOut => {}
                Waited::Woken(_) => return Ok(Waited::Woken(index)),
                other => return Ok(other),
            }
        }
        let left = end.map_or(FALLBACK_SLICE, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(Waited::TimedOut);
        }
        match wait(words[0].0, words[0].1, Some(left.min(FALLBACK_SLICE)))? {
            Waited::TimedOut => {}
            other => return Ok(other),
        }
    }
}

fn outcome(error: io::Error) -> io::Result<Waited> {
    match Errno::from_io_error(&error) {
        Some(Errno::AGAIN) => Ok(Waited::Differed),
        Some(Errno::TIMEDOUT) => Ok(Waited::TimedOut),
        Some(Errno::INTR) => Ok(Waited::Interrupted),
        _ => Err(error),
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec::try_from(duration).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}

/// `futex_waitv` takes a point in time.
fn deadline(timeout: Duration) -> Timespec {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    now.checked_add(timespec(timeout)).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn fallback_sees_change_of_any_word() {
        let words = [const { AtomicU32::new(0) }; 2];
        let waits = [(words[0].as_ptr().cast_const(), 0), (words[1].as_ptr().cast_const(), 0)];
        let timed_out = wait_any_by_turns(&waits, Some(Duration::from_millis(3))).unwrap();
        assert_eq!(timed_out, Waited::TimedOut);
        words[1].store(1, Ordering::SeqCst);
        assert_eq!(wait_any_by_turns(&waits, None).unwrap(), Waited::Differed);
    }
}
