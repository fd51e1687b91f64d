//! Physical memory made of one vector.
#![allow(dead_code, reason = "each test uses its part")]

use feuerbird_boot::Physical;

/// Memory that begins at [`BASE`].
#[derive(Clone, Debug)]
pub(crate) struct Memory(pub(crate) Vec<u8>);

/// Where it begins.
pub(crate) const BASE: u64 = 0x10_0000;

impl Memory {
    pub(crate) fn put(&mut self, address: u64, bytes: &[u8]) {
        let at = (address - BASE) as usize;
        if self.0.len() < at + bytes.len() {
            self.0.resize(at + bytes.len(), 0);
        }
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl Physical for Memory {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        let at = usize::try_from(address.checked_sub(BASE)?).ok()?;
        self.0.get(at..at.checked_add(length)?)
    }
}

/// Sets the byte that makes all bytes add up to 0.
pub(crate) fn fix_sum(table: &mut [u8], at: usize) {
    table[at] = 0;
    table[at] = table.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
}
