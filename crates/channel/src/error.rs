//! What can go wrong, sorted by blame.

use core::fmt;

use feuerbird_serialization::{DecodeError, EncodeError};

use crate::GrantError;

/// What a peer wrote that no peer writes. The lane ends; others go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lie {
    /// A region is smaller than the terms demand, or its header says something else.
    Header,
    /// A stamp that is neither the next message's nor that of a lap before.
    Stamp,
    /// A message longer than the terms or its place allow.
    Length,
    /// A pool buffer that does not exist, or is too small.
    Buffer,
    /// A position that goes back, or ahead of what was sent.
    Head,
    /// A return of a buffer that was never given, or was returned before.
    Return,
    /// A message whose header names another format than the binding has.
    Format,
    /// A message beside which capabilities go, and that does not say which.
    Gifts,
}

/// Why a lane could not be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// Our own region is too small for the terms: caller's mistake.
    RegionTooSmall,
    /// The peer's region is not what the terms demand.
    PeerMisbehaved(Lie),
    /// The pair has ended meanwhile, and the peer's region may have been withdrawn.
    Ended,
}

/// Why one lane gave or took nothing, now and for ever after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollError {
    /// The peer is gone, and all it left was taken.
    Disconnected,
    /// The authority behind the lane was revoked: this side's, or the peer's.
    Revoked,
    /// The lane is no longer valid, and the kernel has not told yet why.
    Ending,
    /// The peer broke the protocol.
    PeerMisbehaved(Lie),
}

/// Why there is no room in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// The message is larger than the terms allow: caller's mistake.
    TooLarge,
    /// The lane is full: try again when the consumer has taken something.
    Full,
    /// The lane has ended.
    Ended(PollError),
}

/// Why a message was not sent. The message is still the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It is larger than the endpoint's terms allow: caller's mistake.
    TooLarge,
    /// It cannot be encoded: caller's mistake.
    Unencodable(EncodeError),
    /// Every lane is full. Only where the policy is not to wait.
    Full,
    /// Every lane stayed full, or no receiver was there, until the deadline.
    DeadlinePassed,
    /// Every receiver is gone.
    Disconnected,
    /// The authority to send was revoked, or that of the last receiver to receive.
    Revoked,
    /// The last receiver broke the protocol.
    PeerMisbehaved(Lie),
    /// What goes beside it was not granted.
    Ungranted(GrantError),
}

/// Why a batch ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError<E> {
    /// How many messages of it were sent or received.
    pub done: u64,
    /// Why the next one was not.
    pub error: E,
}

impl<E: fmt::Display> fmt::Display for BatchError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} messages of the batch: {}", self.done, self.error)
    }
}

impl<E: core::error::Error + 'static> core::error::Error for BatchError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// Nothing is there now. Only where the call does not wait.
    Empty,
    /// Nothing came until the deadline.
    DeadlinePassed,
    /// Every sender is gone, and all they left was taken.
    Disconnected,
    /// The authority to receive was revoked, or that of the last sender to send.
    Revoked,
    /// A peer broke the protocol. Its lane is closed; the next call goes on with the others.
    PeerMisbehaved(Lie),
    /// A message is not what its layer demands. It was dropped; the next call goes on.
    Malformed(DecodeError),
}

impl From<PollError> for SendError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::Disconnected => Self::Disconnected,
            PollError::Revoked | PollError::Ending => Self::Revoked,
            PollError::PeerMisbehaved(lie) => Self::PeerMisbehaved(lie),
        }
    }
}

impl From<PollError> for RecvError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::Disconnected => Self::Disconnected,
            PollError::Revoked | PollError::Ending => Self::Revoked,
            PollError::PeerMisbehaved(lie) => Self::PeerMisbehaved(lie),
        }
    }
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "its region is not laid out as agreed",
            Self::Stamp => "a stamp that belongs to no message",
            Self::Length => "a length beyond its place",
            Self::Buffer => "a buffer that does not exist or is too small",
            Self::Head => "a position that cannot be",
            Self::Return => "a buffer returned that it does not hold",
            Self::Format => "a header of another format than the binding's",
            Self::Gifts => "capabilities beside a message that does not say which",
        })
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegionTooSmall => f.write_str("the region is too small for the terms"),
            Self::PeerMisbehaved(lie) => write!(f, "the peer misbehaved: {lie}"),
            Self::Ended => f.write_str("the pair ended before its lane was there"),
        }
    }
}

impl fmt::Display for PollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("the peer is gone"),
            Self::Revoked => f.write_str("the capability was revoked"),
            Self::Ending => f.write_str("the lane is ending"),
            Self::PeerMisbehaved(lie) => write!(f, "the peer misbehaved: {lie}"),
        }
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the message is larger than the endpoint's terms allow"),
            Self::Full => f.write_str("the lane is full"),
            Self::Ended(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the message is larger than the endpoint's terms allow"),
            Self::Unencodable(error) => write!(f, "the message cannot be encoded: {error}"),
            Self::Full => f.write_str("every lane is full"),
            Self::DeadlinePassed => f.write_str("no receiver had room before the deadline"),
            Self::Disconnected => f.write_str("every receiver is gone"),
            Self::Revoked => f.write_str("the capability to send was revoked"),
            Self::PeerMisbehaved(lie) => write!(f, "the receiver misbehaved: {lie}"),
            Self::Ungranted(error) => write!(f, "what goes beside the message was not granted: {error}"),
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing is there"),
            Self::DeadlinePassed => f.write_str("nothing came before the deadline"),
            Self::Disconnected => f.write_str("every sender is gone"),
            Self::Revoked => f.write_str("the capability to receive was revoked"),
            Self::PeerMisbehaved(lie) => write!(f, "a sender misbehaved: {lie}"),
            Self::Malformed(error) => write!(f, "a message was refused: {error}"),
        }
    }
}

impl core::error::Error for AttachError {}
impl core::error::Error for PollError {}
impl core::error::Error for ClaimError {}
impl core::error::Error for SendError {}
impl core::error::Error for RecvError {}
