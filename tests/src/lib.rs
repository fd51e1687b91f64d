//! What the scenarios share: children of this package, and the reports that they write where only they can write.
#![forbid(unsafe_code)]

pub mod numbered;
pub mod obedient;
