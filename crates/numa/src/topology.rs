//! What a machine is made of.

use crate::{CpuSet, Error, MAX_NODES, NodeId};

/// The distance of a node to itself, by ACPI's convention.
pub const LOCAL: u8 = 10;

/// The distance between two nodes of which nothing is known.
pub const REMOTE: u8 = 20;

/// The distance of a node that cannot be reached at all (ACPI specification 6.5, section 5.2.17).
pub const UNREACHABLE: u8 = u8::MAX;

/// One node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its processors.
    pub cpus: CpuSet,
    /// Its memory in bytes; 0 where it has none, or where its amount is unknown.
    pub memory_bytes: u64,
}

/// The nodes of a machine, their processors, memory and distances. Fixed size, about 13 KiB: no heap needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    nodes: [Option<Node>; MAX_NODES],
    distances: [[u8; MAX_NODES]; MAX_NODES],
}

impl Topology {
    /// No node yet; to be filled.
    pub fn empty() -> Self {
        let mut distances = [[REMOTE; MAX_NODES]; MAX_NODES];
        for (index, row) in distances.iter_mut().enumerate() {
            row[index] = LOCAL;
        }
        Self { nodes: [None; MAX_NODES], distances }
    }

    /// A machine that has only one node, number 0: what everything is where nothing is known.
    pub fn single(cpus: CpuSet, memory_bytes: u64) -> Self {
        let mut topology = Self::empty();
        topology.nodes[0] = Some(Node { cpus, memory_bytes });
        topology
    }

    /// Adds a node.
    ///
    /// # Errors
    /// [`Error::Twice`] where the node, or one of its processors, is there already.
    pub fn add(&mut self, id: NodeId, node: Node) -> Result<(), Error> {
        if let Some(cpu) = node.cpus.iter().find(|cpu| self.node_of(*cpu).is_some()) {
            return Err(Error::Twice { number: cpu });
        }
        let place = &mut self.nodes[usize::from(id.index())];
        if place.is_some() {
            return Err(Error::Twice { number: id.index().into() });
        }
        *place = Some(node);
        Ok(())
    }

    /// Adds memory and processors to a node, which is made where it is not there.
    pub(crate) fn grow(&mut self, id: NodeId, cpu: Option<u32>, bytes: u64) -> Result<(), Error> {
        if let Some(cpu) = cpu
            && self.node_of(cpu).is_some_and(|holder| holder != id)
        {
            return Err(Error::Twice { number: cpu });
        }
        let node =
            self.nodes[usize::from(id.index())].get_or_insert(Node { cpus: CpuSet::EMPTY, memory_bytes: 0 });
        node.memory_bytes = node.memory_bytes.saturating_add(bytes);
        if let Some(cpu) = cpu {
            node.cpus.insert(cpu)?;
        }
        Ok(())
    }

    /// Sets the distance from one node to another: 10 to itself, 11 to 254 to others, or [`UNREACHABLE`].
    ///
    /// # Errors
    /// [`Error::NoSuchNode`] where one of them was not added before, [`Error::BadDistance`].
    pub fn set_distance(&mut self, from: NodeId, to: NodeId, distance: u8) -> Result<(), Error> {
        if let Some(absent) = [from, to].into_iter().find(|id| self.node(*id).is_none()) {
            return Err(Error::NoSuchNode { number: absent.index().into() });
        }
        let makes_sense = if from == to { distance == LOCAL } else { distance > LOCAL };
        if !makes_sense {
            return Err(Error::BadDistance { from: from.index(), to: to.index() });
        }
        self.distances[usize::from(from.index())][usize::from(to.index())] = distance;
        Ok(())
    }

    /// A node, if it is there.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes[usize::from(id.index())].as_ref()
    }

    /// The nodes, lowest number first.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> + '_ {
        (0..MAX_NODES as u16).filter_map(|index| {
            let id = NodeId::new(index)?;
            self.node(id).map(|node| (id, node))
        })
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.iter().flatten().count()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The node that a processor belongs to.
    pub fn node_of(&self, cpu: u32) -> Option<NodeId> {
        self.nodes().find(|(_, node)| node.cpus.contains(cpu)).map(|(id, _)| id)
    }

    /// How far it is from one node to another: 10 is local, 20 twice as far, [`UNREACHABLE`] not at all.
    pub fn distance(&self, from: NodeId, to: NodeId) -> u8 {
        self.distances[usize::from(from.index())][usize::from(to.index())]
    }
}
