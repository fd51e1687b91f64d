//! What a message carries: bytes that follow from its producer and its number, so that whoever receives it knows them.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The first word of a payload. Two messages differ in every word.
#[inline]
fn seed(producer: u32, sequence: u64) -> u64 {
    // The finaliser of splitmix64 (Steele, Lea, Flood 2014).
    let mut word = (sequence << 16 ^ u64::from(producer)).wrapping_add(STEP);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// Four lanes, so that a processor can work on several words at a time (FNV-1a, a word at a time).
#[derive(Clone, Copy)]
struct Digest([u64; 4]);

impl Digest {
    #[inline]
    fn new() -> Self {
        Self([0xcbf2_9ce4_8422_2325, 1, 2, 3])
    }

    #[inline]
    fn add(&mut self, lane: usize, word: u64) {
        self.0[lane] = (self.0[lane] ^ word).wrapping_mul(PRIME);
    }

    #[inline]
    fn finish(self) -> u64 {
        self.0.into_iter().fold(0, |sum, lane| (sum ^ lane).wrapping_mul(PRIME).rotate_left(23))
    }
}

/// Fills a payload, wherever it lies, and returns its digest.
#[inline]
pub(crate) fn fill(producer: u32, sequence: u64, payload: &mut [u8]) -> u64 {
    let mut word = seed(producer, sequence);
    let mut digest = Digest::new();
    for block in payload.chunks_mut(32) {
        for (lane, place) in block.chunks_mut(8).enumerate() {
            place.copy_from_slice(&word.to_le_bytes()[..place.len()]);
            digest.add(lane, partial(place));
            word = word.wrapping_add(STEP);
        }
    }
    digest.finish()
}

/// Whether a payload is what its producer and number imply, byte for byte, and its digest that of these bytes.
#[inline]
pub(crate) fn is_intact(producer: u32, sequence: u64, payload: &[u8], claimed: u64) -> bool {
    let mut word = seed(producer, sequence);
    let mut digest = Digest::new();
    let mut difference = 0;
    for block in payload.chunks(32) {
        for (lane, bytes) in block.chunks(8).enumerate() {
            let found = partial(bytes);
            let mut expected = word;
            if bytes.len() < 8 {
                expected &= (1 << (8 * bytes.len())) - 1;
            }
            difference |= found ^ expected;
            digest.add(lane, found);
            word = word.wrapping_add(STEP);
        }
    }
    difference == 0 && digest.finish() == claimed
}

/// Up to eight bytes as a word.
#[inline]
fn partial(bytes: &[u8]) -> u64 {
    match bytes.try_into() {
        Ok(whole) => u64::from_le_bytes(whole),
        Err(_) => bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn an_intact_payload_is_told_from_one_with_any_bit_changed() {
        for length in [0, 1, 7, 8, 9, 31, 32, 33, 64, 100] {
            let mut payload = vec![0; length];
            let digest = fill(3, 17, &mut payload);
            assert!(is_intact(3, 17, &payload, digest), "{length}");
            assert!(!is_intact(3, 17, &payload, digest ^ 1), "{length}");
            for bit in 0..length * 8 {
                payload[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_intact(3, 17, &payload, digest), "bit {bit} of {length} bytes");
                payload[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn another_message_has_another_payload() {
        let mut payload = [0; 64];
        let digest = fill(0, 1, &mut payload);
        assert!(!is_intact(1, 1, &payload, digest) && !is_intact(0, 2, &payload, digest));
    }
}
