//! Any bytes as Protocol Buffers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    feuerbird_serialization_fuzz::protobuf(data);
});
