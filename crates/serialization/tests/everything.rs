//! Every kind of field, in every layer, in both directions between our types and those of the `capnp` crate.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;
#[path = "common/values.rs"]
mod values;

use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use common::{Aligned, FORMATS, FULL, LITE, RAW};
use feuerbird_serialization::wire::{AnyReader, CapabilityIndex};
use feuerbird_serialization::{DecodeError, Encode, EncodeError, Format, Layer, Message, Stable};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
#[allow(missing_docs, dead_code, unused_qualifications, unreachable_pub, clippy::all)]
mod everything_capnp {
    include!(concat!(env!("OUT_DIR"), "/everything_capnp.rs"));
}

use everything::*;
use values::{NUMBERS, every_shape};

/// The bytes of a message, in exactly the memory that the bound says.
fn encoded<M: Message>(value: &impl Encode<M>, format: Format) -> Aligned {
    let mut out = Aligned::new(&vec![0xEE; value.encoded_bound(format)]);
    let length = value.encode(format, out.bytes_mut()).unwrap();
    assert_eq!(length, out.bytes().len(), "the bound is exact");
    out
}

fn decoded<M: Message>(bytes: &Aligned, format: Format) -> M::View<'_> {
    M::decode(Stable::new(bytes.bytes()).unwrap(), format).unwrap()
}

/// Sends a value through every layer, hands what arrives to `check`, and sends that on through every layer once more.
fn arrives<M: Message>(value: &impl Encode<M>, check: impl Fn(M::View<'_>)) {
    for format in FORMATS {
        let bytes = encoded::<M>(value, format);
        check(decoded::<M>(&bytes, format));
        // To one of them is enough where Miri interprets it.
        for next in FORMATS.into_iter().take(if cfg!(miri) { 1 } else { FORMATS.len() }) {
            let forwarded = encoded::<M>(&decoded::<M>(&bytes, format), next);
            check(decoded::<M>(&forwarded, next));
        }
    }
}

/// A zero that has a sign, too.
fn numbers() -> Numbers {
    Numbers { float32: -0.0, ..NUMBERS }
}

fn same_numbers(sent: &Numbers, view: NumbersReader<'_>) {
    assert_eq!(Numbers::from(view), *sent);
    assert_eq!(view.float32().to_bits(), sent.float32.to_bits());
}

#[test]
fn numbers_arrive() {
    for sent in [numbers(), Numbers::default(), Numbers { color: Color(9), ..numbers() }] {
        arrives::<NumbersMessage>(&sent, |view| same_numbers(&sent, view));
    }
    assert_eq!(format!("{:?} {:?}", Color::DARK_BLUE, Color(9)), "darkBlue Color(9)");
}

#[test]
fn constants_have_the_values_of_the_schema() {
    assert_eq!((THE_ANSWER, GREETING, HALF, MAGIC), (42, "good morning", 0.5, &[0xc0, 0xff, 0xee][..]));
}

#[test]
fn what_was_never_set_has_its_default() {
    let check = |view: DefaultsReader<'_>| {
        assert!(view.bool());
        assert_eq!(
            (view.int8(), view.int16(), view.int32(), view.int64()),
            (-8, -1600, -320_000, -64_000_000_000)
        );
        assert_eq!(
            (view.uint8(), view.uint16(), view.uint32(), view.uint64()),
            (8, 1600, 320_000, 64_000_000_000)
        );
        assert_eq!((view.float32(), view.float64()), (1.5, -2.25));
        assert_eq!((view.color(), view.text(), view.data()), (Color::DARK_BLUE, "default", &[1, 2, 3][..]));
        assert_eq!(view.list().iter().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((view.inner().int32(), view.inner().color()), (7, Color::GREEN));
        assert_eq!(view.texts().iter().collect::<Vec<_>>(), ["a", "bc"]);
        assert!(!view.has_text() && !view.has_list() && !view.has_inner());
    };
    arrives::<DefaultsMessage>(&Defaults::default(), check);
    // A message without a single field.
    for (bytes, format) in [(common::lite_of(&[0]), LITE), (common::full_of(&[&[0]]), FULL)] {
        check(decoded::<DefaultsMessage>(&bytes, format));
    }
}

#[test]
fn defaults_can_be_overwritten_with_zero_and_with_nothing() {
    let sent = Defaults {
        bool: false,
        int8: 0,
        int64: 0,
        float64: 0.0,
        color: Color::RED,
        text: "",
        data: &[],
        list: Some(&[]),
        inner: Some(&Numbers { int32: 0, ..Numbers::default() }),
        texts: Some(&["z"]),
        ..Defaults::default()
    };
    arrives::<DefaultsMessage>(&sent, |view| {
        assert_eq!((view.bool(), view.int8(), view.int64(), view.float64()), (false, 0, 0, 0.0));
        assert_eq!((view.color(), view.uint32()), (Color::RED, 320_000));
        assert_eq!((view.text(), view.data(), view.list().len()), ("", &[][..], 0));
        assert_eq!((view.inner().int32(), view.inner().color()), (0, Color::RED));
        assert_eq!(view.texts().iter().collect::<Vec<_>>(), ["z"]);
    });
}

/// Lists of so many elements, with enumerants that only a newer schema has.
fn with_lists(count: usize, check: impl FnOnce(Lists<'_>)) {
    let colors: Vec<Color> = (0..count).map(|i| Color(i as u16)).collect();
    values::with_lists(count, |lists| check(Lists { colors: &colors, ..lists }));
}

fn same_lists(sent: &Lists<'_>, view: ListsReader<'_>) {
    assert_eq!(view.voids().len(), sent.voids.len());
    assert!(view.bools().iter().eq(sent.bools.iter().copied()));
    assert!(view.int8s().iter().eq(sent.int8s.iter().copied()));
    assert!(view.int16s().iter().eq(sent.int16s.iter().copied()));
    assert!(view.int32s().iter().eq(sent.int32s.iter().copied()));
    assert!(view.int64s().iter().eq(sent.int64s.iter().copied()));
    assert!(view.uint8s().iter().eq(sent.uint8s.iter().copied()));
    assert!(view.uint16s().iter().eq(sent.uint16s.iter().copied()));
    assert!(view.uint32s().iter().eq(sent.uint32s.iter().copied()));
    assert!(view.uint64s().iter().eq(sent.uint64s.iter().copied()));
    assert!(view.float32s().iter().eq(sent.float32s.iter().copied()));
    assert!(view.float64s().iter().eq(sent.float64s.iter().copied()));
    assert!(view.colors().iter().eq(sent.colors.iter().copied()));
    assert!(view.texts().iter().eq(sent.texts.iter().copied()));
    assert!(view.datas().iter().eq(sent.datas.iter().copied()));
    assert!(view.structs().iter().map(Numbers::from).eq(sent.structs.iter().copied()));
    assert_eq!(view.nested().len(), sent.nested.len());
    for (view, sent) in view.nested().iter().zip(sent.nested) {
        assert!(view.iter().eq(sent.iter().copied()));
    }
    for (view, sent) in view.deep().iter().zip(sent.deep) {
        assert!(view.iter().zip(*sent).all(|(view, sent)| view.iter().eq(sent.iter().copied())));
    }
    for (view, sent) in view.trees().iter().zip(sent.trees) {
        assert_eq!((view.label(), view.next().label()), (sent.label, sent.next.unwrap().label));
        assert!(view.children().iter().map(|child| child.label()).eq(sent.children.iter().map(|c| c.label)));
    }
}

#[test]
fn lists_of_everything_arrive() {
    let counts = if cfg!(miri) { &[0, 3][..] } else { &[0, 1, 2, 7, 8, 9, 63, 64, 65, 200] };
    for count in counts.iter().copied() {
        with_lists(count, |sent| arrives::<ListsMessage>(&sent, |view| same_lists(&sent, view)));
    }
}

#[test]
fn lists_of_numbers_can_be_read_where_they_lie() {
    with_lists(10, |sent| {
        let bytes = encoded::<ListsMessage>(&sent, FULL);
        let view = decoded::<ListsMessage>(&bytes, FULL);
        let words = view.uint64s().as_le_bytes().unwrap();
        assert!(words.iter().map(|word| u64::from_le_bytes(*word)).eq(sent.uint64s.iter().copied()));
        assert_eq!(view.uint8s().as_le_bytes().unwrap().as_flattened(), sent.uint8s);
    });
}

#[test]
fn every_member_of_a_union_arrives_alone() {
    for sent in every_shape().into_iter().step_by(if cfg!(miri) { 4 } else { 1 }) {
        arrives::<ShapeMessage>(&sent, |view| {
            assert_eq!((view.name(), view.r#type()), ("shape", 7));
            assert_eq!((view.position().x(), view.position().y()), (-1, 1));
            match (sent.which, view.which()) {
                (ShapeWhich::Nothing, ShapeWhichReader::Nothing) => {}
                (ShapeWhich::Circle(sent), ShapeWhichReader::Circle(view)) => assert_eq!(sent, view),
                (ShapeWhich::Polygon(sent), ShapeWhichReader::Polygon(view)) => {
                    assert!(view.iter().eq(sent.iter().copied()));
                }
                (ShapeWhich::Label(sent), ShapeWhichReader::Label(view)) => assert_eq!(sent, view),
                (ShapeWhich::Box(sent), ShapeWhichReader::Box(view)) => {
                    assert_eq!((view.width(), view.height()), (sent.width, sent.height));
                    assert_eq!(view.title(), sent.title);
                }
                (sent, view) => panic!("{sent:?} arrived as {view:?}"),
            }
            match (sent.fill.which, view.fill().which()) {
                (ShapeFillWhich::None, ShapeFillWhichReader::None) => {}
                (ShapeFillWhich::Color(sent), ShapeFillWhichReader::Color(view)) => {
                    assert_eq!(sent, view)
                }
                (ShapeFillWhich::Texture(sent), ShapeFillWhichReader::Texture(view)) => {
                    assert_eq!(sent, view)
                }
                (sent, view) => panic!("{sent:?} arrived as {view:?}"),
            }
        });
    }
}

#[test]
fn nested_structs_recursion_and_any_pointers_arrive() {
    let deepest = Tree { label: "deepest", ..Tree::default() };
    let middle = Tree { label: "middle", next: Some(&deepest), ..Tree::default() };
    let tree = Tree { label: "root", children: &[middle, deepest], next: Some(&middle) };
    let text = encoded::<TreeMessage>(&deepest, FULL);
    let words: Vec<[u8; 8]> = text.bytes()[8..].as_chunks().0.to_vec();
    let any = AnyReader::of_schema(words.leak());
    let numbers = numbers();
    with_lists(3, |lists| {
        let sent = Everything {
            numbers: Some(&numbers),
            defaults: None,
            lists: Some(&lists),
            tree: Some(&tree),
            shapes: &[Shape::default(), Shape { name: "second", ..Shape::default() }],
            any,
            text: "text",
            data: b"data",
            inner: Some(&EverythingInner { value: 5 }),
        };
        arrives::<EverythingMessage>(&sent, |view| {
            same_numbers(&numbers, view.numbers());
            same_lists(&lists, view.lists());
            assert_eq!(view.tree().next().next().label(), "deepest");
            assert_eq!(view.tree().children().get(0).unwrap().next().label(), "deepest");
            assert_eq!(view.shapes().iter().map(|shape| shape.name()).collect::<Vec<_>>(), ["", "second"]);
            assert_eq!(TreeReader::from(view.any().structure()).label(), "deepest");
            assert_eq!((view.text(), view.data(), view.inner().value()), ("text", &b"data"[..], 5));
            assert!(view.has_inner() && !view.has_defaults());
            assert_eq!(view.defaults().int8(), -8);
        });
    });
}

#[test]
fn a_builder_writes_the_same_message_in_place() {
    let tree = Tree { label: "root", children: &[Tree { label: "child", ..Tree::default() }], next: None };
    for format in FORMATS {
        let expected = encoded::<TreeMessage>(&tree, format);
        let mut out = Aligned::new(&[0xEE; 512]);
        let length = TreeMessage::build(format, 40, out.bytes_mut(), |mut root| {
            root.set_label("root")?;
            let mut children = root.init_children(1)?;
            TreeBuilder::from(children.structure(0)).set_label("child")
        });
        assert_eq!(&out.bytes()[..length.unwrap()], expected.bytes(), "{format:?}");
        let too_small =
            TreeMessage::build(format, 1, out.bytes_mut(), |mut root| root.set_label("longer than a word"));
        assert!(matches!(too_small, Err(EncodeError::BufferTooSmall { .. })));
    }
}

#[test]
fn a_builder_sets_every_kind_of_field() {
    let mut out = Aligned::new(&[0xEE; 4096]);
    let length = ShapeMessage::build(FULL, 100, out.bytes_mut(), |mut shape| {
        shape.set_name("built")?;
        shape.set_type(3);
        shape.position().set_x(-7);
        shape.fill().set_color(Color::GREEN);
        let mut boxed = shape.r#box();
        boxed.set_width(5);
        boxed.set_title("titled")
    });
    let out = Aligned::new(&out.bytes()[..length.unwrap()]);
    let view = decoded::<ShapeMessage>(&out, FULL);
    assert_eq!((view.name(), view.r#type(), view.position().x()), ("built", 3, -7));
    let ShapeWhichReader::Box(boxed) = view.which() else { panic!("{view:?}") };
    assert_eq!((boxed.width(), boxed.height(), boxed.title()), (5, 0, "titled"));
    assert!(matches!(view.fill().which(), ShapeFillWhichReader::Color(Color::GREEN)));

    let mut out = Aligned::new(&[0xEE; 4096]);
    let length = DefaultsMessage::build(LITE, 100, out.bytes_mut(), |mut defaults| {
        defaults.set_bool(false);
        defaults.set_int16(-1600);
        defaults.set_float64(0.0);
        defaults.set_color(Color::RED);
        defaults.set_list(&[5])?;
        defaults.init_texts(0)?;
        defaults.init_inner()?.set_int32(1);
        defaults.init_data(2)?.copy_from_slice(b"ab");
        Ok(())
    });
    let out = Aligned::new(&out.bytes()[..length.unwrap()]);
    let view = decoded::<DefaultsMessage>(&out, LITE);
    assert_eq!((view.bool(), view.int16(), view.float64(), view.color()), (false, -1600, 0.0, Color::RED));
    assert_eq!((view.int8(), view.list().get(0), view.texts().len()), (-8, Some(5), 0));
    assert_eq!((view.inner().int32(), view.inner().color(), view.data()), (1, Color::RED, &b"ab"[..]));
}

#[test]
fn capabilities_are_accepted_only_as_far_as_they_came_beside() {
    let mut out = Aligned::new(&[0; 256]);
    let length = EverythingMessage::build(FULL.with_capabilities(3), 0, out.bytes_mut(), |mut root| {
        root.any().capability(CapabilityIndex(2));
        Ok(())
    });
    let out = Aligned::new(&out.bytes()[..length.unwrap()]);
    let decode = |capabilities| {
        let stable = Stable::new(out.bytes()).unwrap().with_capabilities(capabilities);
        EverythingMessage::decode(stable, FULL).map(|view| view.any().capability())
    };
    assert_eq!(decode(0), Err(DecodeError::WrongPointer));
    assert_eq!(decode(2), Err(DecodeError::WrongPointer));
    assert_eq!(decode(3), Ok(Some(CapabilityIndex(2))));
}

#[test]
fn a_struct_of_numbers_is_its_own_raw_message() {
    let sent = EverythingInnerRaw { value: 0x0102_0304_0506_0708 };
    for format in FORMATS {
        let bytes = encoded::<EverythingInnerMessage>(&sent, format);
        let view = decoded::<EverythingInnerMessage>(&bytes, format);
        assert_eq!(view.as_raw(), Some(&sent));
        assert!(bytes.bytes().as_ptr_range().contains(&std::ptr::from_ref(view.as_raw().unwrap()).cast()));
    }
    assert_eq!(encoded::<EverythingInnerMessage>(&sent, RAW).bytes(), [8, 7, 6, 5, 4, 3, 2, 1]);
    let old = common::lite_of(&[0]);
    assert_eq!(decoded::<EverythingInnerMessage>(&old, LITE).as_raw(), None);
}

/// Their reader over our bytes, and their bytes under our reader.
#[test]
fn the_capnp_crate_and_we_read_each_other() {
    with_lists(9, |lists| {
        let numbers = numbers();
        let tree = Tree { label: "label", children: &[Tree::default()], next: None };
        let sent = Everything {
            numbers: Some(&numbers),
            lists: Some(&lists),
            tree: Some(&tree),
            ..Everything::default()
        };
        let ours = encoded::<EverythingMessage>(&sent, FULL);
        let mut bytes = ours.bytes();
        let message =
            capnp::serialize::read_message_from_flat_slice(&mut bytes, ReaderOptions::new()).unwrap();
        let root: everything_capnp::everything::Reader<'_> = message.get_root().unwrap();
        let theirs = root.get_numbers().unwrap();
        assert_eq!((theirs.get_int64(), theirs.get_uint16()), (i64::MIN, 65_535));
        assert_eq!(theirs.get_color().unwrap(), everything_capnp::Color::DarkBlue);
        assert_eq!(root.get_tree().unwrap().get_label().unwrap(), "label");
        let theirs = root.get_lists().unwrap();
        assert!(theirs.get_bools().unwrap().iter().eq(lists.bools.iter().copied()));
        assert!(theirs.get_int32s().unwrap().iter().eq(lists.int32s.iter().copied()));
        assert_eq!(theirs.get_structs().unwrap().get(3).get_uint64(), lists.structs[3].uint64);
        assert_eq!(theirs.get_texts().unwrap().get(4).unwrap(), lists.texts[4]);
        assert_eq!(root.get_defaults().unwrap().get_text().unwrap(), "default");

        // Written again by the crate, in few and in many segments.
        for first in if cfg!(miri) { &[4][..] } else { &[1, 4, 10_000] }.iter().copied() {
            let mut builder = Builder::new(HeapAllocator::new().first_segment_words(first));
            builder.set_root(root).unwrap();
            let theirs = Aligned::new(&capnp::serialize::write_message_to_words(&builder));
            let view = decoded::<EverythingMessage>(&theirs, FULL);
            same_numbers(&numbers, view.numbers());
            same_lists(&lists, view.lists());
            assert_eq!(view.tree().label(), "label");
            // And what came in many segments goes on in one.
            let on = encoded::<EverythingMessage>(&view, Layer::Lite.format());
            same_lists(&lists, decoded::<EverythingMessage>(&on, Layer::Lite.format()).lists());
        }
    });
}

#[test]
fn fields_of_the_wrong_type_are_refused_wherever_they_are() {
    let text = common::to_list(0, 2, 1);
    // A text without its zero byte, one that is no UTF-8, a list of words, a struct.
    for (pointer, word, error) in [
        (text, u64::from(b'x'), DecodeError::InvalidText),
        (common::to_list(0, 2, 2), 0x00FF, DecodeError::InvalidText),
        (common::to_list(0, 2, 0), 0, DecodeError::InvalidText),
        (common::to_list(0, 5, 1), 0, DecodeError::WrongType),
        (common::to_struct(0, 1, 0), 0, DecodeError::WrongType),
    ] {
        let tree = [common::to_struct(0, 0, 3), pointer, 0, 0, word];
        // The label is the first of three pointers: the object lies behind all of them.
        let tree = [tree[0], tree[1] + (2 << 2), 0, 0, word];
        let nested = [common::to_struct(0, 0, 3), 0, 0, common::to_struct(0, 0, 3), tree[1], 0, 0, word];
        for segment in [&tree[..], &nested[..]] {
            for (bytes, format) in [(common::lite_of(segment), LITE), (common::full_of(&[segment]), FULL)] {
                let result = TreeMessage::decode(Stable::new(bytes.bytes()).unwrap(), format);
                assert_eq!(result.map(|_| ()), Err(error));
            }
        }
    }
}
