//! The Linux home: what makes processes domains.
//!
//! What it is: the exokernel's machine and the LibOS's gate over memfd, futex, pidfd and Unix sockets; the supervisor that
//! runs the exokernel, inside a program or alone; and the ways in for a program. What it is not: on the data path. Once a
//! lane is built, messages are memory.
//!
//! The two things to meet first: [`embedded`], which makes this program the root domain of its own supervisor, and
//! [`Program`], which starts another program as a domain with the capabilities it is given, in a sandbox where its trust
//! is a user's.
//!
//! # Invariants
//! 1. The supervisor never waits for a domain, and ends none because of what others have it told: what a domain's socket
//!    does not take waits for it, bounded by what the domain may own. One that does not read its replies is not heard.
//! 2. One process speaks for a domain, by the kernel's word (`SCM_CREDENTIALS`); any other that does ends the domain.
//! 3. Memory changes hands only after the supervisor has seen that its size is sealed and its one writer has mapped it.
//! 4. Everything ends with its process: no files, no names, no shared memory is left behind.

mod domain;
mod gate;
mod home;
mod machine;
pub mod os;
mod outbox;
mod placement;
mod policy;
mod supervisor;
mod vouch;

pub use domain::{Child, Domain, Program, StartError, connect, embedded, inherited};
pub use gate::SocketGate;
pub use home::{LinuxHome, PeerLife};
pub use policy::{Policy, PolicyError};
pub use supervisor::Supervisor;
