//! Any bytes as a message for the `capnp` crate's own types.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    feuerbird_serialization_fuzz::capnp_types(data);
});
