//! The formats that are not Cap'n Proto: what is accepted is written again and read as the same.

#[path = "../../../formats/tests/common/mod.rs"]
mod common;

use common::{Aligned, Case, Flat, Prost, Rmp};

use crate::LONGEST;

fn decode<C: Case>(data: &[u8]) -> bool {
    if data.len() > LONGEST {
        return false;
    }
    let Ok(reading) = C::decoded(&Aligned::new(data)) else { return false };
    assert_eq!(C::decoded(&C::encoded(&reading)).as_ref(), Ok(&reading), "{}", C::NAME);
    true
}

/// MessagePack: our own walk, then `rmp-serde`.
pub fn messagepack(data: &[u8]) -> bool {
    decode::<Rmp>(data)
}

/// Protocol Buffers, by `prost`.
pub fn protobuf(data: &[u8]) -> bool {
    decode::<Prost>(data)
}

/// FlatBuffers, verified.
pub fn flatbuffers(data: &[u8]) -> bool {
    decode::<Flat>(data)
}

/// Honest messages: `[MessagePack, Protocol Buffers, FlatBuffers]`, a small one, one that is larger, and one that nests.
pub(crate) fn seeds() -> [Vec<Vec<u8>>; 3] {
    let readings = [common::reading(0), common::reading(100), common::nested(30)];
    fn of<C: Case>(readings: &[common::Reading]) -> Vec<Vec<u8>> {
        readings.iter().map(|reading| C::encoded(reading).bytes().to_vec()).collect()
    }
    [of::<Rmp>(&readings), of::<Prost>(&readings), of::<Flat>(&readings)]
}
