//! Bytes from somebody who means harm: never a panic, never an overflow of the stack, always a typed error.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use common::{Aligned, Case, Flat, FlatReading, Prost, Random, Reading, Rmp, nested, reading};
use feuerbird_formats::{Named, flatbuffers::FlatBuffer, messagepack::MessagePack};
use feuerbird_serialization::{DEPTH_LIMIT, DecodeError, Layer, Message};
use flatbuffers::FlatBufferBuilder;
use serde::{Deserialize, Serialize};

fn truncations<C: Case>() {
    let whole = C::encoded(&reading(50));
    let mut accepted = 0;
    for length in 0..whole.bytes().len() {
        match C::decoded(&Aligned::new(&whole.bytes()[..length])) {
            // Protocol Buffers cannot know where a message ends: cut between two fields, it is one with fewer.
            Ok(_) => accepted += 1,
            Err(error) => assert!(error.blames_peer()),
        }
    }
    assert_eq!(accepted, if C::NAME == "protobuf" { 5 } else { 0 }, "{}", C::NAME);
}

#[test]
fn every_truncation_is_refused() {
    for_every_format!(truncations);
}

fn extensions<C: Case>() {
    let whole = C::encoded(&reading(50));
    for filling in [0, 0xFF] {
        for more in 1..=17 {
            let longer = [whole.bytes(), &vec![filling; more]].concat();
            let error = C::decoded(&Aligned::new(&longer)).unwrap_err();
            let expected =
                if C::NAME == "protobuf" { DecodeError::Malformed } else { DecodeError::TrailingBytes };
            assert_eq!(error, expected, "{more} more in {}", C::NAME);
        }
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    for_every_format!(extensions);
}

/// Changes 1 to 8 bytes, some to the values that lengths and markers are made of.
fn mutations<C: Case>() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let whole = [C::encoded(&reading(10)), C::encoded(&reading(300)), C::encoded(&nested(30))];
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..10_000 {
        let mut changed = whole[round % whole.len()].clone();
        let length = changed.bytes().len();
        for _ in 0..=random.below(8) {
            // Half of the changes near the start, where the lengths are.
            let reach = if random.below(2) == 0 { length } else { length.min(64) };
            let value = [0xFF, 0x7F, 0x80, 0, random.below(256) as u8][random.below(5)];
            changed.bytes_mut()[random.below(reach)] = value;
        }
        match C::decoded(&changed) {
            Ok(_) => accepted += 1,
            Err(error) => {
                assert!(error.blames_peer());
                refused += 1;
            }
        }
    }
    assert!(accepted > 100 && refused > 1000, "{}: {accepted} accepted, {refused} refused", C::NAME);
}

#[test]
fn ten_thousand_mutations_are_read_or_refused() {
    for_every_format!(mutations);
}

fn noise<C: Case>() {
    let mut random = Random(42);
    for _ in 0..10_000 {
        let length = random.below(200);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        let _ = C::decoded(&Aligned::new(&bytes));
    }
}

#[test]
fn noise_is_read_or_refused() {
    for_every_format!(noise);
}

fn decoded<C: Case>(bytes: &[u8]) -> Result<Reading, DecodeError> {
    C::decoded(&Aligned::new(bytes))
}

#[test]
fn lengths_beyond_the_message_are_refused() {
    // A text, bytes, packed samples, and a nested message of 2^63 - 1 bytes.
    for tag in [2, 3, 4, 5] {
        let bytes = [&[tag << 3 | 2][..], &[0xFF; 8], &[0x7F]].concat();
        assert_eq!(decoded::<Prost>(&bytes), Err(DecodeError::Malformed));
    }
    for marker in [0xDD, 0xDF, 0xC6, 0xDB, 0xC9] {
        let bytes = [marker, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0];
        assert_eq!(decoded::<Rmp>(&bytes), Err(DecodeError::Truncated), "{marker:#x}");
    }
    let good = Flat::encoded(&reading(50));
    for at in 4..good.bytes().len() - 4 {
        let mut changed = good.clone();
        changed.bytes_mut()[at..at + 4].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x7F]);
        let _ = Flat::decoded(&changed);
    }
    assert_eq!(decoded::<Flat>(&[4, 0, 0, 0, 0xFC, 0xFF, 0xFF, 0xFF]), Err(DecodeError::OutOfBounds));
    assert_eq!(decoded::<Flat>(&[4, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]), Err(DecodeError::WrongPointer));
    assert_eq!(decoded::<Flat>(&[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]), Err(DecodeError::Truncated));
    assert_eq!(decoded::<Flat>(&[0, 0, 0, 0]), Err(DecodeError::OutOfBounds));
}

#[test]
fn nesting_ends_at_the_limit() {
    assert_eq!(Prost::check(&Prost::encoded(&nested(100))), Ok(()));
    assert_eq!(Prost::check(&Prost::encoded(&nested(102))), Err(DecodeError::Malformed));
    assert_eq!(Rmp::check(&Rmp::encoded(&nested(DEPTH_LIMIT - 2))), Ok(()));
    assert_eq!(Rmp::check(&Rmp::encoded(&nested(DEPTH_LIMIT + 1))), Err(DecodeError::TooDeep));
    assert_eq!(Flat::check(&Flat::encoded(&nested(DEPTH_LIMIT))), Ok(()));
    assert_eq!(Flat::check(&Flat::encoded(&nested(DEPTH_LIMIT + 1))), Err(DecodeError::TooDeep));
}

#[test]
fn nesting_far_beyond_the_limit_does_not_reach_the_end_of_the_stack() {
    // Groups, which are nested without lengths, in a field that the message does not know; and in all other fields.
    for tag in [5_u8, 9] {
        let bytes = vec![tag << 3 | 3; 1 << 20];
        assert_eq!(decoded::<Prost>(&bytes), Err(DecodeError::Malformed));
    }
    for marker in [0x91, 0x81, 0x95] {
        assert_eq!(decoded::<Rmp>(&vec![marker; 1 << 20]), Err(DecodeError::TooDeep));
    }
    let mut builder = FlatBufferBuilder::new();
    let deep = (0..100_000).fold(None, |next, _| {
        let args = common::table::ReadingArgs { next, ..Default::default() };
        Some(common::table::ReadingTable::create(&mut builder, &args))
    });
    let deep = common::encode(&FlatBuffer::<FlatReading>::finish(&mut builder, deep.unwrap()));
    assert_eq!(Flat::check(&deep), Err(DecodeError::TooDeep));
}

/// An enum whose nesting `rmp-serde` does not count: only the walk in front of it keeps the stack.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Link(Box<Self>),
}

impl Named for Chain {
    const NAME: &str = "test.Chain";
}

#[test]
fn nested_enums_do_not_reach_the_end_of_the_stack() {
    let chain = |links: usize| {
        let bytes = [b"\x81\xA4Link".repeat(links), b"\xA3End".to_vec()].concat();
        MessagePack::<Chain>::decode(Aligned::new(&bytes).stable(), Layer::Full).map(|chain| chain.0)
    };
    assert_eq!(chain(1), Ok(Chain::Link(Box::new(Chain::End))));
    assert!(chain(DEPTH_LIMIT).is_ok());
    assert_eq!(chain(DEPTH_LIMIT + 1), Err(DecodeError::TooDeep));
    assert_eq!(chain(1 << 20), Err(DecodeError::TooDeep));
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    assert_eq!(decoded::<Prost>(&[0x12, 1, 0xFF]), Err(DecodeError::Malformed));
    let good = Rmp::encoded(&Reading { label: "Q".into(), ..Reading::default() });
    let at = good.bytes().iter().position(|&byte| byte == b'Q').unwrap();
    let mut bad = good;
    bad.bytes_mut()[at] = 0xFF;
    assert_eq!(Rmp::decoded(&bad), Err(DecodeError::InvalidText));
    let mut bad = Flat::encoded(&Reading { label: "Q".into(), ..Reading::default() });
    let at = bad.bytes().iter().position(|&byte| byte == b'Q').unwrap();
    bad.bytes_mut()[at + 1] = b'x';
    assert_eq!(Flat::decoded(&bad), Err(DecodeError::InvalidText), "no zero at the end");
    bad.bytes_mut()[at..at + 2].copy_from_slice(&[0xFF, 0]);
    assert_eq!(Flat::decoded(&bad), Err(DecodeError::InvalidText));
}

#[test]
fn values_of_another_type_are_refused() {
    // Field 1 as bytes instead of a number.
    assert_eq!(decoded::<Prost>(&[0x0A, 1, 0]), Err(DecodeError::Malformed));
    assert_eq!(decoded::<Rmp>(b"\xA3abc"), Err(DecodeError::WrongType));
    assert_eq!(decoded::<Rmp>(b"\x81\xA8sequence\xA1x"), Err(DecodeError::WrongType));
    assert_eq!(decoded::<Rmp>(&[0xC1]), Err(DecodeError::Malformed));
}

/// One long text, pointed to by every table of a chain: each look at all of it would visit 62 times what was sent.
#[test]
fn shared_objects_do_not_amplify() {
    let message = |length: usize| {
        let mut builder = FlatBufferBuilder::new();
        let label = Some(builder.create_string(&"x".repeat(length)));
        let first = (0..62).fold(None, |next, _| {
            let args = common::table::ReadingArgs { label, next, ..Default::default() };
            Some(common::table::ReadingTable::create(&mut builder, &args))
        });
        common::encode(&FlatBuffer::<FlatReading>::finish(&mut builder, first.unwrap()))
    };
    assert_eq!(Flat::check(&message(10)), Ok(()));
    assert_eq!(Flat::check(&message(10_000)), Err(DecodeError::Amplified));
    assert!(FlatBuffer::<Sharing>::decode(message(10_000).stable(), Layer::Full).is_ok());
}

/// The same bytes for a type that says that it shares much.
struct Sharing;

impl Named for Sharing {
    const NAME: &str = "test.Sharing";
}

impl feuerbird_formats::flatbuffers::Table for Sharing {
    type Root<'a> = common::table::ReadingTable<'a>;
    const APPARENT_FACTOR: usize = 100;
}

/// Every word made an offset to every other one. They are unsigned, so what leads backwards, into a cycle, has to wrap around.
#[test]
fn offsets_that_lead_astray_are_read_or_refused() {
    let mut bytes = Flat::encoded(&nested(3));
    let words = bytes.bytes().len() / 4;
    let mut refused = 0;
    for word in 1..words {
        let good: [u8; 4] = bytes.bytes()[word * 4..][..4].try_into().unwrap();
        for target in 0..words {
            let offset = (target as u32 * 4).wrapping_sub(word as u32 * 4);
            bytes.bytes_mut()[word * 4..][..4].copy_from_slice(&offset.to_le_bytes());
            refused += usize::from(Flat::decoded(&bytes).is_err());
        }
        bytes.bytes_mut()[word * 4..][..4].copy_from_slice(&good);
    }
    assert!(refused > words);
}
