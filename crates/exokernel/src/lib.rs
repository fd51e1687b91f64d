//! The mechanisms of the exokernel: domains, regions, endpoints, bindings, system calls and audit, over one small Machine trait.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod audit;
mod binding;
mod calls;
mod domain;
pub mod fake;
mod kernel;
mod limits;
mod machine;
mod object;
mod outcome;
mod revocation;
mod table;
mod verify;
mod words;
mod work;

pub use audit::AuditRing;
pub use domain::DomainId;
pub use kernel::Kernel;
pub use limits::Limits;
pub use machine::Machine;
pub use outcome::{Answer, Outcome, Payload};
pub use verify::Damage;
