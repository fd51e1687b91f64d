//! A sandbox for a program: what it was given by descriptor it has; of everything else it can read itself and the system's
//! libraries.
//!
//! Two layers. Landlock decides *which* files may be read and executed, and scopes signals and abstract sockets. Seccomp
//! decides which system calls there are at all: none that open for writing, make sockets or processes, or look into or
//! signal other processes. Everything is prepared in the parent; between fork and exec nothing is allocated.

use std::{
    fmt, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    ptr,
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    Scope, path_beneath_rules,
};

use super::filter::Filters;

/// What the rules below were written and tested for; older kernels get the part they know.
const LANDLOCK: ABI = ABI::V6;
/// The first ABI with rules for TCP (Linux 6.7).
const LANDLOCK_TCP: u32 = 4;
/// The first ABI with scopes for signals and abstract sockets (Linux 6.12).
const LANDLOCK_SCOPES: u32 = 6;

/// Where the dynamic loader looks.
const LIBRARIES: [&str; 7] =
    ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib"];
const LOADER_CACHE: &str = "/etc/ld.so.cache";

/// What a program may do; the default is next to nothing.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    readable: Vec<PathBuf>,
    is_strict: bool,
}

/// A sandbox for one program, ready to be applied after the fork.
#[derive(Debug)]
pub struct Prepared {
    landlock: Option<OwnedFd>,
    filters: Filters,
    report: Report,
}

/// Why there is no sandbox. No program was started.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SandboxError {
    /// The program is not there.
    #[error("program not found; give its path, for PATH is not searched")]
    NoProgram,
    /// Seccomp is missing, or the architecture unknown to it.
    #[error("kernel has no seccomp filters; use one with CONFIG_SECCOMP_FILTER, or start without sandbox")]
    NoSeccomp,
    /// Landlock is there, and refused the rules.
    #[error("kernel refused the landlock rules; check the limit of open files, or start without sandbox")]
    Landlock,
    /// Only with [`Sandbox::strict`].
    #[error("sandbox would have a gap ({0}); start without `strict` to accept that")]
    Gap(Missing),
}

/// One part of the sandbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layer {
    /// In force.
    Enforced,
    /// Not in force.
    Missing(Missing),
}

/// Why a part is not in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missing {
    /// The kernel has no landlock, or it was not turned on at boot.
    NoLandlock,
    /// The kernel's landlock is older than the part.
    OldLandlock {
        /// The ABI there is.
        abi: u32,
        /// The ABI it takes.
        needed: u32,
    },
}

/// What is enforced and what is not, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Report {
    /// System calls on a list; opening for writing, sockets, processes, tracing and signals to others are not on it.
    pub system_calls: Layer,
    /// Files: program and libraries can be read and executed, nothing else.
    pub files: Layer,
    /// A second lock on TCP (the first one: no sockets can be made).
    pub tcp: Layer,
    /// A second lock on signals to others, and one on abstract sockets.
    pub scopes: Layer,
}

impl Sandbox {
    /// Lets the program also read a file, or everything in a folder, such as `/sys/devices/system/node`.
    #[must_use]
    pub fn allow_reading(mut self, path: impl Into<PathBuf>) -> Self {
        self.readable.push(path.into());
        self
    }

    /// Makes it an error if the kernel cannot enforce all of it.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// Compiles the filter and makes the rules, for one start of one program.
    ///
    /// # Errors
    /// Any [`SandboxError`].
    pub fn prepare(&self, program: &Path) -> Result<Prepared, SandboxError> {
        let program = program.canonicalize().map_err(|_| SandboxError::NoProgram)?;
        let filters = Filters::compile().map_err(|_| SandboxError::NoSeccomp)?;
        if !seccomp_available() {
            return Err(SandboxError::NoSeccomp);
        }
        let report = Report::for_landlock(landlock_abi());
        if let (true, Some(gap)) = (self.is_strict, report.gap()) {
            return Err(SandboxError::Gap(gap));
        }
        let landlock = match report.files {
            Layer::Enforced => {
                let rules = self.landlock_rules(&program).map_err(|_| SandboxError::Landlock)?;
                Some(Option::<OwnedFd>::from(rules).ok_or(SandboxError::Landlock)?)
            }
            Layer::Missing(_) => None,
        };
        Ok(Prepared { landlock, filters, report })
    }

    fn landlock_rules(&self, program: &Path) -> Result<RulesetCreated, RulesetError> {
        let run = AccessFs::Execute | AccessFs::ReadFile;
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        // The loader needs no listing of the folders. Folders that do not exist are skipped.
        Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?
            .add_rules(path_beneath_rules([program], run))?
            .add_rules(path_beneath_rules(LIBRARIES, run))?
            .add_rules(path_beneath_rules([LOADER_CACHE], AccessFs::ReadFile))?
            .add_rules(path_beneath_rules(&self.readable, read))
    }
}

impl Prepared {
    /// What will be enforced.
    pub fn report(&self) -> Report {
        self.report
    }

    /// Confines the calling process for ever, with all it will execute.
    ///
    /// For a process with one thread, between fork and exec: makes only system calls, and allocates nothing.
    ///
    /// # Errors
    /// When the kernel refuses; then part of it may be in force, and the process must not go on.
    pub fn apply(&mut self) -> io::Result<()> {
        rustix::thread::set_no_new_privs(true)?;
        if let Some(rules) = &self.landlock {
            // SAFETY: takes a descriptor, which `self` holds open, and flags; no memory.
            let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        self.filters.set_pid(std::process::id());
        install(&self.filters.absent)?;
        install(&self.filters.allowed)
    }
}

impl Report {
    fn for_landlock(abi: Option<u32>) -> Self {
        let since = |needed| match abi {
            Some(abi) if abi >= needed => Layer::Enforced,
            Some(abi) => Layer::Missing(Missing::OldLandlock { abi, needed }),
            None => Layer::Missing(Missing::NoLandlock),
        };
        Self {
            system_calls: Layer::Enforced,
            files: since(1),
            tcp: since(LANDLOCK_TCP),
            scopes: since(LANDLOCK_SCOPES),
        }
    }

    /// The first part that is missing.
    pub fn gap(&self) -> Option<Missing> {
        [self.system_calls, self.files, self.tcp, self.scopes].into_iter().find_map(|layer| match layer {
            Layer::Enforced => None,
            Layer::Missing(why) => Some(why),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "system calls on a list (seccomp): {}", self.system_calls)?;
        writeln!(out, "files read-only, program and libraries only (landlock): {}", self.files)?;
        writeln!(out, "TCP refused a second time (landlock): {}", self.tcp)?;
        write!(out, "signals and abstract sockets kept inside (landlock): {}", self.scopes)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enforced => out.write_str("enforced"),
            Self::Missing(why) => write!(out, "NOT enforced, {why}"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLandlock => out.write_str("kernel has no landlock (boot with lsm=landlock,...)"),
            Self::OldLandlock { abi, needed } => {
                write!(out, "kernel has landlock ABI {abi} and this takes {needed}")
            }
        }
    }
}

fn install(program: seccompiler::BpfProgramRef<'_>) -> io::Result<()> {
    seccompiler::apply_filter(program).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        _ => io::Error::from_raw_os_error(libc::EINVAL),
    })
}

/// The kernel's landlock, if it is there and turned on.
fn landlock_abi() -> Option<u32> {
    const VERSION: u32 = 1; // LANDLOCK_CREATE_RULESET_VERSION of linux/landlock.h
    // SAFETY: with this flag the call takes no memory and makes nothing, it answers with a number.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u32::try_from(abi).ok().filter(|&abi| abi > 0)
}

fn seccomp_available() -> bool {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: reads the one integer given to it.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, ptr::from_ref(&action))
    };
    result == 0
}
