//! Linux's own words: the text files under `/sys/devices/system`.

use core::fmt;

use crate::{
    CpuSet, Error, MAX_NODES, NodeId, Topology,
    cpus::{number, parse_list},
    topology::Node,
};

/// How long a file of the tree may be, in bytes.
const FILE_BYTES: usize = 4096;
const PATH_BYTES: usize = 32;

/// A tree of files. Core crates cannot read files: whoever can implements this.
pub trait Source {
    /// Reads a file, by its path below `/sys/devices/system`, for example `node/node0/cpulist`, as much of it as fits.
    /// Returns how many bytes it has, or any larger number than fit where it has more; `None` where it is missing, and only
    /// there: without `node/online` the machine is taken for one without NUMA.
    fn read(&self, path: &str, buffer: &mut [u8]) -> Option<usize>;
}

/// A file of the tree that this module reads. Shown as its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// Which nodes there are.
    Nodes,
    /// Which processors there are, where there are no nodes.
    Cpus,
    /// The processors of a node.
    NodeCpus(NodeId),
    /// The memory of a node.
    NodeMemory(NodeId),
    /// How far a node is from each.
    NodeDistances(NodeId),
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes => f.write_str("node/online"),
            Self::Cpus => f.write_str("cpu/online"),
            Self::NodeCpus(id) => write!(f, "node/node{}/cpulist", id.index()),
            Self::NodeMemory(id) => write!(f, "node/node{}/meminfo", id.index()),
            Self::NodeDistances(id) => write!(f, "node/node{}/distance", id.index()),
        }
    }
}

/// A file that was refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The file.
    pub file: File,
    /// What is wrong with it, and at which byte.
    pub error: Error,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.error)
    }
}

impl core::error::Error for Malformed {}

/// Reads the topology from a tree; one node with all processors, its memory unknown, where the tree knows no nodes.
///
/// # Errors
/// [`Malformed`] where a file is there and malformed, where a node lacks its files, or where there is neither `node/online`
/// nor `cpu/online`.
pub fn topology(source: &impl Source) -> Result<Topology, Malformed> {
    let nodes = read(source, File::Nodes, |text| text.map(Nodes::parse).transpose())?;
    let Some(nodes) = nodes else { return single(source) };
    let mut topology = Topology::empty();
    for id in nodes.iter() {
        let cpus = read(source, File::NodeCpus(id), |text| CpuSet::parse(text.ok_or(Error::Missing)?))?;
        let memory_bytes = read(source, File::NodeMemory(id), |text| memory(text.ok_or(Error::Missing)?))?;
        topology
            .add(id, Node { cpus, memory_bytes })
            .map_err(|error| Malformed { file: File::NodeCpus(id), error })?;
    }
    for from in nodes.iter() {
        // A kernel may leave the file out: then the defaults hold.
        read(source, File::NodeDistances(from), |text| {
            text.map_or(Ok(()), |line| distances(line, from, &nodes, &mut topology))
        })?;
    }
    Ok(topology)
}

/// A machine whose kernel was built without NUMA.
fn single(source: &impl Source) -> Result<Topology, Malformed> {
    let cpus = read(source, File::Cpus, |text| CpuSet::parse(text.ok_or(Error::Missing)?))?;
    Ok(Topology::single(cpus, 0))
}

/// The nodes that are online, lowest first: the order in which the kernel writes their distances.
struct Nodes([bool; MAX_NODES]);

impl Nodes {
    fn parse(list: &str) -> Result<Self, Error> {
        let mut nodes = Self([false; MAX_NODES]);
        parse_list(list, MAX_NODES, Error::TooManyNodes, |first, last| {
            for number in first..=last {
                let is_online = nodes.0.get_mut(number as usize).ok_or(Error::TooManyNodes)?;
                if core::mem::replace(is_online, true) {
                    return Err(Error::Twice { number });
                }
            }
            Ok(())
        })?;
        if nodes.iter().next().is_none() { Err(Error::Empty) } else { Ok(nodes) }
    }

    fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0u16..).zip(&self.0).filter(|(_, is_online)| **is_online).filter_map(|(index, _)| NodeId::new(index))
    }
}

/// `Node 0 MemTotal:       32598124 kB`, among other lines.
fn memory(text: &str) -> Result<u64, Error> {
    let mut at = 0;
    for line in text.split('\n') {
        if let Some((_, rest)) = line.split_once("MemTotal:") {
            let kilobytes = rest.trim().strip_suffix("kB").map(str::trim_end).and_then(large_number);
            return kilobytes.and_then(|count| count.checked_mul(1024)).ok_or(Error::BadText { at });
        }
        at += line.len() + 1;
    }
    Err(Error::BadText { at: text.len() })
}

/// One number per online node.
fn distances(line: &str, from: NodeId, nodes: &Nodes, topology: &mut Topology) -> Result<(), Error> {
    let mut words = line.split_ascii_whitespace();
    for to in nodes.iter() {
        let word = words.next().ok_or(Error::BadText { at: line.len() })?;
        let distance = number(word).and_then(|distance| u8::try_from(distance).ok());
        let bad = Error::BadDistance { from: from.index(), to: to.index() };
        topology.set_distance(from, to, distance.ok_or(bad)?)?;
    }
    if words.next().is_some() { Err(Error::BadText { at: line.len() }) } else { Ok(()) }
}

fn large_number(digits: &str) -> Option<u64> {
    let digits_only = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| digits.parse().ok()).flatten()
}

/// Reads a file and hands its text to `parse`: `None` where the source has none. What goes wrong is the file's fault.
fn read<T>(
    source: &impl Source,
    file: File,
    parse: impl FnOnce(Option<&str>) -> Result<T, Error>,
) -> Result<T, Malformed> {
    let mut buffer = [0; FILE_BYTES];
    let mut path = Path { bytes: [0; PATH_BYTES], len: 0 };
    // Cannot fail: the longest path is `node/node63/distance`.
    let _ = fmt::Write::write_fmt(&mut path, format_args!("{file}"));
    let bytes = source.read(path.as_str(), &mut buffer);
    let bytes = bytes.map(|bytes| buffer.get(..bytes).ok_or(Error::TooLong)).transpose();
    let text = bytes.and_then(|bytes| {
        let text = bytes.map(core::str::from_utf8).transpose();
        text.map_err(|error| Error::BadText { at: error.valid_up_to() })
    });
    text.and_then(parse).map_err(|error| Malformed { file, error })
}

/// A path without a heap.
struct Path {
    bytes: [u8; PATH_BYTES],
    len: usize,
}

impl Path {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for Path {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + part.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.len += part.len();
        Ok(())
    }
}
