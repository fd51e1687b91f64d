//! What a program links: typed handles on domains, capabilities and channels, over one small [`Gate`] trait.
//!
//! What it is: policy. It decides that an endpoint is a channel, how its lanes are laid out and which layer they carry; it
//! makes and shares the memory; it hears the kernel's upcalls. What it is not: authority. Every handle here is a slot in
//! the caller's own capability space, and each operation through it may be refused.
//!
//! The two types to meet first: [`Domain`], which is this program as the kernel knows it, and [`Handle`], one capability
//! of its own.
//!
//! A home (hosted: Linux processes; the exokernel's ring 3) implements [`Gate`], feeds upcalls to [`Domain::upcall`], and
//! adds how a domain comes to be: [`Spawn`] for `feuerbird_hosted::Program`, `Place` and `Start` in ring 3. Programs see all of it through
//! the facade, crate `feuerbird`.
//!
//! # Invariants
//! 1. The data path never passes a gate: control operations build a lane, and then the lane is memory.
//! 2. Nothing that comes with an upcall is believed beyond what the kernel vouches for: memory of a peer is mapped only
//!    after the home has checked that the peer cannot shrink it, and its content is checked by the lane.
//! 3. No lock is held across a system call, while memory is made or mapped, or while the program's own code runs.
//! 4. What the kernel says is kept in bounded memory, and acted on while the program's revocation handler runs.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod along;
mod annul;
mod audit;
mod binding;
mod domain;
mod error;
mod gate;
mod handle;
mod owed;
mod pairing;
mod ports;
mod recent;
mod revocation;
mod spawn;
mod table;
mod upcall;

pub use annul::{Annulled, annul};
pub use audit::{AuditLog, AuditPiece};
pub use domain::{Domain, WeakDomain};
pub use error::Error;
pub use gate::{Answer, Gate, GateError, MemoryError, Work};
pub use handle::{Authority, DomainHandle, Handle, Inspection, Revoked, SharedRegion};
pub use ports::{Receiver, Sender};
pub use spawn::Spawn;
pub use upcall::{Granted, Missed, Repossession};
