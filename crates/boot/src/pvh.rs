//! The start info of a PVH boot (Xen, `public/arch-x86/hvm/start_info.h`).

use crate::bytes::{long, word};
use crate::{Physical, PhysicalRange};

const MAGIC: u32 = 0x336e_c578;
const INFO_BYTES: usize = 56;
const MODULE_BYTES: usize = 32;
const ENTRY_BYTES: usize = 24;
const RAM: u32 = 1;

/// The longest command line that is read, in bytes.
pub const COMMAND_LINE_BYTES: usize = 256;

/// More entries than any firmware writes.
const MAX_ENTRIES: u32 = 256;

/// What the loader says about the machine.
#[derive(Clone, Copy, Debug)]
pub struct StartInfo<'a> {
    modules: &'a [u8],
    memory_map: &'a [u8],
    command_line: &'a [u8],
    rsdp: u64,
}

/// Why a start info was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It, or a list that it names, is not in readable memory.
    OutOfReach,
    /// It does not begin with the magic number.
    WrongMagic,
    /// It is from before version 1, which has no memory map.
    TooOld,
    /// A list is longer than any loader makes it.
    TooLong,
}

impl<'a> StartInfo<'a> {
    /// Reads the start info at a physical address.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(memory: &'a impl Physical, address: u64) -> Result<Self, Error> {
        let info = memory.bytes(address, INFO_BYTES).ok_or(Error::OutOfReach)?;
        if word(info, 0) != Some(MAGIC) {
            return Err(Error::WrongMagic);
        }
        if word(info, 4) == Some(0) {
            return Err(Error::TooOld);
        }
        let modules = list(memory, long(info, 16), word(info, 12), MODULE_BYTES)?;
        let memory_map = list(memory, long(info, 40), word(info, 48), ENTRY_BYTES)?;
        let command_line = long(info, 24).filter(|at| *at != 0).map_or(&[][..], |at| text(memory, at));
        Ok(Self { modules, memory_map, command_line, rsdp: long(info, 32).unwrap_or(0) })
    }

    /// Where the first ACPI table is, if the loader says so.
    pub fn rsdp(&self) -> Option<u64> {
        (self.rsdp != 0).then_some(self.rsdp)
    }

    /// What stood behind the kernel's name, up to [`COMMAND_LINE_BYTES`]; empty where it is not text.
    pub fn command_line(&self) -> &'a str {
        core::str::from_utf8(self.command_line).unwrap_or("")
    }

    /// The usable memory, as the loader lists it: not sorted, perhaps overlapping.
    pub fn memory(&self) -> impl Iterator<Item = PhysicalRange> + Clone + use<'a> {
        let usable = self.memory_map.chunks_exact(ENTRY_BYTES).filter(|entry| word(entry, 16) == Some(RAM));
        usable.filter_map(range)
    }

    /// The files that were loaded beside the kernel.
    pub fn modules(&self) -> impl Iterator<Item = PhysicalRange> + Clone + use<'a> {
        self.modules.chunks_exact(MODULE_BYTES).filter_map(range)
    }
}

/// Both kinds of entries begin with an address and a size.
fn range(entry: &[u8]) -> Option<PhysicalRange> {
    PhysicalRange::new(long(entry, 0)?, long(entry, 8)?)
}

fn list(
    memory: &impl Physical,
    address: Option<u64>,
    count: Option<u32>,
    entry: usize,
) -> Result<&[u8], Error> {
    let (address, count) = address.zip(count).ok_or(Error::OutOfReach)?;
    match count {
        0 => Ok(&[]),
        1..=MAX_ENTRIES => memory.bytes(address, count as usize * entry).ok_or(Error::OutOfReach),
        _ => Err(Error::TooLong),
    }
}

/// The bytes up to a zero.
fn text(memory: &impl Physical, address: u64) -> &[u8] {
    let all = (1..=COMMAND_LINE_BYTES).rev().find_map(|length| memory.bytes(address, length)).unwrap_or(&[]);
    let length = all.iter().position(|byte| *byte == 0).unwrap_or(all.len());
    &all[..length]
}
