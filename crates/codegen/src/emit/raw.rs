//! Fixed-size messages as the `repr(C)` struct that their data section is.
//!
//! What is a value of Rust as it lies there is a field of the struct. What is not has accessors over what lies there: bits, which share
//! a byte, and numbers and enums with a default, which Cap'n Proto stores XORed with it. So every bit pattern of such a struct is a
//! value, and zeros are the schema's defaults.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    emit::{CRATE, Code, Item, message, types},
    model::{Content, Field, Struct, Type},
    names,
};

/// Something of the struct's bytes: where, and as what.
struct Place {
    at: u32,
    bytes: u32,
    name: String,
    doc: String,
    rust_type: String,
}

/// A field that is not a value as it lies there.
struct Accessor {
    /// The field's name as an identifier.
    name: String,
    path: String,
    doc: String,
    rust_type: String,
    /// What reads it, and what writes `value`.
    get: String,
    set: String,
}

#[derive(Default)]
struct Layout {
    places: BTreeMap<u32, Place>,
    accessors: Vec<Accessor>,
}

/// Whether there is such a struct.
pub(crate) fn exists(item: &Item<'_>) -> bool {
    !item.structure.is_group && layout(item).is_some()
}

/// Writes the struct where the schema has nothing that is elsewhere: no pointers, and no union.
pub(crate) fn write(out: &mut Code, item: &Item<'_>) {
    let Some(layout) = layout(item) else { return };
    let (name, data, end) = (&item.node.name, item.structure.data, u32::from(item.structure.data) * 8);
    out.line(&format!(
        "/// A [`{name}`] as its bytes lie in a message: to be sent without a copy of its fields, or read in place by
/// [`as_raw`]({name}Reader::as_raw).
#[cfg(target_endian = \"little\")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[derive({CRATE}::zerocopy::FromBytes, {CRATE}::zerocopy::IntoBytes)]
#[derive({CRATE}::zerocopy::Immutable, {CRATE}::zerocopy::KnownLayout)]
#[zerocopy(crate = \"{CRATE}::zerocopy\")]
#[repr(C, align(8))]
pub struct {name}Raw {{"
    ));
    let mut at = 0;
    for place in layout.places.values() {
        padding(out, at, place.at);
        out.doc(&place.doc, "");
        out.line(&format!("pub {}: {},", place.name, place.rust_type));
        at = place.at + place.bytes;
    }
    padding(out, at, end);
    out.line(&format!(
        "}}

#[cfg(target_endian = \"little\")]
const _: () = assert!(size_of::<{name}Raw>() == {end} && align_of::<{name}Raw>() == 8);

#[cfg(target_endian = \"little\")]
impl<'a> {name}Reader<'a> {{
    /// The struct where it lies, if the sender's version of the schema has all of its fields.
    #[inline]
    pub fn as_raw(&self) -> ::core::option::Option<&'a {name}Raw> {{
        self.0.as_fixed()
    }}
}}

#[cfg(target_endian = \"little\")]
impl ::core::convert::From<{name}> for {name}Raw {{
    #[inline]
    fn from(value: {name}) -> Self {{
        let mut data = [0_u64; {data}];
        value.fill_data(&mut data);
        {CRATE}::zerocopy::transmute!(data)
    }}
}}"
    ));
    accessors(out, name, &layout.accessors);
    out.line("#[cfg(target_endian = \"little\")]");
    message::encode(
        out,
        name,
        &format!("{name}Raw"),
        &format!("{CRATE}::frame::size(format, {data}, 0, 0)"),
        &format!(
            "if format.framing == {CRATE}::Framing::Bare {{
            return {CRATE}::frame::write_bare({CRATE}::zerocopy::IntoBytes::as_bytes(self), out);
        }}
        let words: [u64; {data}] = {CRATE}::zerocopy::transmute!(*self);
        {CRATE}::frame::write(format, out, ({data}, 0, 0), |mut to| {{
            to.set_data(words);
            ::core::result::Result::Ok(())
        }})"
        ),
    );
}

fn accessors(out: &mut Code, name: &str, accessors: &[Accessor]) {
    if accessors.is_empty() {
        return;
    }
    out.line(&format!("#[cfg(target_endian = \"little\")] impl {name}Raw {{"));
    for Accessor { name, path, doc, rust_type, get, set } in accessors {
        out.doc(doc, &format!("The field `{path}`."));
        out.line(&format!("#[inline] pub fn {name}(&self) -> {rust_type} {{ {get} }}"));
        let setter = name.trim_start_matches("r#");
        out.doc("", &format!("Sets `{path}`."));
        out.line(&format!("#[inline] pub fn set_{setter}(&mut self, value: {rust_type}) {{ {set} }}"));
    }
    out.line("}");
}

/// Where everything lies, if all of it is in the data section and no two things would have one name in Rust.
fn layout(item: &Item<'_>) -> Option<Layout> {
    let mut layout = Layout::default();
    if item.structure.pointers > 0 || item.structure.data == 0 {
        return None;
    }
    add_fields(&mut layout, item, item.structure, "", "")?;
    let accessors = layout.accessors.iter().map(|accessor| accessor.name.as_str());
    let mut names = BTreeSet::new();
    let all = layout.places.values().map(|place| place.name.as_str()).chain(accessors);
    all.into_iter().all(|name| names.insert(name)).then_some(layout)
}

/// The fields of a struct, or of a group, whose fields are named behind its own name.
fn add_fields(layout: &mut Layout, item: &Item<'_>, of: &Struct, prefix: &str, path: &str) -> Option<()> {
    if of.discriminant.is_some() {
        return None;
    }
    of.fields.iter().try_for_each(|field| match &field.content {
        Content::Group(id) => {
            let group = names::snake(&field.name);
            let prefix = format!("{prefix}{}_", group.trim_start_matches("r#"));
            add_fields(layout, item, item.schema.structure(*id)?, &prefix, &format!("{path}{}.", field.name))
        }
        Content::Slot { ty, offset, .. } => {
            let name = names::snake(&field.name);
            let name =
                if prefix.is_empty() { name } else { format!("{prefix}{}", name.trim_start_matches("r#")) };
            add(layout, item, field, (name, format!("{path}{}", field.name)), (ty, *offset))
        }
    })
}

fn add(
    layout: &mut Layout,
    item: &Item<'_>,
    field: &Field,
    (name, path): (String, String),
    (ty, offset): (&Type, u32),
) -> Option<()> {
    let Content::Slot { default, .. } = &field.content else { return None };
    let default = types::bits(default);
    let (rust_type, bytes) = match ty {
        Type::Void => return Some(()),
        Type::Bool => return add_bit(layout, field, (name, path), offset, default),
        Type::Number(number, bits) => ((*number).to_owned(), bits / 8),
        Type::Enum(id) => (item.schema.name(*id).to_owned(), 2),
        _ => return None,
    };
    let at = offset * bytes;
    if default == 0 {
        let doc = if field.doc.is_empty() { format!("The field `{path}`.") } else { field.doc.clone() };
        layout.places.insert(at, Place { at, bytes, name, doc, rust_type });
        return Some(());
    }
    let (stored, unsigned) = (format!("{}_xored", name.trim_start_matches("r#")), format!("u{}", bytes * 8));
    let read = format!("self.{stored} ^ {default:#x}_{unsigned}");
    let (get, bits) = match ty {
        Type::Number("f32" | "f64", _) => (format!("{rust_type}::from_bits({read})"), "value.to_bits()"),
        Type::Number(number, _) if number.starts_with('i') => {
            (format!("({read}).cast_signed()"), "value.cast_unsigned()")
        }
        Type::Number(..) => (read, "value"),
        _ => (format!("{rust_type}({read})"), "value.0"),
    };
    let set = format!("self.{stored} = {bits} ^ {default:#x}_{unsigned};");
    let doc = format!("The field `{path}`, XORed with its default.");
    layout.places.insert(at, Place { at, bytes, name: stored, doc, rust_type: unsigned });
    layout.accessors.push(Accessor { name, path, doc: field.doc.clone(), rust_type, get, set });
    Some(())
}

/// A bit, in a byte that it may share with others.
fn add_bit(
    layout: &mut Layout,
    field: &Field,
    (name, path): (String, String),
    offset: u32,
    default: u64,
) -> Option<()> {
    let (at, mask) = (offset / 8, 1_u8 << (offset % 8));
    let bits = format!("bits_{at}");
    let doc = "Bits, each XORed with its default: see the methods.".to_owned();
    layout.places.entry(at).or_insert(Place {
        at,
        bytes: 1,
        name: bits.clone(),
        doc,
        rust_type: "u8".to_owned(),
    });
    let get = format!("self.{bits} & {mask:#x} {} 0", if default == 0 { "!=" } else { "==" });
    let is_set = if default == 0 { "value" } else { "!value" };
    let set = format!("self.{bits} = self.{bits} & !{mask:#x} | if {is_set} {{ {mask:#x} }} else {{ 0 }};");
    let rust_type = "bool".to_owned();
    layout.accessors.push(Accessor { name, path, doc: field.doc.clone(), rust_type, get, set });
    Some(())
}

fn padding(out: &mut Code, from: u32, to: u32) {
    if to > from {
        out.line(&format!("/// Nothing: zeros.\npub padding_{from}: [u8; {}],", to - from));
    }
}
