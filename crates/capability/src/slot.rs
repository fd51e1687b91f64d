//! Names: of a place in a capability space, of a space, and of a right to go on.

/// A place in a capability space: what a domain holds instead of the capability.
///
/// The pair never recurs. A slot of another space, or one whose generation has passed, names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Which place.
    pub index: u32,
    /// Which use of that place; starts at 1.
    pub generation: u32,
}

impl Slot {
    /// The slot that never names anything; its bits are 0.
    pub const NULL: Self = Self { index: 0, generation: 0 };

    /// The slot as one word: the generation in the upper half, the index in the lower.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The slot that this word names. Any word is a slot, most of which name nothing.
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// One capability space. The pair never recurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId {
    /// Which entry of the table of spaces.
    pub(crate) index: u32,
    /// Which use of that entry; starts at 1.
    pub(crate) generation: u32,
}

impl SpaceId {
    pub(crate) const NONE: Self = Self { index: 0, generation: 0 };

    /// The entry of the table of spaces: a small number, to be used as an index beside the table.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The id as one word: the generation in the upper half, the index in the lower. Never 0.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The id that this word is. Any word is an id, most of which name no space.
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// Proof that a lookup succeeded, to be asked again later whether it still would.
///
/// What a binding, a queued sender or a message in flight keeps. It is alive exactly as long as the slot it was taken
/// from would be found: a revocation above, a delete, a move and the end of the space each end it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(crate) slot: Slot,
}

impl Ticket {
    /// The slot it was taken from, so that a [`Finalised`](crate::Finalised) can be matched with what hangs on it.
    pub const fn slot(self) -> Slot {
        self.slot
    }
}
