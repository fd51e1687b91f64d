//! The firmware's words: the SRAT and SLIT tables (ACPI specification 6.5, sections 5.2.16 and 5.2.17).
//!
//! The tables come from outside: every length is checked, every entry is looked at once, nothing is trusted.

use core::fmt;

use crate::{Error, MAX_NODES, NodeId, Topology};

const LENGTH: usize = 4;
const REVISION: usize = 8;
const CHECKSUM: usize = 9;
const HEADER_BYTES: usize = 36;
const SRAT_ENTRIES: usize = 48;
const SLIT_MATRIX: usize = 44;

const PROCESSOR: u8 = 0;
const MEMORY: u8 = 1;
const X2APIC: u8 = 2;
const ENABLED: u32 = 1;

/// From this revision of the SRAT on, proximity domains have 32 bits; before, 8, and the rest is reserved.
const WIDE_DOMAINS: u8 = 2;

/// One of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Which processors and memory belong to which proximity domain.
    Srat,
    /// How far the proximity domains are from each other.
    Slit,
}

/// A table that was refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The table.
    pub table: Table,
    /// What is wrong with it.
    pub error: Error,
    /// The byte of the table at which it stops making sense: where the entry, field or cell starts, or the table's end where
    /// something is missing.
    pub at: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = if self.table == Table::Srat { "SRAT" } else { "SLIT" };
        match self.error {
            // Says itself where.
            error @ Error::BadLength { .. } => write!(f, "{table}: {error}"),
            error => write!(f, "{table}: {error}, at byte {}", self.at),
        }
    }
}

impl core::error::Error for Malformed {}

/// What is wrong, and at which byte.
struct Fault {
    error: Error,
    at: usize,
}

impl Fault {
    fn of(self, table: Table) -> Malformed {
        Malformed { table, error: self.error, at: self.at }
    }
}

/// Turns what is wrong into a fault at a byte.
fn at(at: usize) -> impl Fn(Error) -> Fault {
    move |error| Fault { error, at }
}

fn bad_length(at: usize) -> Fault {
    Fault { error: Error::BadLength { at }, at }
}

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

/// Reads the topology from an SRAT and, where there is one, a SLIT.
///
/// Processors are numbered by their APIC id, so an id from [`MAX_CPUS`](crate::MAX_CPUS) on is refused. Nodes are numbered
/// in the order in which their proximity domains appear. Memory that may be plugged in later counts in full.
///
/// # Errors
/// [`Malformed`], with the table and the byte where it stops making sense.
pub fn topology(srat: &[u8], slit: Option<&[u8]>) -> Result<Topology, Malformed> {
    let mut topology = Topology::empty();
    let mut domains = Domains { numbers: [0; MAX_NODES], count: 0 };
    affinities(srat, &mut domains, &mut topology).map_err(|fault| fault.of(Table::Srat))?;
    if let Some(slit) = slit {
        distances(slit, &domains, &mut topology).map_err(|fault| fault.of(Table::Slit))?;
    }
    Ok(topology)
}

fn affinities(srat: &[u8], domains: &mut Domains, topology: &mut Topology) -> Result<(), Fault> {
    let srat = checked(srat, *b"SRAT", SRAT_ENTRIES)?;
    let is_wide = srat[REVISION] >= WIDE_DOMAINS;
    let mut start = SRAT_ENTRIES;
    while start < srat.len() {
        let length = usize::from(*srat.get(start + 1).ok_or_else(|| bad_length(start))?);
        let entry = srat.get(start..start + length).filter(|entry| entry.len() >= least_length(srat[start]));
        let entry = entry.ok_or_else(|| bad_length(start))?;
        if let Some(Affinity { domain, cpu, bytes }) = Affinity::of(entry, is_wide) {
            let grown = domains.node(domain).and_then(|node| topology.grow(node, cpu, bytes));
            grown.map_err(at(start))?;
        }
        start += length;
    }
    if topology.is_empty() { Err(at(srat.len())(Error::Empty)) } else { Ok(()) }
}

/// The length that the specification gives an entry of this kind; a later version may add to it. Of a kind that is not known,
/// at least its own kind and length: an entry of no length would never end.
fn least_length(kind: u8) -> usize {
    match kind {
        PROCESSOR => 16,
        MEMORY => 40,
        X2APIC => 24,
        _ => 2,
    }
}

/// What an entry says: this processor, or so much memory, is in that domain.
struct Affinity {
    domain: u32,
    cpu: Option<u32>,
    bytes: u64,
}

impl Affinity {
    /// `None` where the entry, which is as long as its kind, says nothing about this machine.
    fn of(entry: &[u8], is_wide: bool) -> Option<Self> {
        let width = if is_wide { u32::MAX } else { 0xff };
        let (this, flags) = match entry[0] {
            PROCESSOR => {
                let domain = u32::from_le_bytes([entry[2], entry[9], entry[10], entry[11]]) & width;
                (Self { domain, cpu: Some(entry[3].into()), bytes: 0 }, dword(entry, 4)?)
            }
            MEMORY => {
                let bytes = u64::from(dword(entry, 16)?) | u64::from(dword(entry, 20)?) << 32;
                (Self { domain: dword(entry, 2)? & width, cpu: None, bytes }, dword(entry, 28)?)
            }
            X2APIC => {
                let (domain, cpu) = (dword(entry, 4)?, Some(dword(entry, 8)?));
                (Self { domain, cpu, bytes: 0 }, dword(entry, 12)?)
            }
            // Kinds of other machines, and of later versions.
            _ => return None,
        };
        (flags & ENABLED != 0).then_some(this)
    }
}

fn distances(slit: &[u8], domains: &Domains, topology: &mut Topology) -> Result<(), Fault> {
    let slit = checked(slit, *b"SLIT", SLIT_MATRIX)?;
    let bad = || bad_length(HEADER_BYTES);
    let localities =
        dword(slit, 36).zip(dword(slit, 40)).map(|(low, high)| u64::from(low) | u64::from(high) << 32);
    let localities = localities.and_then(|count| usize::try_from(count).ok()).ok_or_else(bad)?;
    let cells = localities.checked_mul(localities).ok_or_else(bad)?;
    let matrix = &slit[SLIT_MATRIX..];
    if matrix.len() != cells {
        return Err(bad());
    }
    let known = &domains.numbers[..domains.count];
    // A table for fewer localities than there are domains.
    if let Some(number) = known.iter().copied().find(|number| *number as usize >= localities) {
        return Err(at(HEADER_BYTES)(Error::NoSuchNode { number }));
    }
    for (from, row) in known.iter().enumerate() {
        for (to, column) in known.iter().enumerate() {
            let cell = *row as usize * localities + *column as usize;
            let ids = NodeId::new(from as u16).zip(NodeId::new(to as u16)).ok_or(Error::TooManyNodes);
            let set = ids.and_then(|(from, to)| topology.set_distance(from, to, matrix[cell]));
            set.map_err(at(SLIT_MATRIX + cell))?;
        }
    }
    Ok(())
}

/// Checks what all tables share: signature, length, checksum.
fn checked(bytes: &[u8], signature: [u8; 4], least: usize) -> Result<&[u8], Fault> {
    let bad = || bad_length(LENGTH);
    if bytes.len() < HEADER_BYTES {
        return Err(bad());
    }
    if bytes[..4] != signature {
        return Err(at(0)(Error::WrongSignature));
    }
    let length = dword(bytes, LENGTH).map_or(0, |length| length as usize);
    let table = bytes.get(..length).filter(|table| table.len() >= least).ok_or_else(bad)?;
    let sum = table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if sum == 0 { Ok(table) } else { Err(at(CHECKSUM)(Error::BadChecksum)) }
}

fn dword(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}
