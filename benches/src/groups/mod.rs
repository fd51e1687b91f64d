//! The groups of cases: one file each.

pub mod channels;
pub mod hosted;
pub mod operations;

use clap::ValueEnum;

use crate::case::Case;

/// A group of cases, one result file each. `serialization` and `kernel` follow when they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// One process: single operations in one thread, channels in one and between two threads.
    InProcess,
    /// Two processes.
    Hosted,
}

impl Group {
    /// The name of its file and in its rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Hosted => "hosted",
        }
    }

    /// Its cases.
    pub fn cases(self) -> Vec<Case> {
        match self {
            Self::InProcess => operations::cases().into_iter().chain(channels::cases()).collect(),
            Self::Hosted => hosted::cases(),
        }
    }
}
