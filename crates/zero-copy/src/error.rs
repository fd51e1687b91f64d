//! What can go wrong, sorted by blame.

use core::fmt;

/// Why a layout is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// No class, more than [`MAX_CLASSES`](crate::MAX_CLASSES), an empty class, or classes that do not get larger.
    BadClasses,
    /// The pool does not fit in the address space, or not in the region.
    TooLarge,
    /// The peer's region does not say what was agreed on when it was bound.
    PeerMisbehaved,
}

/// Why there is no loan, or why it could not be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoanError {
    /// No size class is large enough: caller's mistake.
    TooLarge,
    /// No such reader: caller's mistake.
    NoReader,
    /// Every buffer that is large enough is in flight: try again after a release.
    Exhausted,
    /// The reader holds as many buffers as it may: its own doing.
    QuotaReached,
}

/// Why a buffer was not taken back. The peer's doing, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseError {
    /// No buffer has that number.
    NoSuchBuffer,
    /// The reader does not hold that buffer: never got it, or returned it before.
    NotHeld,
    /// The return ring holds a word that no honest reader writes.
    BadStamp,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadClasses => "size classes must be non-empty and strictly growing",
            Self::TooLarge => "the pool does not fit in its region",
            Self::PeerMisbehaved => "the peer's region does not hold the agreed layout",
        })
    }
}

impl fmt::Display for LoanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "no size class of the pool is large enough",
            Self::NoReader => "the pool has no such reader",
            Self::Exhausted => "every buffer of that size is in flight",
            Self::QuotaReached => "the reader holds as many buffers as it may",
        })
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchBuffer => "the peer returned a buffer that does not exist",
            Self::NotHeld => "the peer returned a buffer that it does not hold",
            Self::BadStamp => "the peer wrote a return that no reader writes",
        })
    }
}

impl core::error::Error for LayoutError {}
impl core::error::Error for LoanError {}
impl core::error::Error for ReleaseError {}
