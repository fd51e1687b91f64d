//! Messages as text and as JSON, for tools: through the `capnp` crate's reflection over the types that it generated of the schema.
//! Where there are none, because the schema is known only when the program runs, [`reflect`](crate::reflect) prints the same.
//!
//! What is printed is what the reference tool reads: `capnp convert text:binary` or `json:binary` gives the message again. Pointers
//! without a type and capabilities can only be named, enumerants of a newer schema only numbered: these are lost.
//!
//! ```text
//! let message = SampleMessage::decode_capnp::<sample_capnp::sample::Owned>(bytes, Layer::Full)?;
//! let sample: sample_capnp::sample::Reader<'_> = message.expect("Full is Cap'n Proto").get()?;
//! println!("{}", print::json(sample));
//! ```

use core::fmt::{self, Display, Formatter, Write};

use capnp::{
    dynamic_list, dynamic_struct,
    dynamic_value::{Enum, Reader},
    schema::Field,
};

/// The value as schemas write it: `(sequence = 1, payload = 0x"0aff")`.
///
/// It is printed as far as it was checked: `fmt::Error` for a value that the `capnp` crate cannot read.
pub fn text<'a>(value: impl Into<Reader<'a>>) -> impl Display {
    Printed { value: value.into(), notation: Notation::Text }
}

/// The value as JSON: 64-bit integers as strings, data as a list of numbers, enums by name, `null` for `Void`.
///
/// It is printed as far as it was checked: `fmt::Error` for a value that the `capnp` crate cannot read.
pub fn json<'a>(value: impl Into<Reader<'a>>) -> impl Display {
    Printed { value: value.into(), notation: Notation::Json }
}

/// How values are written, whatever knows their types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    Text,
    Json,
}

#[derive(Clone, Copy)]
struct Printed<'a> {
    value: Reader<'a>,
    notation: Notation,
}

impl Display for Printed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { value, notation } = *self;
        match value {
            Reader::Void => notation.void(f),
            Reader::Bool(value) => write!(f, "{value}"),
            Reader::Int8(value) => write!(f, "{value}"),
            Reader::Int16(value) => write!(f, "{value}"),
            Reader::Int32(value) => write!(f, "{value}"),
            Reader::UInt8(value) => write!(f, "{value}"),
            Reader::UInt16(value) => write!(f, "{value}"),
            Reader::UInt32(value) => write!(f, "{value}"),
            Reader::Int64(value) => notation.quoted_in_json(f, value),
            Reader::UInt64(value) => notation.quoted_in_json(f, value),
            Reader::Float32(value) => notation.float(f, value.into(), format_args!("{value:?}")),
            Reader::Float64(value) => notation.float(f, value, format_args!("{value:?}")),
            Reader::Enum(value) => notation.enumerant(f, value),
            Reader::Text(value) => notation.string(f, value.to_str().map_err(|_| fmt::Error)?),
            Reader::Data(value) => notation.data(f, value),
            Reader::Struct(value) => notation.structure(f, value),
            Reader::List(value) => notation.list(f, value),
            Reader::AnyPointer(_) => notation.opaque_pointer(f),
            Reader::Capability(_) => notation.external_capability(f),
        }
    }
}

impl Notation {
    pub(crate) fn pick(self, text: &'static str, json: &'static str) -> &'static str {
        match self {
            Self::Text => text,
            Self::Json => json,
        }
    }

    pub(crate) fn void(self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.pick("void", "null"))
    }

    pub(crate) fn opaque_pointer(self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.pick("<opaque pointer>", "\"<opaque pointer>\""))
    }

    pub(crate) fn external_capability(self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.pick("<external capability>", "\"<external capability>\""))
    }

    /// Numbers that a double, JSON's only number, does not hold.
    pub(crate) fn quoted_in_json(self, f: &mut Formatter<'_>, value: impl Display) -> fmt::Result {
        let quote = self.pick("", "\"");
        write!(f, "{quote}{value}{quote}")
    }

    /// `shortest` is what reads back as the same number, if it is one.
    pub(crate) fn float(
        self,
        f: &mut Formatter<'_>,
        value: f64,
        shortest: fmt::Arguments<'_>,
    ) -> fmt::Result {
        if value.is_finite() {
            return f.write_fmt(shortest);
        }
        f.write_str(match (value.is_nan(), value > 0.0) {
            (true, _) => self.pick("nan", "\"NaN\""),
            (_, true) => self.pick("inf", "\"Infinity\""),
            (_, false) => self.pick("-inf", "\"-Infinity\""),
        })
    }

    pub(crate) fn string(self, f: &mut Formatter<'_>, text: &str) -> fmt::Result {
        f.write_char('"')?;
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\n' => f.write_str("\\n")?,
                '\0'..' ' | '\x7F' if self == Self::Text => write!(f, "\\x{:02x}", u32::from(character))?,
                // Controls that terminals obey. What is written as bytes in a text is written as UTF-8.
                '\u{80}'..='\u{9f}' if self == Self::Text => {
                    write!(f, "\\xc2\\x{:02x}", u32::from(character))?
                }
                '\0'..' ' | '\x7F'..='\u{9f}' => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }

    pub(crate) fn data(self, f: &mut Formatter<'_>, data: &[u8]) -> fmt::Result {
        if self == Self::Text {
            // There is no empty literal of data, and a string will do.
            f.write_str(if data.is_empty() { "\"" } else { "0x\"" })?;
            data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            return f.write_char('"');
        }
        f.write_char('[')?;
        for (index, byte) in data.iter().enumerate() {
            write!(f, "{}{byte}", comma(index == 0))?;
        }
        f.write_char(']')
    }
}

/// What the `capnp` crate's reflection gives.
impl Notation {
    fn print(self, f: &mut Formatter<'_>, value: Reader<'_>) -> fmt::Result {
        Printed { value, notation: self }.fmt(f)
    }

    /// By name, or as a number where only a newer schema has a name for it.
    fn enumerant(self, f: &mut Formatter<'_>, value: Enum) -> fmt::Result {
        match value.get_enumerant().map_err(unreadable)? {
            Some(enumerant) => {
                let name = enumerant.get_proto().get_name().map_err(unreadable)?;
                self.quoted_in_json(f, name.to_str().map_err(|_| fmt::Error)?)
            }
            None => write!(f, "{}", value.get_value()),
        }
    }

    fn list(self, f: &mut Formatter<'_>, list: dynamic_list::Reader<'_>) -> fmt::Result {
        f.write_char('[')?;
        for index in 0..list.len() {
            f.write_str(comma(index == 0))?;
            self.print(f, list.get(index).map_err(unreadable)?)?;
        }
        f.write_char(']')
    }

    /// Every field but pointers that were not set.
    fn structure(self, f: &mut Formatter<'_>, value: dynamic_struct::Reader<'_>) -> fmt::Result {
        let mut is_first = true;
        f.write_str(self.pick("(", "{"))?;
        for field in value.get_schema().get_non_union_fields().map_err(unreadable)? {
            if value.has(field).map_err(unreadable)? {
                self.field(f, value, field, is_first)?;
                is_first = false;
            }
        }
        // The first member of a union may be there because nothing was set: then it has no end where a type contains itself.
        if let Some(field) = value.which().map_err(unreadable)?
            && (field.get_proto().get_discriminant_value() != 0 || value.has(field).map_err(unreadable)?)
        {
            self.field(f, value, field, is_first)?;
        }
        f.write_str(self.pick(")", "}"))
    }

    fn field(
        self,
        f: &mut Formatter<'_>,
        value: dynamic_struct::Reader<'_>,
        field: Field,
        is_first: bool,
    ) -> fmt::Result {
        f.write_str(comma(is_first))?;
        let name = field.get_proto().get_name().map_err(unreadable)?;
        self.quoted_in_json(f, name.to_str().map_err(|_| fmt::Error)?)?;
        f.write_str(self.pick(" = ", ": "))?;
        self.print(f, value.get(field).map_err(unreadable)?)
    }
}

pub(crate) fn comma(is_first: bool) -> &'static str {
    if is_first { "" } else { ", " }
}

/// What was checked cannot be unreadable; a reader that came from elsewhere can.
fn unreadable(_: capnp::Error) -> fmt::Error {
    fmt::Error
}
