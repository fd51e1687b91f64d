//! What the scenarios share.
#![forbid(unsafe_code)]
