//! What can go wrong, sorted by blame.

use alloc::boxed::Box;
use core::fmt;

use feuerbird_abi::Status;
use feuerbird_channel::{AttachError, TermsError};
use feuerbird_serialization::Mismatch;

use crate::{GateError, MemoryError};

/// Why an operation of a domain failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The kernel refused: its status says whose fault.
    Refused(Status),
    /// The endpoint carries another message type; this is the first thing that differs.
    TypeMismatch(Box<Mismatch>),
    /// The endpoint's terms are not those of a channel.
    Terms(TermsError),
    /// More than one call to the kernel carries: caller's mistake.
    TooLong,
    /// No memory, or no room on the way to the kernel.
    OutOfMemory,
    /// Nothing came before the deadline.
    DeadlinePassed,
    /// The kernel is gone.
    KernelGone,
    /// The kernel answered something that is no answer: it is broken, or we are.
    Garbled,
    /// A lane could not be attached.
    Attach(AttachError),
    /// A peer's memory is not of the promised size, or is not sealed.
    PeerMemory,
}

impl From<GateError> for Error {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Refused(status, _) => Self::Refused(status),
            GateError::TooLong => Self::TooLong,
            GateError::Shortage => Self::OutOfMemory,
            GateError::Closed => Self::KernelGone,
            GateError::Garbled => Self::Garbled,
        }
    }
}

impl From<MemoryError> for Error {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Shortage => Self::OutOfMemory,
            MemoryError::NotAsPromised => Self::PeerMemory,
        }
    }
}

impl From<TermsError> for Error {
    fn from(error: TermsError) -> Self {
        Self::Terms(error)
    }
}

impl From<AttachError> for Error {
    fn from(error: AttachError) -> Self {
        Self::Attach(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "the kernel refused: {status}"),
            Self::TypeMismatch(mismatch) => write!(f, "the endpoint carries another type: {mismatch}"),
            Self::Terms(error) => error.fmt(f),
            Self::TooLong => f.write_str("that is more than one call to the supervisor carries"),
            Self::OutOfMemory => f.write_str("there is no memory left"),
            Self::DeadlinePassed => f.write_str("nothing came before the deadline"),
            Self::KernelGone => f.write_str("the supervisor is gone"),
            Self::Garbled => f.write_str("the supervisor answered something that is no answer"),
            Self::Attach(error) => error.fmt(f),
            Self::PeerMemory => f.write_str("the peer's memory is not sealed, or not of the promised size"),
        }
    }
}

impl core::error::Error for Error {}
