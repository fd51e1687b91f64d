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
//! # Three axes
//! | axis | what there is | where |
//! |---|---|---|
//! | stability of the bytes | [`Stable`]: nobody changes them, may be read as a slice; [`Shared`]: a peer may, only a copy comes out | types |
//! | framing | [`Bare`](Framing::Bare), [`Header`](Framing::Header), [`Table`](Framing::Table) | [`Format`] |
//! | checks | [`Lengths`](Checks::Lengths), [`Pointers`](Checks::Pointers), [`TwoReaders`](Checks::TwoReaders) | [`Format`] |
//!
//! [`Layer::Raw`], [`Layer::Lite`] and [`Layer::Full`] are names of three combinations, chosen once for a binding. What stands
//! behind a framing is always the same: the words of Cap'n Proto's standard wire format. So one view type serves all layers, a
//! handler is written once, and a message in standard framing is one for every implementation of Cap'n Proto.
//!
//! # Messages
//! `feuerbird-codegen` writes the types of a schema in a build script; what it writes refers to [`wire`] and [`frame`] alone.
//! Values without a schema are [`Plain`]; structs [derive](macro@PlainValue) what that takes. Other formats implement [`Message`] and [`Encode`] where they are (`feuerbird-formats`).
//!
//! # What each layer guards against
//! | | Raw | Lite | Full |
//! |---|---|---|---|
//! | for senders of trust | 0xE, 0xF | 0x8 to 0xD | 0x0 to 0x7 |
//! | memory outside of the message read | never | never | never |
//! | shorter or longer than it says | root struct must fit | refused | refused |
//! | pointer out of bounds | reads as the default | refused | refused |
//! | amplification: one object behind many pointers | bounded where copied, not where read | refused over 4 times the words | refused over 4 times the words |
//! | cycles, deep nesting | bounded where copied, not where read | refused over 64 levels | refused over 64 levels |
//! | lists of elements without a size | not bounded | count against the same budget | count against the same budget |
//! | field of another type than the schema's | reads as the default | refused | refused |
//! | enumerant or union member that is not in the schema | its number | its number | its number |
//! | bit pattern that is none of a plain value's ([`PlainValue`]) | refused | refused | refused |
//! | text that is no UTF-8, or has no zero at its end | reads as empty | refused | refused |
//! | far pointers, several segments | read as null | refused | accepted, up to [`SEGMENTS_LIMIT`] |
//! | capability that did not come beside the message | an index without one | refused | refused |
//! | a second reader finds fault (the `capnp` crate) | not asked | not asked | refused |
//! | mutation while reading | copied in first, but for memory whose writer is vouched for: that one keeps to its loans | copied in first | copied in first |
//! | accidental change | no | crc32c, unless switched off | no |
//! | forged values, replay | no: that is for the program | no | no |
//!
//! What is read is always [`Stable`]. Who makes it so is a channel: it copies every message out of the memory of its sender, unless whoever
//! mapped that memory vouches for the program that writes it; then a Raw message is read where it lies, and nothing but that program's own
//! discipline keeps it from changing.
//!
//! Enumerants and members of unions that this program does not know are no fault: a newer sender has them.
//!
//! An honest sender sends nothing of what is refused: writing a value, a builder's fields or a view fails where a receiver would
//! have blamed the sender ([`EncodeError::TooLarge`], [`EncodeError::NoCapability`]).
//!
//! # Capabilities
//! An index in a message ([`wire::CapabilityIndex`]) stands for a capability that goes beside it, and grants nothing: how many go is
//! [said](Format::capabilities) by whoever writes, how many came by [whoever reads](Stable::with_capabilities). Channels between domains
//! have the supervisor grant them (`send_with` and `recv_with` of `feuerbird-channel`); without, a message that names one is refused
//! where it is sent.
#![no_std]
#![forbid(unsafe_code)]

extern crate self as feuerbird_serialization;

mod capnp_builder;
mod capnp_types;
mod checksum;
mod error;
pub mod frame;
mod full;
mod identity;
mod layer;
mod message;
mod packed;
mod plain;
pub mod print;
pub mod reflect;
pub mod sample;
mod siphash;
mod stable;
pub mod wire;

pub use capnp_types::{CapnpMessage, CapnpSegments};
pub use error::{DecodeError, EncodeError};
pub use feuerbird_derive::PlainValue;
pub use full::SEGMENTS_LIMIT;
pub use identity::{Identity, Mismatch, Name};
pub use layer::{Checks, Checksum, Format, Framing, Layer};
pub use message::{Encode, Message};
pub use packed::{pack, packed_bound, unpack, unpacked_size};
pub use plain::{Plain, PlainLayout, PlainValue};
pub use stable::{CopyOut, Shared, Stable};
/// What generated code derives from.
#[doc(hidden)]
pub use zerocopy;

pub use wire::walk::{DEPTH_LIMIT, TRAVERSAL_FACTOR};
