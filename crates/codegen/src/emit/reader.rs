//! Views: the fields of a received struct, read where they lie.

use crate::{
    emit::{Code, Item, WIRE, collisions::unknown, types, value::is_void},
    model::{Content, Default, Field, Schema, Struct, Type},
    names,
};

pub(crate) fn write(out: &mut Code, item: &Item<'_>) {
    let Item { node, structure, .. } = item;
    let name = &node.name;
    out.line(&format!("/// A [`{name}`] inside of a message."));
    out.line(&format!("#[derive(Clone, Copy)] pub struct {name}Reader<'a>({WIRE}::StructReader<'a>);"));
    out.line(&format!(
        "impl<'a> ::core::convert::From<{WIRE}::StructReader<'a>> for {name}Reader<'a> {{
            #[inline] fn from(fields: {WIRE}::StructReader<'a>) -> Self {{ Self(fields) }}
        }}"
    ));
    out.line(&format!("impl<'a> {name}Reader<'a> {{"));
    for field in structure.plain_fields().filter(|field| !is_void(field)) {
        out.doc(&field.doc, &format!("The field `{}`.", field.name));
        let ty = types::view(item.schema, &field.content);
        let getter = names::snake(&field.name);
        out.line(&format!("#[inline] pub fn {getter}(&self) -> {ty} {{ {} }}", get(item, field)));
        if let Content::Slot { ty, offset, .. } = &field.content
            && ty.is_pointer()
        {
            let has = getter.trim_start_matches("r#");
            out.line(&format!(
                "/// Whether `{}` was set.\n#[inline] pub fn has_{has}(&self) -> bool {{ self.0.has({offset}) }}",
                field.name
            ));
        }
    }
    if let Some(discriminant) = structure.discriminant {
        which(out, item, discriminant);
    }
    out.line("}");
    if structure.discriminant.is_some() {
        which_type(out, item);
    }
    debug(out, item);
    if is_flat(item.schema, structure) {
        plain(out, item);
    }
}

/// The expression that reads a field.
fn get(item: &Item<'_>, field: &Field) -> String {
    let (ty, offset, default) = match &field.content {
        Content::Group(id) => return format!("{}Reader(self.0)", item.schema.name(*id)),
        Content::Slot { ty, offset, default } => (ty, offset, default),
    };
    let bits = types::bits(default);
    let pointer = match default {
        Default::Words(words) => {
            let count = words.len();
            let words = types::words(words);
            format!(
                "{{ static DEFAULT: [[u8; 8]; {count}] = {words}; self.0.pointer({offset}).or({WIRE}::AnyReader::of_schema(&DEFAULT)) }}"
            )
        }
        _ => format!("self.0.pointer({offset})"),
    };
    match (ty, default) {
        (Type::Bool, _) => format!("self.0.bool({offset}, {})", bits == 1),
        (Type::Number("f32" | "f64", _), _) => {
            let Type::Number(name, _) = ty else { return String::new() };
            format!("self.0.{name}({offset}, {bits:#x})")
        }
        (Type::Number(name, _), _) => {
            let default = types::default_expression(item.schema, ty, default);
            format!("self.0.{name}({offset}, {default})")
        }
        (Type::Enum(id), _) => format!("{}(self.0.u16({offset}, {bits:#x}))", item.schema.name(*id)),
        (Type::Text, Default::Text(text)) => {
            format!("if self.0.has({offset}) {{ {pointer}.text() }} else {{ {text:?} }}")
        }
        (Type::Data, Default::Data(data)) => {
            format!("if self.0.has({offset}) {{ {pointer}.data() }} else {{ &{data:?} }}")
        }
        (Type::Text, _) => format!("{pointer}.text()"),
        (Type::Data, _) => format!("{pointer}.data()"),
        (Type::List(_), _) => format!("{pointer}.list()"),
        (Type::Struct(id), _) => format!("{}Reader({pointer}.structure())", item.schema.name(*id)),
        (Type::Interface, _) => format!("{pointer}.capability()"),
        (Type::Any, _) => pointer,
        (Type::Void, _) => "()".to_owned(),
    }
}

fn which(out: &mut Code, item: &Item<'_>, discriminant: u32) {
    let name = &item.node.name;
    let lifetime = which_lifetime(item);
    out.line("/// The member of the union that was set.");
    out.line(&format!("#[inline] pub fn which(&self) -> {name}WhichReader{lifetime} {{"));
    out.line(&format!("match self.0.u16({discriminant}, 0) {{"));
    for (number, field) in item.structure.members() {
        let payload = if is_void(field) { String::new() } else { format!("({})", get(item, field)) };
        out.line(&format!("{number} => {name}WhichReader::{}{payload},", types::variant(field)));
    }
    out.line(&format!("unknown => {name}WhichReader::{}(unknown), }} }}", unknown(item.structure)));
}

/// `<'a>` where reading a member borrows from the message.
fn which_lifetime(item: &Item<'_>) -> &'static str {
    let borrows = |(_, field): (u16, &Field)| match &field.content {
        Content::Group(_) => true,
        Content::Slot { ty, .. } => ty.is_pointer() && *ty != Type::Interface,
    };
    if item.structure.members().any(borrows) { "<'a>" } else { "" }
}

fn which_type(out: &mut Code, item: &Item<'_>) {
    let name = &item.node.name;
    out.line(&format!("/// The member of the union of [`{name}`] that a message has."));
    out.line(&format!("#[derive(Clone, Copy, Debug)] pub enum {name}WhichReader{} {{", which_lifetime(item)));
    for (_, field) in item.structure.members() {
        out.doc(&field.doc, &format!("The member `{}`.", field.name));
        let payload = if is_void(field) {
            String::new()
        } else {
            format!("({})", types::view(item.schema, &field.content))
        };
        out.line(&format!("{}{payload},", types::variant(field)));
    }
    let unknown = unknown(item.structure);
    out.line(&format!("/// One that only a newer schema has: its number.\n{unknown}(u16), }}"));
}

fn debug(out: &mut Code, item: &Item<'_>) {
    let name = &item.node.name;
    out.line(&format!(
        "impl ::core::fmt::Debug for {name}Reader<'_> {{
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{
                let mut text = f.debug_struct({name:?});"
    ));
    // Only a trusted sender's pointers can lead in a circle, and nobody wants to see how far.
    if item.structure.pointers > 0 {
        out.line("if !self.0.is_bounded() { return text.finish_non_exhaustive(); }");
    }
    for field in item.structure.plain_fields().filter(|field| !is_void(field)) {
        let getter = names::snake(&field.name);
        let name = getter.trim_start_matches("r#");
        let guard = if has_no_end(field) { format!("if self.has_{name}() ") } else { String::new() };
        out.line(&format!("{guard}{{ text.field({name:?}, &self.{getter}()); }}"));
    }
    if let Some(discriminant) = item.structure.discriminant {
        // The first member is that of a union that was never set, too.
        let first = item.structure.members().find(|(number, field)| *number == 0 && has_no_end(field));
        if let Some((_, Field { content: Content::Slot { offset, .. }, .. })) = first {
            out.line(&format!("if self.0.u16({discriminant}, 0) == 0 && !self.0.has({offset}) {{"));
            out.line("return text.finish_non_exhaustive(); }");
        }
        out.line("text.field(\"which\", &self.which());");
    }
    out.line("text.finish() } }");
}

/// Whether a pointer that was never set may read as something that holds one more of the same: a type may contain itself, and a
/// default the field that it is the default of.
fn has_no_end(field: &Field) -> bool {
    match &field.content {
        Content::Slot { ty: Type::Struct(_), .. } => true,
        Content::Slot { ty: Type::List(_), default, .. } => *default != Default::Zero,
        _ => false,
    }
}

/// Whether a view can be turned into a plain value: no lists and no structs behind pointers, which would need memory, and no union,
/// whose member may be one that is not known here.
fn is_flat(schema: &Schema, structure: &Struct) -> bool {
    structure.discriminant.is_none()
        && structure.fields.iter().all(|field| match &field.content {
            Content::Slot { ty, .. } => !matches!(ty, Type::List(_) | Type::Struct(_)),
            Content::Group(id) => schema.structure(*id).is_some_and(|group| is_flat(schema, group)),
        })
}

/// Whether plain values can be compared: there is no pointer to just anything.
fn is_comparable(schema: &Schema, structure: &Struct) -> bool {
    structure.fields.iter().all(|field| match &field.content {
        Content::Slot { ty, .. } => *ty != Type::Any,
        Content::Group(id) => schema.structure(*id).is_some_and(|group| is_comparable(schema, group)),
    })
}

fn plain(out: &mut Code, item: &Item<'_>) {
    let name = &item.node.name;
    let lifetime = types::lifetime(item.schema, item.id, "'a");
    let source = if lifetime.is_empty() { "'_" } else { "'a" };
    out.line(&format!(
        "impl{lifetime} ::core::convert::From<{name}Reader<{source}>> for {name}{lifetime} {{
            #[inline] fn from(view: {name}Reader<{source}>) -> Self {{ let _ = view; Self {{"
    ));
    for field in item.structure.plain_fields().filter(|field| !is_void(field)) {
        let getter = names::snake(&field.name);
        let value = match field.content {
            Content::Group(_) => format!("::core::convert::From::from(view.{getter}())"),
            Content::Slot { .. } => format!("view.{getter}()"),
        };
        out.line(&format!("{getter}: {value},"));
    }
    out.line("} } }");
    // Views have the fields of a schema that may have grown: a plain value compares what is known here.
    if is_comparable(item.schema, item.structure) {
        let fields: Vec<String> = item
            .structure
            .plain_fields()
            .filter(|field| !is_void(field))
            .map(|field| names::snake(&field.name))
            .map(|field| format!("self.{field} == other.{field}"))
            .collect();
        let equal = if fields.is_empty() { "true".to_owned() } else { fields.join(" && ") };
        out.line(&format!(
            "impl ::core::cmp::PartialEq for {name}{} {{ fn eq(&self, other: &Self) -> bool {{ let _ = other; {equal} }} }}",
            types::lifetime(item.schema, item.id, "'_")
        ));
    }
}
