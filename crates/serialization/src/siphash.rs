//! SipHash-2-4 with 128 bits of output, over whole words.
//!
//! By Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), and the 128-bit variant of their reference implementation.
//! Chosen because a canonical message is whole little-endian words, which is what it eats; because with a key that a peer does not
//! know, that peer cannot make two messages collide; and because it is specified, so that any program can compute it again. It
//! is no signature: for that, sign the canonical bytes.

/// A hash that words are added to.
#[derive(Clone, Copy)]
pub(crate) struct SipHash {
    v: [u64; 4],
    /// Words so far.
    words: u64,
}

impl SipHash {
    pub(crate) fn new([k0, k1]: [u64; 2]) -> Self {
        let v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { v, words: 0 }
    }

    #[inline]
    pub(crate) fn word(&mut self, word: u64) {
        self.words = self.words.wrapping_add(1);
        self.compress(word);
    }

    #[inline]
    fn compress(&mut self, word: u64) {
        self.v[3] ^= word;
        self.rounds(2);
        self.v[0] ^= word;
    }

    #[inline]
    fn rounds(&mut self, count: u32) {
        let [mut a, mut b, mut c, mut d] = self.v;
        for _ in 0..count {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.v = [a, b, c, d];
    }

    /// The reference implementation's 16 bytes as a little-endian number.
    pub(crate) fn finish(mut self) -> u128 {
        // The last word has the length in bytes, modulo 256, on top of the bytes that fill no word: there are none.
        self.compress(self.words.wrapping_mul(8) << 56);
        self.v[2] ^= 0xee;
        self.rounds(4);
        let low = self.v.iter().fold(0, |all, one| all ^ one);
        self.v[1] ^= 0xdd;
        self.rounds(4);
        let high = self.v.iter().fold(0, |all, one| all ^ one);
        u128::from(low) | u128::from(high) << 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the reference implementation's list for 128 bits, those of whole words: its key and its messages count up from 0.
    #[test]
    fn hashes_are_those_of_the_reference_implementation() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let mut hash = SipHash::new(key);
        let nothing = 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293_u128;
        assert_eq!(hash.finish(), nothing.swap_bytes());
        hash.word(key[0]);
        let one_word = 0x3b62_a9ba_6258_f561_0f83_e264_f314_97b4_u128;
        assert_eq!(hash.finish(), one_word.swap_bytes());
    }
}
