//! ELF programs that are loaded where they were linked: 64-bit, little-endian, x86-64, without relocations.

use crate::bytes::{half, long, word};

const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;
const EXECUTE: u32 = 1;
const WRITE: u32 = 2;

/// The most program headers that are looked at.
const MAX_HEADERS: u16 = 32;

/// Why a program was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It does not begin as an ELF file.
    NotElf,
    /// It is for another machine, or needs relocation or an interpreter.
    WrongKind,
    /// A header or a segment lies outside the file.
    Truncated,
    /// A segment wraps around, is longer in the file than in memory, or could be both written and executed.
    BadSegment,
}

/// A program whose segments are in order.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    file: &'a [u8],
    headers: &'a [u8],
    entry: u64,
}

/// What may be done with a segment. Reading always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Writing too.
    Write,
    /// Executing too.
    Execute,
}

/// A part of a program in memory: first `bytes`, then zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where it begins.
    pub address: u64,
    /// What it begins with; at most [`length`](Self::length) bytes.
    pub bytes: &'a [u8],
    /// How long it is in memory, in bytes; `address + length` does not wrap around.
    pub length: u64,
    /// What may be done with it.
    pub access: Access,
}

impl<'a> Program<'a> {
    /// Checks a file whole.
    ///
    /// # Errors
    /// [`Error`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let header = file.get(..HEADER_BYTES).ok_or(Error::NotElf)?;
        if header[..4] != *b"\x7fELF" {
            return Err(Error::NotElf);
        }
        // 64-bit, little-endian, version 1; an executable for x86-64.
        if header[4..7] != [2, 1, 1] || half(header, 16) != Some(2) || half(header, 18) != Some(62) {
            return Err(Error::WrongKind);
        }
        let count = half(header, 56).filter(|count| *count <= MAX_HEADERS).ok_or(Error::WrongKind)?;
        if half(header, 54) != Some(PROGRAM_HEADER_BYTES as u16) {
            return Err(Error::WrongKind);
        }
        let start = long(header, 32).and_then(|at| usize::try_from(at).ok()).ok_or(Error::Truncated)?;
        let end = start.checked_add(usize::from(count) * PROGRAM_HEADER_BYTES).ok_or(Error::Truncated)?;
        let headers = file.get(start..end).ok_or(Error::Truncated)?;
        let program = Self { file, headers, entry: long(header, 24).unwrap_or(0) };
        for header in headers.chunks_exact(PROGRAM_HEADER_BYTES) {
            match word(header, 0) {
                Some(DYNAMIC | INTERPRETER) => return Err(Error::WrongKind),
                Some(LOAD) => segment(file, header).map(|_| ())?,
                _ => (),
            }
        }
        Ok(program)
    }

    /// Where it starts; anywhere at all.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// What is to be loaded, in the order of the file. May overlap: who maps it finds out.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let file = self.file;
        let loaded = self.headers.chunks_exact(PROGRAM_HEADER_BYTES).filter(|it| word(it, 0) == Some(LOAD));
        loaded.filter_map(move |header| segment(file, header).ok()).filter(|segment| segment.length > 0)
    }
}

fn segment<'a>(file: &'a [u8], header: &[u8]) -> Result<Segment<'a>, Error> {
    let number = |at| long(header, at).ok_or(Error::Truncated);
    let (offset, address, in_file, length) = (number(8)?, number(16)?, number(32)?, number(40)?);
    let access = match word(header, 4).unwrap_or(0) & (EXECUTE | WRITE) {
        0 => Access::Read,
        WRITE => Access::Write,
        EXECUTE => Access::Execute,
        _ => return Err(Error::BadSegment),
    };
    if in_file > length || address.checked_add(length).is_none() {
        return Err(Error::BadSegment);
    }
    let end = offset.checked_add(in_file).ok_or(Error::Truncated)?;
    let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok()).ok_or(Error::Truncated)?;
    let bytes = file.get(range.0..range.1).ok_or(Error::Truncated)?;
    Ok(Segment { address, bytes, length, access })
}
