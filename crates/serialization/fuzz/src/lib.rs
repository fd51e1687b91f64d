//! What the fuzz targets do: one function for each, which takes any bytes and says whether it accepted them.
//!
//! `cargo xtask ci fuzz` builds all of them and runs each for some seconds, from seeds that [`seeds::seeds`] makes; `cargo fuzz run lite`
//! works too.

mod capnp_types;
mod other_formats;
mod others;
pub mod seeds;

use feuerbird_serialization::{
    Checks, Checksum, Encode, EncodeError, Format, Framing, Layer, Message, Stable,
};

#[allow(missing_docs, dead_code, unused, clippy::all)]
pub mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
#[allow(missing_docs, dead_code, unused, unused_qualifications, clippy::all)]
pub mod everything_capnp {
    include!(concat!(env!("OUT_DIR"), "/everything_capnp.rs"));
}
use everything::*;

pub use capnp_types::capnp_types;
pub use other_formats::{flatbuffers, messagepack, protobuf};
pub use others::{canonical, packed, plain, request};

/// A target: any bytes in, and whether they were accepted.
pub type Target = fn(&[u8]) -> bool;

/// Every target by its name.
pub const TARGETS: [(&str, Target); 12] = [
    ("raw", |data| decode(data, Layer::Raw.format())),
    ("lite", |data| decode(data, LITE)),
    ("full", |data| decode(data, Layer::Full.format())),
    ("formats", decode_everywhere),
    ("packed", packed),
    ("plain", plain),
    ("canonical", canonical),
    ("capnp_types", capnp_types),
    ("request", request),
    ("messagepack", messagepack),
    ("protobuf", protobuf),
    ("flatbuffers", flatbuffers),
];

/// The longest message that is tried, in bytes.
const LONGEST: usize = 1 << 16;

/// Every framing under every amount of checks, without the checksum, which a fuzzer would not find. What stands further behind checks
/// more.
pub const FORMATS: [[Format; 3]; 3] = {
    const fn of(framing: Framing) -> [Format; 3] {
        let format = Format { framing, checks: Checks::Lengths, checksum: Checksum::Off, capabilities: 0 };
        [
            format,
            Format { checks: Checks::Pointers, ..format },
            Format { checks: Checks::TwoReaders, ..format },
        ]
    }
    [of(Framing::Bare), of(Framing::Header), of(Framing::Table)]
};

/// Lite without its checksum.
pub const LITE: Format = Layer::Lite.format().with_checksum(Checksum::Off);

/// Decodes; sends what was accepted on in every layer, where it must be accepted again as the same. Says whether it was accepted.
pub fn decode(data: &[u8], format: Format) -> bool {
    let Some(mut words) = aligned(data) else { return false };
    let Ok(view) = EverythingMessage::decode(stable(&mut words, data), format) else { return false };
    // Where nothing was checked it may be endless, but printing it and sending it on are bounded.
    let shown = format!("{view:?}");
    let is_checked = format.checks != Checks::Lengths;
    let formats =
        [Layer::Lite.format(), Layer::Full.format()].into_iter().chain(FORMATS.into_iter().flatten());
    for format in formats.filter(|format| is_checked || format.checks == Checks::Lengths) {
        let bound = view.encoded_bound(format);
        if bound == usize::MAX {
            // What nothing leads to may have paid for more elements without a size than a copy has room for.
            assert_eq!(view.encode(format, &mut []), Err(EncodeError::TooLarge));
            continue;
        }
        let mut out = vec![0_u64; bound.div_ceil(8)];
        let length = match view.encode(format, bytes_of(&mut out)) {
            // Unchecked, it may name a capability that did not come; what was checked does not.
            Err(EncodeError::NoCapability) if !is_checked => continue,
            result => result.expect("what has a bound can be copied"),
        };
        let again = Stable::new(&bytes_of(&mut out)[..length]).expect("words are aligned");
        match EverythingMessage::decode(again, format) {
            // Where nothing is checked, a copy may have more elements without a size than are printed.
            Ok(again) if is_checked && format.checks != Checks::Lengths => {
                assert_eq!(shown, format!("{again:?}"));
            }
            Ok(_) => {}
            Err(error) => panic!("a copy of what was accepted is refused: {error}"),
        }
    }
    true
}

/// Decodes under more and more checks: none accepts what a lesser one refused. Whether the most accepted it in any framing.
pub fn decode_everywhere(data: &[u8]) -> bool {
    let accepted = FORMATS.map(|formats| {
        let accepted = formats.map(|format| decode(data, format));
        assert!(accepted.is_sorted_by(|less, more| less >= more), "{formats:?}: {accepted:?}");
        accepted.iter().all(|accepted| *accepted)
    });
    accepted.contains(&true)
}

/// A copy that begins at a multiple of 8, if it is not too long.
fn aligned(data: &[u8]) -> Option<Vec<u64>> {
    let mut words = vec![0_u64; data.len().div_ceil(8)];
    bytes_of(&mut words).get_mut(..data.len()).filter(|_| data.len() <= LONGEST)?.copy_from_slice(data);
    Some(words)
}

/// What a copy begins with.
fn stable<'a>(words: &'a mut [u64], data: &[u8]) -> Stable<'a> {
    Stable::new(&bytes_of(words)[..data.len()]).expect("words are aligned")
}

/// The words as bytes.
pub fn bytes_of(words: &mut [u64]) -> &mut [u8] {
    feuerbird_serialization::zerocopy::IntoBytes::as_mut_bytes(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed that its target refuses at once seeds nothing.
    #[test]
    fn what_targets_begin_with_is_accepted() {
        for (name, target) in TARGETS {
            let seeds = seeds::seeds(name);
            assert!(!seeds.is_empty(), "{name}");
            for (number, seed) in seeds.iter().enumerate() {
                assert!(target(seed), "{name}, seed {number}");
            }
        }
    }
}
