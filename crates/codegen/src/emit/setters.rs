//! The methods of a builder that write one field.

use crate::{
    emit::{CRATE, Code, Item, WIRE, types, value::is_void},
    model::{Content, Default, Field, Type},
    names,
};

const ERRORS: &str = "\n///\n/// # Errors\n/// [`BufferTooSmall`](::feuerbird_serialization::EncodeError::BufferTooSmall) or [`TooLarge`](::feuerbird_serialization::EncodeError::TooLarge).";

/// Ends the first line of a method's documentation.
const ALSO: &str = ", and makes it the member of the union that is set";

/// A field whose setters are written.
struct Setter<'a> {
    item: &'a Item<'a>,
    field: &'a Field,
    /// The field's name as an identifier.
    raw: String,
    /// The discriminant's index and value, for a member of a union.
    member: Option<(u32, u16)>,
}

pub(crate) fn write(out: &mut Code, item: &Item<'_>, field: &Field) {
    let member = item.structure.discriminant.zip(field.member);
    let setter = Setter { item, field, raw: names::snake(&field.name), member };
    match &field.content {
        Content::Group(id) => setter.group(out, item.schema.name(*id)),
        Content::Slot { ty, offset, .. } if ty.is_pointer() => setter.pointer(out, ty, *offset),
        Content::Slot { .. } if is_void(field) => setter.void(out),
        Content::Slot { ty, offset, default } => setter.bits(out, ty, *offset, default),
    }
}

/// Documentation of a method, and of how it fails where it can.
fn doc(out: &mut Code, what: &str, errors: &str) {
    out.line(&format!("/// {what}{errors}"));
}

/// What a method returns that fails where there is no more room.
fn result(of: &str) -> String {
    format!("::core::result::Result<{of}, {CRATE}::EncodeError>")
}

impl Setter<'_> {
    /// The name behind `set_` or `init_`.
    fn name(&self) -> &str {
        self.raw.trim_start_matches("r#")
    }

    fn also(&self) -> &'static str {
        if self.member.is_some() { ALSO } else { "" }
    }

    /// The statement that makes a union's member the one that is set.
    fn select(&self) -> String {
        self.member
            .map_or_else(String::new, |(at, number)| format!("self.0.set_u16({at} as usize, {number});"))
    }

    /// As [`select`](Self::select), for what is not overwritten as a whole: makes away with what another member left in its place.
    fn select_afresh(&self, reset: &str) -> String {
        self.member.map_or_else(String::new, |(at, number)| {
            format!("if self.0.select({at} as usize, {number}) {{ {reset}; }}")
        })
    }

    fn group(&self, out: &mut Code, group: &str) {
        let (raw, also) = (&self.raw, self.also());
        doc(out, &format!("The fields of the group `{}`{also}.", self.field.name), "");
        // The second call goes on with what the first one wrote.
        let select = self.select_afresh(&format!("{group}Builder(self.0.reborrow()).reset_()"));
        out.line(&format!(
            "#[inline] pub fn {raw}(&mut self) -> {group}Builder<'_> {{ {select} {group}Builder(self.0.reborrow()) }}"
        ));
    }

    fn void(&self, out: &mut Code) {
        if self.member.is_some() {
            doc(out, &format!("Makes `{}` the member of the union that is set.", self.field.name), "");
            out.line(&format!("#[inline] pub fn set_{}(&mut self) {{ {} }}", self.name(), self.select()));
        }
    }

    fn bits(&self, out: &mut Code, ty: &Type, offset: u32, default: &Default) {
        let (schema, bits) = (self.item.schema, types::bits(default));
        let set = match ty {
            Type::Bool => format!("self.0.set_bool({offset}, value != {});", bits == 1),
            Type::Number(number @ ("f32" | "f64"), _) => {
                let unsigned = number.replace('f', "u");
                format!("self.0.set_{unsigned}({offset}, value.to_bits() ^ {bits:#x});")
            }
            Type::Number(number, _) => {
                let default = types::default_expression(schema, ty, default);
                format!("self.0.set_{number}({offset}, value ^ ({default}));")
            }
            _ => format!("self.0.set_u16({offset}, value.0 ^ {bits:#x});"),
        };
        let value = types::value(schema, &self.field.content);
        doc(out, &format!("Sets `{}`{}.", self.field.name, self.also()), "");
        out.line(&format!(
            "#[inline] pub fn set_{}(&mut self, value: {value}) {{ {} {set} }}",
            self.name(),
            self.select()
        ));
    }

    fn pointer(&self, out: &mut Code, ty: &Type, offset: u32) {
        let pointer = format!("self.0.pointer({offset})");
        match ty {
            Type::Text => self.bytes(out, "text", "&str", &pointer),
            Type::Data => {
                self.bytes(out, "data", "&[u8]", &pointer);
                self.init_data(out, &pointer);
            }
            Type::List(of) => self.list(out, ty, of, &pointer),
            Type::Struct(id) => self.structure(out, *id, &pointer),
            Type::Any => {
                let select = self.select_afresh(&format!("{pointer}.clear()"));
                doc(out, &format!("The pointer `{}`{}.", self.field.name, self.also()), "");
                out.line(&format!(
                    "pub fn {}(&mut self) -> {WIRE}::PointerBuilder<'_> {{ {select} {pointer} }}",
                    self.raw
                ));
            }
            _ => {
                doc(out, &format!("Writes `{}`{}.", self.field.name, self.also()), "");
                out.line(&format!(
                    "pub fn set_{}(&mut self, index: {WIRE}::CapabilityIndex) {{ {} {pointer}.capability(index); }}",
                    self.name(),
                    self.select()
                ));
            }
        }
    }

    fn bytes(&self, out: &mut Code, method: &str, value: &str, pointer: &str) {
        let (name, select) = (self.name(), self.select());
        doc(out, &format!("Writes `{}`{}.", self.field.name, self.also()), ERRORS);
        out.line(&format!(
            "#[inline] pub fn set_{name}(&mut self, value: {value}) -> {} {{ {select} {pointer}.{method}(value) }}",
            result("()")
        ));
    }

    fn init_data(&self, out: &mut Code, pointer: &str) {
        let (name, select) = (self.name(), self.select());
        let what = format!("Begins `{}` of so many bytes{}", self.field.name, self.also());
        doc(out, &format!("{what}; all of them are to be overwritten."), ERRORS);
        out.line(&format!(
            "#[inline] pub fn init_{name}(&mut self, bytes: usize) -> {} {{ {select} {pointer}.init_data(bytes) }}",
            result("&mut [u8]")
        ));
    }

    fn list(&self, out: &mut Code, ty: &Type, of: &Type, pointer: &str) {
        let (schema, name, select) = (self.item.schema, self.name(), self.select());
        let element = types::element(schema, of);
        // What is written is a list in any case, whatever the default is.
        let content = Content::Slot { ty: ty.clone(), offset: 0, default: Default::Zero };
        let values = types::value(schema, &content).replace("'a", "'_").replacen("&'_ ", "&", 1);
        doc(out, &format!("Writes `{}`{}.", self.field.name, self.also()), ERRORS);
        out.line(&format!(
            "pub fn set_{name}(&mut self, values: {values}) -> {} {{ {select} {WIRE}::Put::<{element}>::put(values, {pointer}) }}",
            result("()")
        ));
        let begin = match of {
            Type::Struct(id) => {
                self.structures_from(out, *id, pointer);
                let (data, pointers) = self.sections(*id);
                format!("structures(count, {data}, {pointers})")
            }
            _ => format!("list(<{element} as {WIRE}::Element>::SIZE, count)"),
        };
        let what = format!("Begins `{}` of so many elements{}", self.field.name, self.also());
        doc(out, &format!("{what}, all zero."), ERRORS);
        out.line(&format!(
            "pub fn init_{name}(&mut self, count: usize) -> {} {{ {select} {pointer}.{begin} }}",
            result(&format!("{WIRE}::ListBuilder<'_>"))
        ));
    }

    fn structures_from(&self, out: &mut Code, id: u64, pointer: &str) {
        let (schema, name, select) = (self.item.schema, self.name(), self.select());
        let (value, lifetime) = (schema.name(id), types::lifetime(schema, id, "'v"));
        let what = format!("Writes `{}` of so many elements{}", self.field.name, self.also());
        doc(out, &format!("{what}, each of which `make` gives, in order."), ERRORS);
        out.line(&format!(
            "#[inline] pub fn set_{name}_from{lifetime}(&mut self, count: usize, make: impl ::core::ops::FnMut(usize) -> {value}{lifetime}) -> {} {{ {select} {pointer}.structures_from(count, make) }}",
            result("()")
        ));
    }

    fn structure(&self, out: &mut Code, id: u64, pointer: &str) {
        let (name, select) = (self.name(), self.select());
        let (inner, (data, pointers)) = (self.item.schema.name(id), self.sections(id));
        doc(out, &format!("Begins `{}`{}.", self.field.name, self.also()), ERRORS);
        out.line(&format!(
            "pub fn init_{name}(&mut self) -> {} {{ {select} {pointer}.structure({data}, {pointers}).map({inner}Builder) }}",
            result(&format!("{inner}Builder<'_>"))
        ));
    }

    /// Words of data and pointers of another struct.
    fn sections(&self, id: u64) -> (u16, u16) {
        self.item.schema.structure(id).map_or((0, 0), |of| (of.data, of.pointers))
    }
}
