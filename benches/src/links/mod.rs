//! The transports: one file each, all behind [`Link`](crate::link::Link).

pub mod iceoryx;
pub mod ipc;
pub mod lane;
pub mod limit;
pub mod socket;
pub mod threads;
