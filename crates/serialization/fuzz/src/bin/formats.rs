//! Any bytes as a message in every framing, under every amount of checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    feuerbird_serialization_fuzz::decode_everywhere(data);
});
