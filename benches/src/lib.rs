//! Compares FeuerBird with its limits and its rivals: same machine, same run, pinned, payload touched by both sides.
//!
//! What it is: the parts of the program `compare`. What it is not: an API for anybody else, or the place of a crate's own
//! benches. A [`case::Case`] is what a comparison consists of, [`groups`] lists them, [`link::Link`] is the small face behind which
//! every transport stands, [`links`] has one file per transport. Unsafe code is in [`raw`], and in the file that speaks FlatBuffers.
#![deny(unsafe_code)] // not forbid: two files allow it for themselves

pub mod case;
pub mod disturbance;
pub mod groups;
pub mod interrupt;
pub mod link;
pub mod links;
pub mod machine;
pub mod measure;
pub mod peer;
pub mod raw;
pub mod row;
pub mod smoke;
pub mod statistics;
pub mod transport;

/// The types of the `capnp` crate for `schemas/bench.capnp`: its generator wants them here.
#[allow(missing_docs, dead_code, unused_qualifications, unreachable_pub, clippy::all, clippy::unwrap_used)]
mod bench_capnp {
    include!(concat!(env!("OUT_DIR"), "/bench_capnp.rs"));
}
