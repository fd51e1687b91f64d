//! On which NUMA node memory goes.

use std::{fs, io::Read, path::PathBuf, sync::OnceLock};

use feuerbird_numa::{NodeId, Placement, Topology, sysfs};

use crate::os::affinity;

/// The machine's nodes, as far as this process may know them.
pub(crate) struct Nodes {
    /// `None` where sysfs cannot be read, as in a sandbox: handing it in would tell a program how much memory others use. What is
    /// left is what the kernel tells each thread of itself.
    topology: Option<Topology>,
}

impl Nodes {
    /// This machine's, read once: nodes that are added later get nothing.
    pub(crate) fn of_this_machine() -> &'static Self {
        static NODES: OnceLock<Nodes> = OnceLock::new();
        NODES.get_or_init(|| Self::read(&Folder("/sys/devices/system".into())))
    }

    fn read(source: &impl sysfs::Source) -> Self {
        Self { topology: sysfs::topology(source).ok() }
    }

    /// Near where the calling thread runs.
    pub(crate) fn placement(&self) -> Option<Placement> {
        let (cpu, node) = affinity::here().ok()?;
        self.near(cpu, node)
    }

    fn near(&self, cpu: u32, node: u32) -> Option<Placement> {
        let known = self.topology.as_ref().and_then(|topology| Placement::near_cpu(topology, cpu));
        // Without a topology, or for a processor that came later: the kernel's word.
        known.or_else(|| Some(Placement::Nearest(NodeId::new(u16::try_from(node).ok()?)?)))
    }

    /// The node for memory of so many bytes. The kernel prefers it, and takes the next one where it is full.
    pub(crate) fn node(&self, mut placement: Placement, bytes: usize) -> Option<NodeId> {
        match (&self.topology, placement) {
            (Some(topology), _) => placement.next(topology, bytes as u64),
            (None, Placement::Nearest(node)) => Some(node),
            (None, Placement::Interleave { .. }) => None,
        }
    }
}

struct Folder(PathBuf);

impl sysfs::Source for Folder {
    fn read(&self, path: &str, buffer: &mut [u8]) -> Option<usize> {
        let mut file = fs::File::open(self.0.join(path)).ok()?;
        let mut text = Vec::new();
        // One byte more than fits says that there is more.
        file.by_ref().take(buffer.len() as u64 + 1).read_to_end(&mut text).ok()?;
        let fits = text.len().min(buffer.len());
        buffer[..fits].copy_from_slice(&text[..fits]);
        Some(text.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::collections::HashMap;

    use super::*;

    const GIB: usize = 1 << 30;

    struct Files(HashMap<&'static str, &'static str>);

    impl sysfs::Source for Files {
        fn read(&self, path: &str, buffer: &mut [u8]) -> Option<usize> {
            let text = self.0.get(path)?.as_bytes();
            buffer[..text.len()].copy_from_slice(text);
            Some(text.len())
        }
    }

    /// Three nodes; the last has processors and hardly any memory, and the middle one is its neighbor.
    fn three_nodes() -> Nodes {
        let files = [
            ("node/online", "0-2\n"),
            ("node/node0/cpulist", "0-3\n"),
            ("node/node0/meminfo", "Node 0 MemTotal: 8388608 kB\n"),
            ("node/node0/distance", "10 20 30\n"),
            ("node/node1/cpulist", "4-7\n"),
            ("node/node1/meminfo", "Node 1 MemTotal: 8388608 kB\n"),
            ("node/node1/distance", "20 10 15\n"),
            ("node/node2/cpulist", "8-11\n"),
            ("node/node2/meminfo", "Node 2 MemTotal: 1024 kB\n"),
            ("node/node2/distance", "30 15 10\n"),
        ];
        Nodes::read(&Files(files.into()))
    }

    fn chosen(nodes: &Nodes, cpu: u32, node: u32, bytes: usize) -> Option<u16> {
        nodes.near(cpu, node).and_then(|placement| nodes.node(placement, bytes)).map(NodeId::index)
    }

    #[test]
    fn memory_goes_to_the_node_of_the_processor_or_the_nearest_that_can_hold_it() {
        let nodes = three_nodes();
        // The topology decides, and not the node that comes with the processor: that is for those who have none.
        assert_eq!(chosen(&nodes, 5, 0, GIB), Some(1));
        assert_eq!(chosen(&nodes, 0, 0, GIB), Some(0));
        assert_eq!(chosen(&nodes, 9, 2, 4096), Some(2));
        assert_eq!(chosen(&nodes, 9, 2, GIB), Some(1), "too large for its own node");
        assert_eq!(chosen(&nodes, 9, 2, 100 * GIB), None);
        assert_eq!(chosen(&nodes, 99, 1, GIB), Some(1), "a processor that came later");
    }

    #[test]
    fn without_a_topology_the_kernels_word_decides() {
        let nodes = Nodes::read(&Files(HashMap::new()));
        assert!(nodes.topology.is_none());
        assert_eq!(chosen(&nodes, 5, 3, GIB), Some(3));
        assert_eq!(chosen(&nodes, 5, 1000, GIB), None, "more nodes than we number");
    }

    #[test]
    fn this_machine_is_read() {
        let has_sysfs = fs::exists("/sys/devices/system/cpu/online").unwrap();
        assert_eq!(Nodes::of_this_machine().topology.is_some(), has_sysfs);
        assert!(Nodes::of_this_machine().placement().is_some());
    }
}
