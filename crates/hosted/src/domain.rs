//! How a Linux program comes to be a domain, and how it starts others.

use std::{io, os::fd::OwnedFd, path::PathBuf, process::Command, thread, time::Duration};

use feuerbird_capability::{Band, Slot, Trust};
use feuerbird_libos::{Authority, DomainHandle, Error, Handle, Spawn};

use crate::{
    gate::SocketGate,
    os::{
        sandbox::{Report, Sandbox},
        socket::Socket,
        spawn::{self, GateError, SpawnError},
    },
    supervisor::Supervisor,
};

/// This program as a domain.
pub type Domain = feuerbird_libos::Domain<SocketGate>;

/// Why a program could not become a domain, or start one.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel side refused.
    #[error(transparent)]
    Domain(#[from] Error),
    /// Linux refused.
    #[error("Linux refused: {0}")]
    Io(#[from] io::Error),
    /// No supervisor can be reached.
    #[error(
        "no supervisor answers at {0}; start one with `feuerbird supervise --socket {0} --policy FILE.toml` ({1})"
    )]
    NoSupervisor(String, io::Error),
    /// The program was given a gate that is none.
    #[error("the gate that this program was started with cannot be used: {0}")]
    Gate(GateError),
    /// The program could not be started.
    #[error("the program could not be started: {0}")]
    Spawn(SpawnError),
    /// The supervisor makes no gates; this one should.
    #[error("the supervisor gave no gate for the new domain")]
    NoGate,
}

/// Starts a supervisor inside this program and becomes its root domain, trusted like the kernel.
///
/// The supervisor ends, with its thread and for all its domains, soon after the last handle of the root domain is dropped.
///
/// # Errors
/// [`StartError`].
pub fn embedded() -> Result<Domain, StartError> {
    let (mut supervisor, gate) = Supervisor::embedded()?;
    thread::Builder::new().name("feuerbird-supervisor".into()).spawn(move || {
        if let Err(error) = supervisor.run(|| false) {
            eprintln!("feuerbird: the supervisor stopped: {error}");
        }
    })?;
    Ok(SocketGate::enter(gate, "")?)
}

/// Becomes the domain that this program was started as, if it was started as one.
///
/// # Errors
/// [`StartError`], where there is a gate and it does not work. Call once, early in `main`.
pub fn inherited() -> Result<Option<Domain>, StartError> {
    match spawn::take_gate() {
        Ok(gate) => Ok(Some(SocketGate::enter(gate, "")?)),
        Err(GateError::NotSet) => Ok(None),
        Err(error) => Err(StartError::Gate(error)),
    }
}

/// Connects to a supervisor of its own and becomes what its policy says; `name` is the entry asked for, empty for the
/// first that fits this user.
///
/// # Errors
/// [`StartError::NoSupervisor`], or a refusal by the policy.
pub fn connect(path: impl Into<PathBuf>, name: &str) -> Result<Domain, StartError> {
    let path = path.into();
    let socket = Socket::connect(&path)
        .map_err(|error| StartError::NoSupervisor(path.display().to_string(), error))?;
    Ok(SocketGate::enter(socket, name)?)
}

/// A program to start as a domain of its own.
#[derive(Debug)]
pub struct Program {
    command: Command,
    trust: Trust,
    sandbox: Choice,
}

#[derive(Clone, Debug)]
enum Choice {
    ByTrust,
    Never,
    Given(Sandbox),
}

/// A started domain. Dropping it kills the program, which ends the domain, and frees its slot.
pub struct Child {
    /// The program.
    pub process: spawn::Child,
    /// The capability for its domain.
    pub domain: DomainHandle<SocketGate>,
}

impl Program {
    /// A program, with arguments and all, trusted so far. User trust (0x0 to 0x7) runs in a sandbox unless told otherwise.
    pub fn new(command: Command, trust: Trust) -> Self {
        Self { command, trust, sandbox: Choice::ByTrust }
    }

    /// This same program once more.
    ///
    /// # Errors
    /// Where Linux cannot tell where it is.
    pub fn this(trust: Trust) -> io::Result<Self> {
        Ok(Self::new(Command::new(std::env::current_exe()?), trust))
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it without a sandbox, whatever its trust.
    #[must_use]
    pub fn without_sandbox(mut self) -> Self {
        self.sandbox = Choice::Never;
        self
    }

    /// Runs it in this sandbox, whatever its trust.
    #[must_use]
    pub fn in_sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = Choice::Given(sandbox);
        self
    }

    /// Starts it with an initial capability space: one slot for each of `grants`, in their order; the program takes them
    /// with [`Domain::granted`](feuerbird_libos::Domain::granted).
    ///
    /// Linux kills the program when the *thread* that starts it ends; start from one that stays.
    ///
    /// # Errors
    /// [`StartError`]. Then nothing runs.
    pub fn spawn(
        self,
        domain: &Domain,
        grants: &[(&Handle<SocketGate>, Authority)],
    ) -> Result<Child, StartError> {
        let (handle, gate) = domain.create_domain(self.trust)?;
        let started = self.start(&handle, gate, grants);
        match started {
            Ok(process) => Ok(Child { process, domain: handle }),
            Err(error) => {
                forget(&handle);
                Err(error)
            }
        }
    }

    fn start(
        self,
        handle: &DomainHandle<SocketGate>,
        gate: Option<OwnedFd>,
        grants: &[(&Handle<SocketGate>, Authority)],
    ) -> Result<spawn::Child, StartError> {
        for (capability, authority) in grants {
            let _: Slot = capability.grant(handle, *authority)?;
        }
        let sandbox = match self.sandbox {
            Choice::Never => None,
            Choice::Given(sandbox) => Some(sandbox),
            Choice::ByTrust => (self.trust.band() == Band::User).then(Sandbox::default),
        };
        let gate = gate.ok_or(StartError::NoGate)?;
        spawn::spawn(self.command, gate, sandbox.as_ref()).map_err(StartError::Spawn)
    }
}

impl Spawn<SocketGate> for Program {
    type Child = Child;
    type Error = StartError;

    fn spawn_in(
        self,
        domain: &Domain,
        grants: &[(&Handle<SocketGate>, Authority)],
    ) -> Result<Child, StartError> {
        self.spawn(domain, grants)
    }
}

/// Gives back the slot of a domain whose gate, or process, goes: the supervisor ends it by that.
fn forget(domain: &DomainHandle<SocketGate>) {
    // It fails where the supervisor has gone, and all slots with it.
    let _ = domain.handle().clone().delete();
}

impl Drop for Child {
    fn drop(&mut self) {
        forget(&self.domain);
    }
}

impl Child {
    /// What the sandbox enforces; `None` where the program runs without one.
    pub fn sandbox(&self) -> Option<Report> {
        self.process.report()
    }

    /// Waits for the program's end, but not longer than `timeout`; `None` where it still runs.
    ///
    /// # Errors
    /// Where somebody else waited for it.
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Option<std::process::ExitStatus>> {
        self.process.wait_timeout(timeout)
    }
}
