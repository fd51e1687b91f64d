//! Any bytes as a packed message: unpacked within a limit, packed again, and decoded.
#![no_main]

use feuerbird_serialization::{Layer, pack, packed_bound, unpack, unpacked_size};
use feuerbird_serialization_fuzz::{bytes_of, decode};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(size) = unpacked_size(data) else { return };
    let mut words = vec![0_u64; size.min(1 << 16) / 8];
    let out = bytes_of(&mut words);
    let Ok(length) = unpack(data, out) else { return };
    let message = out[..length].to_vec();
    let mut packed = vec![0; packed_bound(length)];
    let packed_length = pack(&message, &mut packed).expect("the bound is enough");
    let mut again = vec![0_u64; length / 8];
    assert_eq!(unpack(&packed[..packed_length], bytes_of(&mut again)), Ok(length));
    assert_eq!(bytes_of(&mut again), message);
    decode(&message, Layer::Full.format());
});
