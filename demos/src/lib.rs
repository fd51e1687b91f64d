//! What the demos share: the hostile program of `producer-consumer --cheat`.
//!
//! The demos themselves are programs, one for each `[[bin]]` of the manifest; the first line of each says what it shows.
#![forbid(unsafe_code)]

pub mod cheat;
