//! What the targets begin with: honest messages.

use feuerbird_serialization::{Encode, Format, Layer, Plain};

use crate::{FORMATS, LITE, everything::*, other_formats};

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
        "plain" => return plain(),
        "messagepack" | "protobuf" | "flatbuffers" => {
            let [messagepack, protobuf, flatbuffers] = other_formats::seeds();
            return match target {
                "messagepack" => messagepack,
                "protobuf" => protobuf,
                _ => flatbuffers,
            };
        }
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

fn plain() -> Vec<Vec<u8>> {
    fn of<T: Encode<Plain<V>>, V: feuerbird_serialization::PlainValue>(value: T, layer: Layer) -> Vec<u8> {
        let mut out = vec![0; value.encoded_bound(layer)];
        value.encode(layer, &mut out).expect("the bound is enough");
        out
    }
    Layer::ALL
        .iter()
        .flat_map(|&layer| [of::<_, [u64; 3]>([1_u64, 2, 3], layer), of::<_, u8>(7_u8, layer)])
        .collect()
}
