//! Where memory should go.

use crate::{NodeId, Topology, UNREACHABLE};

/// A policy for placing memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On the node nearest to this one that has memory; itself first.
    Nearest(NodeId),
    /// On each node with memory in turn: for what all nodes read.
    Interleave {
        /// Counts the placements so far.
        turn: u32,
    },
}

impl Placement {
    /// Near to where a processor runs.
    pub fn near_cpu(topology: &Topology, cpu: u32) -> Option<Self> {
        topology.node_of(cpu).map(Self::Nearest)
    }

    /// On each node in turn, from the first.
    pub fn interleave() -> Self {
        Self::Interleave { turn: 0 }
    }

    /// The node for the next piece of memory that needs `bytes` bytes; `None` where no node has so much in all. Where no
    /// node states its memory (a kernel without NUMA), each is taken to have enough.
    ///
    /// How much is *free* is not known here: who finds a node full asks again with
    /// [`Topology::by_distance`].
    pub fn next(&mut self, topology: &Topology, bytes: u64) -> Option<NodeId> {
        match self {
            Self::Nearest(node) => topology.by_distance(*node).find(|id| topology.has_memory(*id, bytes)),
            Self::Interleave { turn } => {
                let fitting = topology.nodes().filter(|(id, _)| topology.has_memory(*id, bytes)).count();
                let place = (*turn as usize).checked_rem(fitting)?;
                *turn = turn.wrapping_add(1);
                let mut nodes = topology.nodes().filter(|(id, _)| topology.has_memory(*id, bytes));
                nodes.nth(place).map(|(id, _)| id)
            }
        }
    }
}

impl Topology {
    /// The nodes from the nearest to the farthest as seen from `from`; the lower number first where they are as far. Those
    /// that cannot be reached are left out.
    pub fn by_distance(&self, from: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut last: Option<(u8, NodeId)> = None;
        core::iter::from_fn(move || {
            let far = |id: NodeId| (self.distance(from, id), id);
            let reachable =
                self.nodes().map(|(id, _)| far(id)).filter(|(distance, _)| *distance != UNREACHABLE);
            last = Some(reachable.filter(|it| last.is_none_or(|last| *it > last)).min()?);
            last.map(|(_, id)| id)
        })
    }

    fn has_memory(&self, id: NodeId, bytes: u64) -> bool {
        let stated = self.node(id).map_or(0, |node| node.memory_bytes);
        if stated == 0 { self.states_no_memory() } else { stated >= bytes }
    }

    fn states_no_memory(&self) -> bool {
        self.nodes().all(|(_, node)| node.memory_bytes == 0)
    }
}
