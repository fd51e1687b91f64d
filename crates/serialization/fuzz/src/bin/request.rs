//! Any bytes as a compiled schema: for the code generator, and to read an honest message by, if it has a struct for that.
#![no_main]

use feuerbird_serialization::{Layer, Stable, reflect::Schema};
use feuerbird_serialization_fuzz::{bytes_of, seeds};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = feuerbird_codegen::generate(data);
    let mut words = vec![0_u64; data.len().div_ceil(8)];
    let request = &mut bytes_of(&mut words)[..data.len()];
    request.copy_from_slice(data);
    let Ok(schema) = Schema::new(Stable::new(request).expect("words are aligned")) else { return };
    for seed in seeds("full") {
        let mut words = vec![0_u64; seed.len() / 8];
        bytes_of(&mut words).copy_from_slice(&seed);
        let message = Stable::new(bytes_of(&mut words)).expect("words are aligned");
        for structure in schema.structures().take(16) {
            if let Ok(value) = structure.decode(message, Layer::Full) {
                let _ = (value.text().to_string(), value.json().to_string());
            }
        }
    }
});
