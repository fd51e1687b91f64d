//! What the fuzz targets share: a message with every kind of field, and what is done with one that was accepted.
//!
//! `cargo xtask ci fuzz` builds all of them and runs each for some seconds, from seeds that [`seeds`] makes; `cargo fuzz run lite`
//! works too.

use feuerbird_serialization::{
    Checks, Checksum, Encode, EncodeError, Format, Framing, Layer, Message, Stable,
};

#[allow(missing_docs, dead_code, unused, clippy::all)]
pub mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
use everything::*;

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
    let mut words = vec![0_u64; data.len().div_ceil(8)];
    let Some(bytes) = bytes_of(&mut words).get_mut(..data.len()).filter(|_| data.len() <= LONGEST) else {
        return false;
    };
    bytes.copy_from_slice(data);
    let stable = Stable::new(bytes).expect("words are aligned");
    let Ok(view) = EverythingMessage::decode(stable, format) else { return false };
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
        let length = view.encode(format, bytes_of(&mut out)).expect("what has a bound can be copied");
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

/// Decodes under more and more checks: none accepts what a lesser one refused.
pub fn decode_everywhere(data: &[u8]) {
    for format in FORMATS {
        let accepted = format.map(|format| decode(data, format));
        assert!(accepted.is_sorted_by(|less, more| less >= more), "{format:?}: {accepted:?}");
    }
}

/// The words as bytes.
pub fn bytes_of(words: &mut [u64]) -> &mut [u8] {
    feuerbird_serialization::zerocopy::IntoBytes::as_mut_bytes(words)
}

/// Compiled schemas.
const REQUESTS: [&[u8]; 2] = [
    include_bytes!("../../../../schemas/sample.capnp.request"),
    include_bytes!("../../../../schemas/everything.capnp.request"),
];

/// Honest messages to begin with, for a target.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let leaf = Tree { label: "leaf", ..Tree::default() };
    let tree = Tree { label: "root", children: &[leaf, leaf], next: Some(&leaf) };
    let lists = Lists {
        bools: &[true, false],
        uint64s: &[1, 2],
        texts: &["a", "b"],
        structs: &[Numbers { int32: 1, ..Numbers::default() }],
        nested: &[&[1, 2]],
        ..Lists::default()
    };
    let shape = Shape { which: ShapeWhich::Label("label"), ..Shape::default() };
    let everything = Everything {
        numbers: Some(&Numbers { int64: 1, ..Numbers::default() }),
        lists: Some(&lists),
        tree: Some(&tree),
        shapes: &[shape],
        text: "text",
        data: b"data",
        ..Everything::default()
    };
    let encoded = |value: &Everything<'_>, format: Format| {
        let mut out = vec![0; value.encoded_bound(format)];
        value.encode(format, &mut out).expect("the bound is enough");
        out
    };
    let values = [Everything::default(), everything];
    let formats = match target {
        "raw" => vec![Layer::Raw.format()],
        "lite" => vec![LITE],
        "formats" => FORMATS.map(|format| format[0]).to_vec(),
        "request" => return REQUESTS.map(<[u8]>::to_vec).to_vec(),
        _ => vec![Layer::Full.format()],
    };
    let seeds = formats.iter().flat_map(|format| values.iter().map(|value| encoded(value, *format)));
    if target != "packed" {
        return seeds.collect();
    }
    seeds
        .map(|seed| {
            let mut packed = vec![0; feuerbird_serialization::packed_bound(seed.len())];
            let length = feuerbird_serialization::pack(&seed, &mut packed).expect("the bound is enough");
            packed.truncate(length);
            packed
        })
        .collect()
}
