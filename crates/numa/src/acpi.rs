//! The firmware's words: the SRAT and SLIT tables (ACPI specification 6.5, sections 5.2.16 and 5.2.17).
//!
//! The tables come from outside: every length is checked, every entry is looked at once, nothing is trusted.

use core::fmt;

use crate::{Error, MAX_NODES, NodeId, Topology};

const REVISION: usize = 8;
const CHECKSUM: usize = 9;
const HEADER_BYTES: usize = 36;
const SRAT_ENTRIES: usize = 48;
const SLIT_COUNT: usize = 36;
const SLIT_MATRIX: usize = 44;

const PROCESSOR: u8 = 0;
const MEMORY: u8 = 1;
const X2APIC: u8 = 2;
const ENABLED: u32 = 1;

/// One of the two tables. Displayed as its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The System Resource Affinity Table: which processors and memory belong together.
    Srat,
    /// The System Locality Information Table: distances.
    Slit,
}

impl Table {
    const fn signature(self) -> &'static str {
        match self {
            Self::Srat => "SRAT",
            Self::Slit => "SLIT",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signature())
    }
}

/// What is wrong with a table, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The table.
    pub table: Table,
    /// The byte at which the wrong field or entry begins.
    pub at: usize,
    /// What is wrong with it.
    pub error: Error,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.table, self.at, self.error)
    }
}

impl core::error::Error for Malformed {}

/// Reads the topology from an SRAT and, where there is one, a SLIT.
///
/// Processors are numbered by their APIC id, and nodes from 0 in the order in which the firmware's proximity domains appear.
/// Memory is what the enabled entries promise, hot-pluggable places included: what is really there, only the memory map says.
///
/// # Errors
/// [`Malformed`]. Who would rather have no distances than no topology asks again without the SLIT.
pub fn topology(srat: &[u8], slit: Option<&[u8]>) -> Result<Topology, Malformed> {
    let srat = checked(srat, Table::Srat, SRAT_ENTRIES)?;
    let mut topology = Topology::empty();
    let mut domains = Domains { numbers: [0; MAX_NODES], count: 0 };
    let mut at = SRAT_ENTRIES;
    while at < srat.len() {
        let fault = |error| Malformed { table: Table::Srat, at, error };
        let entry = first_entry(&srat[at..]).ok_or(fault(Error::BadLength))?;
        if let Some(affinity) = Affinity::read(entry, srat[REVISION]).map_err(fault)? {
            let node = domains.node(affinity.domain).map_err(fault)?;
            topology.grow(node, affinity.cpu, affinity.bytes).map_err(fault)?;
        }
        at += entry.len();
    }
    if topology.is_empty() {
        return Err(Malformed { table: Table::Srat, at, error: Error::Empty });
    }
    if let Some(slit) = slit {
        distances(checked(slit, Table::Slit, SLIT_MATRIX)?, &domains, &mut topology)?;
    }
    Ok(topology)
}

/// Checks what all tables share: signature, length, checksum.
fn checked(bytes: &[u8], table: Table, least: usize) -> Result<&[u8], Malformed> {
    let fault = |at, error| Malformed { table, at, error };
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(fault(0, Error::BadLength))?;
    if !header.starts_with(table.signature().as_bytes()) {
        return Err(fault(0, Error::WrongSignature));
    }
    let whole = usize::try_from(dword(header, 4)).ok().and_then(|length| bytes.get(..length));
    let whole = whole.filter(|whole| whole.len() >= least).ok_or(fault(4, Error::BadLength))?;
    let sum = whole.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if sum == 0 { Ok(whole) } else { Err(fault(CHECKSUM, Error::BadChecksum)) }
}

/// The entry at the beginning. One shorter than its own header would never end.
fn first_entry(rest: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*rest.get(1)?);
    rest.get(..length).filter(|entry| entry.len() >= 2)
}

/// What an entry of the SRAT says.
struct Affinity {
    domain: u32,
    cpu: Option<u32>,
    bytes: u64,
}

impl Affinity {
    /// `None` where the entry is not enabled, or of a kind that other machines or later versions have.
    fn read(entry: &[u8], revision: u8) -> Result<Option<Self>, Error> {
        let (flags, mut affinity) = match entry[0] {
            PROCESSOR => {
                let it: &[u8; 16] = entry.first_chunk().ok_or(Error::BadLength)?;
                let domain = u32::from_le_bytes([it[2], it[9], it[10], it[11]]);
                (dword(it, 4), Self { domain, cpu: Some(it[3].into()), bytes: 0 })
            }
            MEMORY => {
                let it: &[u8; 40] = entry.first_chunk().ok_or(Error::BadLength)?;
                (dword(it, 28), Self { domain: dword(it, 2), cpu: None, bytes: qword(it, 16) })
            }
            X2APIC => {
                let it: &[u8; 24] = entry.first_chunk().ok_or(Error::BadLength)?;
                (dword(it, 12), Self { domain: dword(it, 4), cpu: Some(dword(it, 8)), bytes: 0 })
            }
            _ => return Ok(None),
        };
        // Before revision 2 a domain had one byte, and the other three were reserved: some firmware has garbage there. The
        // x2APIC entry came later and always had four. Linux reads them so too.
        if revision < 2 && entry[0] != X2APIC {
            affinity.domain &= 0xff;
        }
        Ok((flags & ENABLED != 0).then_some(affinity))
    }
}

/// The firmware's numbers of the nodes.
struct Domains {
    numbers: [u32; MAX_NODES],
    count: usize,
}

impl Domains {
    fn known(&self) -> &[u32] {
        &self.numbers[..self.count]
    }

    /// The node of a proximity domain, a new one where it was not seen before.
    fn node(&mut self, number: u32) -> Result<NodeId, Error> {
        let index = self.known().iter().position(|it| *it == number).unwrap_or(self.count);
        *self.numbers.get_mut(index).ok_or(Error::TooManyNodes)? = number;
        self.count = self.count.max(index + 1);
        NodeId::new(index as u16).ok_or(Error::TooManyNodes)
    }
}

/// Reads the matrix, whose rows and columns are counted by the firmware's numbers.
fn distances(slit: &[u8], domains: &Domains, topology: &mut Topology) -> Result<(), Malformed> {
    let fault = |at, error| Malformed { table: Table::Slit, at, error };
    let matrix = &slit[SLIT_MATRIX..];
    let side = usize::try_from(qword(slit, SLIT_COUNT)).ok();
    let side = side.filter(|side| side.checked_mul(*side) == Some(matrix.len()));
    let side = side.ok_or(fault(SLIT_COUNT, Error::BadLength))?;
    let place = |domain: u32| {
        let place = usize::try_from(domain).ok().filter(|place| *place < side);
        place.ok_or(fault(SLIT_COUNT, Error::NoDistances { domain }))
    };
    let nodes = || (0..).map_while(NodeId::new).zip(domains.known());
    for (from, row) in nodes() {
        for (to, column) in nodes() {
            let cell = place(*row)? * side + place(*column)?;
            let set = topology.set_distance(from, to, matrix[cell]);
            set.map_err(|error| fault(SLIT_MATRIX + cell, error))?;
        }
    }
    Ok(())
}

fn dword(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn qword(bytes: &[u8], at: usize) -> u64 {
    u64::from(dword(bytes, at)) | u64::from(dword(bytes, at + 4)) << 32
}
