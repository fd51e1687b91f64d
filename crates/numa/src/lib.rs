//! NUMA topology, placement policy, and parsers for sysfs text and ACPI SRAT/SLIT.
#![no_std]
#![forbid(unsafe_code)]

mod node;

pub use node::{MAX_NODES, NodeId};
