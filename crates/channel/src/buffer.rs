//! Private memory for a message, aligned as Cap'n Proto and `zerocopy` want it.

use alloc::{vec, vec::Vec};

use zerocopy::IntoBytes;

/// Bytes that start at a multiple of 8.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u64>);

impl Buffer {
    /// Zeroed memory for `bytes` bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(8)])
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_bytes()
    }

    pub(crate) fn grow_to(&mut self, bytes: usize) {
        if self.0.len() * 8 < bytes {
            self.0.resize(bytes.div_ceil(8), 0);
        }
    }
}
