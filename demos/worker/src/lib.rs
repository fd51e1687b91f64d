//! What the producers and consumers of the producer-consumer demonstration do, and the proof of what became of their messages.
//!
//! One source for every home: processes and threads on Linux (`demos/`), domains in ring 3 of the image (`kernel/programs/`). A home
//! brings its root, which starts the workers and shows results, and a [`Clock`]; all else here is the same for all.
//!
//! The two things to meet first: [`work`], which is all that a worker does that is a domain of its own, and [`Proof`], which the root
//! makes of the reports.
//!
//! # Invariants
//! 1. Orders have one writer, the root, and each report has one, its worker. A [`View`] believes nothing that a report says: every word
//!    is only counted, and compared with others.
//! 2. A consumer marks a message last: what is marked was checked, byte for byte.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod clock;
mod consumer;
mod error;
mod histogram;
mod kill;
mod layout;
mod message;
mod orders;
mod payload;
mod post;
mod producer;
mod proof;
mod report;
mod role;
mod view;
mod work;

pub use clock::Clock;
pub use error::Failed;
pub use histogram::Histogram;
pub use kill::{Plan, Random, Victim};
pub use layout::{ORDERS_BYTES, Order, State, Word, report_bytes};
pub use message::terms;
pub use orders::{Command, Orders, Run};
pub use post::Post;
pub use proof::{Account, Proof, Taking};
pub use report::Report;
pub use role::Role;
pub use view::{Complaint, View, strictest_layer, sum};
pub use work::{authorities, await_report, work};
