//! Starting a program that has a gate, and nothing else it was not given, and that does not outlive its supervisor.

use std::{
    env, io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{self, Command, ExitStatus},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::{
    io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    process::{
        Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
    },
};

use super::{
    death,
    sandbox::{Prepared, Report, Sandbox, SandboxError},
    socket::Socket,
};

/// The environment variable with the number of the gate's descriptor.
pub const GATE_VARIABLE: &str = "FEUERBIRD_GATE";

/// How many descriptors a sandboxed program may have open at most.
const SANDBOXED_DESCRIPTORS: u64 = 65_536;

/// The first number after standard input, output and error.
const FIRST_FD: RawFd = 3;

/// Why a program was not started.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SpawnError {
    /// The sandbox cannot be had.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The kernel refused: no such program, not executable, or no process or descriptor left.
    #[error("program could not be started ({0}); check its path and permissions")]
    Os(Errno),
}

/// Why there is no gate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GateError {
    /// Nobody started this program with one.
    #[error("FEUERBIRD_GATE is not set; start the program through the supervisor")]
    NotSet,
    /// Not the number of an open Unix socket.
    #[error("FEUERBIRD_GATE does not name a gate; start the program through the supervisor")]
    Invalid,
    /// It was taken before.
    #[error("the gate is taken already; take it once, and share it")]
    Taken,
}

/// A started program. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    pidfd: OwnedFd,
    report: Option<Report>,
}

/// Starts a program with `gate` as its only descriptor beside standard input, output and error.
///
/// The program finds it with [`take_gate`]. It is killed when the *thread* that calls this ends (so Linux has it), and so
/// at the latest when this process does: start programs from a thread that stays.
///
/// # Errors
/// Any [`SpawnError`]. Then nothing runs, and the gate is closed.
pub fn spawn(mut command: Command, gate: OwnedFd, sandbox: Option<&Sandbox>) -> Result<Child, SpawnError> {
    let gate = if gate.as_raw_fd() < FIRST_FD { fcntl_dupfd_cloexec(&gate, FIRST_FD)? } else { gate };
    let prepared = sandbox.map(|sandbox| sandbox.prepare(Path::new(command.get_program()))).transpose()?;
    let report = prepared.as_ref().map(Prepared::report);
    // It keeps the number it has here: any fixed one may be in use by the channel on which the standard library reports
    // a failing exec.
    command.env(GATE_VARIABLE, gate.as_raw_fd().to_string());
    let mut confinement = Confinement { gate, parent: rustix::process::getpid(), prepared };
    // SAFETY: `apply` makes system calls only: it allocates nothing, takes no lock, and touches nothing that another
    // thread may have left half-changed at the fork.
    unsafe { command.pre_exec(move || confinement.apply()) };
    let mut process = command.spawn()?;
    // It cannot be reaped before the pidfd is open, for only we reap it: the pid is still its own.
    match death::open(process.id()) {
        Ok(pidfd) => Ok(Child { process, pidfd, report }),
        Err(error) => {
            let _ = process.kill();
            let _ = process.wait();
            Err(error.into())
        }
    }
}

/// Takes the gate that this program was started with. Once, and early: before anything else here could have got the same
/// number, had somebody set the variable in vain.
///
/// # Errors
/// Any [`GateError`].
pub fn take_gate() -> Result<Socket, GateError> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let value = env::var(GATE_VARIABLE).map_err(|_| GateError::NotSet)?;
    let number: RawFd = value.parse().map_err(|_| GateError::Invalid)?;
    if number < FIRST_FD {
        return Err(GateError::Invalid);
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(GateError::Taken);
    }
    // SAFETY: not -1. Whether it is open is what the next call finds out (EBADF).
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    Socket::check(borrowed).map_err(|_| GateError::Invalid)?;
    fcntl_setfd(borrowed, FdFlags::CLOEXEC).map_err(|_| GateError::Invalid)?;
    // SAFETY: `spawn` left this number open for nobody but the one who asks here, and `TAKEN` lets one ask.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    Socket::from_fd(fd).map_err(|_| GateError::Invalid)
}

impl Child {
    /// Its pid.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its pidfd, for [`death::is_dead`] or a poll of many.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// What the sandbox enforces; `None` without sandbox.
    pub fn report(&self) -> Option<Report> {
        self.report
    }

    /// The process, for its standard input and output.
    pub fn process_mut(&mut self) -> &mut process::Child {
        &mut self.process
    }

    /// Kills it (SIGKILL). Fine when it is dead already.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When somebody else reaped it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait()
    }

    /// Waits for its end no longer than `timeout`; `None` when it still runs.
    ///
    /// # Errors
    /// As for [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        if death::wait_dead(&self.pidfd, Some(timeout))? { self.process.wait().map(Some) } else { Ok(None) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when it is dead and reaped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What happens in the child between fork and exec.
struct Confinement {
    gate: OwnedFd,
    parent: Pid,
    prepared: Option<Prepared>,
}

impl Confinement {
    fn apply(&mut self) -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above; then somebody else is our parent now.
        if getppid() != Some(self.parent) {
            return Err(Errno::SRCH.into());
        }
        close_on_exec_from(FIRST_FD)?;
        fcntl_setfd(&self.gate, FdFlags::empty())?;
        match &mut self.prepared {
            Some(prepared) => {
                limit_descriptors()?;
                prepared.apply()
            }
            None => Ok(()),
        }
    }
}

/// Allows the program half the descriptors that its supervisor may have, or fewer, for good. Linux counts those that are on
/// their way between processes for all of a user's, and refuses to send more to whoever has reached his own limit: so programs
/// that send descriptors faster than the supervisor reads come to their limit while the supervisor is far from its own, and what it
/// leaves unread in all gates together is below it, where the hard limit is 20,000 or more.
fn limit_descriptors() -> io::Result<()> {
    let limits = getrlimit(Resource::Nofile);
    let most = limits.maximum.map_or(SANDBOXED_DESCRIPTORS, |limit| (limit / 2).min(SANDBOXED_DESCRIPTORS));
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Marks all descriptors from `first` on close-on-exec (Linux 5.11).
fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: closes nothing now, and after exec no code of this program is left that could hold a closed number.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl From<Errno> for SpawnError {
    fn from(error: Errno) -> Self {
        Self::Os(error)
    }
}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        Self::Os(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}
