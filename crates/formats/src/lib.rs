//! Protocol Buffers, FlatBuffers and MessagePack as messages of channels.
//!
//! What it is: one module per format, each behind a cargo feature of the same name, each an implementation of
//! [`Message`](feuerbird_serialization::Message) and [`Encode`](feuerbird_serialization::Encode) for types that exist already:
//! those of `prost`, of FlatBuffers' compiler, of `serde`. What it is not: a format of its own, a code generator, or a way to
//! check less. A format has one encoding and one set of checks, so these messages are alike in all layers: everything is checked,
//! even where trust would allow to check nothing.
//!
//! The two types to meet first: `protobuf::Protobuf` and `messagepack::MessagePack`. Both are the name of a message and the owner
//! of its value; `flatbuffers::FlatBuffer` is a name only, what arrives is borrowed from the received bytes.
//!
//! # Example
#![cfg_attr(feature = "messagepack", doc = "```")]
#![cfg_attr(not(feature = "messagepack"), doc = "```ignore")]
//! use feuerbird_formats::{Named, messagepack::MessagePack};
//! use feuerbird_serialization::{Encode, Layer, Message, Stable};
//! use zerocopy::IntoBytes;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Reading {
//!     sensor: String,
//!     celsius: f32,
//! }
//!
//! impl Named for Reading {
//!     const NAME: &str = "example.Reading";
//! }
//!
//! let reading = Reading { sensor: "roof".into(), celsius: 21.5 };
//! let sent = MessagePack(&reading); // what `Sender::<MessagePack<Reading>, _>::send` takes
//! let mut buffer = [0_u64; 8];
//! let length = sent.encode(Layer::Full, buffer.as_mut_bytes())?;
//!
//! let received = MessagePack::<Reading>::decode(Stable::new(&buffer.as_bytes()[..length])?, Layer::Full)?;
//! assert_eq!(received.sensor, "roof");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What each format guards against
//! | | Protocol Buffers | FlatBuffers | MessagePack |
//! |---|---|---|---|
//! | a view is | the value | a table in the received bytes | the value |
//! | memory per byte received | 3 elements | none | 3 elements |
//! | length shorter than it says | refused | refused | refused |
//! | bytes behind the end | are fields, or refused | refused | refused |
//! | offset out of bounds | has none | refused | has none |
//! | shared or cyclic offsets | has none | 16 times the message | has none |
//! | depth of nesting | 100 | 64 | 64 |
//! | text that is not UTF-8 | refused | refused | refused |
//! | unknown fields | passed over | passed over | passed over by name, else refused |
//! | number that names no variant | kept as a number | as the generated code does | refused |
//!
//! "3 elements" is three times the size of the largest type that stands in a list: the smallest element is one byte, a list grows
//! by doubling, and meanwhile the old room exists beside the new. Maps take up to four times their entry (the smallest node of a
//! `BTreeMap` has room for 11). Types that make room of their own from what they read are on their own, and so are those for which
//! serde has to keep everything first (`untagged`, `flatten`): about 64 bytes for each.
//! A refusal takes some kilobytes at most, for the path to the fault.
//!
//! # Adding a format
//! One file, and no change elsewhere: a type for the format, [`identity`] for what both ends compare, and the two traits. The
//! example `fourth.rs` does it for postcard.
//!
//! # Invariants
//! * No bytes make a decoder panic, recurse deeper than the limit, or allocate out of proportion.
//! * Two ends with different formats, or different messages, have different identities and do not bind.
#![forbid(unsafe_code)]

mod identity;

#[cfg(feature = "flatbuffers")]
pub mod flatbuffers;
#[cfg(feature = "messagepack")]
pub mod messagepack;
#[cfg(feature = "protobuf")]
pub mod protobuf;

pub use identity::{Named, identity};
