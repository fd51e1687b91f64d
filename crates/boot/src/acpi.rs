//! ACPI tables: from the RSDP over the XSDT (or the RSDT) to those a kernel without AML needs.
//!
//! Section numbers are those of the ACPI specification 6.5. The SRAT's processors and distances are `feuerbird-numa`'s part;
//! here are only its memory ranges, which frames need.

use crate::bytes::{long, word};
use crate::{Physical, PhysicalRange};

const HEADER_BYTES: usize = 36;
const RSDP_BYTES: usize = 20;
const RSDP2_BYTES: usize = 36;

/// Longer than any table that is read here.
const MAX_TABLE_BYTES: usize = 1 << 20;

/// Why a table was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is not in readable memory.
    OutOfReach,
    /// It does not begin with its name.
    WrongSignature,
    /// Its bytes do not add up to 0.
    BadChecksum,
    /// Its length is less than its header or more than any table's.
    BadLength,
    /// An entry is longer than what is left, or shorter than its kind.
    BadEntry,
}

/// The list of tables: section 5.2.7 and 5.2.8.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a, P> {
    memory: &'a P,
    entries: &'a [u8],
    width: usize,
}

impl<'a, P: Physical> Root<'a, P> {
    /// Reads the RSDP at a physical address, and the list that it names.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(memory: &'a P, rsdp: u64) -> Result<Self, Error> {
        let first = memory.bytes(rsdp, RSDP_BYTES).ok_or(Error::OutOfReach)?;
        if &first[..8] != b"RSD PTR " {
            return Err(Error::WrongSignature);
        }
        check_sum(first)?;
        if first[15] >= 2 {
            let all = memory.bytes(rsdp, RSDP2_BYTES).ok_or(Error::OutOfReach)?;
            check_sum(all)?;
            let address = long(all, 24).unwrap_or(0);
            if address != 0 {
                let xsdt = checked_table(memory, address, *b"XSDT")?;
                return Ok(Self { memory, entries: &xsdt[HEADER_BYTES..], width: 8 });
            }
        }
        let address = word(first, 16).unwrap_or(0);
        let rsdt = checked_table(memory, address.into(), *b"RSDT")?;
        Ok(Self { memory, entries: &rsdt[HEADER_BYTES..], width: 4 })
    }

    /// The table of that name, whole and checked; `None` where there is none that is in order.
    pub fn table(&self, signature: [u8; 4]) -> Option<&'a [u8]> {
        let addresses = self.entries.chunks_exact(self.width);
        let mut addresses = addresses.filter_map(|entry| long(entry, 0).or(word(entry, 0).map(u64::from)));
        addresses.find_map(|address| checked_table(self.memory, address, signature).ok())
    }
}

fn checked_table(memory: &impl Physical, address: u64, signature: [u8; 4]) -> Result<&[u8], Error> {
    let header = memory.bytes(address, HEADER_BYTES).ok_or(Error::OutOfReach)?;
    if header[..4] != signature {
        return Err(Error::WrongSignature);
    }
    let length = word(header, 4).unwrap_or(0) as usize;
    if !(HEADER_BYTES..=MAX_TABLE_BYTES).contains(&length) {
        return Err(Error::BadLength);
    }
    let table = memory.bytes(address, length).ok_or(Error::OutOfReach)?;
    check_sum(table).map(|()| table)
}

fn check_sum(bytes: &[u8]) -> Result<(), Error> {
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if sum == 0 { Ok(()) } else { Err(Error::BadChecksum) }
}

/// The entries of a table that are a kind, a length and the rest.
#[derive(Clone, Debug)]
struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.rest.get(1).map_or(0, |length| usize::from(*length));
        let split = if length < 2 { None } else { self.rest.split_at_checked(length) };
        let Some((entry, rest)) = split else {
            self.rest = &[];
            return Some(Err(Error::BadEntry));
        };
        self.rest = rest;
        Some(Ok(entry))
    }
}

/// The processors that can be started: section 5.2.12.
#[derive(Clone, Debug)]
pub struct Madt<'a> {
    local_apic: u64,
    entries: Entries<'a>,
}

impl<'a> Madt<'a> {
    /// Reads a checked table.
    ///
    /// # Errors
    /// [`Error::BadLength`], [`Error::BadEntry`].
    pub fn parse(table: &'a [u8]) -> Result<Self, Error> {
        let mut local_apic = u64::from(word(table, 36).ok_or(Error::BadLength)?);
        let entries = Entries { rest: table.get(44..).ok_or(Error::BadLength)? };
        for entry in entries.clone() {
            let entry = entry?;
            let least = match entry[0] {
                0 => 8,
                1 | 5 => 12,
                9 => 16,
                _ => 2,
            };
            if entry.len() < least {
                return Err(Error::BadEntry);
            }
            if entry[0] == 5 {
                local_apic = long(entry, 4).ok_or(Error::BadEntry)?;
            }
        }
        Ok(Self { local_apic, entries })
    }

    /// Where the local APIC's registers are.
    pub fn local_apic(&self) -> u64 {
        self.local_apic
    }

    /// The interrupt controllers for devices: where their registers are, and the first line of each.
    pub fn io_apics(&self) -> impl Iterator<Item = (u64, u32)> + use<'a> {
        self.entries.clone().filter_map(|entry| {
            let entry = entry.ok()?;
            (entry[0] == 1).then_some((u64::from(word(entry, 4)?), word(entry, 8)?))
        })
    }

    /// The APIC ids of the processors that may be used, in the order of the table.
    pub fn processors(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.entries.clone().filter_map(|entry| {
            let entry = entry.ok()?;
            let (id, flags) = match entry[0] {
                0 => (u32::from(*entry.get(3)?), word(entry, 4)?),
                9 => (word(entry, 4)?, word(entry, 8)?),
                _ => return None,
            };
            (flags & 1 != 0).then_some(id)
        })
    }
}

/// The most proximity domains that are told apart.
pub const MAX_NODES: usize = 64;

/// The memory ranges of an SRAT with the index of their node: section 5.2.16. Nodes count from 0 in the order in which their
/// proximity domains appear, processors and memory alike, as `feuerbird-numa` counts them.
///
/// # Errors
/// [`Error::BadLength`], [`Error::BadEntry`], also for more than [`MAX_NODES`].
pub fn memory_nodes(srat: &[u8], mut found: impl FnMut(PhysicalRange, u16)) -> Result<(), Error> {
    let entries = Entries { rest: srat.get(48..).ok_or(Error::BadLength)? };
    let is_wide = srat[8] >= 2;
    let mut domains = [0; MAX_NODES];
    let mut count = 0;
    for entry in entries {
        let Some((domain, range)) = affinity(entry?, is_wide)? else { continue };
        let node = match domains[..count].iter().position(|known| *known == domain) {
            Some(node) => node,
            None => {
                *domains.get_mut(count).ok_or(Error::BadEntry)? = domain;
                count += 1;
                count - 1
            }
        };
        if let Some(range) = range {
            found(range, node as u16);
        }
    }
    Ok(())
}

/// The proximity domain of an entry that is enabled, and the memory in it.
fn affinity(entry: &[u8], is_wide: bool) -> Result<Option<(u32, Option<PhysicalRange>)>, Error> {
    let width = if is_wide { u32::MAX } else { 0xff };
    let number = |at| word(entry, at).ok_or(Error::BadEntry);
    let (domain, flags, range) = match entry[0] {
        0 => {
            let high = word(entry, 8).ok_or(Error::BadEntry)? & 0xffff_ff00;
            ((high | u32::from(entry[2])) & width, number(4)?, None)
        }
        1 => {
            let (start, bytes) = long(entry, 8).zip(long(entry, 16)).ok_or(Error::BadEntry)?;
            (number(2)? & width, number(28)?, PhysicalRange::new(start, bytes))
        }
        2 => (number(4)?, number(12)?, None),
        _ => return Ok(None),
    };
    Ok((flags & 1 != 0).then_some((domain, range)))
}
