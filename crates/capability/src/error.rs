//! How an operation on capabilities fails.

use core::fmt;

/// Why an operation on capabilities was refused. Nothing has changed when it is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    // The caller misused.
    /// There is no such capability space, or no more.
    NoSpace,
    /// The slot names nothing in this space: empty, an earlier generation, or another space's.
    NoCapability,
    /// What the slot held was revoked.
    Revoked,
    /// The capability lacks a right that the operation needs.
    MissingRight,
    /// The derivation asks for rights that the parent lacks.
    MoreRights,
    /// The derivation asks for more trust than the parent has.
    HigherTrust,
    /// The parent has another badge already.
    AlreadyBadged,
    /// The range is not inside the parent's, or overflows.
    OutsideRange,
    /// An exclusive kind needs at least one unit.
    EmptyRange,
    /// The range overlaps or precedes one that was already derived from this exclusive capability.
    Overlap,
    /// A capability of an exclusive kind can be moved and split, not copied.
    Exclusive,
    /// The derivation would be more than [`DEPTH_LIMIT`](crate::DEPTH_LIMIT) steps from the minted capability.
    TooDeep,

    // A resource is full or worn out.
    /// The space holds as many capabilities as it may.
    SpaceFull,
    /// The table of nodes is full.
    NodesFull,
    /// The table of spaces is full.
    SpacesFull,
    /// A generation has reached its last value; a copy or a derivation has fresh ones.
    WornOut,
}

impl Error {
    /// Whether the same call may succeed later, when others have given something back.
    pub const fn is_shortage(self) -> bool {
        matches!(self, Self::SpaceFull | Self::NodesFull | Self::SpacesFull)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSpace => "no such capability space",
            Self::NoCapability => "the slot names no capability of this space",
            Self::Revoked => "the capability was revoked",
            Self::MissingRight => "the capability lacks a right this needs",
            Self::MoreRights => "more rights were asked for than the parent has",
            Self::HigherTrust => "more trust was asked for than the parent has",
            Self::AlreadyBadged => "the parent already has another badge",
            Self::OutsideRange => "the range is not inside the parent's",
            Self::EmptyRange => "an exclusive capability needs a range that is not empty",
            Self::Overlap => "the range is not above what was already split off",
            Self::Exclusive => "an exclusive capability cannot be copied",
            Self::TooDeep => "the derivation tree would get too deep",
            Self::SpaceFull => "the capability space is full",
            Self::NodesFull => "there is no room for another capability",
            Self::SpacesFull => "there is no room for another capability space",
            Self::WornOut => "a generation counter has reached its end",
        })
    }
}

impl core::error::Error for Error {}
