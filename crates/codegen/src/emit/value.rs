//! Plain values: structs and enums of numbers and slices, and how they are written.

use crate::{
    emit::{CRATE, Code, Item, WIRE, types},
    model::{Content, Default, Field, Type},
    names,
};

pub(crate) fn write(out: &mut Code, item: &Item<'_>) {
    let name = &item.node.name;
    let lifetime = types::lifetime(item.schema, item.id, "'a");
    declare(out, item, &lifetime);
    default(out, item, &lifetime);
    let Item { structure, schema, .. } = item;
    let elided = types::lifetime(schema, item.id, "'_");
    let data = structure.data;

    out.line(&format!("impl {name}{elided} {{"));
    out.line("#[inline]");
    out.line(&format!("fn fill_data(&self, data: &mut [u64; {data}]) {{ let _ = &data;"));
    for field in structure.plain_fields() {
        fill(out, field, &format!("self.{}", names::snake(&field.name)));
    }
    union(out, item, "", |out, number, field| {
        or_bits(out, structure.discriminant.unwrap_or(0), 16, &format!("{number}_u64"));
        fill(out, field, "value");
    });
    out.line("}");

    out.line("#[inline] fn words_below(&self) -> usize { let sum = 0_usize;");
    for field in structure.plain_fields() {
        below(out, item, field, &format!("self.{}", names::snake(&field.name)));
    }
    union(out, item, "let sum = ", |out, _, field| {
        below(out, item, field, "value");
        out.line("sum");
    });
    out.line("sum }");

    out.line(&format!(
        "#[inline] fn put_pointers(&self, to: &mut {WIRE}::StructBuilder<'_>) -> ::core::result::Result<(), {CRATE}::EncodeError> {{ let _ = &to;"
    ));
    for field in structure.plain_fields() {
        put(out, item, field, &format!("self.{}", names::snake(&field.name)));
    }
    union(out, item, "", |out, _, field| put(out, item, field, "value"));
    out.line("::core::result::Result::Ok(()) } }");
}

fn declare(out: &mut Code, item: &Item<'_>, lifetime: &str) {
    let Item { schema, node, structure, .. } = item;
    let what = if structure.is_group { "group" } else { "struct" };
    out.doc(&node.doc, &format!("The {what} `{}`, as a plain value.", node.path));
    out.line(&format!("#[derive(Clone, Copy, Debug)] pub struct {}{lifetime} {{", node.name));
    for field in structure.plain_fields().filter(|field| !is_void(field)) {
        out.doc(&field.doc, &format!("The field `{}`.", field.name));
        let ty = types::value(schema, &field.content);
        out.line(&format!("pub {}: {ty},", names::snake(&field.name)));
    }
    if structure.discriminant.is_some() {
        out.line(&format!("/// The union.\npub which: {}Which{},", node.name, which_lifetime(item, "'a")));
    }
    out.line("}");
    if structure.discriminant.is_some() {
        out.line(&format!("/// The union of [`{}`], as a plain value.", node.name));
        out.line(&format!(
            "#[derive(Clone, Copy, Debug)] pub enum {}Which{} {{",
            node.name,
            which_lifetime(item, "'a")
        ));
        for (_, field) in structure.members() {
            out.doc(&field.doc, &format!("The member `{}`.", field.name));
            let payload = if is_void(field) {
                String::new()
            } else {
                format!("({})", types::value(schema, &field.content))
            };
            out.line(&format!("{}{payload},", types::variant(field)));
        }
        out.line("}");
    }
}

/// `<'a>` where a member of the union borrows.
pub(crate) fn which_lifetime(item: &Item<'_>, lifetime: &str) -> String {
    let borrows = item.structure.members().any(|(_, field)| match &field.content {
        Content::Slot { ty, .. } => ty.is_pointer() && *ty != Type::Interface,
        Content::Group(id) => {
            item.schema.structure(*id).is_some_and(|group| types::borrows(item.schema, group))
        }
    });
    if borrows { format!("<{lifetime}>") } else { String::new() }
}

pub(crate) fn is_void(field: &Field) -> bool {
    matches!(field.content, Content::Slot { ty: Type::Void, .. })
}

fn default(out: &mut Code, item: &Item<'_>, lifetime: &str) {
    let Item { node, structure, .. } = item;
    out.line(&format!(
        "impl{lifetime} ::core::default::Default for {}{lifetime} {{ /// The schema's defaults.\nfn default() -> Self {{ Self {{",
        node.name
    ));
    for field in structure.plain_fields().filter(|field| !is_void(field)) {
        out.line(&format!("{}: {},", names::snake(&field.name), default_of(item, field)));
    }
    if let Some((_, first)) = structure.members().find(|(number, _)| *number == 0) {
        let variant = types::variant(first);
        let payload = if is_void(first) { String::new() } else { format!("({})", default_of(item, first)) };
        out.line(&format!("which: {}Which::{variant}{payload},", node.name));
    }
    out.line("} } }");
}

fn default_of(item: &Item<'_>, field: &Field) -> String {
    match &field.content {
        Content::Group(_) => "::core::default::Default::default()".to_owned(),
        Content::Slot { ty, default, .. } => types::default_expression(item.schema, ty, default),
    }
}

/// A match over the union's members, where there is one; `value` is a reference to the member's.
fn union(out: &mut Code, item: &Item<'_>, bind: &str, mut arm: impl FnMut(&mut Code, u16, &Field)) {
    if item.structure.discriminant.is_none() {
        return;
    }
    out.line(&format!("{bind}match self.which {{"));
    for (number, field) in item.structure.members() {
        let payload = if is_void(field) { "" } else { "(value)" };
        out.line(&format!(
            "{}Which::{}{payload} => {{ {}",
            item.node.name,
            types::variant(field),
            if is_void(field) { "" } else { "let _ = value;" }
        ));
        arm(out, number, field);
        out.line("}");
    }
    out.line("};");
}

/// Ors a value of so many bits into the data section, at a place counted in its own size.
fn or_bits(out: &mut Code, offset: u32, bits: u32, value: &str) {
    let at = u64::from(offset) * u64::from(bits);
    let shift = if at.is_multiple_of(64) { String::new() } else { format!(" << {}", at % 64) };
    let value =
        if shift.is_empty() || !value.contains('^') { value.to_owned() } else { format!("({value})") };
    out.line(&format!("data[{}] |= {value}{shift};", at / 64));
}

fn fill(out: &mut Code, field: &Field, value: &str) {
    let Content::Slot { ty, offset, default } = &field.content else {
        out.line(&format!("{value}.fill_data(data);"));
        return;
    };
    let default = types::bits(default);
    let with_default = |bits: String, ty: &str| {
        if default == 0 && ty == "u64" {
            bits
        } else if default == 0 {
            format!("u64::from({bits})")
        } else {
            format!("u64::from({bits} ^ {default:#x}_{ty})")
        }
    };
    match ty {
        Type::Bool => or_bits(out, *offset, 1, &format!("u64::from({value}) ^ {default}")),
        Type::Number(name @ ("f32" | "f64"), bits) => {
            let unsigned = name.replace('f', "u");
            or_bits(out, *offset, *bits, &with_default(format!("{value}.to_bits()"), &unsigned));
        }
        Type::Number(name, bits) => {
            let unsigned = name.replace('i', "u");
            or_bits(out, *offset, *bits, &with_default(cast(value, name, &unsigned), &unsigned));
        }
        Type::Enum(_) => or_bits(out, *offset, 16, &with_default(format!("{value}.0"), "u16")),
        _ => {}
    }
}

/// A number as the unsigned one with the same bits.
fn cast(value: &str, name: &str, unsigned: &str) -> String {
    if name == unsigned { value.to_owned() } else { format!("{value}.cast_unsigned()") }
}

/// The condition under which a pointer is written at all: what equals the default is left null.
fn condition(ty: &Type, default: &Default, value: &str) -> Option<String> {
    match (ty, default) {
        (Type::Text, Default::Text(text)) => Some(format!("{value} != {text:?}")),
        (Type::Data, Default::Data(data)) => Some(format!("{value} != &{data:?}[..]")),
        (Type::Text | Type::Data, _) => Some(format!("!{value}.is_empty()")),
        (Type::List(_), Default::Zero) => Some(format!("!{value}.is_empty()")),
        (Type::Any, _) => Some(format!("!{value}.is_null()")),
        _ => None,
    }
}

fn below(out: &mut Code, item: &Item<'_>, field: &Field, value: &str) {
    let (ty, default) = match &field.content {
        Content::Slot { ty, default, .. } if ty.is_pointer() => (ty, default),
        Content::Slot { .. } => return,
        Content::Group(_) => {
            out.line(&format!("let sum = sum.saturating_add({value}.words_below());"));
            return;
        }
    };
    let words = match ty {
        Type::Text => format!("{WIRE}::text_words({value})"),
        Type::Data => format!("{value}.len().div_ceil(8)"),
        Type::Any => format!("{value}.copied_words()"),
        Type::List(of) => {
            let element = types::element(item.schema, of);
            if *default == Default::Zero {
                format!("{WIRE}::Put::<{element}>::words({value})")
            } else {
                format!("{value}.map_or(0, |list| {WIRE}::Put::<{element}>::words(list))")
            }
        }
        Type::Struct(_) => format!("{value}.map_or(0, {WIRE}::structure_words)"),
        _ => return,
    };
    match condition(ty, default, value) {
        Some(condition) => {
            out.line(&format!("let sum = if {condition} {{ sum.saturating_add({words}) }} else {{ sum }};"));
        }
        None => out.line(&format!("let sum = sum.saturating_add({words});")),
    }
}

fn put(out: &mut Code, item: &Item<'_>, field: &Field, value: &str) {
    let (ty, offset, default) = match &field.content {
        Content::Slot { ty, offset, default } if ty.is_pointer() => (ty, offset, default),
        Content::Slot { .. } => return,
        Content::Group(_) => {
            out.line(&format!("{value}.put_pointers(to)?;"));
            return;
        }
    };
    let pointer = format!("to.pointer({offset})");
    let put = match ty {
        Type::Text => format!("{pointer}.text({value})?;"),
        Type::Data => format!("{pointer}.data({value})?;"),
        Type::Any => format!("{pointer}.copy({value})?;"),
        Type::Interface => {
            format!("if let ::core::option::Option::Some(index) = {value} {{ {pointer}.capability(index); }}")
        }
        Type::Struct(_) => {
            format!(
                "if let ::core::option::Option::Some(value) = {value} {{ {WIRE}::put_structure(value, {pointer})?; }}"
            )
        }
        Type::List(of) => {
            let element = types::element(item.schema, of);
            if *default == Default::Zero {
                format!("{WIRE}::Put::<{element}>::put({value}, {pointer})?;")
            } else {
                format!(
                    "if let ::core::option::Option::Some(list) = {value} {{ {WIRE}::Put::<{element}>::put(list, {pointer})?; }}"
                )
            }
        }
        _ => return,
    };
    match condition(ty, default, value) {
        Some(condition) => out.line(&format!("if {condition} {{ {put} }}")),
        None => out.line(&put),
    }
}
