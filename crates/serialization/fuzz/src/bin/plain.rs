//! Any bytes as a plain value, in every layer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    feuerbird_serialization_fuzz::plain(data);
});
