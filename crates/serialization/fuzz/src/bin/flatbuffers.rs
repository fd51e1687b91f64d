//! Any bytes as a FlatBuffer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    feuerbird_serialization_fuzz::flatbuffers(data);
});
