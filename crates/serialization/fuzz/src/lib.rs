//! What the fuzz targets share: a message with every kind of field, and what is done with one that was accepted.
//!
//! `cargo xtask ci fuzz` builds all of them and runs each for some seconds, from seeds that [`seeds`] makes; `cargo fuzz run lite`
//! works too.

use feuerbird_serialization::{DecodeError, Encode, Format, Layer, Message, Stable};

#[allow(missing_docs, dead_code, unused, clippy::all)]
pub mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
use everything::*;

/// The longest message that is tried, in bytes.
const LONGEST: usize = 1 << 16;

/// Decodes; sends what was accepted on in every layer, where it must be accepted again as the same.
pub fn decode(data: &[u8], format: Format) {
    let mut words = vec![0_u64; data.len().div_ceil(8)];
    let Some(bytes) = bytes_of(&mut words).get_mut(..data.len()).filter(|_| data.len() <= LONGEST) else { return };
    bytes.copy_from_slice(data);
    let Ok(stable) = Stable::new(bytes) else { return };
    let Ok(view) = EverythingMessage::decode(stable, format) else { return };
    if format == Layer::Raw.format() {
        // Nothing was checked: it may be endless, but sending it on is bounded.
        let mut out = vec![0_u64; 4 * LONGEST / 8];
        let _ = view.encode(Layer::Full, bytes_of(&mut out));
        return;
    }
    let shown = format!("{view:?}");
    for layer in [Layer::Lite, Layer::Full] {
        let mut out = vec![0_u64; view.encoded_bound(layer).div_ceil(8)];
        let length = view.encode(layer, bytes_of(&mut out)).expect("what was checked can be copied");
        let again = Stable::new(&bytes_of(&mut out)[..length]).expect("aligned");
        match EverythingMessage::decode(again, layer) {
            Ok(again) => assert_eq!(shown, format!("{again:?}")),
            // Elements without a size count against a budget in proportion to the message, and a copy has no words that
            // nothing leads to.
            Err(DecodeError::Amplified) => {}
            Err(error) => panic!("a copy of what was accepted is refused: {error}"),
        }
    }
}

/// The words as bytes.
pub fn bytes_of(words: &mut [u64]) -> &mut [u8] {
    feuerbird_serialization::zerocopy::IntoBytes::as_mut_bytes(words)
}

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
    let format = match target {
        "raw" => Layer::Raw.format(),
        "lite" => LITE,
        "request" => return vec![include_bytes!("../../../../schemas/sample.capnp.request").to_vec()],
        _ => Layer::Full.format(),
    };
    let seeds = values.iter().map(|value| encoded(value, format));
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

/// Lite without its checksum, which a fuzzer would not find.
pub const LITE: Format = Layer::Lite.format().with_checksum(feuerbird_serialization::Checksum::Off);
