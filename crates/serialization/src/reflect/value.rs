//! Values of a message, by a schema that was read.

use core::fmt::Display;

use super::{
    ElementSchema, EnumSchema, FieldKind, FieldSchema, StructSchema, Structs, Type,
    check::{Check, Types},
    pointer_at, print,
};
use crate::{
    Checks, DecodeError, Format, Stable, frame,
    print::Notation,
    wire::{Any, AnyReader, CapabilityIndex, Element, StructReader},
};

/// A value of any type.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // they are those of the schema language
pub enum Value<'a> {
    Void,
    Bool(bool),
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Uint8(u8),
    Uint16(u16),
    Uint32(u32),
    Uint64(u64),
    Float32(f32),
    Float64(f64),
    Text(&'a str),
    Data(&'a [u8]),
    List(ListValue<'a>),
    /// Its number; the schema may have a name for it.
    Enum(EnumSchema<'a>, u16),
    Struct(StructValue<'a>),
    /// Its place among those that were sent beside the message.
    Capability(Option<CapabilityIndex>),
    AnyPointer(AnyReader<'a>),
}

/// A struct, or a group of one.
#[derive(Clone, Copy, Debug)]
pub struct StructValue<'a> {
    pub(super) schema: StructSchema<'a>,
    pub(super) fields: StructReader<'a>,
}

/// A list.
#[derive(Clone, Copy, Debug)]
pub struct ListValue<'a> {
    element: ElementSchema<'a>,
    list: AnyReader<'a>,
}

impl<'a> StructSchema<'a> {
    /// Checks a message of this struct as its format says, every field's type included, and gives its fields.
    ///
    /// # Errors
    /// What is wrong with the message; [`DecodeError::Amplified`] also for a message in a format without checks whose pointers
    /// lead in a circle, and where the schema reads the same pointers through many fields.
    pub fn decode(
        self,
        bytes: Stable<'a>,
        format: impl Into<Format>,
    ) -> Result<StructValue<'a>, DecodeError> {
        let format = format.into();
        let (data, pointers) = self.sections();
        let fields = frame::open(bytes, format, data, pointers)?;
        let types = if format.checks == Checks::Lengths { Types::Believed } else { Types::Checked };
        if types == Types::Believed && !fields.is_bounded() {
            return Err(DecodeError::Amplified);
        }
        Check::message(bytes.bytes().len(), types).fields(self, fields)?;
        Ok(StructValue { schema: self, fields })
    }
}

impl<'a> StructValue<'a> {
    /// What it is one of.
    pub fn schema(&self) -> StructSchema<'a> {
        self.schema
    }

    /// The fields as they lie, without a schema.
    pub fn reader(&self) -> StructReader<'a> {
        self.fields
    }

    /// The member of the union that is set, if there is a union and this version of the schema has the member.
    pub fn which(&self) -> Option<FieldSchema<'a>> {
        let at = self.schema.discriminant()?;
        self.schema.member(self.fields.u16(at as usize, 0))
    }

    /// Whether a field is there: all are but pointers that were never set.
    pub fn has(&self, field: FieldSchema<'a>) -> bool {
        match field.kind() {
            FieldKind::Slot { ty, offset } if ty.is_pointer() => !pointer_at(&self.fields, offset).is_null(),
            _ => true,
        }
    }

    /// The field of this name; for one in a union, if it is the member that is set.
    pub fn named(&self, name: &str) -> Option<Value<'a>> {
        let field = self.schema.fields().find(|field| field.name() == name)?;
        let which = self.which().and_then(|member| member.member());
        (field.member().is_none() || field.member() == which).then(|| self.get(field))
    }

    /// A field of this struct, or its default where it was never set. Of a member of the union, what it would be if it were set.
    pub fn get(&self, field: FieldSchema<'a>) -> Value<'a> {
        let (ty, offset) = match field.kind() {
            FieldKind::Group(schema) => return Value::Struct(Self { schema, fields: self.fields }),
            FieldKind::Slot { ty, offset } => (ty, offset),
        };
        let (from, at, default) = (&self.fields, offset as usize, field.default());
        // Defaults lie in a `Value`: a number of each size behind the number of its type, in the first word or alone in the second.
        match ty {
            Type::Void => Value::Void,
            Type::Bool => Value::Bool(from.bool(at, default.bool(16, false))),
            Type::Int8 => Value::Int8(from.i8(at, default.i8(2, 0))),
            Type::Int16 => Value::Int16(from.i16(at, default.i16(1, 0))),
            Type::Int32 => Value::Int32(from.i32(at, default.i32(1, 0))),
            Type::Int64 => Value::Int64(from.i64(at, default.i64(1, 0))),
            Type::Uint8 => Value::Uint8(from.u8(at, default.u8(2, 0))),
            Type::Uint16 => Value::Uint16(from.u16(at, default.u16(1, 0))),
            Type::Uint32 => Value::Uint32(from.u32(at, default.u32(1, 0))),
            Type::Uint64 => Value::Uint64(from.u64(at, default.u64(1, 0))),
            Type::Float32 => Value::Float32(from.f32(at, default.u32(1, 0))),
            Type::Float64 => Value::Float64(from.f64(at, default.u64(1, 0))),
            Type::Enum(schema) => Value::Enum(schema, from.u16(at, default.u16(1, 0))),
            _ => pointer(ty, pointer_at(from, offset).or(default.pointer(0))),
        }
    }

    /// The value as schemas write it; the reference tool reads it back: `(sequence = 1, payload = 0x"0aff")`.
    ///
    /// Pointers that were never set are left out. Pointers without a type and capabilities can only be named, enumerants of a newer
    /// schema only numbered.
    pub fn text(self) -> impl Display + use<'a> {
        print::Printed { value: Value::Struct(self), notation: Notation::Text }
    }

    /// The value as JSON: 64-bit integers as strings, data as a list of numbers, enums by name, `null` for `Void`.
    pub fn json(self) -> impl Display + use<'a> {
        print::Printed { value: Value::Struct(self), notation: Notation::Json }
    }
}

/// The value that a pointer leads to, of a type that is one.
fn pointer<'a>(ty: Type<'a>, from: AnyReader<'a>) -> Value<'a> {
    match ty {
        Type::Text => Value::Text(from.text()),
        Type::Data => Value::Data(from.data()),
        Type::List(element) => Value::List(ListValue { element, list: from }),
        Type::Struct(schema) => Value::Struct(StructValue { schema, fields: from.structure() }),
        Type::Interface => Value::Capability(from.capability()),
        _ => Value::AnyPointer(from),
    }
}

impl<'a> ListValue<'a> {
    /// What its elements are.
    pub fn element(&self) -> ElementSchema<'a> {
        self.element
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        let list = self.list.raw_list().filter(|list| list.reads_as(self.element.ty().element_size()));
        list.map_or(0, |list| list.len() as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at an index, if there is one.
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        let (list, ty) = (self.list, self.element.ty());
        match ty {
            Type::Void => at::<()>(list, index).map(|()| Value::Void),
            Type::Bool => at::<bool>(list, index).map(Value::Bool),
            Type::Int8 => at::<i8>(list, index).map(Value::Int8),
            Type::Int16 => at::<i16>(list, index).map(Value::Int16),
            Type::Int32 => at::<i32>(list, index).map(Value::Int32),
            Type::Int64 => at::<i64>(list, index).map(Value::Int64),
            Type::Uint8 => at::<u8>(list, index).map(Value::Uint8),
            Type::Uint16 => at::<u16>(list, index).map(Value::Uint16),
            Type::Uint32 => at::<u32>(list, index).map(Value::Uint32),
            Type::Uint64 => at::<u64>(list, index).map(Value::Uint64),
            Type::Float32 => at::<f32>(list, index).map(Value::Float32),
            Type::Float64 => at::<f64>(list, index).map(Value::Float64),
            Type::Enum(schema) => at::<u16>(list, index).map(|number| Value::Enum(schema, number)),
            Type::Struct(schema) => {
                at::<Structs>(list, index).map(|fields| Value::Struct(StructValue { schema, fields }))
            }
            _ => at::<Any>(list, index).map(|element| pointer(ty, element)),
        }
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let list = *self;
        (0..self.len()).map_while(move |index| list.get(index))
    }
}

fn at<'a, T: Element>(list: AnyReader<'a>, index: usize) -> Option<T::Item<'a>> {
    list.list::<T>().get(index)
}
