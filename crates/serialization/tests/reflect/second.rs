//! The second reader: the `capnp` crate's reflection, given tables like those that its generator writes as code.
//!
//! The generator writes a function for each struct; here functions are made in advance, and what they say is looked up.

use std::any::TypeId;
use std::cell::RefCell;

use capnp::dynamic_struct;
use capnp::introspect::{RawBrandedStructSchema, RawEnumSchema, RawStructSchema, Type, TypeVariant};
use capnp::private::{arena::GeneratedCodeArena, layout};
use capnp::schema::StructSchema;
use capnp::schema_capnp::node;
use capnp::traits::{FromPointerBuilder, FromPointerReader};

use crate::model::{Content, NODES_LIMIT, Node, Schema, Ty};
use crate::request;

thread_local! {
    /// The types of all fields of all structs.
    static TYPES: RefCell<Vec<Vec<Type>>> = const { RefCell::new(Vec::new()) };
}

struct Marker<const N: usize>;

fn types<const N: usize>(field: u16) -> Type {
    TYPES.with_borrow(|types| types[N][usize::from(field)])
}

fn no_annotation(_: Option<u16>, _: u32) -> Type {
    TypeVariant::Void.into()
}

type Functions = (fn(u16) -> Type, fn() -> TypeId);

macro_rules! functions {
    ($($n:literal)*) => { [$((types::<$n>, TypeId::of::<Marker<$n>>)),*] };
}

/// For two schemas at a time.
const FUNCTIONS: [Functions; 2 * NODES_LIMIT] = functions!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
);

/// The structs of a schema.
pub(crate) struct Second {
    structs: Vec<RawBrandedStructSchema>,
}

impl Second {
    /// Up to two schemas can be used at a time: of each slot, 0 and 1, the last. Some memory is never given back: the crate
    /// asks for `'static`.
    pub(crate) fn new(schema: &Schema, slot: usize) -> Self {
        let first = slot * NODES_LIMIT;
        let all = schema.nodes.iter().zip(&FUNCTIONS[first..]).enumerate();
        let structs = all.map(|(index, (node, (field_types, type_id)))| RawBrandedStructSchema {
            generic: generic(index, node),
            field_types: *field_types,
            annotation_types: no_annotation,
            type_id: type_id(),
        });
        let structs: Vec<_> = structs.collect();
        let enums = schema.enums.iter().enumerate().map(|(index, enumerants)| {
            RawEnumSchema::new(leaked(|node| request::enumeration(node, index, *enumerants)), no_annotation)
        });
        let enums: Vec<_> = enums.collect();
        let fields = |node: &Node| {
            let all = node.fields.iter().map(|field| match &field.content {
                Content::Group(group) => TypeVariant::Struct(structs[*group]).into(),
                Content::Slot { ty, .. } => type_of(ty, &structs, &enums),
            });
            all.collect()
        };
        TYPES.with_borrow_mut(|types| {
            types.resize(2 * NODES_LIMIT, Vec::new());
            for (index, node) in schema.nodes.iter().enumerate() {
                types[first + index] = fields(node);
            }
        });
        Self { structs }
    }

    pub(crate) fn structure(&self, index: usize) -> StructSchema {
        self.structs[index].into()
    }
}

fn type_of(ty: &Ty, structs: &[RawBrandedStructSchema], enums: &[RawEnumSchema]) -> Type {
    match ty {
        Ty::Void => TypeVariant::Void,
        Ty::Bool => TypeVariant::Bool,
        Ty::Int(8) => TypeVariant::Int8,
        Ty::Int(16) => TypeVariant::Int16,
        Ty::Int(32) => TypeVariant::Int32,
        Ty::Int(_) => TypeVariant::Int64,
        Ty::Uint(8) => TypeVariant::UInt8,
        Ty::Uint(16) => TypeVariant::UInt16,
        Ty::Uint(32) => TypeVariant::UInt32,
        Ty::Uint(_) => TypeVariant::UInt64,
        Ty::Float(32) => TypeVariant::Float32,
        Ty::Float(_) => TypeVariant::Float64,
        Ty::Enum(index) => TypeVariant::Enum(enums[*index]),
        Ty::Text => TypeVariant::Text,
        Ty::Data => TypeVariant::Data,
        Ty::Struct(index) => TypeVariant::Struct(structs[*index]),
        Ty::List(element) => TypeVariant::List(type_of(element, structs, enums)),
        Ty::Any => TypeVariant::AnyPointer,
        Ty::Interface => TypeVariant::Capability,
    }
    .into()
}

fn generic(index: usize, node: &Node) -> &'static RawStructSchema {
    let numbered = || node.fields.iter().enumerate();
    let plain: Vec<u16> =
        numbered().filter(|(_, field)| field.member.is_none()).map(|(index, _)| index as u16).collect();
    let members: Vec<u16> =
        numbered().filter(|(_, field)| field.member.is_some()).map(|(index, _)| index as u16).collect();
    // No struct has ten fields: their names are in the order of their numbers.
    let by_name: Vec<u16> = (0..node.fields.len() as u16).collect();
    let arena = leaked(|to| request::structure(to, index, node));
    Box::leak(Box::new(RawStructSchema::new(arena, plain.leak(), members.leak(), by_name.leak())))
}

/// A node in the only segment of a message.
fn leaked(fill: impl FnOnce(node::Builder<'_>)) -> &'static GeneratedCodeArena {
    let mut message = capnp::message::Builder::new_default();
    fill(message.init_root());
    let words = capnp::message::TypedReader::<_, node::Owned>::new(message.into_reader());
    let node = words.get().unwrap();
    let size = node.total_size().unwrap().word_count as u32 + 1;
    let allocator = capnp::message::HeapAllocator::new().first_segment_words(size);
    let mut only = capnp::message::Builder::new(allocator);
    only.set_root(node).unwrap();
    let [segment] = &*only.get_segments_for_output() else { panic!("one segment holds the node") };
    let words = segment.as_chunks::<8>().0.iter().map(|word| {
        let [a, b, c, d, e, f, g, h] = *word;
        capnp::word(a, b, c, d, e, f, g, h)
    });
    let words: Vec<capnp::Word> = words.collect();
    Box::leak(Box::new(GeneratedCodeArena::new(words.leak())))
}

/// The root of a message, before its schema is known.
struct Root<'a>(layout::StructReader<'a>);

impl<'a> FromPointerReader<'a> for Root<'a> {
    fn get_from_pointer(
        pointer: &layout::PointerReader<'a>,
        default: Option<&'a [capnp::Word]>,
    ) -> capnp::Result<Self> {
        pointer.get_struct(default).map(Root)
    }
}

/// Reads a message in standard framing.
pub(crate) fn read<T>(
    framed: &[u8],
    schema: StructSchema,
    then: impl FnOnce(dynamic_struct::Reader<'_>) -> T,
) -> capnp::Result<T> {
    let mut options = capnp::message::ReaderOptions::new();
    options.traversal_limit_in_words(None);
    let message = capnp::serialize::read_message_from_flat_slice(&mut &*framed, options)?;
    let root = message.get_root::<Root<'_>>()?;
    Ok(then(dynamic_struct::Reader::new(root.0, schema)))
}

/// The root of a message that is written, of a size that only its schema says.
struct NewRoot<'a>(layout::PointerBuilder<'a>);

impl<'a> FromPointerBuilder<'a> for NewRoot<'a> {
    fn init_pointer(pointer: layout::PointerBuilder<'a>, _: u32) -> Self {
        Self(pointer)
    }

    fn get_from_pointer(
        pointer: layout::PointerBuilder<'a>,
        _: Option<&'a [capnp::Word]>,
    ) -> capnp::Result<Self> {
        Ok(Self(pointer))
    }
}

/// The root of a message, made a struct of this node.
pub(crate) fn new_root<'a, A: capnp::message::Allocator>(
    message: &'a mut capnp::message::Builder<A>,
    node: &Node,
    schema: StructSchema,
) -> dynamic_struct::Builder<'a> {
    let size = layout::StructSize { data: node.data, pointers: node.pointers };
    dynamic_struct::Builder::new(message.init_root::<NewRoot<'_>>().0.init_struct(size), schema)
}
