//! Domains, as the kernel knows them.

/// One protection domain. The number never recurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(pub(crate) u64);

impl DomainId {
    /// The domain as one word; never 0.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The domain that this word names, if it names one.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// A small number that no other living domain has, below [`Limits::domains`](crate::Limits).
    pub const fn index(self) -> usize {
        self.0 as u32 as usize
    }
}
