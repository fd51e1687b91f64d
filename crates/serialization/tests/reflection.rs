//! Messages by a schema that is read when the program runs: the same verdict and the same words as by generated code, and no schema
//! that makes a program go on for ever.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

mod common;
#[path = "common/random.rs"]
mod random;

use capnp::schema_capnp::{code_generator_request, node};
use common::{Aligned, FULL, LITE, RAW, to_list, to_struct};
use feuerbird_serialization::{
    CapnpMessage, DecodeError, Encode, Message, Stable, print,
    reflect::{FieldKind, Schema, Value},
};
use random::{Model, Random};

#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}
#[allow(missing_docs, dead_code, unused_qualifications, unreachable_pub, clippy::all)]
mod everything_capnp {
    include!(concat!(env!("OUT_DIR"), "/everything_capnp.rs"));
}
use everything::*;

/// How often a message is changed somewhere; less where Miri interprets it.
const MUTATIONS: u64 = if cfg!(miri) { 10 } else { 5_000 };

fn request() -> Aligned {
    Aligned::new(include_bytes!("../../../schemas/everything.capnp.request"))
}

fn message() -> Aligned {
    let leaf = Tree { label: "leaf", ..Tree::default() };
    let lists =
        Lists { texts: &["a", "b"], uint64s: &[1, 2], structs: &[Numbers::default()], ..Lists::default() };
    let shape = Shape { which: ShapeWhich::Label("label"), ..Shape::default() };
    let everything = Everything {
        defaults: Some(&Defaults::default()),
        lists: Some(&lists),
        tree: Some(&Tree { children: &[leaf, leaf], next: Some(&leaf), ..leaf }),
        shapes: &[shape, shape],
        text: "text",
        ..Everything::default()
    };
    let mut out = Aligned::new(&vec![0; everything.encoded_bound(FULL)]);
    everything.encode(FULL, out.bytes_mut()).unwrap();
    out
}

#[test]
fn changed_messages_have_the_verdict_and_the_text_that_generated_code_gives_them() {
    let (request, honest) = (request(), message());
    let schema = Schema::new(Stable::new(request.bytes()).unwrap()).unwrap();
    let everything = schema.structure("Everything").unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..MUTATIONS {
        let (mut random, mut changed) = (Random(seed), honest.clone());
        for _ in 0..=random.below(2) {
            let (at, bit) = (random.below(honest.bytes().len() - 8) + 8, random.below(8));
            changed.bytes_mut()[at] ^= 1 << bit;
        }
        let stable = Stable::new(changed.bytes()).unwrap();
        let generated = EverythingMessage::decode(stable, FULL).map(|_| ());
        let read = everything.decode(stable, FULL);
        assert_eq!(read.map(|_| ()).is_ok(), generated.is_ok(), "seed {seed}: {generated:?}");
        let Ok(read) = read else {
            refused += 1;
            continue;
        };
        accepted += 1;
        let theirs = EverythingMessage::decode_capnp::<everything_capnp::everything::Owned>(stable, FULL);
        let theirs = theirs.unwrap().unwrap();
        let theirs: capnp::dynamic_value::Reader<'_> = theirs.get().unwrap().into();
        assert_eq!(read.text().to_string(), print::text(theirs).to_string(), "seed {seed}");
    }
    assert!(cfg!(miri) || accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}

#[test]
fn fields_are_found_by_name() {
    let (request, message) = (request(), message());
    let schema = Schema::new(Stable::new(request.bytes()).unwrap()).unwrap();
    assert!(schema.structure("everything").is_none());
    assert!(schema.structure("Shape.fill").is_none(), "a group is no message");
    assert_eq!(schema.structure("Everything.Inner").unwrap().id(), 0xf102_1324_3546_587a);
    assert_eq!(schema.structures().count(), 7);
    let everything = schema.structure("Everything").unwrap();
    let value = everything.decode(Stable::new(message.bytes()).unwrap(), FULL).unwrap();
    assert!(matches!(value.named("text"), Some(Value::Text("text"))));
    assert!(value.named("nothing of this name").is_none());
    let Some(Value::Struct(defaults)) = value.named("defaults") else { panic!("{value:?}") };
    assert!(matches!(defaults.named("int16"), Some(Value::Int16(-1600))));
    assert!(matches!(defaults.named("text"), Some(Value::Text("default"))));
    let Some(Value::List(numbers)) = defaults.named("list") else { panic!("{defaults:?}") };
    assert!(numbers.iter().map(|one| format!("{one:?}")).eq(["Uint16(1)", "Uint16(2)", "Uint16(3)"]));
    let Some(Value::List(shapes)) = value.named("shapes") else { panic!("{value:?}") };
    let Some(Value::Struct(shape)) = shapes.get(1) else { panic!("{shapes:?}") };
    assert_eq!(shape.which().unwrap().name(), "label");
    assert!(shape.named("label").is_some() && shape.named("circle").is_none() && shapes.get(2).is_none());
    let fill = shape.schema().fields().find(|field| field.name() == "fill").unwrap();
    assert!(matches!(fill.kind(), FieldKind::Group(group) if group.name() == "Shape.fill"));
}

/// A request that a person or a program has changed: each of the ways in which types cannot be found.
/// A list of numbers may be read as one of structs: of what they have of a word, nothing is left out of the canonical form.
#[test]
fn elements_that_were_numbers_once_have_a_canonical_form_of_their_own() {
    const STRUCTS: usize = 15;
    let mut words = vec![0; 21];
    words[0] = to_struct(0, 0, 19);
    words[1 + STRUCTS] = to_list(3, 2, 3);
    words[20] = 0x0003_0201;
    let message = common::full_of(&[&words]);
    let request = request();
    let schema = Schema::new(Stable::new(request.bytes()).unwrap()).unwrap();
    let lists =
        schema.structure("Lists").unwrap().decode(Stable::new(message.bytes()).unwrap(), FULL).unwrap();
    let Some(Value::List(structs)) = lists.named("structs") else { panic!("a list") };
    for (index, element) in structs.iter().enumerate() {
        let Value::Struct(element) = element else { panic!("a struct") };
        let number = 1 + index as u8;
        let mut canonical = [0; 64];
        let length = element.reader().canonical(&mut canonical).unwrap();
        assert_eq!(canonical[..length], [0, 0, 0, 0, 1, 0, 0, 0, number, 0, 0, 0, 0, 0, 0, 0]);
        // The same as that of a whole struct with this word.
        let whole = common::full_of(&[&[to_struct(0, 1, 0), number.into()]]);
        let whole =
            feuerbird_serialization::frame::open(Stable::new(whole.bytes()).unwrap(), FULL, 0, 0).unwrap();
        assert_eq!(element.reader().canonical_hash([1, 2]), whole.canonical_hash([1, 2]));
    }
}

#[test]
fn what_terminals_obey_is_printed_as_what_it_is() {
    let text = capnp::dynamic_value::Reader::Text("a\u{9b}2J\u{7f}\x1b\u{a0}é".into());
    assert_eq!(print::text(text).to_string(), "\"a\\xc2\\x9b2J\\x7f\\x1b\u{a0}é\"");
    let text = capnp::dynamic_value::Reader::Text("a\u{9b}2J\u{7f}\x1b\u{a0}é".into());
    assert_eq!(print::json(text).to_string(), "\"a\\u009b2J\\u007f\\u001b\u{a0}é\"");
}

#[test]
fn schemas_that_are_not_whole_are_refused() {
    let verdict = |change: &dyn Fn(&mut code_generator_request::Builder<'_>)| {
        let request = request();
        let mut bytes = request.bytes();
        let read = capnp::serialize::read_message_from_flat_slice(&mut bytes, Default::default()).unwrap();
        let mut builder = capnp::message::Builder::new_default();
        builder.set_root(read.get_root::<code_generator_request::Reader<'_>>().unwrap()).unwrap();
        change(&mut builder.get_root().unwrap());
        let changed = Aligned::new(&capnp::serialize::write_message_to_words(&builder));
        Schema::new(Stable::new(changed.bytes()).unwrap()).map(|schema| schema.structures().count())
    };
    assert_eq!(verdict(&|_| ()), Ok(7));
    let structures = |request: &mut code_generator_request::Builder<'_>,
                      change: &dyn Fn(node::Builder<'_>)| {
        let mut nodes = request.reborrow().get_nodes().unwrap();
        (0..nodes.len()).for_each(|index| change(nodes.reborrow().get(index)));
    };
    let lost = verdict(&|request| {
        structures(request, &|mut node| {
            let id = node.reborrow().get_id();
            node.set_id(id ^ 1);
        })
    });
    assert_eq!(lost, Err(DecodeError::Malformed), "no type is where it was");
    let circle = verdict(&|request| {
        structures(request, &|mut node| {
            let id = node.reborrow().get_id();
            node.set_scope_id(id);
        })
    });
    assert_eq!(circle, Err(DecodeError::Malformed), "groups are inside of themselves");
    let alone = verdict(&|request| {
        structures(request, &|mut node| {
            let id = node.reborrow().get_id();
            let name = node.reborrow().get_display_name().unwrap().to_string().unwrap();
            let is_fill = name.ends_with(":Shape.fill");
            if is_fill {
                node.set_scope_id(id);
            }
            let Ok(node::Struct(structure)) = node.which() else { return };
            let mut fields = structure.get_fields().unwrap();
            for index in 0..fields.len() {
                let field = fields.reborrow().get(index);
                if is_fill {
                    field.init_group().set_type_id(id);
                } else if name.ends_with(":Shape") {
                    field.init_slot().init_type().set_void(());
                }
            }
        });
    });
    assert_eq!(alone, Err(DecodeError::Malformed), "a group is inside of itself, and of no struct");
    assert!(Schema::new(Stable::new(message().bytes()).unwrap()).is_err(), "this is another message");
    let nothing = Aligned::new(&[]);
    assert_eq!(Schema::new(Stable::new(nothing.bytes()).unwrap()).err(), Some(DecodeError::Truncated));
    for seed in 0..MUTATIONS / 10 {
        let (mut changed, mut random) = (request(), Random(seed));
        let at = random.below(changed.bytes().len());
        changed.bytes_mut()[at] ^= 1 << random.below(8);
        if let Ok(schema) = Schema::new(Stable::new(changed.bytes()).unwrap())
            && let Some(everything) = schema.structure("Everything")
        {
            let message = message();
            let value = everything.decode(Stable::new(message.bytes()).unwrap(), FULL);
            let _ = value.map(|value| value.json().to_string());
        }
    }
}

/// In Raw nothing is checked on receipt; a tool still comes to an end.
#[test]
fn messages_without_end_are_refused_in_raw_too() {
    let request = request();
    let schema = Schema::new(Stable::new(request.bytes()).unwrap()).unwrap();
    let tree = schema.structure("Tree").unwrap();
    let circle = Aligned::of_words(&[0, 0, to_struct(-3, 0, 3)]);
    assert_eq!(tree.decode(Stable::new(circle.bytes()).unwrap(), RAW).err(), Some(DecodeError::Amplified));
    let lists = schema.structure("Lists").unwrap();
    let mut words = [0; 19];
    words[0] = to_list(0, 0, (1 << 29) - 1);
    let nothing = Aligned::of_words(&words);
    assert_eq!(lists.decode(Stable::new(nothing.bytes()).unwrap(), RAW).err(), Some(DecodeError::Amplified));
}

#[test]
fn a_message_is_refused_for_each_field_of_another_type() {
    let pointers: usize = (0..10).map(|seed| refused_fields(&Model::new(&mut Random(seed), true))).sum();
    assert!(pointers > 20, "{pointers}");
}

/// How many fields of a schema are pointers; a message is refused in which one of them is a capability.
fn refused_fields(model: &Model) -> usize {
    let request = Aligned::new(&model.request());
    let schema = Schema::new(Stable::new(request.bytes()).unwrap()).unwrap();
    let mut pointers = 0;
    for structure in schema.structures() {
        for field in structure.fields().filter(|field| field.member().is_none()) {
            let FieldKind::Slot { ty, offset } = field.kind() else { continue };
            if !ty.is_pointer() || matches!(ty, feuerbird_serialization::reflect::Type::AnyPointer) {
                continue;
            }
            pointers += 1;
            let (data, count) = structure.sections();
            let mut segment = vec![0; 1 + usize::from(data) + usize::from(count)];
            segment[0] = to_struct(0, data, count);
            // No field is a capability.
            segment[1 + usize::from(data) + offset as usize] = 3;
            let message = common::lite_of(&segment);
            let stable = Stable::new(message.bytes()).unwrap().with_capabilities(1);
            assert_eq!(structure.decode(stable, LITE).err(), Some(DecodeError::WrongType), "{field:?}");
        }
    }
    pointers
}
