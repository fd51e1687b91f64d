//! Schemas that are known only when the program runs: random ones beside the `capnp` crate's own reflection, and hostile ones.
//!
//! `FEUERBIRD_LONG=1` tries a hundred times as many random schemas.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod model;
mod request;
mod schemas;
mod second;
mod values;

/// Numbers that look random and are the same in every run with the same start.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64, by Vigna.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
