//! The firmware's words: the SRAT and SLIT tables (ACPI specification 6.5, sections 5.2.16 and 5.2.17).
//!
//! The tables come from outside: every length is checked, every entry is looked at once, nothing is trusted.

use crate::{Error, MAX_NODES, NodeId, Topology};

const HEADER_BYTES: usize = 36;
const SRAT_ENTRIES: usize = 48;
const SLIT_MATRIX: usize = 44;

const PROCESSOR: u8 = 0;
const MEMORY: u8 = 1;
const X2APIC: u8 = 2;
const ENABLED: u32 = 1;

/// Firmware numbers its proximity domains as it likes; nodes count from 0 in the order of appearance.
#[derive(Clone, Copy, Debug)]
struct Domains {
    numbers: [u32; MAX_NODES],
    count: usize,
}

impl Domains {
    fn node(&mut self, number: u32) -> Result<NodeId, Error> {
        let known = self.numbers[..self.count].iter().position(|it| *it == number);
        let index = match known {
            Some(index) => index,
            None => {
                *self.numbers.get_mut(self.count).ok_or(Error::TooManyNodes)? = number;
                self.count += 1;
                self.count - 1
            }
        };
        NodeId::new(index as u16).ok_or(Error::TooManyNodes)
    }
}

/// Reads the topology from an SRAT and, where there is one, a SLIT. Processors are numbered by their APIC id.
///
/// # Errors
/// [`Error`], with the byte where the table stops making sense.
pub fn topology(srat: &[u8], slit: Option<&[u8]>) -> Result<Topology, Error> {
    let srat = table(srat, *b"SRAT", SRAT_ENTRIES)?;
    let mut topology = Topology::empty();
    let mut domains = Domains { numbers: [0; MAX_NODES], count: 0 };
    let mut at = SRAT_ENTRIES;
    while at < srat.len() {
        let bad = Error::BadLength { at };
        let length = usize::from(*srat.get(at + 1).ok_or(bad)?);
        let entry = srat.get(at..at + length).filter(|entry| entry.len() >= 2).ok_or(bad)?;
        affinity(entry, &mut domains, &mut topology).ok_or(bad)??;
        at += length;
    }
    if topology.is_empty() {
        return Err(Error::Empty);
    }
    if let Some(slit) = slit {
        distances(table(slit, *b"SLIT", SLIT_MATRIX)?, &domains, &mut topology)?;
    }
    Ok(topology)
}

/// One affinity structure. `None` where it is shorter than its kind.
fn affinity(entry: &[u8], domains: &mut Domains, topology: &mut Topology) -> Option<Result<(), Error>> {
    let (domain, cpu, bytes, flags) = match entry[0] {
        PROCESSOR => {
            let high = entry.get(9..12)?;
            let domain = u32::from_le_bytes([*entry.get(2)?, high[0], high[1], high[2]]);
            (domain, Some(u32::from(*entry.get(3)?)), 0, dword(entry, 4)?)
        }
        MEMORY => {
            let bytes = u64::from(dword(entry, 16)?) | u64::from(dword(entry, 20)?) << 32;
            (dword(entry, 2)?, None, bytes, dword(entry, 28)?)
        }
        X2APIC => (dword(entry, 4)?, Some(dword(entry, 8)?), 0, dword(entry, 12)?),
        // Kinds of other machines, and of later versions.
        _ => return Some(Ok(())),
    };
    if flags & ENABLED == 0 {
        return Some(Ok(()));
    }
    Some(domains.node(domain).and_then(|node| topology.grow(node, cpu, bytes)))
}

fn distances(slit: &[u8], domains: &Domains, topology: &mut Topology) -> Result<(), Error> {
    let bad = Error::BadLength { at: HEADER_BYTES };
    let localities =
        dword(slit, 36).zip(dword(slit, 40)).map(|(low, high)| u64::from(low) | u64::from(high) << 32);
    let localities = localities.and_then(|count| usize::try_from(count).ok()).ok_or(bad)?;
    let cells = localities.checked_mul(localities).ok_or(bad)?;
    let matrix = &slit[SLIT_MATRIX..];
    if matrix.len() != cells {
        return Err(bad);
    }
    let known = &domains.numbers[..domains.count];
    for (from, row) in known.iter().enumerate() {
        for (to, column) in known.iter().enumerate() {
            let (row, column) = (*row as usize, *column as usize);
            if row >= localities || column >= localities {
                return Err(Error::NoSuchNode { number: row.max(column) as u32 });
            }
            let ids = NodeId::new(from as u16).zip(NodeId::new(to as u16)).ok_or(Error::TooManyNodes)?;
            topology.set_distance(ids.0, ids.1, matrix[row * localities + column])?;
        }
    }
    Ok(())
}

/// Checks what all tables share: signature, length, checksum.
fn table(bytes: &[u8], signature: [u8; 4], least: usize) -> Result<&[u8], Error> {
    let bad = Error::BadLength { at: 4 };
    if bytes.len() < HEADER_BYTES {
        return Err(bad);
    }
    if bytes[..4] != signature {
        return Err(Error::WrongSignature);
    }
    let length = dword(bytes, 4).map_or(0, |length| length as usize);
    let table = bytes.get(..length).filter(|table| table.len() >= least).ok_or(bad)?;
    let sum = table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if sum == 0 { Ok(table) } else { Err(Error::BadChecksum) }
}

fn dword(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}
