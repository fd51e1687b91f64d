//! Random values of a schema, written by the `capnp` crate's reflection.

use capnp::introspect::{Type, TypeVariant};
use capnp::schema::Field;
use capnp::{dynamic_list, dynamic_struct, dynamic_value};

use crate::Random;

/// Below so many pointers no more lists of pointers or structs are written.
const DEPTH: usize = 5;

/// Writes most fields, and one member of each union.
pub(crate) fn fill(to: &mut dynamic_struct::Builder<'_>, random: &mut Random, depth: usize) {
    let schema = to.get_schema();
    for one in schema.get_non_union_fields().unwrap() {
        if random.below(8) > 0 {
            field(to, one, random, depth);
        }
    }
    let members = schema.get_union_fields().unwrap();
    if !members.is_empty() && random.below(8) > 0 {
        let member = members.get(random.below(members.len().into()) as u16);
        field(to, member, random, depth);
    }
}

fn field(to: &mut dynamic_struct::Builder<'_>, field: Field, random: &mut Random, depth: usize) {
    let ty = field.get_type();
    let is_group = matches!(field.get_proto().which(), Ok(capnp::schema_capnp::field::Group(_)));
    // A member of a union that is selected and null has its default.
    if ty.is_pointer_type() && !is_group && random.below(6) == 0 {
        return to.clear(field).unwrap();
    }
    match ty.which() {
        TypeVariant::Struct(_) if is_group || depth < DEPTH => {
            let depth = if is_group { depth } else { depth + 1 };
            let inner = to.reborrow().init(field).unwrap();
            fill(&mut inner.downcast(), random, depth);
        }
        TypeVariant::List(element) if depth < DEPTH => {
            let count = count(random);
            list(to.reborrow().initn(field, count).unwrap().downcast(), element, random, depth + 1);
        }
        TypeVariant::Struct(_) | TypeVariant::List(_) => to.clear(field).unwrap(),
        TypeVariant::AnyPointer => to.set(field, dynamic_value::Reader::Data(b"any")).unwrap(),
        TypeVariant::Capability => to.clear(field).unwrap(),
        _ => with_value(ty, random, |value| to.set(field, value).unwrap()),
    }
}

fn count(random: &mut Random) -> u32 {
    [0, 1, 2, 3, 3, 9][random.below(6)]
}

fn list(mut to: dynamic_list::Builder<'_>, element: Type, random: &mut Random, depth: usize) {
    for index in 0..to.len() {
        match element.which() {
            TypeVariant::Struct(_) => {
                fill(&mut to.reborrow().get(index).unwrap().downcast(), random, depth);
            }
            TypeVariant::List(inner) if depth < DEPTH => {
                let count = count(random);
                list(to.reborrow().init(index, count).unwrap().downcast(), inner, random, depth + 1);
            }
            TypeVariant::List(_) => {}
            _ => with_value(element, random, |value| to.set(index, value).unwrap()),
        }
    }
}

/// A value that is no struct and no list.
fn with_value(ty: Type, random: &mut Random, then: impl FnOnce(dynamic_value::Reader<'_>)) {
    use dynamic_value::Reader;
    let bits = match random.below(4) {
        0 => 0,
        1 => random.next() % 8,
        2 => u64::MAX,
        _ => random.next(),
    };
    then(match ty.which() {
        TypeVariant::Bool => Reader::Bool(bits & 1 == 1),
        TypeVariant::Int8 => Reader::Int8(bits as i8),
        TypeVariant::Int16 => Reader::Int16(bits as i16),
        TypeVariant::Int32 => Reader::Int32(bits as i32),
        TypeVariant::Int64 => Reader::Int64(bits as i64),
        TypeVariant::UInt8 => Reader::UInt8(bits as u8),
        TypeVariant::UInt16 => Reader::UInt16(bits as u16),
        TypeVariant::UInt32 => Reader::UInt32(bits as u32),
        TypeVariant::UInt64 => Reader::UInt64(bits),
        TypeVariant::Float32 => Reader::Float32(f32::from_bits(bits as u32)),
        TypeVariant::Float64 => Reader::Float64(f64::from_bits(bits)),
        // Some have no name.
        TypeVariant::Enum(of) => Reader::Enum(dynamic_value::Enum::new(bits as u16 % 8, of.into())),
        TypeVariant::Text => {
            Reader::Text(["", "a", "ä\"\\\n\u{1}", "longer than a word"][bits as usize % 4].into())
        }
        TypeVariant::Data => Reader::Data(&[1, 0, 255, 3, 4, 5, 6, 7, 8, 9][..bits as usize % 11]),
        _ => Reader::Void,
    });
}
