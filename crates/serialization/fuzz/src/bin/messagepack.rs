//! Any bytes as MessagePack.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    feuerbird_serialization_fuzz::messagepack(data);
});
