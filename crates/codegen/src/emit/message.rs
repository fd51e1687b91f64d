//! The name of a message, and what the traits of the serialization crate ask for.

use crate::{
    emit::{CRATE, Code, Item, WIRE, check, types},
    layout,
};

pub(crate) fn write(out: &mut Code, item: &Item<'_>) {
    let Item { schema, id, node, structure } = item;
    let name = &node.name;
    let (data, pointers) = (structure.data, structure.pointers);
    let elided = types::lifetime(schema, *id, "'_");
    let check = check::function(name);
    let hash = layout::hash(schema, *id);
    out.line(&format!(
        "/// Names the struct `{path}`: messages of this type are sent as a [`{name}`], a [`{name}Builder`] or a view, and arrive as a
/// [`{name}Reader`].
#[derive(Clone, Copy, Debug)]
pub enum {name}Message {{}}

impl {name}Message {{
    /// Words of the data section, and pointers.
    pub const SECTIONS: (u16, u16) = ({data}, {pointers});

    /// Writes a message in place: `fill` sets its fields, and what its pointers lead to takes at most `below` words.
    ///
    /// # Errors
    /// The buffer is too small, or what `fill` returns.
    #[inline]
    pub fn build(
        format: impl ::core::convert::Into<{CRATE}::Format>,
        below: usize,
        out: &mut [u8],
        fill: impl ::core::ops::FnOnce({name}Builder<'_>) -> ::core::result::Result<(), {CRATE}::EncodeError>,
    ) -> ::core::result::Result<usize, {CRATE}::EncodeError> {{
        {CRATE}::frame::write(format.into(), out, ({data}, {pointers}, below), |to| fill({name}Builder(to)))
    }}

    /// How many bytes a message takes whose pointers lead to so many words; saturates.
    pub const fn size(format: {CRATE}::Format, below: usize) -> usize {{
        {CRATE}::frame::size(format, {data}, {pointers}, below)
    }}
}}

impl {CRATE}::Message for {name}Message {{
    const IDENTITY: {CRATE}::Identity = {CRATE}::Identity::of_schema({path:?}, {id:#x});
    const LAYOUT: u64 = {hash:#x};
    type View<'a> = {name}Reader<'a>;

    #[inline(always)] // where the format is known, one of three; elsewhere `Format::known` makes it so
    fn decode(
        bytes: {CRATE}::Stable<'_>,
        format: impl ::core::convert::Into<{CRATE}::Format>,
    ) -> ::core::result::Result<{name}Reader<'_>, {CRATE}::DecodeError> {{
        let format = format.into();
        let fields = {CRATE}::frame::open(bytes, format, {data}, {pointers})?;
        if format.checks != {CRATE}::Checks::Lengths {{
            {check}(fields)?;
        }}
        ::core::result::Result::Ok({name}Reader(fields))
    }}
}}

impl {WIRE}::Element for {name}Message {{
    const SIZE: {WIRE}::ElementSize = {WIRE}::ElementSize::Composite;
    type Item<'a> = {name}Reader<'a>;
    #[inline]
    fn read<'a>(list: &{WIRE}::RawList<'a>, index: u32) -> {name}Reader<'a> {{
        {name}Reader(list.structure(index))
    }}
    fn check_all(list: {WIRE}::RawList<'_>) -> ::core::result::Result<(), {CRATE}::DecodeError> {{
        {WIRE}::check_structs(list, {check})
    }}
}}

impl {WIRE}::Structure for {name}{elided} {{
    const DATA: u16 = {data};
    const POINTERS: u16 = {pointers};
    #[inline]
    fn below(&self) -> usize {{
        self.words_below()
    }}
    #[inline]
    fn write(&self, mut to: {WIRE}::StructBuilder<'_>) -> ::core::result::Result<(), {CRATE}::EncodeError> {{
        let mut data = [0_u64; {data}];
        self.fill_data(&mut data);
        to.set_data(data);
        self.put_pointers(&mut to)
    }}
}}

impl {WIRE}::Put<{name}Message> for {name}{elided} {{
    fn words(values: &[Self]) -> usize {{
        {WIRE}::structures_words(values)
    }}
    fn put(values: &[Self], to: {WIRE}::PointerBuilder<'_>) -> ::core::result::Result<(), {CRATE}::EncodeError> {{
        {WIRE}::put_structures(values, to)
    }}
}}",
        path = node.path,
    ));
    encode(
        out,
        name,
        &format!("{name}{elided}"),
        &format!("{CRATE}::frame::size(format, {data}, {pointers}, self.words_below())"),
        &format!(
            "let sections = ({data}, {pointers}, self.words_below());
        {CRATE}::frame::write(format, out, sections, |to| {WIRE}::Structure::write(self, to))"
        ),
    );
    encode(
        out,
        name,
        &format!("{name}Reader<'_>"),
        &format!("self.0.copied_size(format, {data}, {pointers})"),
        &format!("self.0.copied(format, {data}, {pointers}, out)"),
    );
}

/// Writes that a type can be sent as a message: the expression of the bound, and the body that writes; both know the `format`.
pub(crate) fn encode(out: &mut Code, message: &str, ty: &str, bound: &str, write: &str) {
    out.line(&format!(
        "impl {CRATE}::Encode<{message}Message> for {ty} {{
    #[inline]
    fn encoded_bound(&self, format: impl ::core::convert::Into<{CRATE}::Format>) -> usize {{
        let format = format.into();
        {bound}
    }}
    #[inline]
    fn encode(
        &self,
        format: impl ::core::convert::Into<{CRATE}::Format>,
        out: &mut [u8],
    ) -> ::core::result::Result<usize, {CRATE}::EncodeError> {{
        let format = format.into();
        {write}
    }}
}}"
    ));
}
