//! Linux's own words: the text files under `/sys/devices/system`.

use crate::{
    CpuSet, Error, NodeId, Topology,
    cpus::{number, parse_list},
    topology::Node,
};

/// How long a file of the tree may be, in bytes.
const FILE_BYTES: usize = 4096;

/// A tree of files. Core crates cannot read files: whoever can implements this.
pub trait Source {
    /// Reads a file whole, by its path below `/sys/devices/system`, for example `node/node0/cpulist`. Returns how many bytes
    /// it has; `None` where it is missing or does not fit.
    fn read(&self, path: &str, buffer: &mut [u8]) -> Option<usize>;
}

/// Reads the topology from a tree; one node with all processors where the tree knows no nodes.
///
/// # Errors
/// [`Error`] where a file is there and malformed, or a node lacks its files.
pub fn topology(source: &impl Source) -> Result<Topology, Error> {
    let mut buffer = [0; FILE_BYTES];
    let Some(online) = text(source, "node/online", &mut buffer) else { return single(source) };
    let mut topology = Topology::empty();
    let mut names = [None; crate::MAX_NODES];
    let mut count = 0;
    parse_list(online, |first, last| {
        for index in first..=last {
            let id = u16::try_from(index).ok().and_then(NodeId::new).ok_or(Error::TooManyNodes)?;
            *names.get_mut(count).ok_or(Error::TooManyNodes)? = Some(id);
            count += 1;
        }
        Ok(())
    })?;
    for id in names.iter().flatten() {
        topology.add(*id, node(source, *id)?)?;
    }
    for from in names.iter().flatten() {
        distances(source, *from, &names[..count], &mut topology)?;
    }
    if topology.is_empty() { Err(Error::Empty) } else { Ok(topology) }
}

/// A machine whose kernel was built without NUMA.
fn single(source: &impl Source) -> Result<Topology, Error> {
    let mut buffer = [0; FILE_BYTES];
    let cpus = text(source, "cpu/online", &mut buffer).ok_or(Error::Empty)?;
    Ok(Topology::single(CpuSet::parse(cpus)?, 0))
}

fn node(source: &impl Source, id: NodeId) -> Result<Node, Error> {
    let mut buffer = [0; FILE_BYTES];
    let missing = Error::Unreadable { node: id.index() };
    let cpus = CpuSet::parse(read_of(source, id, "cpulist", &mut buffer).ok_or(missing)?)?;
    let memory_bytes = memory(read_of(source, id, "meminfo", &mut buffer).ok_or(missing)?)?;
    Ok(Node { cpus, memory_bytes })
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

/// One number per online node, in the order of `node/online`.
fn distances(
    source: &impl Source,
    from: NodeId,
    nodes: &[Option<NodeId>],
    topology: &mut Topology,
) -> Result<(), Error> {
    let mut buffer = [0; FILE_BYTES];
    // A kernel may leave the file out: then the defaults hold.
    let Some(line) = read_of(source, from, "distance", &mut buffer) else { return Ok(()) };
    let mut words = line.split_ascii_whitespace();
    for to in nodes.iter().flatten() {
        let word = words.next().ok_or(Error::BadText { at: line.len() })?;
        let distance = number(word).and_then(|distance| u8::try_from(distance).ok());
        topology.set_distance(
            from,
            *to,
            distance.ok_or(Error::BadDistance { from: from.index(), to: to.index() })?,
        )?;
    }
    if words.next().is_some() { Err(Error::BadText { at: line.len() }) } else { Ok(()) }
}

fn large_number(digits: &str) -> Option<u64> {
    let digits_only = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| digits.parse().ok()).flatten()
}

/// `node/node<id>/<file>`.
fn read_of<'b>(source: &impl Source, id: NodeId, file: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
    let mut path = Path { bytes: [0; 48], len: 0 };
    core::fmt::Write::write_fmt(&mut path, format_args!("node/node{}/{file}", id.index())).ok()?;
    text(source, core::str::from_utf8(&path.bytes[..path.len]).ok()?, buffer)
}

fn text<'b>(source: &impl Source, path: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
    let bytes = source.read(path, buffer)?;
    core::str::from_utf8(buffer.get(..bytes)?).ok()
}

/// A path without a heap.
struct Path {
    bytes: [u8; 48],
    len: usize,
}

impl core::fmt::Write for Path {
    fn write_str(&mut self, part: &str) -> core::fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + part.len()).ok_or(core::fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.len += part.len();
        Ok(())
    }
}
