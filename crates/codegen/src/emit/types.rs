//! How types of the schema are written in Rust.

use crate::{
    emit::WIRE,
    model::{Content, Default, Field, Schema, Struct, Type},
    names,
};

/// Whether a plain value of a struct borrows.
pub(crate) fn borrows(schema: &Schema, structure: &Struct) -> bool {
    structure.fields.iter().any(|field| match &field.content {
        Content::Slot { ty, .. } => ty.is_pointer() && *ty != Type::Interface,
        Content::Group(id) => schema.structure(*id).is_some_and(|group| borrows(schema, group)),
    })
}

/// `<'a>` where a plain value borrows.
pub(crate) fn lifetime(schema: &Schema, id: u64, lifetime: &str) -> String {
    match schema.structure(id) {
        Some(structure) if borrows(schema, structure) => format!("<{lifetime}>"),
        _ => String::new(),
    }
}

/// The type of a field of a plain value.
pub(crate) fn value(schema: &Schema, content: &Content) -> String {
    match content {
        Content::Group(id) => format!("{}{}", schema.name(*id), lifetime(schema, *id, "'a")),
        Content::Slot { ty: Type::Struct(id), .. } => {
            format!("::core::option::Option<&'a {}{}>", schema.name(*id), lifetime(schema, *id, "'a"))
        }
        Content::Slot { ty: ty @ Type::List(_), default, .. } if *default != Default::Zero => {
            format!("::core::option::Option<{}>", element_value(schema, ty))
        }
        Content::Slot { ty, .. } => element_value(schema, ty),
    }
}

/// The type of a plain value in a list.
fn element_value(schema: &Schema, ty: &Type) -> String {
    match ty {
        Type::Void => "()".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Number(name, _) => (*name).to_owned(),
        Type::Enum(id) => schema.name(*id).to_owned(),
        Type::Text => "&'a str".to_owned(),
        Type::Data => "&'a [u8]".to_owned(),
        Type::List(element) => format!("&'a [{}]", element_value(schema, element)),
        Type::Struct(id) => format!("{}{}", schema.name(*id), lifetime(schema, *id, "'a")),
        Type::Interface => format!("::core::option::Option<{WIRE}::CapabilityIndex>"),
        Type::Any => format!("{WIRE}::AnyReader<'a>"),
    }
}

/// The name of an element's type, as `List` takes it.
pub(crate) fn element(schema: &Schema, ty: &Type) -> String {
    match ty {
        Type::Void | Type::Bool | Type::Number(..) | Type::Enum(_) => element_value(schema, ty),
        Type::Text => format!("{WIRE}::Text"),
        Type::Data => format!("{WIRE}::Data"),
        Type::List(element_type) => format!("{WIRE}::ListOf<{}>", element(schema, element_type)),
        Type::Struct(id) => format!("{}Message", schema.name(*id)),
        Type::Interface => format!("{WIRE}::Capability"),
        Type::Any => format!("{WIRE}::Any"),
    }
}

/// What a getter of a view returns.
pub(crate) fn view(schema: &Schema, content: &Content) -> String {
    match content {
        Content::Group(id) | Content::Slot { ty: Type::Struct(id), .. } => {
            format!("{}Reader<'a>", schema.name(*id))
        }
        Content::Slot { ty: Type::List(of), .. } => format!("{WIRE}::List<'a, {}>", element(schema, of)),
        Content::Slot { ty, .. } => element_value(schema, ty),
    }
}

/// The variant of a union's member.
pub(crate) fn variant(field: &Field) -> String {
    names::camel(&field.name)
}

/// A default's bits.
pub(crate) fn bits(default: &Default) -> u64 {
    if let Default::Bits(bits) = default { *bits } else { 0 }
}

/// The words of a default, as an array of little-endian words in Rust.
pub(crate) fn words(words: &[u64]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{:?}", word.to_le_bytes())).collect();
    format!("[{}]", words.join(", "))
}

/// A number's or enum's default as a Rust expression of its own type.
pub(crate) fn default_expression(schema: &Schema, ty: &Type, default: &Default) -> String {
    let bits = bits(default);
    match ty {
        Type::Bool => (bits == 1).to_string(),
        Type::Number(name @ ("f32" | "f64"), _) => format!("{name}::from_bits({bits:#x})"),
        Type::Number(name, _) if name.starts_with('i') => {
            format!("{bits:#x}_{} as {name}", name.replace('i', "u"))
        }
        Type::Number(name, _) => format!("{bits:#x}_{name}"),
        Type::Enum(id) => format!("{}({bits})", schema.name(*id)),
        Type::Text => {
            if let Default::Text(text) = default {
                format!("{text:?}")
            } else {
                "\"\"".to_owned()
            }
        }
        Type::Data => {
            if let Default::Data(data) = default {
                format!("&{data:?}")
            } else {
                "&[]".to_owned()
            }
        }
        Type::List(_) if *default == Default::Zero => "&[]".to_owned(),
        Type::List(_) | Type::Struct(_) | Type::Interface => "::core::option::Option::None".to_owned(),
        Type::Any => format!("{WIRE}::AnyReader::NULL"),
        Type::Void => "()".to_owned(),
    }
}
