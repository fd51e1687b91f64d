//! The check of every field's type, as generated code does it.

use super::{FieldKind, FieldSchema, StructSchema, Structs, Type, pointer_at};
use crate::{
    DecodeError,
    wire::{Any, AnyReader, StructReader},
};

/// Checks all fields of a struct, and all below them; the walk has bounded how deep they go.
pub(super) fn fields(schema: StructSchema<'_>, of: StructReader<'_>) -> Result<(), DecodeError> {
    schema.fields().filter(|one| one.member().is_none()).try_for_each(|one| field(one, of))?;
    let discriminant = schema.discriminant().map(|at| of.u16(at as usize, 0));
    match discriminant.and_then(|number| schema.member(number)) {
        Some(member) => field(member, of),
        None => Ok(()),
    }
}

fn field(schema: FieldSchema<'_>, of: StructReader<'_>) -> Result<(), DecodeError> {
    match schema.kind() {
        FieldKind::Group(group) => fields(group, of),
        FieldKind::Slot { ty, offset } if ty.is_pointer() => pointer(ty, pointer_at(&of, offset)),
        FieldKind::Slot { .. } => Ok(()),
    }
}

fn pointer(ty: Type<'_>, pointer: AnyReader<'_>) -> Result<(), DecodeError> {
    match ty {
        Type::Text => pointer.check_text(),
        Type::Data => pointer.check_data(),
        Type::Struct(schema) => pointer.check_struct(|of| fields(schema, of)),
        Type::List(element) => list(element.ty(), pointer),
        Type::Interface => pointer.check_capability(),
        _ => Ok(()),
    }
}

fn list(element: Type<'_>, of: AnyReader<'_>) -> Result<(), DecodeError> {
    if of.is_null() {
        return Ok(());
    }
    if !of.raw_list().is_some_and(|list| list.reads_as(element.element_size())) {
        return Err(DecodeError::WrongType);
    }
    match element {
        Type::Struct(schema) => of.list::<Structs>().iter().try_for_each(|one| fields(schema, one)),
        _ if element.is_pointer() => of.list::<Any>().iter().try_for_each(|one| pointer(element, one)),
        _ => Ok(()),
    }
}
