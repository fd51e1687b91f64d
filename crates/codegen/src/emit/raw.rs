//! Fixed-size messages as the `repr(C)` struct that their data section is.

use crate::{
    emit::{CRATE, Code, Item, message},
    model::{Content, Default, Field, Type},
    names,
};

/// A field's first byte, its bytes, and its type.
struct Place<'a> {
    at: u32,
    bytes: u32,
    field: &'a Field,
    rust_type: String,
}

/// Whether there is such a struct.
pub(crate) fn exists(item: &Item<'_>) -> bool {
    !item.structure.is_group && places(item).is_some()
}

/// Writes the struct where the schema has nothing but numbers and enums without defaults.
pub(crate) fn write(out: &mut Code, item: &Item<'_>) {
    let Some(mut places) = places(item) else { return };
    places.sort_by_key(|place| place.at);
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
    for place in &places {
        padding(out, at, place.at);
        out.doc(&place.field.doc, &format!("The field `{}`.", place.field.name));
        out.line(&format!("pub {}: {},", names::snake(&place.field.name), place.rust_type));
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
}}"
    ));
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

fn places<'a>(item: &Item<'a>) -> Option<Vec<Place<'a>>> {
    let structure = item.structure;
    if structure.pointers > 0 || structure.discriminant.is_some() || structure.data == 0 {
        return None;
    }
    structure.fields.iter().map(|field| place(item, field)).collect()
}

fn place<'a>(item: &Item<'a>, field: &'a Field) -> Option<Place<'a>> {
    let Content::Slot { ty, offset, default: Default::Zero } = &field.content else { return None };
    let (rust_type, bytes) = match ty {
        Type::Number(name, bits) => ((*name).to_owned(), bits / 8),
        Type::Enum(id) => (item.schema.name(*id).to_owned(), 2),
        _ => return None,
    };
    Some(Place { at: offset * bytes, bytes, field, rust_type })
}

fn padding(out: &mut Code, from: u32, to: u32) {
    if to > from {
        out.line(&format!("/// Nothing: zeros.\npub padding_{from}: [u8; {}],", to - from));
    }
}
