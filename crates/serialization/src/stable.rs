//! Whether bytes can still change: a property of memory that a type says.

use crate::DecodeError;

/// Bytes that nobody can change while they are read: a private copy, sealed memory, or memory under the loan discipline of a
/// trusted sender. They start at a multiple of 8.
///
/// Only these can be decoded. Memory that a peer may write is a [`Shared`], which offers a copy and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Stable<'a> {
    bytes: &'a [u8],
    capabilities: u32,
}

impl<'a> Stable<'a> {
    /// These bytes, with no capability beside them. That they do not change is what a `&[u8]` means in Rust.
    ///
    /// # Errors
    /// [`DecodeError::Misaligned`] if they do not start at a multiple of 8.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.as_ptr().addr().is_multiple_of(8) {
            Ok(Self { bytes, capabilities: 0 })
        } else {
            Err(DecodeError::Misaligned)
        }
    }

    /// The same bytes, beside which so many capabilities were received: pointers that stand for them are accepted.
    #[inline]
    #[must_use]
    pub const fn with_capabilities(self, capabilities: u32) -> Self {
        Self { capabilities, ..self }
    }

    /// The bytes.
    #[inline]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many capabilities were received beside them.
    #[inline]
    pub const fn capabilities(&self) -> u32 {
        self.capabilities
    }
}

/// Memory that can be copied out of while somebody else writes it.
///
/// Implementations read each byte at most once per call and never make a reference to the memory; what they copy may be a mixture
/// of what was written at different times. `[AtomicU64]` is one, made of relaxed loads.
pub trait CopyOut {
    /// How many bytes there are; never changes.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the bytes from `at` on, both multiples of 8 but for the end of `out`.
    ///
    /// # Panics
    /// If there are fewer.
    fn copy_out(&self, at: usize, out: &mut [u8]);
}

impl CopyOut for [core::sync::atomic::AtomicU64] {
    fn len(&self) -> usize {
        size_of_val(self)
    }

    #[inline]
    fn copy_out(&self, at: usize, out: &mut [u8]) {
        use core::sync::atomic::Ordering::Relaxed;
        let words = &self[at / 8..][..out.len().div_ceil(8)];
        let (places, rest) = out.as_chunks_mut::<8>();
        places.iter_mut().zip(words).for_each(|(place, word)| *place = word.load(Relaxed).to_ne_bytes());
        if let (Some(last), false) = (words.last(), rest.is_empty()) {
            let last = last.load(Relaxed).to_ne_bytes();
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// A message in memory that its sender may still write: copied out before anything of it is believed.
///
/// It gives no slice and no reference, because Rust has none to memory that changes:
///
/// ```compile_fail
/// # use feuerbird_serialization::Shared;
/// # fn decode(memory: &[std::sync::atomic::AtomicU64]) {
/// let bytes: &[u8] = Shared::new(memory).bytes();
/// # }
/// ```
///
/// ```
/// use std::sync::atomic::AtomicU64;
/// use feuerbird_serialization::{Layer, Message, Plain, Shared};
/// use zerocopy::IntoBytes;
///
/// let shared = [const { AtomicU64::new(42) }; 4]; // memory that a peer may write
/// let mut private = [0_u64; 4];
/// let stable = Shared::new(&shared[..]).copy_into(8, private.as_mut_bytes())?;
/// assert_eq!(Plain::<u64>::decode(stable, Layer::Raw)?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a, M: ?Sized>(&'a M);

impl<'a, M: CopyOut + ?Sized> Shared<'a, M> {
    /// This memory.
    pub const fn new(memory: &'a M) -> Self {
        Self(memory)
    }

    /// Copies the first `length` bytes, once, into `private`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if the memory is shorter; [`DecodeError::NoRoom`] if `private` is, and
    /// [`DecodeError::Misaligned`] if it does not start at a multiple of 8.
    #[inline]
    pub fn copy_into(self, length: usize, private: &mut [u8]) -> Result<Stable<'_>, DecodeError> {
        if length > self.0.len() {
            return Err(DecodeError::Truncated);
        }
        let private = private.get_mut(..length).ok_or(DecodeError::NoRoom)?;
        self.0.copy_out(0, private);
        Stable::new(private)
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use zerocopy::IntoBytes;

    use super::*;

    #[test]
    fn whose_memory_is_too_short_is_to_blame() {
        let memory = [const { AtomicU64::new(7) }; 4];
        let mut private = [0_u64; 4];
        let mut copy = |length, room: usize| {
            Shared::new(&memory[..])
                .copy_into(length, &mut private.as_mut_bytes()[..room])
                .map(|it| it.bytes().len())
        };
        assert_eq!(copy(32, 32), Ok(32));
        assert_eq!(copy(33, 32), Err(DecodeError::Truncated));
        assert_eq!(copy(32, 31), Err(DecodeError::NoRoom));
        assert!(DecodeError::Truncated.blames_peer() && !DecodeError::NoRoom.blames_peer());
    }
}
