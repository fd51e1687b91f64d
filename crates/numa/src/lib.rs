//! NUMA topology, placement policy, and parsers for sysfs text and ACPI SRAT/SLIT.
//!
//! What it is: a description of a machine (nodes, processors, memory, distances) in fixed memory, two ways to read one, and
//! two policies over it. What it is not: an allocator, and not a reader of files.
//!
//! The two types to meet first: [`Topology`] and [`Placement`].
//!
//! ```
//! use feuerbird_numa::{CpuSet, Node, NodeId, Placement, Topology};
//!
//! let node = |index| NodeId::new(index).expect("below 64");
//! let mut machine = Topology::empty();
//! machine.add(node(0), Node { cpus: CpuSet::parse("0-3")?, memory_bytes: 1 << 30 })?;
//! machine.add(node(1), Node { cpus: CpuSet::parse("4-7")?, memory_bytes: 1 << 30 })?;
//! machine.set_distance(node(0), node(1), 21)?;
//! let mut near = Placement::near_cpu(&machine, 5).expect("processor 5 is in node 1");
//! assert_eq!(near.next(&machine, 4096), Some(node(1)));
//! # Ok::<(), feuerbird_numa::Error>(())
//! ```
//!
//! # Invariants
//! 1. Every parser ends after one look at each byte, and refuses what it does not understand, naming the file or table, the
//!    place in it and what is wrong there.
//! 2. A processor belongs to at most one node; the distance of a node to itself is 10.
#![no_std]
#![forbid(unsafe_code)]

pub mod acpi;
mod cpus;
mod error;
mod node;
mod placement;
pub mod sysfs;
mod topology;

pub use cpus::{CpuSet, MAX_CPUS};
pub use error::Error;
pub use node::{MAX_NODES, NodeId};
pub use placement::Placement;
pub use topology::{LOCAL, Node, REMOTE, Topology, UNREACHABLE};
