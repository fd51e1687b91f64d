//! What can be wrong with a description of a machine, and where.

use core::fmt;

/// What is wrong with a topology, or with the text or table it was read from. All of it is the source's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More nodes than [`MAX_NODES`](crate::MAX_NODES), or a node number beyond.
    TooManyNodes,
    /// A CPU number beyond [`MAX_CPUS`](crate::MAX_CPUS).
    TooManyCpus,
    /// A node that was named before, or a CPU that is in two nodes.
    Twice {
        /// The node or CPU.
        number: u32,
    },
    /// A node that was not named.
    NoSuchNode {
        /// The node.
        number: u32,
    },
    /// A distance that is not 10 to itself and 11 or more to others.
    BadDistance {
        /// From this node.
        from: u16,
        /// To this node.
        to: u16,
    },
    /// There is no node at all.
    Empty,
    /// Text that is not of the expected form.
    BadText {
        /// The byte at which it stops being of that form.
        at: usize,
    },
    /// A file is missing.
    Missing,
    /// A file is longer than any that the kernel writes.
    TooLong,
    /// A table with another signature.
    WrongSignature,
    /// A table, or an entry of it, whose length does not fit.
    BadLength {
        /// The byte of the table at which the entry starts.
        at: usize,
    },
    /// A table whose bytes do not add up to zero.
    BadChecksum,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyNodes => write!(f, "more than {} nodes", crate::MAX_NODES),
            Self::TooManyCpus => write!(f, "more than {} processors", crate::MAX_CPUS),
            Self::Twice { number } => write!(f, "number {number} is there twice"),
            Self::NoSuchNode { number } => write!(f, "node {number} was not announced"),
            Self::BadDistance { from, to } => {
                write!(f, "the distance from node {from} to node {to} makes no sense")
            }
            Self::Empty => f.write_str("there is no node"),
            Self::BadText { at } => write!(f, "the text is not of the expected form at byte {at}"),
            Self::Missing => f.write_str("the file is missing"),
            Self::TooLong => f.write_str("the file is too long"),
            Self::WrongSignature => f.write_str("the table has another signature"),
            Self::BadLength { at } => write!(f, "the length at byte {at} of the table does not fit"),
            Self::BadChecksum => f.write_str("the table's checksum is wrong"),
        }
    }
}

impl core::error::Error for Error {}
