//! Capabilities: rights, trust, badges, capability spaces, derivation and revocation.
#![no_std]
#![forbid(unsafe_code)]

mod capabilities;
mod derivation;
mod error;
mod node;
mod object;
mod revocation;
mod rights;
mod slot;

pub use capabilities::{Capabilities, DEPTH_LIMIT, Inspection};
pub use error::Error;
pub use node::{Node, Space};
pub use object::{Capability, Derivation, Object, ObjectKind, Range};
pub use revocation::{Cause, Finalised, Progress};
pub use rights::{Badge, Band, Rights, Trust};
pub use slot::{Slot, SpaceId, Ticket};
