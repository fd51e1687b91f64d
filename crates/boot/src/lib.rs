//! Parsers for what a machine hands over at boot: the PVH start info, ACPI tables, ELF programs.
//!
//! What it is: three readers of bytes that somebody else wrote, in fixed memory and bounded time. What it is not: access to
//! that memory. The bytes at physical addresses come from the caller, by [`Physical`].
//!
//! The two types to meet first: [`pvh::StartInfo`], where a kernel started by PVH begins, and [`elf::Program`].
//!
//! ```
//! use feuerbird_boot::elf::{self, Program};
//!
//! // A program is refused with the reason, whatever its bytes are.
//! assert_eq!(Program::parse(b"#!/bin/sh").err(), Some(elf::Error::NotElf));
//! ```
//!
//! # Invariants
//! 1. No bytes make a parser panic or run without end: every table is read once, and none refers to itself.
//! 2. What a parser returns lies inside what it was given: no range wraps around, none is empty.
#![no_std]
#![forbid(unsafe_code)]

pub mod acpi;
mod bytes;
pub mod elf;
pub mod pvh;

/// Physical memory, as far as the caller lets it be read.
pub trait Physical {
    /// The `length` bytes at `address`; `None` where there is no readable memory for all of them.
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]>;
}

/// A range of physical addresses: not empty, and not around the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysicalRange {
    start: u64,
    end: u64,
}

impl PhysicalRange {
    /// The range of that many bytes from `start` on; `None` where it is empty or wraps around.
    pub fn new(start: u64, bytes: u64) -> Option<Self> {
        let end = start.checked_add(bytes)?;
        (bytes > 0).then_some(Self { start, end })
    }

    /// Its first address.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The first address behind it.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Its size, at least 1.
    pub fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}
