//! Any bytes as a message whose canonical form is made and hashed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    feuerbird_serialization_fuzz::canonical(data);
});
