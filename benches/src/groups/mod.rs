//! The groups of cases: one file each.

pub mod channels;
pub mod hosted;
pub mod many;
pub mod operations;
pub mod serialization;
pub mod supervised;

use clap::ValueEnum;

use crate::case::Case;

/// A group of cases, one result file each. `kernel` follows when it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// One process: single operations in one thread, channels in one and between two threads.
    InProcess,
    /// Two processes.
    Hosted,
    /// Messages written, checked and read, beside other formats.
    Serialization,
}

impl Group {
    /// The name of its file and in its rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Hosted => "hosted",
            Self::Serialization => "serialization",
        }
    }

    /// Its cases.
    pub fn cases(self) -> Vec<Case> {
        match self {
            Self::InProcess => operations::cases().into_iter().chain(channels::cases()).collect(),
            Self::Hosted => hosted::cases(),
            Self::Serialization => serialization::cases(),
        }
    }
}
