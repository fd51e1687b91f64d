//! Builders: fields written in place.

use crate::{
    emit::{CRATE, Code, Item, WIRE, types, value::is_void},
    model::{Content, Field, Type},
    names,
};

pub(crate) fn write(out: &mut Code, item: &Item<'_>) {
    let Item { node, structure, .. } = item;
    let name = &node.name;
    out.line(&format!("/// Writes a [`{name}`] where it is sent from. What is not set has its default."));
    out.line(&format!("#[derive(Debug)] pub struct {name}Builder<'w>({WIRE}::StructBuilder<'w>);"));
    out.line(&format!(
        "impl<'w> ::core::convert::From<{WIRE}::StructBuilder<'w>> for {name}Builder<'w> {{
            #[inline] fn from(fields: {WIRE}::StructBuilder<'w>) -> Self {{ Self(fields) }}
        }}"
    ));
    out.line(&format!("impl {name}Builder<'_> {{"));
    for field in &structure.fields {
        setter(out, item, field);
    }
    if item.structure.is_group {
        reset(out, item);
    }
    out.line("}");
}

/// Makes all fields of a group zero.
fn reset(out: &mut Code, item: &Item<'_>) {
    out.line("#[allow(dead_code)] fn reset(&mut self) {");
    if let Some(at) = item.structure.discriminant {
        out.line(&format!("self.0.set_u16({at}, 0);"));
    }
    for field in &item.structure.fields {
        match &field.content {
            Content::Group(id) => {
                out.line(&format!("{}Builder(self.0.reborrow()).reset();", item.schema.name(*id)));
            }
            Content::Slot { ty: Type::Void, .. } => {}
            Content::Slot { ty: Type::Bool, offset, .. } => {
                out.line(&format!("self.0.set_bool({offset}, false);"));
            }
            Content::Slot { ty: Type::Number(_, bits), offset, .. } => {
                out.line(&format!("self.0.set_u{bits}({offset}, 0);"));
            }
            Content::Slot { ty: Type::Enum(_), offset, .. } => {
                out.line(&format!("self.0.set_u16({offset}, 0);"));
            }
            Content::Slot { offset, .. } => out.line(&format!("self.0.pointer({offset}).clear();")),
        }
    }
    out.line("}");
}

fn setter(out: &mut Code, item: &Item<'_>, field: &Field) {
    let schema = item.schema;
    let raw = names::snake(&field.name);
    let name = raw.trim_start_matches("r#");
    let select = match (field.member, item.structure.discriminant) {
        (Some(number), Some(at)) => format!("self.0.set_u16({at} as usize, {number});"),
        _ => String::new(),
    };
    let also = if select.is_empty() { "" } else { ", and makes it the member of the union that is set" };
    let errors = "\n///\n/// # Errors\n/// [`BufferTooSmall`](::feuerbird_serialization::EncodeError::BufferTooSmall) or [`TooLarge`](::feuerbird_serialization::EncodeError::TooLarge).";
    let (ty, offset, default) = match &field.content {
        Content::Slot { ty, offset, default } => (ty, offset, types::bits(default)),
        Content::Group(id) => {
            let group = schema.name(*id);
            out.line(&format!("/// The fields of the group `{}`{also}.", field.name));
            // A member begins without what another one left in its place; the second call goes on with the first one's.
            let select = match (field.member, item.structure.discriminant) {
                (Some(number), Some(at)) => {
                    format!(
                        "if self.0.select({at}, {number}) {{ {group}Builder(self.0.reborrow()).reset(); }}"
                    )
                }
                _ => String::new(),
            };
            out.line(&format!(
                "#[inline] pub fn {raw}(&mut self) -> {group}Builder<'_> {{ {select} {group}Builder(self.0.reborrow()) }}"
            ));
            return;
        }
    };
    let value_type = types::value(schema, &field.content).replace("'a", "'_").replace("&'_ ", "&");
    if ty.is_pointer() {
        let pointer = format!("self.0.pointer({offset})");
        let result = |of: &str| format!("::core::result::Result<{of}, {CRATE}::EncodeError>");
        match ty {
            Type::Text | Type::Data => {
                let (method, value) = if *ty == Type::Text { ("text", "&str") } else { ("data", "&[u8]") };
                out.line(&format!("/// Writes `{}`{also}.{errors}", field.name));
                out.line(&format!(
                    "#[inline] pub fn set_{name}(&mut self, value: {value}) -> {} {{ {select} {pointer}.{method}(value) }}",
                    result("()")
                ));
                if *ty == Type::Data {
                    out.line(&format!(
                        "/// Begins `{}` of so many bytes{also}; all of them are to be overwritten.{errors}",
                        field.name
                    ));
                    out.line(&format!(
                        "#[inline] pub fn init_{name}(&mut self, bytes: usize) -> {} {{ {select} {pointer}.init_data(bytes) }}",
                        result("&mut [u8]")
                    ));
                }
            }
            Type::List(of) => {
                let element = types::element(schema, of);
                let value = types::value(
                    schema,
                    &Content::Slot { ty: ty.clone(), offset: 0, default: crate::model::Default::Zero },
                );
                let value = value.replace("'a", "'_").replacen("&'_ ", "&", 1);
                out.line(&format!("/// Writes `{}`{also}.{errors}", field.name));
                out.line(&format!(
                    "pub fn set_{name}(&mut self, values: {value}) -> {} {{ {select} {WIRE}::Put::<{element}>::put(values, {pointer}) }}",
                    result("()")
                ));
                if let Type::Struct(id) = &**of {
                    let value = schema.name(*id);
                    let lifetime = types::lifetime(schema, *id, "'v");
                    out.line(&format!("/// Writes `{}` of so many elements{also}, each of which `make` gives, in order.{errors}", field.name));
                    out.line(&format!(
                        "#[inline] pub fn set_{name}_from{lifetime}(&mut self, count: usize, make: impl ::core::ops::FnMut(usize) -> {value}{lifetime}) -> {} {{ {select} {pointer}.structures_from(count, make) }}",
                        result("()")
                    ));
                }
                let begin = match &**of {
                    Type::Struct(id) => {
                        let (data, pointers) =
                            schema.structure(*id).map_or((0, 0), |of| (of.data, of.pointers));
                        format!("structures(count, {data}, {pointers})")
                    }
                    _ => format!("list(<{element} as {WIRE}::Element>::SIZE, count)"),
                };
                out.line(&format!(
                    "/// Begins `{}` of so many elements{also}, all zero.{errors}",
                    field.name
                ));
                out.line(&format!(
                    "pub fn init_{name}(&mut self, count: usize) -> {} {{ {select} {pointer}.{begin} }}",
                    result(&format!("{WIRE}::ListBuilder<'_>"))
                ));
            }
            Type::Struct(id) => {
                let inner = schema.name(*id);
                let (data, pointers) = schema.structure(*id).map_or((0, 0), |of| (of.data, of.pointers));
                out.line(&format!("/// Begins `{}`{also}.{errors}", field.name));
                out.line(&format!(
                    "pub fn init_{name}(&mut self) -> {} {{ {select} {pointer}.structure({data}, {pointers}).map({inner}Builder) }}",
                    result(&format!("{inner}Builder<'_>"))
                ));
            }
            Type::Any => {
                out.line(&format!("/// The pointer `{}`{also}.", field.name));
                let select = match (field.member, item.structure.discriminant) {
                    (Some(number), Some(at)) => {
                        format!("if self.0.select({at}, {number}) {{ {pointer}.clear(); }}")
                    }
                    _ => String::new(),
                };
                out.line(&format!(
                    "pub fn {raw}(&mut self) -> {WIRE}::PointerBuilder<'_> {{ {select} {pointer} }}"
                ));
            }
            _ => {
                out.line(&format!("/// Writes `{}`{also}.", field.name));
                out.line(&format!(
                    "pub fn set_{name}(&mut self, index: {WIRE}::CapabilityIndex) {{ {select} {pointer}.capability(index); }}"
                ));
            }
        }
        return;
    }
    if is_void(field) {
        if !select.is_empty() {
            out.line(&format!("/// Makes `{}` the member of the union that is set.", field.name));
            out.line(&format!("#[inline] pub fn set_{name}(&mut self) {{ {select} }}"));
        }
        return;
    }
    let set = match ty {
        Type::Bool => format!("self.0.set_bool({offset}, value != {});", default == 1),
        Type::Number(number @ ("f32" | "f64"), _) => {
            let unsigned = number.replace('f', "u");
            format!("self.0.set_{unsigned}({offset}, value.to_bits() ^ {default:#x});")
        }
        Type::Number(number, _) => {
            let default = types::default_expression(schema, ty, &crate::model::Default::Bits(default));
            format!("self.0.set_{number}({offset}, value ^ ({default}));")
        }
        _ => format!("self.0.set_u16({offset}, value.0 ^ {default:#x});"),
    };
    out.line(&format!("/// Sets `{}`{also}.", field.name));
    out.line(&format!("#[inline] pub fn set_{name}(&mut self, value: {value_type}) {{ {select} {set} }}"));
}
