//! What is rare in schemas: defaults behind every kind of pointer, in groups and in unions; names that mean something in Rust; fields
//! of an interface's type; and the `capnp` crate's own types over what arrives.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;

use capnp::message::{Builder, HeapAllocator};
use common::{Aligned, FORMATS, FULL, LITE, RAW};
use feuerbird_serialization::wire::CapabilityIndex;
use feuerbird_serialization::{CapnpMessage, Checks, DecodeError, Encode, Format, Message, Stable};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod corners {
    include!(concat!(env!("OUT_DIR"), "/corners.rs"));
}
#[allow(missing_docs, dead_code, unused_qualifications, unreachable_pub, clippy::all)]
mod corners_capnp {
    include!(concat!(env!("OUT_DIR"), "/corners_capnp.rs"));
}
#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod names {
    include!(concat!(env!("OUT_DIR"), "/names.rs"));
}
#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod capability {
    include!(concat!(env!("OUT_DIR"), "/capability.rs"));
}

use corners::*;

fn encoded<M: Message>(value: &impl Encode<M>, format: Format) -> Aligned {
    let mut out = Aligned::new(&vec![0xEE; value.encoded_bound(format)]);
    let length = value.encode(format, out.bytes_mut()).unwrap();
    assert_eq!(length, out.bytes().len(), "the bound is exact");
    out
}

fn decoded<M: Message>(bytes: &Aligned, format: Format) -> M::View<'_> {
    M::decode(Stable::new(bytes.bytes()).unwrap(), format).unwrap()
}

/// A message that is written in place, in exactly the memory that it takes.
fn built(format: Format, fill: impl FnOnce(CornersBuilder<'_>)) -> Aligned {
    let mut out = Aligned::new(&[0xEE; 2048]);
    let length = CornersMessage::build(format, 200, out.bytes_mut(), |root| {
        fill(root);
        Ok(())
    });
    Aligned::new(&out.bytes()[..length.unwrap()])
}

fn has_defaults(view: CornersReader<'_>) {
    let points: Vec<_> = view.points().iter().map(|point| (point.x(), point.y())).collect();
    assert_eq!(points, [(1, 2), (3, 5)]);
    assert!(view.bools().iter().eq([true, false, true]));
    let nested: Vec<Vec<u16>> = view.nested().iter().map(|list| list.iter().collect()).collect();
    assert_eq!(nested, [vec![1, 2], vec![], vec![3]]);
    assert!(view.datas().iter().eq([&[1][..], &[2, 3]]));
    assert_eq!(view.voids().len(), 2);
    let group = view.group();
    assert_eq!((group.number(), group.text(), group.inner().flag()), (-6, "in a group", true));
    assert!(group.inner().points().iter().map(|point| (point.x(), point.y())).eq([(9, 0)]));
    assert!(view.any().is_null() && view.infinite().is_infinite() && view.unclear().is_nan());
    assert!(matches!(view.which(), CornersWhichReader::Number(10)));
}

#[test]
fn defaults_are_those_of_the_schema_wherever_they_are() {
    for format in FORMATS {
        has_defaults(decoded::<CornersMessage>(&encoded(&Corners::default(), format), format));
        has_defaults(decoded::<CornersMessage>(&built(format, |_| {}), format));
    }
    for (bytes, format) in [(common::lite_of(&[0]), LITE), (common::full_of(&[&[0]]), FULL)] {
        has_defaults(decoded::<CornersMessage>(&bytes, format));
    }
    // The crate says the same of the same bytes.
    let bytes = encoded(&Corners::default(), FULL);
    let stable = Stable::new(bytes.bytes()).unwrap();
    let message =
        CornersMessage::decode_capnp::<corners_capnp::corners::Owned>(stable, FULL).unwrap().unwrap();
    let theirs = message.get().unwrap();
    assert_eq!(theirs.get_points().unwrap().get(1).get_x(), 3);
    assert_eq!(theirs.get_nested().unwrap().get(2).unwrap().get(0), 3);
    assert_eq!(theirs.get_group().get_text().unwrap(), "in a group");
    assert!(theirs.get_group().get_inner().get_flag() && theirs.get_unclear().is_nan());
    assert!(matches!(theirs.which(), Ok(corners_capnp::corners::Number(10))));
}

#[test]
fn every_member_of_a_union_has_its_default_and_can_be_set_to_zero() {
    for format in FORMATS {
        let bytes = built(format, |mut root| root.pair().set_none());
        let CornersWhichReader::Pair(pair) = decoded::<CornersMessage>(&bytes, format).which() else {
            panic!()
        };
        assert!(matches!(pair.which(), CornersPairWhichReader::None));
        let bytes = built(format, |mut root| root.pair().set_some(0.25));
        let CornersWhichReader::Pair(pair) = decoded::<CornersMessage>(&bytes, format).which() else {
            panic!()
        };
        assert!(matches!(pair.which(), CornersPairWhichReader::Some(0.25)));

        let pair = CornersPair { low: 1, high: "h", which: CornersPairWhich::Some(0.0) };
        let sent = Corners { which: CornersWhich::Pair(pair), ..Corners::default() };
        let bytes = encoded(&sent, format);
        let CornersWhichReader::Pair(view) = decoded::<CornersMessage>(&bytes, format).which() else {
            panic!()
        };
        assert_eq!((view.low(), view.high()), (1, "h"));
        assert!(matches!(view.which(), CornersPairWhichReader::Some(0.0)));

        for (which, text) in [(CornersWhich::Text("in a union"), "in a union"), (CornersWhich::Text(""), "")]
        {
            let bytes = encoded(&Corners { which, ..Corners::default() }, format);
            let view = decoded::<CornersMessage>(&bytes, format);
            assert!(matches!(view.which(), CornersWhichReader::Text(view) if view == text));
        }
        let bytes = encoded(&Corners { which: CornersWhich::Point(None), ..Corners::default() }, format);
        let view = decoded::<CornersMessage>(&bytes, format);
        assert!(
            matches!(view.which(), CornersWhichReader::Point(point) if (point.x(), point.y()) == (11, 12))
        );
    }
}

#[test]
fn a_member_that_is_a_group_begins_without_what_another_member_left() {
    for format in FORMATS {
        let bytes = built(format, |mut root| {
            root.pair().set_low(u32::MAX);
            root.set_text("left behind").unwrap();
            root.set_number(u32::MAX);
            root.pair().set_some(1.5);
        });
        let CornersWhichReader::Pair(pair) = decoded::<CornersMessage>(&bytes, format).which() else {
            panic!()
        };
        assert_eq!((pair.low(), pair.high()), (0, ""));
        assert!(matches!(pair.which(), CornersPairWhichReader::Some(1.5)));

        // And goes on where it was left.
        let bytes = built(format, |mut root| {
            root.pair().set_low(7);
            root.pair().set_high("high").unwrap();
        });
        let CornersWhichReader::Pair(pair) = decoded::<CornersMessage>(&bytes, format).which() else {
            panic!()
        };
        assert_eq!((pair.low(), pair.high()), (7, "high"));

        let bytes = built(format, |mut root| {
            root.set_text("left behind").unwrap();
            root.anything();
        });
        let view = decoded::<CornersMessage>(&bytes, format);
        assert!(matches!(view.which(), CornersWhichReader::Anything(any) if any.is_null()));
    }
}

#[test]
fn a_view_of_a_flat_struct_becomes_a_plain_value_groups_and_all() {
    let sent = Flat { name: "n", place: FlatPlace { x: -2, y: 3 } };
    for format in FORMATS {
        let bytes = encoded::<FlatMessage>(&sent, format);
        assert_eq!(Flat::from(decoded::<FlatMessage>(&bytes, format)), sent);
    }
    assert_ne!(
        Flat::default(),
        Flat { place: FlatPlace { x: 0, ..FlatPlace::default() }, ..Flat::default() }
    );
}

#[test]
fn a_raw_struct_has_its_padding_where_the_schema_has_nothing() {
    let sent = PaddedRaw { small: 1, large: 2, middle: 3, float: 4.5, ..PaddedRaw::default() };
    let plain = Padded { small: 1, large: 2, middle: 3, float: 4.5 };
    for format in FORMATS {
        let bytes = encoded::<PaddedMessage>(&sent, format);
        assert_eq!(bytes.bytes(), encoded::<PaddedMessage>(&plain, format).bytes());
        assert_eq!(decoded::<PaddedMessage>(&bytes, format).as_raw(), Some(&sent));
    }
    assert_eq!(size_of::<PaddedRaw>(), 16);
}

/// Bits, defaults, groups and nothings are the same bytes in a struct as in a message.
#[test]
fn a_raw_struct_has_bits_groups_and_defaults() {
    let zeros = FixedRaw::default();
    assert!(zeros.on() && !zeros.off() && !zeros.place_inner_far());
    assert_eq!((zeros.signed(), zeros.plain, zeros.level()), (-3, 0, FixedLevel::HIGH));
    assert_eq!((zeros.place_ratio(), zeros.place_inner_count()), (0.5, 7));
    assert_eq!(zeros, FixedRaw::from(Fixed::default()));

    let mut raw = zeros;
    raw.set_on(false);
    raw.set_off(true);
    raw.set_signed(i16::MIN);
    raw.plain = 9;
    raw.set_level(FixedLevel::LOW);
    raw.set_place_ratio(-0.25);
    raw.set_place_inner_far(true);
    raw.set_place_inner_count(0);
    let inner = FixedPlaceInner { far: true, count: 0 };
    let place = FixedPlace { ratio: -0.25, inner };
    let value = Fixed { on: false, off: true, signed: i16::MIN, plain: 9, level: FixedLevel::LOW, place };
    assert_eq!(raw, FixedRaw::from(value));
    for format in FORMATS {
        let bytes = encoded::<FixedMessage>(&raw, format);
        assert_eq!(bytes.bytes(), encoded::<FixedMessage>(&value, format).bytes());
        let view = decoded::<FixedMessage>(&bytes, format);
        assert_eq!((view.as_raw(), Fixed::from(view)), (Some(&raw), value));
    }
    let stable = encoded::<FixedMessage>(&raw, FULL);
    let theirs =
        FixedMessage::decode_capnp::<corners_capnp::fixed::Owned>(Stable::new(stable.bytes()).unwrap(), FULL);
    let theirs = theirs.unwrap().unwrap();
    let theirs = theirs.get().unwrap();
    let inner = theirs.get_place().get_inner();
    assert_eq!(
        (theirs.get_on(), theirs.get_signed(), inner.get_far(), inner.get_count()),
        (false, i16::MIN, true, 0)
    );
}

#[test]
fn the_types_of_the_capnp_crate_read_what_arrives_in_lite_and_full() {
    let sent = Flat { name: "a name", place: FlatPlace { x: 1, y: u64::MAX } };
    for format in FORMATS {
        let bytes = encoded::<FlatMessage>(&sent, format);
        let stable = Stable::new(bytes.bytes()).unwrap();
        let message = FlatMessage::decode_capnp::<corners_capnp::flat::Owned>(stable, format).unwrap();
        let Some(message) = message else {
            assert_eq!(format, RAW);
            continue;
        };
        let theirs = message.get().unwrap();
        assert_eq!(theirs.get_name().unwrap(), "a name");
        assert_eq!((theirs.get_place().get_x(), theirs.get_place().get_y()), (1, u64::MAX));
    }
}

#[test]
fn the_types_of_the_capnp_crate_read_every_segment_and_only_what_was_checked() {
    for first in [1, 3, 1000] {
        let mut builder = Builder::new(HeapAllocator::new().first_segment_words(first));
        let mut root: corners_capnp::corners::Builder<'_> = builder.init_root();
        let mut points = root.reborrow().init_points(40);
        (0..40).for_each(|index| points.reborrow().get(index).set_y(index as i32));
        let text = "x".repeat(300);
        root.reborrow().get_group().set_text(&text);
        root.init_point().set_x(5);
        let bytes = Aligned::new(&capnp::serialize::write_message_to_words(&builder));
        let stable = Stable::new(bytes.bytes()).unwrap();
        let message =
            CornersMessage::decode_capnp::<corners_capnp::corners::Owned>(stable, FULL).unwrap().unwrap();
        // However often it is read: the limit is on what a message may lead to, not on what a program does with it.
        for _ in 0..50 {
            let theirs = message.get().unwrap();
            assert!(theirs.get_points().unwrap().iter().map(|point| point.get_y()).eq(0..40));
            assert_eq!(theirs.get_group().get_text().unwrap(), text.as_str());
        }
        let cut = Stable::new(&bytes.bytes()[..bytes.bytes().len() - 8]).unwrap();
        assert!(CornersMessage::decode_capnp::<corners_capnp::corners::Owned>(cut, FULL).is_err());
    }
    let wrong = common::full_of(&[&[common::to_struct(0, 0, 1), common::to_struct(0, 1, 0), 0]]);
    let stable = Stable::new(wrong.bytes()).unwrap();
    let result = CornersMessage::decode_capnp::<corners_capnp::corners::Owned>(stable, FULL);
    assert_eq!(result.map(|_| ()), Err(DecodeError::WrongType));
}

/// The walk is what bounds what the crate's types visit, so it runs for them also where the format asks for lengths alone.
#[test]
fn the_types_of_the_capnp_crate_are_never_over_a_message_that_nobody_walked() {
    let (data, pointers) = CornersMessage::SECTIONS;
    let mut segment = vec![0; 2 + usize::from(data) + usize::from(pointers)];
    segment[0] = common::to_struct(0, data, pointers);
    // Half a billion structs without fields.
    segment[1 + usize::from(data)] = common::to_list(i32::from(pointers) - 1, 7, 0);
    *segment.last_mut().unwrap() = common::to_struct((1 << 29) - 1, 0, 0);
    for (bytes, format) in [(common::lite_of(&segment), LITE), (common::full_of(&[&segment]), FULL)] {
        let format = Format { checks: Checks::Lengths, ..format };
        let stable = Stable::new(bytes.bytes()).unwrap();
        assert!(CornersMessage::decode(stable, format).is_ok());
        let message = CornersMessage::decode_capnp::<corners_capnp::corners::Owned>(stable, format);
        assert_eq!(message.map(|_| ()), Err(DecodeError::Amplified));
    }
}

#[test]
fn names_that_mean_something_in_rust_are_fields_and_types_as_any_other() {
    let option =
        names::Option { self_: 1, r#type: 2, super_: "s", fmt: "f", r#gen: 0.5, ..Default::default() };
    let sent = names::Result {
        option: Some(&option),
        list: &[names::Some::TYPE, names::Some::SELF],
        which: names::ResultWhich::Itself("me"),
        ..Default::default()
    };
    for format in FORMATS {
        let bytes = encoded::<names::ResultMessage>(&sent, format);
        let view = decoded::<names::ResultMessage>(&bytes, format);
        assert_eq!((view.option().self_(), view.option().r#type(), view.option().super_()), (1, 2, "s"));
        assert_eq!(
            (view.option().fmt(), view.option().r#gen(), view.default(), view.text()),
            ("f", 0.5, 7, "x")
        );
        assert!(view.list().iter().eq([names::Some(0), names::Some(1)]));
        assert!(matches!(view.which(), names::ResultWhichReader::Itself("me")));
        assert_eq!(names::Option::from(view.option()), option);
    }
    let bytes = encoded::<names::ResultMessage>(&names::Result::default(), FULL);
    let view = decoded::<names::ResultMessage>(&bytes, FULL);
    assert!(matches!(view.which(), names::ResultWhichReader::Unknown));
    let newer = common::full_of(&[&[common::to_struct(0, 1, 0), 0x0009_0000_0000_0000]]);
    let view = decoded::<names::ResultMessage>(&newer, FULL);
    assert!(matches!(view.which(), names::ResultWhichReader::UnknownMember(9)), "{view:?}");
    assert_eq!(names::TYPE, 3);
}

#[test]
fn fields_of_an_interface_hold_indices_of_what_came_beside() {
    use capability::*;
    let sent = Introduction {
        first: Some(CapabilityIndex(0)),
        others: &[Some(CapabilityIndex(2)), None, Some(CapabilityIndex(1))],
        note: Some(&PeerNote { text: "hello" }),
        which: IntroductionWhich::Last(Some(CapabilityIndex(3))),
    };
    let decode = |bytes: &Aligned, format, capabilities| {
        let stable = Stable::new(bytes.bytes()).unwrap().with_capabilities(capabilities);
        IntroductionMessage::decode(stable, format).map(|view| {
            assert_eq!((view.first(), view.note().text()), (Some(CapabilityIndex(0)), "hello"));
            assert!(view.others().iter().eq(sent.others.iter().copied()));
            assert!(matches!(view.which(), IntroductionWhichReader::Last(Some(CapabilityIndex(3)))));
        })
    };
    for format in [LITE, FULL] {
        let bytes = encoded::<IntroductionMessage>(&sent, format.with_capabilities(4));
        assert_eq!(decode(&bytes, format, 4), Ok(()));
        assert_eq!(decode(&bytes, format, 3), Err(DecodeError::WrongPointer));
    }
    // A capability where a struct belongs, and the reverse.
    let (capability, structure) = (3, common::to_struct(3, 1, 0));
    for (first, note) in [(0, capability), (structure, 0)] {
        let words = [common::to_struct(0, 1, 4), 0, first, 0, note, 0, 0];
        let bytes = common::full_of(&[&words]);
        let stable = Stable::new(bytes.bytes()).unwrap().with_capabilities(1);
        assert_eq!(IntroductionMessage::decode(stable, FULL).map(|_| ()), Err(DecodeError::WrongType));
    }
}

/// Defaults hold the fields that they are the defaults of: what was never set is not shown.
#[test]
fn a_default_without_an_end_can_be_printed() {
    let words = [common::to_struct(0, 1, 0), 1];
    let bytes = common::full_of(&[&words]);
    let view = AgainMessage::decode(Stable::new(bytes.bytes()).unwrap(), FULL).unwrap();
    assert_eq!(view.next().next().all().get(0).unwrap().group().next().number(), 9);
    let AgainWhichReader::Member(member) = view.which() else { panic!("{view:?}") };
    assert_eq!(member.number(), 10);
    assert_eq!(format!("{view:?}"), "Again { number: 1, group: AgainGroup, .. }");
}

/// Its first member is set, and null, and reads as one more of the same.
#[test]
fn a_view_without_an_end_can_be_printed() {
    let sent = Chain { which: ChainWhich::Next(None) };
    let mut out = Aligned::new(&vec![0; sent.encoded_bound(FULL)]);
    sent.encode(FULL, out.bytes_mut()).unwrap();
    let view = ChainMessage::decode(Stable::new(out.bytes()).unwrap(), FULL).unwrap();
    assert_eq!(format!("{view:?}"), "Chain { .. }");
    let ChainWhichReader::Next(next) = view.which() else { panic!("{view:?}") };
    assert!(matches!(next.which(), ChainWhichReader::Next(_)));
}
