//! The number of a NUMA node.

/// How many nodes a topology can have.
pub const MAX_NODES: usize = 64;

/// A NUMA node, as the system numbers it: 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u16);

impl NodeId {
    /// The node with this number, if a topology can hold it.
    pub const fn new(index: u16) -> Option<Self> {
        if (index as usize) < MAX_NODES { Some(Self(index)) } else { None }
    }

    /// The number.
    pub const fn index(self) -> u16 {
        self.0
    }
}
