//! Any bytes as a message of the layer that the name says.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    feuerbird_serialization_fuzz::decode(data, feuerbird_serialization::Layer::Raw.format());
});
