//! What the scenarios share: children of this package, and the reports that they write where only they can write.
#![forbid(unsafe_code)]

/// Messages that name capabilities.
pub mod introduction {
    #![allow(missing_docs, dead_code, unreachable_pub, clippy::all)] // generated
    include!(concat!(env!("OUT_DIR"), "/capability.rs"));
}
pub mod numbered;
pub mod obedient;
