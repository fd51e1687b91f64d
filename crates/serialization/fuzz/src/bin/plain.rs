//! Any bytes as a plain value, in every layer.
#![no_main]

use feuerbird_serialization::{Layer, Message, Plain, Stable};
use feuerbird_serialization_fuzz::bytes_of;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut words = vec![0_u64; data.len().div_ceil(8)];
    let bytes = &mut bytes_of(&mut words)[..data.len()];
    bytes.copy_from_slice(data);
    for layer in Layer::ALL {
        let Ok(stable) = Stable::new(bytes) else { return };
        let _ = Plain::<[u64; 3]>::decode(stable, layer);
        let _ = Plain::<u8>::decode(stable, layer);
    }
});
