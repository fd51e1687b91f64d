//! The check of every field's type, as generated code does it, and of the amount that a schema makes of a message.
//!
//! A request may come from anybody, too: one that reads a pointer through many fields would double what there is with every level.
//! So a check follows pointers no more often than the walk does, which follows each once wherever its object is pointed to.

use super::{FieldKind, FieldSchema, Place, StructSchema, Structs, Type, pointer_at};
use crate::{
    DecodeError, TRAVERSAL_FACTOR,
    wire::{Any, AnyReader, StructReader},
};

/// What is done about fields that are not of their types.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Types {
    /// They are refused.
    Checked,
    /// They read as their defaults.
    Believed,
}

/// Where the values are that are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Message(Types),
    /// In a default, which must not need another one.
    Default,
}

pub(super) struct Check {
    of: Of,
    /// What may still be followed: pointers, and words of lists.
    left: u64,
    /// How many groups may still be looked into.
    groups: u64,
}

/// Groups that may be looked into for each pointer that may be followed: elements of no size may be of structs of many groups.
const GROUPS_EACH: u64 = 64;
/// Groups that may be looked into in any message: one of no bytes is a message, too, of a struct of nothing but groups.
const GROUPS_FREE: u64 = 4096;

impl Check {
    /// Of a message of so many bytes, whose pointers were seen to be bounded.
    pub(super) fn message(bytes: usize, types: Types) -> Self {
        Self::of(Of::Message(types), bytes)
    }

    /// Of all defaults in a request of so many bytes.
    pub(super) fn defaults(bytes: usize) -> Self {
        Self::of(Of::Default, bytes)
    }

    fn of(of: Of, bytes: usize) -> Self {
        let left = budget(bytes);
        Self { of, left, groups: left.saturating_mul(GROUPS_EACH).saturating_add(GROUPS_FREE) }
    }

    /// Checks all fields of a struct, and all below them. The walk has bounded how deep pointers go, the schema's check groups.
    pub(super) fn fields(
        &mut self,
        schema: StructSchema<'_>,
        of: StructReader<'_>,
    ) -> Result<(), DecodeError> {
        let mut plain = schema.fields().filter(|one| one.member().is_none());
        plain.try_for_each(|one| self.field(one, of))?;
        let discriminant = schema.discriminant().map(|at| of.u16(at as usize, 0));
        match discriminant.and_then(|number| schema.member(number)) {
            Some(member) => self.field(member, of),
            None => Ok(()),
        }
    }

    fn field(&mut self, schema: FieldSchema<'_>, of: StructReader<'_>) -> Result<(), DecodeError> {
        // Finding out what a field is costs a look at every type of the schema: only where it matters.
        let is_settled = match schema.place() {
            Place::Data => true,
            Place::Pointer(offset) => self.of != Of::Default && pointer_at(&of, offset).is_null(),
            Place::Group => false,
        };
        if is_settled {
            return Ok(());
        }
        match schema.kind() {
            FieldKind::Group(group) => {
                self.groups = self.groups.checked_sub(1).ok_or(DecodeError::Amplified)?;
                self.fields(group, of)
            }
            FieldKind::Slot { ty, offset } if ty.is_pointer() => {
                let value = pointer_at(&of, offset);
                // Otherwise a default could lead to itself, and has no end.
                let needs_default = value.is_null() && !schema.default().pointer(0).is_null();
                if self.of == Of::Default && needs_default && schema.member().is_some() {
                    return Err(DecodeError::Malformed);
                }
                self.pointer(ty, value)
            }
            FieldKind::Slot { .. } => Ok(()),
        }
    }

    /// Checks a pointer of a type that is one.
    pub(super) fn pointer(&mut self, ty: Type<'_>, pointer: AnyReader<'_>) -> Result<(), DecodeError> {
        if pointer.is_null() {
            return Ok(());
        }
        self.charge(1)?;
        match ty {
            Type::Text => self.typed(pointer.check_text()),
            Type::Data => self.typed(pointer.check_data()),
            Type::Struct(schema) => {
                self.typed(pointer.check_struct(|_| Ok(())))?;
                self.fields(schema, pointer.structure())
            }
            Type::List(element) => self.list(element.ty(), pointer),
            Type::Interface => self.typed(pointer.check_capability()),
            _ => Ok(()),
        }
    }

    fn list(&mut self, element: Type<'_>, of: AnyReader<'_>) -> Result<(), DecodeError> {
        let size = element.element_size();
        let Some(list) = of.raw_list().filter(|list| list.reads_as(size)) else {
            return self.typed(Err(DecodeError::WrongType));
        };
        // No list lies denser than one of bits.
        self.charge(u64::from(list.len()) / 64)?;
        match element {
            Type::Struct(schema) => of.list::<Structs>().iter().try_for_each(|one| self.fields(schema, one)),
            _ if element.is_pointer() => {
                of.list::<Any>().iter().try_for_each(|one| self.pointer(element, one))
            }
            _ => Ok(()),
        }
    }

    /// What was found of a type.
    fn typed(&self, found: Result<(), DecodeError>) -> Result<(), DecodeError> {
        if self.of == Of::Message(Types::Believed) { Ok(()) } else { found }
    }

    fn charge(&mut self, words: u64) -> Result<(), DecodeError> {
        self.left = self.left.checked_sub(words).ok_or(DecodeError::Amplified)?;
        Ok(())
    }
}

fn budget(bytes: usize) -> u64 {
    (bytes as u64 / 8).saturating_mul(TRAVERSAL_FACTOR)
}
