//! Linux's own words: the text files below `/sys/devices/system`, and `/proc/meminfo` where there are no nodes.

use core::fmt::{self, Write};

use crate::{
    CpuSet, Error, MAX_NODES, Node, NodeId, Topology,
    cpus::{number, parse_list},
};

/// How long a file may be, in bytes. Linux writes at most a page into a file of sysfs.
const FILE_BYTES: usize = 4096;

/// A tree of files. Core crates cannot read files: whoever can implements this.
pub trait Source {
    /// Copies the beginning of a file, as much as fits, and returns how many bytes the whole file has; `None` where it is
    /// missing. The path begins at the root and has no slash in front: `sys/devices/system/node/online`.
    fn read(&self, path: &str, buffer: &mut [u8]) -> Option<usize>;
}

/// One of the files that are read. Displayed as its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// Which nodes there are.
    Nodes,
    /// The processors of a node.
    NodeCpus(NodeId),
    /// The memory of a node.
    NodeMemory(NodeId),
    /// How far it is from a node to each.
    NodeDistances(NodeId),
    /// All processors of a machine without nodes.
    Cpus,
    /// All memory of a machine without nodes.
    Memory,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes => f.write_str("sys/devices/system/node/online"),
            Self::NodeCpus(id) => write!(f, "sys/devices/system/node/node{}/cpulist", id.index()),
            Self::NodeMemory(id) => write!(f, "sys/devices/system/node/node{}/meminfo", id.index()),
            Self::NodeDistances(id) => write!(f, "sys/devices/system/node/node{}/distance", id.index()),
            Self::Cpus => f.write_str("sys/devices/system/cpu/online"),
            Self::Memory => f.write_str("proc/meminfo"),
        }
    }
}

/// What is wrong with a tree, and in which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The file.
    pub file: File,
    /// What is wrong with it.
    pub error: Error,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.error)
    }
}

impl core::error::Error for Malformed {}

/// Reads the topology from a tree; one node with all processors and all memory where the tree knows no nodes.
///
/// # Errors
/// [`Malformed`] where a file is not of Linux's form, contradicts another, or is missing (`distance` may be: then every other
/// node is as far).
///
/// # Cost
/// About 20 KiB of stack.
pub fn topology(source: &impl Source) -> Result<Topology, Malformed> {
    let mut reader = Reader { source, buffer: [0; FILE_BYTES] };
    let Some(online) = reader.read(File::Nodes, node_set)? else { return reader.single() };
    let ids = || (0..MAX_NODES as u16).filter(|index| online & (1 << index) != 0).filter_map(NodeId::new);
    let mut topology = Topology::empty();
    for id in ids() {
        let cpus = reader.required(File::NodeCpus(id), CpuSet::parse)?;
        let memory_bytes = reader.required(File::NodeMemory(id), memory)?;
        let added = topology.add(id, Node { cpus, memory_bytes });
        added.map_err(|error| Malformed { file: File::NodeCpus(id), error })?;
    }
    for id in ids() {
        reader.read(File::NodeDistances(id), |line| distances(line, id, ids(), &mut topology))?;
    }
    Ok(topology)
}

/// Reads one file after the other through one buffer.
struct Reader<'s, S> {
    source: &'s S,
    buffer: [u8; FILE_BYTES],
}

impl<S: Source> Reader<'_, S> {
    /// Reads a file and what it says; `None` where it is missing.
    fn read<T>(
        &mut self,
        file: File,
        parse: impl FnOnce(&str) -> Result<T, Error>,
    ) -> Result<Option<T>, Malformed> {
        let mut path = Path { bytes: [0; 48], len: 0 };
        let fits = write!(path, "{file}").is_ok();
        debug_assert!(fits, "the longest path has 39 bytes");
        let Some(bytes) = self.source.read(path.as_str(), &mut self.buffer) else { return Ok(None) };
        let parsed = self.buffer.get(..bytes).ok_or(Error::TooLong).and_then(|bytes| {
            let text = core::str::from_utf8(bytes);
            parse(text.map_err(|error| Error::BadText { at: error.valid_up_to() })?)
        });
        parsed.map(Some).map_err(|error| Malformed { file, error })
    }

    fn required<T>(
        &mut self,
        file: File,
        parse: impl FnOnce(&str) -> Result<T, Error>,
    ) -> Result<T, Malformed> {
        self.read(file, parse)?.ok_or(Malformed { file, error: Error::Missing })
    }

    /// A machine whose kernel was built without NUMA.
    fn single(&mut self) -> Result<Topology, Malformed> {
        let cpus = self.required(File::Cpus, CpuSet::parse)?;
        Ok(Topology::single(cpus, self.required(File::Memory, memory)?))
    }
}

/// `0-1,3`, as bits.
fn node_set(text: &str) -> Result<u64, Error> {
    let mut set = 0u64;
    parse_list(text, |first, last| {
        if last as usize >= MAX_NODES {
            return Err(Error::TooManyNodes);
        }
        for index in first..=last {
            if set & (1 << index) != 0 {
                return Err(Error::NodeTwice { node: index as u16 });
            }
            set |= 1 << index;
        }
        Ok(())
    })?;
    if set == 0 { Err(Error::Empty) } else { Ok(set) }
}

/// `Node 0 MemTotal:       32598124 kB`, among other lines; `/proc/meminfo` leaves out the node. Returns bytes.
fn memory(text: &str) -> Result<u64, Error> {
    let mut at = 0;
    for line in text.split('\n') {
        if let Some((_, rest)) = line.split_once("MemTotal:") {
            let kibibytes = rest.trim().strip_suffix("kB").map(str::trim_end).and_then(number::<u64>);
            return kibibytes.and_then(|count| count.checked_mul(1024)).ok_or(Error::BadText { at });
        }
        at += line.len() + 1;
    }
    Err(Error::BadText { at: text.len() })
}

/// One number per online node, lowest node first.
fn distances(
    line: &str,
    from: NodeId,
    nodes: impl Iterator<Item = NodeId>,
    topology: &mut Topology,
) -> Result<(), Error> {
    let bad = Error::BadText { at: line.len() };
    let mut words = line.split_ascii_whitespace();
    for to in nodes {
        let distance = number(words.next().ok_or(bad)?);
        let wrong = Error::BadDistance { from: from.index(), to: to.index() };
        topology.set_distance(from, to, distance.ok_or(wrong)?)?;
    }
    if words.next().is_some() { Err(bad) } else { Ok(()) }
}

/// A path without a heap.
struct Path {
    bytes: [u8; 48],
    len: usize,
}

impl Path {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Write for Path {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + part.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.len += part.len();
        Ok(())
    }
}
