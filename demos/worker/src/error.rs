//! Why a worker cannot do its work.

use core::{error, fmt};

use feuerbird_channel::{RecvError, SendError};
use feuerbird_libos::Error;

/// Why a worker, or the wait for one, ended early.
#[derive(Clone, Debug, PartialEq)]
pub enum Failed {
    /// What it needs was not there, or was refused.
    Domain(Error),
    /// A message could not be sent.
    Send(SendError),
    /// No message can be received any more.
    Receive(RecvError),
    /// The orders are of another version of this program.
    Orders,
    /// The report is not what this program writes.
    Report,
    /// The worker has ended, and was not done.
    Ended,
}

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(error) => error.fmt(out),
            Self::Send(error) => error.fmt(out),
            Self::Receive(error) => error.fmt(out),
            Self::Orders => out.write_str("the demo's orders are of another version"),
            Self::Report => out.write_str("its report is not what this program writes"),
            Self::Ended => out.write_str("it ended before it was done"),
        }
    }
}

impl error::Error for Failed {}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Domain(error)
    }
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<RecvError> for Failed {
    fn from(error: RecvError) -> Self {
        Self::Receive(error)
    }
}
