//! Counting instructions: a child process is stepped through one at a time (`ptrace`).

use std::process::Command;

use nix::{
    sys::{
        ptrace,
        signal::{Signal, raise},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Which subject the child runs: its number.
pub(crate) const SUBJECT: &str = "FEUERBIRD_SUBJECT";

/// What a child exits with that its parent may not trace.
const UNTRACEABLE: u8 = 77;

/// Why nothing was counted.
pub(crate) enum Failure {
    /// This machine does not let a process be traced.
    Untraceable,
    Failed(String),
}

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// How many instructions a subject takes, with what stopping takes.
pub(crate) fn count(number: usize) -> Result<u64, Failure> {
    let myself = std::env::current_exe()?;
    let child = Command::new(myself).env(SUBJECT, number.to_string()).spawn()?;
    let pid = Pid::from_raw(child.id() as i32);
    let stopped = |what| match waitpid(pid, None) {
        Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => Ok(()),
        Ok(WaitStatus::Exited(_, code)) if code == i32::from(UNTRACEABLE) => Err(Failure::Untraceable),
        other => Err(Failure::Failed(format!("{what}: {other:?}"))),
    };
    stopped("the child did not start")?;
    // Out of the first stop, and on until the second: a step that the child's own signal ends has not run an instruction.
    let mut instructions = 0_u64;
    loop {
        ptrace::step(pid, None)?;
        stopped("the child ended between its stops")?;
        let siginfo = ptrace::getsiginfo(pid)?;
        // Positive: the kernel's, after a step. Otherwise sent by the child itself.
        if siginfo.si_code <= 0 {
            break;
        }
        instructions += 1;
        if instructions > 1_000_000 {
            return Err("the child does not come to its second stop".into());
        }
    }
    ptrace::cont(pid, None)?;
    let _ = waitpid(pid, None);
    Ok(instructions)
}

/// The child: stops, runs the subject, stops. Everything is warm: the subject has run before.
pub(crate) fn run_child(subject: fn()) {
    subject();
    if ptrace::traceme().is_err() {
        std::process::exit(UNTRACEABLE.into());
    }
    raise(Signal::SIGTRAP).expect("stopping");
    subject();
    raise(Signal::SIGTRAP).expect("stopping");
}
