//! Any bytes as a compiled schema, for the code generator.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = feuerbird_codegen::generate(data);
});
