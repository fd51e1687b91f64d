//! What is beside the layers: plain values, packing, the canonical form, schemas.

use feuerbird_serialization::{
    Layer, Message, Plain, frame, pack, packed_bound, reflect::Schema, unpack, unpacked_size,
};

use crate::{aligned, bytes_of, decode, everything::EverythingMessage, seeds::seeds, stable};

/// A plain value, in every layer.
pub fn plain(data: &[u8]) -> bool {
    let Some(mut words) = aligned(data) else { return false };
    let bytes = stable(&mut words, data);
    let accepts = |layer| {
        let small = Plain::<u8>::decode(bytes, layer).is_ok();
        Plain::<[u64; 3]>::decode(bytes, layer).is_ok() || small
    };
    Layer::ALL.map(accepts).contains(&true)
}

/// A packed message: unpacked within a limit, packed again, and decoded.
pub fn packed(data: &[u8]) -> bool {
    let Ok(size) = unpacked_size(data) else { return false };
    let mut words = vec![0_u64; size.min(1 << 16) / 8];
    let out = bytes_of(&mut words);
    let Ok(length) = unpack(data, out) else { return false };
    let message = out[..length].to_vec();
    let mut packed = vec![0; packed_bound(length)];
    let packed_length = pack(&message, &mut packed).expect("the bound is enough");
    let mut again = vec![0_u64; length / 8];
    assert_eq!(unpack(&packed[..packed_length], bytes_of(&mut again)), Ok(length));
    assert_eq!(bytes_of(&mut again), message);
    decode(&message, Layer::Full.format())
}

/// A message whose canonical form is made and hashed: it says the same, so it has the same form and the same hash.
pub fn canonical(data: &[u8]) -> bool {
    let Some(mut words) = aligned(data) else { return false };
    if EverythingMessage::decode(stable(&mut words, data), Layer::Full).is_err() {
        return false;
    }
    let (form, hash) = canonical_of(&stable(&mut words, data));
    // In standard framing; where lists shrank to elements without a size it may be more than a reader accepts.
    let table = ((form.len() / 8) as u64) << 32;
    let framed = [&table.to_le_bytes()[..], &form].concat();
    let mut again = aligned(&framed).unwrap_or_default();
    if frame::open(stable(&mut again, &framed), Layer::Full.format(), 0, 0).is_ok() {
        assert_eq!(canonical_of(&stable(&mut again, &framed)), (form, hash));
    }
    true
}

fn canonical_of(message: &feuerbird_serialization::Stable<'_>) -> (Vec<u8>, u128) {
    let root = frame::open(*message, Layer::Full.format(), 0, 0).expect("it was accepted");
    // What was accepted may still be a level too deep to be copied: a leaf below the last level.
    let mut form = vec![0; root.canonical_bound().min(1 << 20)];
    let Ok(length) = root.canonical(&mut form) else { return (vec![], 0) };
    form.truncate(length);
    (form, root.canonical_hash([1, 2]).expect("what has a form has a hash"))
}

/// A compiled schema: for the code generator, and to read an honest message by, if it has a struct for that.
pub fn request(data: &[u8]) -> bool {
    let is_generated = feuerbird_codegen::generate(data).is_ok();
    let Some(mut words) = aligned(data) else { return false };
    let Ok(schema) = Schema::new(stable(&mut words, data)) else { return false };
    for seed in seeds("full") {
        let mut words = aligned(&seed).unwrap_or_default();
        let message = stable(&mut words, &seed);
        for structure in schema.structures().take(16) {
            if let Ok(value) = structure.decode(message, Layer::Full) {
                let _ = (value.text().to_string(), value.json().to_string());
            }
        }
    }
    is_generated
}
