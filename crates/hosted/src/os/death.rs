//! Notice of the death of a process.
//!
//! A pidfd names one process for ever, where a pid may be given to another, and becomes readable when the process is dead,
//! whether it exited, crashed or was killed.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
    time::Timespec,
};

/// Opens the pidfd of a process. Whoever is not its parent must know that the pid has not been given anew.
///
/// # Errors
/// `ESRCH` when there is no such process.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Whether the process is dead (reaped or not). Never blocks.
///
/// # Errors
/// Only for a descriptor that is not a pidfd.
pub fn is_dead(process: impl AsFd) -> io::Result<bool> {
    readable(process, Some(Duration::ZERO))
}

/// Waits until the process is dead; false when the time is over first.
///
/// # Errors
/// As for [`is_dead`].
pub fn wait_dead(process: impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
    readable(process, timeout)
}

/// Waits until a descriptor can be read, has an error, or is hung up; false when the time is over first.
pub(super) fn readable(fd: impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
