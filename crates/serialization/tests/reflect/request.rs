//! Schemas as the compiler writes them, through the `capnp` crate's types of `schema.capnp`.

use capnp::schema_capnp::{code_generator_request, field, node, type_, value};

use crate::common::Aligned;
use crate::model::{Content, Field, Node, Schema, Ty};

const FILE: u64 = 1;
const STRUCT: u64 = 1_000;
const ENUM: u64 = 2_000;
const INTERFACE: u64 = 3_000;

pub(crate) fn struct_id(index: usize) -> u64 {
    STRUCT + index as u64
}

/// The name of a struct; groups are inside of theirs.
pub(crate) fn struct_name(index: usize) -> String {
    format!("Struct{index}")
}

/// A message that was built here.
pub(crate) fn bytes_of(message: &capnp::message::Builder<capnp::message::HeapAllocator>) -> Aligned {
    Aligned::new(&capnp::serialize::write_message_to_words(message))
}

/// The compiled request.
pub(crate) fn compiled(schema: &Schema) -> Aligned {
    let mut message = capnp::message::Builder::new_default();
    let mut request = message.init_root::<code_generator_request::Builder<'_>>();
    let structs = schema.nodes.len();
    let mut nodes = request.reborrow().init_nodes((structs + schema.enums.len()) as u32);
    for (index, node) in schema.nodes.iter().enumerate() {
        structure(nodes.reborrow().get(index as u32), index, node);
    }
    for (index, enumerants) in schema.enums.iter().enumerate() {
        enumeration(nodes.reborrow().get((structs + index) as u32), index, *enumerants);
    }
    let mut file = request.init_requested_files(1).get(0);
    file.set_id(FILE);
    file.set_filename("random.capnp");
    bytes_of(&message)
}

pub(crate) fn structure(mut to: node::Builder<'_>, index: usize, node: &Node) {
    to.set_id(struct_id(index));
    to.set_display_name(format!("random.capnp:{}", struct_name(index)).as_str());
    to.set_scope_id(node.group_of.map_or(FILE, struct_id));
    let mut to = to.init_struct();
    to.set_data_word_count(node.data);
    to.set_pointer_count(node.pointers);
    to.set_is_group(node.group_of.is_some());
    let members = node.fields.iter().filter(|field| field.member.is_some()).count();
    to.set_discriminant_count(members as u16);
    to.set_discriminant_offset(node.discriminant.unwrap_or(0));
    let mut fields = to.init_fields(node.fields.len() as u32);
    for (index, from) in node.fields.iter().enumerate() {
        field(fields.reborrow().get(index as u32), index, from);
    }
}

fn field(mut to: field::Builder<'_>, index: usize, from: &Field) {
    to.set_name(format!("field{index}").as_str());
    to.set_discriminant_value(from.member.unwrap_or(field::NO_DISCRIMINANT));
    match &from.content {
        Content::Group(group) => to.init_group().set_type_id(struct_id(*group)),
        Content::Slot { ty, offset, default } => {
            let mut slot = to.init_slot();
            slot.set_offset(*offset);
            self::ty(slot.reborrow().init_type(), ty);
            self::default(slot.init_default_value(), ty, *default);
        }
    }
}

fn ty(mut to: type_::Builder<'_>, ty: &Ty) {
    match ty {
        Ty::Void => to.set_void(()),
        Ty::Bool => to.set_bool(()),
        Ty::Int(8) => to.set_int8(()),
        Ty::Int(16) => to.set_int16(()),
        Ty::Int(32) => to.set_int32(()),
        Ty::Int(_) => to.set_int64(()),
        Ty::Uint(8) => to.set_uint8(()),
        Ty::Uint(16) => to.set_uint16(()),
        Ty::Uint(32) => to.set_uint32(()),
        Ty::Uint(_) => to.set_uint64(()),
        Ty::Float(32) => to.set_float32(()),
        Ty::Float(_) => to.set_float64(()),
        Ty::Enum(index) => to.init_enum().set_type_id(ENUM + *index as u64),
        Ty::Text => to.set_text(()),
        Ty::Data => to.set_data(()),
        Ty::Struct(index) => to.init_struct().set_type_id(struct_id(*index)),
        Ty::List(element) => self::ty(to.init_list().init_element_type(), element),
        Ty::Any => to.init_any_pointer().init_unconstrained().set_any_kind(()),
        Ty::Interface => to.init_interface().set_type_id(INTERFACE),
    }
}

fn default(mut to: value::Builder<'_>, ty: &Ty, bits: u64) {
    match ty {
        Ty::Void => to.set_void(()),
        Ty::Bool => to.set_bool(bits & 1 == 1),
        Ty::Int(8) => to.set_int8(bits as i8),
        Ty::Int(16) => to.set_int16(bits as i16),
        Ty::Int(32) => to.set_int32(bits as i32),
        Ty::Int(_) => to.set_int64(bits as i64),
        Ty::Uint(8) => to.set_uint8(bits as u8),
        Ty::Uint(16) => to.set_uint16(bits as u16),
        Ty::Uint(32) => to.set_uint32(bits as u32),
        Ty::Uint(_) => to.set_uint64(bits),
        // Through a conversion, because a number that is none keeps its bits nowhere.
        Ty::Float(32) => to.set_float32(bits as i32 as f32),
        Ty::Float(_) => to.set_float64(bits as i64 as f64),
        Ty::Enum(_) => to.set_enum(bits as u16 % 6),
        Ty::Text if bits == 0 => to.set_text(""),
        Ty::Text => to.set_text(format!("default {bits}").as_str()),
        Ty::Data => to.set_data(if bits == 0 { &[] } else { b"default" }),
        Ty::Struct(_) => drop(to.init_struct()),
        Ty::List(_) => drop(to.init_list()),
        Ty::Any => drop(to.init_any_pointer()),
        Ty::Interface => to.set_interface(()),
    }
}

pub(crate) fn enumeration(mut to: node::Builder<'_>, index: usize, enumerants: usize) {
    to.set_id(ENUM + index as u64);
    to.set_display_name(format!("random.capnp:Enum{index}").as_str());
    to.set_scope_id(FILE);
    let mut all = to.init_enum().init_enumerants(enumerants as u32);
    for index in 0..enumerants as u32 {
        let mut one = all.reborrow().get(index);
        one.set_code_order(index as u16);
        one.set_name(format!("value{index}").as_str());
    }
}
