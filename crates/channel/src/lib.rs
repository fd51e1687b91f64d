//! Typed channels over one-writer lanes in shared regions.
//!
//! What it is: the async kind, N senders to M receivers, each message to one of them. Between two domains runs a *lane*:
//! two regions, one that only the producer writes and one that only the consumer writes. What it is not: a format (that
//! is `serialization`), a capability check (a binding was checked once, when it was made), or a system call (a [`Home`]
//! waits and wakes).
//!
//! The two types to meet first: [`Sender`] and [`Receiver`]. Below them [`Producer`] and [`Consumer`] move bytes.
//!
//! ```text
//!   producer's region (consumer maps it read-only)        consumer's region (producer maps it read-only)
//!   ┌────────┬──────────┬───────────────┬─────────┐       ┌────────┬──────┬──────────┬─────────────┐
//!   │ header │ sleeping │ slots         │ pool    │       │ header │ head │ sleeping │ return ring │
//!   │        │ closed   │ stamp|bytes.. │ buffers │       │        │      │ closed   │             │
//!   └────────┴──────────┴───────────────┴─────────┘       └────────┴──────┴──────────┴─────────────┘
//! ```
//!
//! # Invariants
//! 1. Each side writes only its own region, and goes only by its own private copy of positions and geometry.
//! 2. A word of the peer's is read once; what is outside the protocol is [`Lie`], ends that lane, and nothing else. Of a pair whose
//!    authority has gone it is none: the memory may have been withdrawn, and reads as zeroes.
//! 3. Sending and receiving make no system call, take no lock and do not allocate while both sides keep up; the one
//!    exception is a wake, at most one for each time that the peer went to sleep.
//! 4. No wait is without end: sleeps are cut into slices of [`SLICE_NS`], after each of which validity and the peer's life
//!    are looked at again.
//!
//! # Example
//! ```
//! use feuerbird_channel::{HeapHome, local};
//! use feuerbird_serialization::Plain;
//!
//! let (mut sender, mut receiver) = local::<Plain<u64>, _>(HeapHome, 64, 16);
//! sender.send(&42)?;
//! let answer = receiver.recv(|value| value)?;
//! assert_eq!(answer, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

mod along;
mod arriving;
mod buffer;
mod consumer;
mod error;
mod header;
mod home;
mod lanes_out;
pub mod layout;
mod local;
mod producer;
mod receiver;
mod sender;
#[cfg_attr(not(loom), expect(unreachable_pub, reason = "the models reach it"))]
mod sleepers;
mod statistics;
mod terms;
mod validity;
mod view;
mod wait;

pub use along::{Gift, GrantError, Granter, MAX_GIFTS};
pub use arriving::{Arriving, Expected};
pub use consumer::{Borrowed, Consumer};
pub use error::{AttachError, BatchError, ClaimError, Lie, PollError, RecvError, SendError};
pub use header::prepare;
pub use home::{HeapHome, Home, SLICE_NS, Watched};
pub use lanes_out::LaneOut;
pub use local::{local, local_with};
pub use producer::{Claim, Producer};
pub use receiver::{LaneIn, Receiver};
pub use sender::{Sender, WhenFull};
#[cfg(loom)]
pub use sleepers::Sleepers;
pub use statistics::{ReceiverStatistics, SenderStatistics};
pub use terms::{MAX_DEPTH, MAX_LANE_BYTES, MAX_MESSAGE_BYTES, Overflow, Terms, TermsError};
pub use validity::{Ended, Standing, Validity};
