//! What is sent arrives, in every format, in as many bytes as were promised.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use std::collections::HashSet;

use common::{Aligned, Case, Reading, encode, nested, reading};
use feuerbird_formats::{Named, messagepack::MessagePack, protobuf::Protobuf};
use feuerbird_serialization::{DecodeError, Encode, EncodeError, Layer, Message};
use serde::{Deserialize, Serialize, ser::Error as _};

fn arrives<C: Case>() {
    for sent in [reading(0), reading(1), reading(100), reading(10_000), Reading::default(), nested(60)] {
        let bytes = C::encoded(&sent);
        assert_eq!(C::decoded(&bytes), Ok(sent), "{}", C::NAME);
    }
}

#[test]
fn what_is_sent_arrives() {
    for_every_format!(arrives);
}

fn is_sent_on<C: Case>() {
    let bytes = C::encoded(&reading(100));
    for layer in Layer::ALL {
        let view = C::Message::decode(bytes.stable(), layer).unwrap();
        assert!(encode(&view) == bytes, "{}", C::NAME);
    }
}

#[test]
fn a_view_is_sent_on_as_it_came_in_every_layer() {
    for_every_format!(is_sent_on);
}

fn small_buffers<C: Case>() {
    let bytes = C::encoded(&reading(20));
    let view = C::Message::decode(bytes.stable(), Layer::Full).unwrap();
    let needed = bytes.bytes().len();
    assert_eq!(view.encoded_bound(Layer::Full), needed);
    for room in 0..needed {
        let mut out = vec![0; room];
        assert_eq!(view.encode(Layer::Full, &mut out), Err(EncodeError::BufferTooSmall { needed }));
    }
    let mut out = vec![0xEE; needed + 9];
    assert_eq!(view.encode(Layer::Full, &mut out), Ok(needed));
    assert_eq!(out[needed..], [0xEE; 9], "{}", C::NAME);
}

#[test]
fn a_buffer_that_is_too_small_is_an_error_that_says_how_much_is_needed() {
    for_every_format!(small_buffers);
}

fn identity_of<C: Case>() -> String {
    let identity = C::identity();
    assert_eq!(identity.difference(&identity), None);
    assert!(identity.difference(&common::Prost::identity()).is_some() || C::NAME == "protobuf");
    identity.name.to_string()
}

#[test]
fn identities_name_the_format() {
    let names = [identity_of::<common::Prost>(), identity_of::<common::Rmp>(), identity_of::<common::Flat>()];
    assert_eq!(names, ["protobuf:test.Reading", "messagepack:test.Reading", "flatbuffers:test.Reading"]);
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), 3);
}

/// The reading of a later version: a field more.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Later {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(string, tag = "2")]
    #[serde(default)]
    label: String,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Earlier {
    #[prost(uint64, tag = "1")]
    sequence: u64,
}

impl Named for Later {
    const NAME: &str = "test.Grown";
}

impl Named for Earlier {
    const NAME: &str = "test.Grown";
}

impl prost::Name for Later {
    const PACKAGE: &'static str = "";
    const NAME: &'static str = "Grown";
}

impl prost::Name for Earlier {
    const PACKAGE: &'static str = "";
    const NAME: &'static str = "Grown";
}

#[test]
fn types_that_grew_read_what_was_sent_before() {
    let (earlier, later) = (Earlier { sequence: 5 }, Later { sequence: 5, label: "new".into() });
    assert_eq!(Protobuf::<Earlier>::IDENTITY, Protobuf::<Later>::IDENTITY);
    let bytes = encode(&Protobuf(&earlier));
    assert_eq!(Protobuf::<Later>::decode(bytes.stable(), Layer::Full).unwrap().sequence, 5);
    let bytes = encode(&Protobuf(&later));
    assert_eq!(Protobuf::<Earlier>::decode(bytes.stable(), Layer::Full).unwrap().sequence, 5);

    let bytes = encode(&MessagePack(&earlier));
    assert_eq!(MessagePack::<Later>::decode(bytes.stable(), Layer::Full).unwrap().0.label, "");
    // By position there is no place for what an earlier version does not know; by name there is.
    let bytes = encode(&MessagePack(&later));
    let refused = MessagePack::<Earlier>::decode(bytes.stable(), Layer::Full);
    assert_eq!(refused.unwrap_err(), DecodeError::WrongType);
    let named = Aligned::new(&rmp_named(&later));
    assert_eq!(MessagePack::<Earlier>::decode(named.stable(), Layer::Full).unwrap().0, earlier);
}

/// `{"sequence": 5, "label": "new"}`, as other implementations write it.
fn rmp_named(later: &Later) -> Vec<u8> {
    assert_eq!(*later, Later { sequence: 5, label: "new".into() });
    [b"\x82\xA8sequence\x05", &b"\xA5label\xA3new"[..]].concat()
}

/// A value that will not be written.
#[derive(Deserialize)]
struct Unwilling;

impl Serialize for Unwilling {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("no"))
    }
}

impl Named for Unwilling {
    const NAME: &str = "test.Unwilling";
}

#[test]
fn a_value_that_will_not_be_written_is_an_error() {
    let sent = MessagePack(Unwilling);
    assert_eq!(sent.encoded_bound(Layer::Full), 0);
    assert_eq!(sent.encode(Layer::Full, &mut [0; 8]), Err(EncodeError::Refused));
}
