//! Enums: open, because a newer schema may have more.

use crate::{
    emit::{CRATE, Code, WIRE},
    model::Node,
    names,
};

pub(crate) fn write(out: &mut Code, node: &Node, enumerants: &[(String, String)]) {
    let name = &node.name;
    out.doc(
        &node.doc,
        &format!("The enum `{}`. A newer schema may have values without a name here.", node.path),
    );
    out.line(&format!(
        "#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[derive({CRATE}::zerocopy::FromBytes, {CRATE}::zerocopy::IntoBytes)]
#[derive({CRATE}::zerocopy::Immutable, {CRATE}::zerocopy::KnownLayout)]
#[zerocopy(crate = \"{CRATE}::zerocopy\")]
#[repr(transparent)]
pub struct {name}(pub u16);

impl {name} {{"
    ));
    for (number, (enumerant, doc)) in enumerants.iter().enumerate() {
        out.doc(doc, &format!("The value `{enumerant}`."));
        out.line(&format!("pub const {}: Self = Self({number});", names::screaming(enumerant)));
    }
    out.line(
        "/// The name in the schema, if it has one.
        pub const fn name(self) -> ::core::option::Option<&'static str> {
            match self.0 {",
    );
    for (number, (enumerant, _)) in enumerants.iter().enumerate() {
        out.line(&format!("{number} => ::core::option::Option::Some({enumerant:?}),"));
    }
    out.line(&format!(
        "_ => ::core::option::Option::None, }} }}
}}

impl ::core::fmt::Debug for {name} {{
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{
        match self.name() {{
            ::core::option::Option::Some(name) => f.write_str(name),
            ::core::option::Option::None => write!(f, \"{name}({{}})\", self.0),
        }}
    }}
}}

impl {WIRE}::Element for {name} {{
    const SIZE: {WIRE}::ElementSize = {WIRE}::ElementSize::TwoBytes;
    type Item<'a> = Self;
    #[inline]
    fn read<'a>(list: &{WIRE}::RawList<'a>, index: u32) -> Self {{
        Self(<u16 as {WIRE}::Element>::read(list, index))
    }}
}}

impl {WIRE}::Put<{name}> for {name} {{
    fn words(values: &[Self]) -> usize {{
        values.len().div_ceil(4)
    }}
    fn put(values: &[Self], to: {WIRE}::PointerBuilder<'_>) -> ::core::result::Result<(), {CRATE}::EncodeError> {{
        let mut list = to.list({WIRE}::ElementSize::TwoBytes, values.len())?;
        let places = list.bytes_mut().as_chunks_mut().0;
        places.iter_mut().zip(values).for_each(|(place, value)| *place = value.0.to_le_bytes());
        ::core::result::Result::Ok(())
    }}
}}"
    ));
}
