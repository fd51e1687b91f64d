//! Raw, Cap'n Proto Lite and Cap'n Proto Full behind one trait, chosen by trust.
//!
//! What it is: a message is defined once and travels in one of three [`Layer`]s. Which one, the receiver's trust in the
//! sender decides when a channel is bound. What it is not: a channel, or a way to read memory that a peer can still
//! write: the bytes given to [`Message::decode`] do not change any more.
//!
//! The two types to meet first: the trait [`Message`] and a message, [`Plain`] for a value of fixed size or
//! [`sample::SampleMessage`] for one with a schema.
//!
//! # Example
//! ```
//! use feuerbird_capability::Trust;
//! use feuerbird_serialization::sample::{Sample, SampleMessage};
//! use feuerbird_serialization::{Encode, Layer, Message, Stable};
//! use zerocopy::IntoBytes;
//!
//! let layer = Layer::for_trust(Trust::USER);
//! let sent = Sample { sequence: 1, producer: 7, sent_at: 0, digest: 42, payload: b"hello" };
//!
//! let mut buffer = [0_u64; 16]; // a multiple of 8, as the bytes of a channel are
//! let length = sent.encode(layer, buffer.as_mut_bytes())?;
//! let received = SampleMessage::decode(Stable::new(&buffer.as_bytes()[..length])?, layer)?;
//! assert_eq!(received.payload(), b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What each layer guards against
//! | | Raw | Lite | Full |
//! |---|---|---|---|
//! | for senders of trust | 0xE, 0xF | 0x8 to 0xD | 0x0 to 0x7 |
//! | length shorter or longer than it says | refused | refused | refused |
//! | pointer out of bounds | has none | refused | refused |
//! | shared, cyclic or deep pointers, lists of nothing | has none | budget and depth limit | budget and depth limit |
//! | far pointers, several segments | has none | refused | accepted, up to [`SEGMENTS_LIMIT`] |
//! | capability and reserved pointers | has none | refused | refused |
//! | accidental change | no | crc32c, unless switched off | no |
//! | forged values, replay | no | no | no: that is for the program |
#![no_std]
#![forbid(unsafe_code)]

extern crate self as feuerbird_serialization;

mod capnp_types;
mod checksum;
mod error;
pub mod frame;
mod full;
mod identity;
mod layer;
mod message;
mod plain;
pub mod sample;
mod stable;
pub mod wire;

pub use capnp_types::{CapnpMessage, CapnpSegments};
pub use error::{DecodeError, EncodeError};
pub use full::SEGMENTS_LIMIT;
pub use identity::{Identity, Mismatch, Name};
pub use layer::{Checks, Checksum, Format, Framing, Layer};
pub use message::{Encode, Message};
pub use plain::{Plain, PlainValue};
pub use stable::{CopyOut, Shared, Stable};
/// What generated code derives from.
#[doc(hidden)]
pub use zerocopy;

pub use wire::walk::{DEPTH_LIMIT, TRAVERSAL_FACTOR};
