//! The Linux mechanisms under the Linux home, one file each.
//!
//! What it is: memory with one writer, waiting, death notices, messages with descriptors, a sandbox and a way to start
//! programs in it. What it is not: policy. Nothing in here knows of capabilities, channels or domains.
//!
//! All unsafe code of this crate is in here, and each block says which promise of the kernel or of a type it rests on.

pub mod affinity;
mod ancillary;
pub mod clock;
pub mod death;
mod filter;
pub mod futex;
mod listener;
mod mapping;
pub mod membarrier;
pub mod memory;
pub mod sandbox;
mod seal;
pub mod signal;
pub mod socket;
pub mod spawn;
