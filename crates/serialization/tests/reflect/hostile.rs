//! Requests and messages from somebody who wants a reader to fall over, to go round in circles or to print without an end.

use std::fmt::{self, Write};

use capnp::schema_capnp::{code_generator_request, field};
use feuerbird_serialization::reflect::{GROUPS_LIMIT, Schema};
use feuerbird_serialization::{Checks, DecodeError, Format, Stable};

use crate::Random;
use crate::common::{Aligned, FULL, LITE, RAW, full_of, to_list, to_struct};
use crate::model::{ContentModel, FieldModel, Model, Schema as Placed, Ty};
use crate::request::{bytes_of, compiled, struct_id};

/// Fails behind so many bytes.
struct Limited(usize);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// A request, before somebody changes it.
fn of(structs: Vec<Vec<FieldModel>>) -> Aligned {
    compiled(&Placed::new(&Model { enums: vec![2], structs }))
}

fn plain(ty: Ty) -> FieldModel {
    FieldModel { is_member: false, content: ContentModel::Slot(ty, 0) }
}

fn member(ty: Ty) -> FieldModel {
    FieldModel { is_member: true, ..plain(ty) }
}

fn group(fields: Vec<FieldModel>) -> FieldModel {
    FieldModel { is_member: false, content: ContentModel::Group(fields) }
}

/// The same request with a field changed: of the node at this index, the field at that.
fn with_field(request: &Aligned, node: u32, index: u32, change: impl FnOnce(field::Builder<'_>)) -> Aligned {
    let reader =
        capnp::serialize::read_message_from_flat_slice(&mut request.bytes(), Default::default()).unwrap();
    let root: code_generator_request::Reader<'_> = reader.get_root().unwrap();
    let mut message = capnp::message::Builder::new_default();
    message.set_root(root).unwrap();
    let root = message.get_root::<code_generator_request::Builder<'_>>().unwrap();
    let capnp::schema_capnp::node::Struct(structure) = root.get_nodes().unwrap().get(node).which().unwrap()
    else {
        panic!("a struct")
    };
    change(structure.get_fields().unwrap().get(index));
    bytes_of(&message)
}

fn schema(request: &Aligned) -> Result<Schema<'_>, DecodeError> {
    Schema::new(Stable::new(request.bytes()).unwrap())
}

fn slot(field: field::Builder<'_>) -> field::slot::Builder<'_> {
    match field.which().unwrap() {
        field::Slot(slot) => slot,
        field::Group(_) => panic!("a slot"),
    }
}

/// A chain of structs, each with one pointer, to the next.
fn chain(depth: usize) -> Aligned {
    let mut words = vec![to_struct(0, 0, 1); depth];
    *words.last_mut().unwrap() = to_struct(-1, 0, 0);
    full_of(&[&words])
}

#[test]
fn fields_that_read_the_same_pointer_do_not_double_the_work_with_every_level() {
    let honest = of(vec![vec![plain(Ty::Struct(0)), plain(Ty::Struct(0))]]);
    assert!(schema(&honest).unwrap().structure("Struct0").is_some());
    let hostile = with_field(&honest, 0, 1, |field| slot(field).set_offset(0));
    let structure = schema(&hostile).unwrap().structure("Struct0").unwrap();
    let message = chain(60);
    let bare = Aligned::new(&message.bytes()[16..]);
    let lite = Aligned::new(&[&u64::from(b'L').to_le_bytes(), message.bytes()].concat());
    for (bytes, format) in [(&message, FULL), (&lite, LITE), (&bare, RAW)] {
        let decoded = structure.decode(Stable::new(bytes.bytes()).unwrap(), format);
        assert_eq!(decoded.err(), Some(DecodeError::Amplified), "{format:?}");
    }
}

#[test]
fn a_default_that_needs_itself_is_refused() {
    let honest = with_default(&in_groups(1), 1, &chosen(3, 0));
    assert!(schema(&honest).is_ok());
    // The last of the default has the second member and nothing there, so that it has the default again.
    let hostile = with_default(&in_groups(1), 1, &chosen(3, 1));
    assert_eq!(schema(&hostile).err(), Some(DecodeError::Malformed));
}

/// A struct with a union in so many groups, whose second member is the struct again.
fn in_groups(depth: usize) -> Aligned {
    let union = group(vec![member(Ty::Void), member(Ty::Struct(0))]);
    of(vec![vec![(1..depth).fold(union, |inner, _| group(vec![inner]))]])
}

/// So many of them, each the second member of the one before; the last has the member with this number, and nothing there.
fn chosen(depth: usize, last: u64) -> Aligned {
    let mut words = [1, to_struct(0, 1, 1)].repeat(depth);
    words.splice(.., [&[to_struct(0, 1, 1)], &words[..depth * 2 - 2], &[last, 0]].concat());
    full_of(&[&words])
}

/// The request with a message as the default of the union's second member, in the group at this index.
fn with_default(request: &Aligned, node: u32, default: &Aligned) -> Aligned {
    with_field(request, node, 1, |field| {
        let mut options = capnp::message::ReaderOptions::new();
        options.nesting_limit(100);
        let words = &mut default.bytes();
        let message = capnp::serialize::read_message_from_flat_slice(words, options).unwrap();
        let root: capnp::any_pointer::Reader<'_> = message.get_root().unwrap();
        slot(field).init_default_value().init_struct().set_as(root).unwrap();
    })
}

/// A struct of this many words of small elements, which are read as structs of the same type.
fn many_small(words: usize) -> Aligned {
    let list = to_list(0, 2, words as u64 * 8);
    full_of(&[&[&[to_struct(0, 1, 1), 0, list][..], &vec![0; words]].concat()])
}

#[test]
fn groups_of_elements_that_cost_nothing_are_looked_into_so_often_and_no_more() {
    for (groups, verdict) in [(10, Ok(())), (1000, Err(DecodeError::Amplified))] {
        let mut fields = vec![plain(Ty::List(Box::new(Ty::Struct(0))))];
        fields.extend((0..groups).map(|_| group(vec![plain(Ty::Void)])));
        let request = of(vec![fields]);
        let structure = schema(&request).unwrap().structure("Struct0").unwrap();
        let message = many_small(16);
        let decoded = structure.decode(Stable::new(message.bytes()).unwrap(), FULL);
        assert_eq!(decoded.map(|_| ()), verdict, "{groups} groups");
    }
}

#[test]
fn a_message_of_no_bytes_may_be_of_a_struct_of_groups() {
    let request = of(vec![(0..200).map(|_| group(vec![plain(Ty::Void)])).collect()]);
    let structure = schema(&request).unwrap().structure("Struct0").unwrap();
    let message = Aligned::new(&[]);
    let value = structure.decode(Stable::new(message.bytes()).unwrap(), RAW).unwrap();
    assert_eq!(value.text().to_string().matches("(field0 = void)").count(), 200);
}

#[test]
fn a_small_message_is_checked_quickly_whatever_the_schema_has() {
    let mut fields = vec![plain(Ty::List(Box::new(Ty::Struct(0))))];
    fields.extend((0..2000).map(|_| plain(Ty::Enum(0))));
    fields.extend((0..2000).map(|_| plain(Ty::Struct(1))));
    let empty = (0..900).map(|_| vec![]);
    let request = of([fields].into_iter().chain(empty).collect());
    let structure = schema(&request).unwrap().structure("Struct0").unwrap();
    let message = many_small(512);
    let began = std::time::Instant::now();
    structure.decode(Stable::new(message.bytes()).unwrap(), FULL).unwrap();
    // Looking up each field of each element would take a hundred times that.
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn groups_nest_only_so_deep() {
    assert!(schema(&in_groups(GROUPS_LIMIT)).is_ok());
    assert_eq!(schema(&in_groups(GROUPS_LIMIT + 1)).err(), Some(DecodeError::Malformed));
}

#[test]
fn the_deepest_message_with_the_deepest_default_is_printed_on_a_small_stack() {
    let request = with_default(&in_groups(GROUPS_LIMIT), GROUPS_LIMIT as u32, &chosen(50, 0));
    let structure = schema(&request).unwrap().structure("Struct0").unwrap();
    let message = chosen(64, 1);
    let value = structure.decode(Stable::new(message.bytes()).unwrap(), FULL).unwrap();
    assert_eq!(value.text().to_string().matches("field1 = ").count(), 64 + 49);
    let too_deep = chosen(65, 1);
    let refused = structure.decode(Stable::new(too_deep.bytes()).unwrap(), FULL);
    assert_eq!(refused.err(), Some(DecodeError::TooDeep));
}

#[test]
fn a_group_is_there_once_and_in_its_own_struct() {
    let groups = || vec![group(vec![plain(Ty::Bool)]), group(vec![plain(Ty::Bool)])];
    let honest = of(vec![groups(), groups()]);
    assert!(schema(&honest).is_ok());
    // Nodes 0 and 1 are the structs, 2 and 3 the groups of the first, 4 and 5 those of the second.
    for (node, index, id) in
        [(0, 1, struct_id(2)), (0, 0, struct_id(0)), (0, 0, struct_id(1)), (0, 0, struct_id(4)), (0, 0, 77)]
    {
        let hostile = with_field(&honest, node, index, |field| match field.which().unwrap() {
            field::Group(mut group) => group.set_type_id(id),
            field::Slot(_) => panic!("a group"),
        });
        assert_eq!(schema(&hostile).err(), Some(DecodeError::Malformed), "{id}");
    }
}

#[test]
fn names_cannot_break_out_of_what_is_printed() {
    let honest = of(vec![vec![plain(Ty::Bool)]]);
    for name in ["", "a\": 1, \"b", "a b", "ä"] {
        let hostile = with_field(&honest, 0, 0, |mut field| field.set_name(name));
        assert_eq!(schema(&hostile).err(), Some(DecodeError::Malformed), "{name}");
    }
}

#[test]
fn a_type_that_is_not_there_is_refused() {
    let honest = of(vec![vec![plain(Ty::Struct(0)), plain(Ty::List(Box::new(Ty::Enum(0))))]]);
    for index in [0, 1] {
        let hostile = with_field(&honest, 0, index, |field| {
            let mut ty = slot(field).init_type();
            match index {
                0 => ty.init_struct().set_type_id(99),
                _ => ty.reborrow().init_list().init_element_type().init_enum().set_type_id(struct_id(0)),
            }
        });
        assert_eq!(schema(&hostile).err(), Some(DecodeError::Malformed));
    }
}

#[test]
fn a_request_of_too_many_pairs_of_fields_and_types_is_refused_at_once() {
    let structs = (0..400).map(|_| vec![plain(Ty::Struct(399)); 420]).collect();
    assert_eq!(schema(&of(structs)).err(), Some(DecodeError::Amplified));
}

#[test]
fn the_reader_of_what_is_printed_can_stop_it() {
    // A list of nothing, read as one of structs, costs its sender nothing; that is what the walk's budget bounds.
    let request = of(vec![vec![plain(Ty::List(Box::new(Ty::Struct(0)))), plain(Ty::Bool)]]);
    let structure = schema(&request).unwrap().structure("Struct0").unwrap();
    let message = |count| full_of(&[&[to_struct(0, 0, 1), to_list(0, 0, count)]]);
    let (few, many) = (message(6), message(1 << 28));
    let refused = structure.decode(Stable::new(many.bytes()).unwrap(), FULL);
    assert_eq!(refused.err(), Some(DecodeError::Amplified));
    let value = structure.decode(Stable::new(few.bytes()).unwrap(), FULL).unwrap();
    assert!(write!(Limited(20), "{}", value.json()).is_err());
    assert!(write!(Limited(1_000), "{}", value.json()).is_ok());
}

/// The requests that are in the tree, with the structs whose random words are read.
const REQUESTS: [&[u8]; 3] = [
    include_bytes!("../../../../schemas/everything.capnp.request"),
    include_bytes!("../../../../schemas/corners.capnp.request"),
    include_bytes!("../../../../schemas/evolution_new.capnp.request"),
];

const CHANGES: usize = if cfg!(miri) { 5 } else { 1_500 };

#[test]
fn changed_requests_are_refused_or_read_any_message_without_harm() {
    let mut random = Random(3);
    let (mut accepted, mut refused, mut printed) = (0, 0, 0);
    for turn in 0..CHANGES {
        let request = changed(REQUESTS[turn % REQUESTS.len()], &mut random);
        let Ok(schema) = schema(&request) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        for structure in schema.structures() {
            let words: Vec<u64> = (0..24).map(|_| word(&mut random)).collect();
            let message = full_of(&[&[&[to_struct(0, 4, 6)], &words[..]].concat()]);
            let checks = Format { checks: Checks::Pointers, ..RAW };
            let bare = Aligned::new(&message.bytes()[16..]);
            for (bytes, format) in [(&message, FULL), (&bare, RAW), (&bare, checks)] {
                if let Ok(value) = structure.decode(Stable::new(bytes.bytes()).unwrap(), format) {
                    printed += 1;
                    // The request itself is the most that one field can stand for.
                    let limit = 24 * request.bytes().len();
                    write!(Limited(limit), "{}{}", value.text(), value.json()).unwrap();
                }
            }
        }
    }
    if !cfg!(miri) {
        assert!(accepted > 100 && refused > 100 && printed > 100, "{accepted} {refused} {printed}");
    }
}

fn changed(request: &[u8], random: &mut Random) -> Aligned {
    let mut bytes = request.to_vec();
    for _ in 0..=random.below(3) {
        let at = 8 + random.below(bytes.len() / 8 - 1) * 8;
        match random.below(4) {
            0 => bytes[at + random.below(8)] ^= 1 << random.below(8),
            1 => {
                let from = 8 + random.below(bytes.len() / 8 - 1) * 8;
                bytes.copy_within(from..from + 8, at);
            }
            _ => bytes[at + random.below(8)] = random.below(20) as u8,
        }
    }
    Aligned::new(&bytes)
}

/// A small number, a pointer to something near, or nothing.
fn word(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => 0,
        1 => random.next() & 0x0003_0003_0003_0003,
        2 => to_struct(random.below(8) as i32, random.below(3) as u16, random.below(3) as u16),
        _ => to_list(random.below(8) as i32, random.below(8) as u64, random.below(9) as u64),
    }
}
