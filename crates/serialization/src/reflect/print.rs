//! Values as text and as JSON.

use core::fmt::{self, Display, Formatter, Write};

use super::{FieldSchema, StructValue, Value};
use crate::print::{Notation, comma};

#[derive(Clone, Copy)]
pub(super) struct Printed<'a> {
    pub(super) value: Value<'a>,
    pub(super) notation: Notation,
}

impl Display for Printed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { value, notation } = *self;
        match value {
            Value::Struct(value) => structure(f, notation, value),
            Value::List(list) => {
                f.write_char('[')?;
                for (index, value) in list.iter().enumerate() {
                    f.write_str(comma(index == 0))?;
                    Printed { value, notation }.fmt(f)?;
                }
                f.write_char(']')
            }
            _ => self.fmt_leaf(f),
        }
    }
}

impl Printed<'_> {
    /// What has nothing below it; apart, so that what has takes less of the stack on each level.
    #[inline(never)]
    fn fmt_leaf(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { value, notation } = *self;
        match value {
            Value::Struct(_) | Value::List(_) => Ok(()),
            Value::Void => notation.void(f),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int8(value) => write!(f, "{value}"),
            Value::Int16(value) => write!(f, "{value}"),
            Value::Int32(value) => write!(f, "{value}"),
            Value::Uint8(value) => write!(f, "{value}"),
            Value::Uint16(value) => write!(f, "{value}"),
            Value::Uint32(value) => write!(f, "{value}"),
            Value::Int64(value) => notation.quoted_in_json(f, value),
            Value::Uint64(value) => notation.quoted_in_json(f, value),
            Value::Float32(value) => notation.float(f, value.into(), format_args!("{value:?}")),
            Value::Float64(value) => notation.float(f, value, format_args!("{value:?}")),
            Value::Enum(schema, number) => match schema.enumerant(number) {
                Some(name) => notation.quoted_in_json(f, name),
                None => write!(f, "{number}"),
            },
            Value::Text(text) => notation.string(f, text),
            Value::Data(data) => notation.data(f, data),
            Value::AnyPointer(_) => notation.opaque_pointer(f),
            Value::Capability(_) => notation.external_capability(f),
        }
    }
}

/// Every field but pointers that were not set.
fn structure(f: &mut Formatter<'_>, notation: Notation, value: StructValue<'_>) -> fmt::Result {
    let mut is_first = true;
    f.write_str(notation.pick("(", "{"))?;
    for one in value.schema().fields().filter(|one| one.member().is_none() && value.has(*one)) {
        field(f, notation, value, one, is_first)?;
        is_first = false;
    }
    // The first member of a union may be there because nothing was set: then it has no end where a type contains itself.
    if let Some(one) = value.which()
        && (one.member() != Some(0) || value.has(one))
    {
        field(f, notation, value, one, is_first)?;
    }
    f.write_str(notation.pick(")", "}"))
}

fn field(
    f: &mut Formatter<'_>,
    notation: Notation,
    of: StructValue<'_>,
    field: FieldSchema<'_>,
    is_first: bool,
) -> fmt::Result {
    f.write_str(comma(is_first))?;
    notation.quoted_in_json(f, field.name())?;
    f.write_str(notation.pick(" = ", ": "))?;
    Printed { value: of.get(field), notation }.fmt(f)
}
