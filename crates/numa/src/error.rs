//! What can be wrong with a description of a machine.

use core::fmt;

/// What is wrong with a topology, or with what it was read from. All of it is the source's fault.
///
/// Where it is wrong, the readers say: [`sysfs::Malformed`](crate::sysfs::Malformed) names the file,
/// [`acpi::Malformed`](crate::acpi::Malformed) the table and the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More nodes than [`MAX_NODES`](crate::MAX_NODES), or a node number beyond.
    TooManyNodes,
    /// A processor number beyond [`MAX_CPUS`](crate::MAX_CPUS).
    TooManyCpus,
    /// A node that was named before.
    NodeTwice {
        /// Its number.
        node: u16,
    },
    /// A processor that is in another node already.
    CpuTwice {
        /// Its number.
        cpu: u32,
    },
    /// A distance that is not 10 to itself and 11 to 255 to others.
    BadDistance {
        /// From this node.
        from: u16,
        /// To this node.
        to: u16,
    },
    /// The distances leave out a proximity domain.
    NoDistances {
        /// The firmware's number for it.
        domain: u32,
    },
    /// There is no node at all.
    Empty,
    /// Text that is not of the expected form.
    BadText {
        /// The byte where the part begins that is not of that form.
        at: usize,
    },
    /// A file that should be there is not.
    Missing,
    /// A file longer than any that Linux writes there.
    TooLong,
    /// A table with another signature.
    WrongSignature,
    /// A length that does not fit: a table's, an entry's or a matrix's.
    BadLength,
    /// A table whose bytes do not add up to zero.
    BadChecksum,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyNodes => write!(f, "more than {} nodes", crate::MAX_NODES),
            Self::TooManyCpus => write!(f, "a processor number beyond {}", crate::MAX_CPUS - 1),
            Self::NodeTwice { node } => write!(f, "node {node} is there twice"),
            Self::CpuTwice { cpu } => write!(f, "processor {cpu} is in two nodes"),
            Self::BadDistance { from, to } => {
                write!(f, "the distance from node {from} to node {to} makes no sense")
            }
            Self::NoDistances { domain } => write!(f, "no distances for proximity domain {domain}"),
            Self::Empty => f.write_str("there is no node"),
            Self::BadText { at } => write!(f, "the text is not of the expected form at byte {at}"),
            Self::Missing => f.write_str("the file is missing"),
            Self::TooLong => f.write_str("the file is too long"),
            Self::WrongSignature => f.write_str("the table has another signature"),
            Self::BadLength => f.write_str("the length does not fit"),
            Self::BadChecksum => f.write_str("the table's checksum is wrong"),
        }
    }
}

impl core::error::Error for Error {}
