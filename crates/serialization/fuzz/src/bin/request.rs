//! Any bytes as a compiled schema.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    feuerbird_serialization_fuzz::request(data);
});
