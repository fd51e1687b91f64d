//! One processor: its features, tables, ways in and out of ring 0, timer, and how the others are started.

pub(crate) mod apic;
pub(crate) mod clock;
pub(crate) mod core;
pub(crate) mod entry;
pub(crate) mod features;
pub(crate) mod io_apic;
pub(crate) mod ports;
pub(crate) mod segments;
pub(crate) mod shootdown;
mod short;
pub(crate) mod start;
pub(crate) mod state;
