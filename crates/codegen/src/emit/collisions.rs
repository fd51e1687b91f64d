//! Names that would be the same in Rust, refused before anything is written: rustc's message would be about code nobody wrote.

use std::collections::HashMap;

use crate::{
    Error,
    emit::{Item, raw, types, value::is_void},
    model::{Content, Field, Kind, Schema, Struct, Type},
    names,
};

/// Names and to whom they belong: `None` is what is made for the struct itself.
type Taken<'a> = HashMap<String, Option<&'a str>>;

pub(crate) fn check(schema: &Schema) -> Result<(), Error> {
    types_and_constants(schema)?;
    for (&id, node) in &schema.nodes {
        match &node.kind {
            Kind::Struct(structure) => fields(&Item { schema, id, node, structure })?,
            Kind::Enum(enumerants) => {
                let mut taken = HashMap::new();
                for (name, _) in enumerants {
                    if taken.insert(names::screaming(name), name).is_some() {
                        return Err(Error::refused(
                            format!("{}.{name}", node.path),
                            "another value has the same name in Rust",
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Everything that stands beside one another in the file. Structs and enums are constants and functions too, their constructors.
fn types_and_constants(schema: &Schema) -> Result<(), Error> {
    let mut taken = HashMap::new();
    let mut take = |name: String, path: &str| match taken.insert(name, path.to_owned()) {
        None => Ok(()),
        Some(other) => {
            let (one, other) = if *path < *other { (path, &*other) } else { (&*other, path) };
            Err(Error::refused(format!("{one} and {other}"), "both have the same name in Rust"))
        }
    };
    for (&id, node) in &schema.nodes {
        take(node.name.clone(), &node.path)?;
        let Kind::Struct(structure) = &node.kind else { continue };
        let item = Item { schema, id, node, structure };
        let has_union = structure.discriminant.is_some();
        for (suffix, exists) in [
            ("Reader", true),
            ("Builder", true),
            ("Message", !structure.is_group),
            ("Raw", raw::exists(&item)),
            ("Which", has_union),
            ("WhichReader", has_union),
        ] {
            if exists {
                take(format!("{}{suffix}", node.name), &node.path)?;
            }
        }
    }
    schema.constants.iter().try_for_each(|constant| take(constant.name.clone(), &constant.path))
}

/// The fields, variants and methods that a struct's fields become.
fn fields(item: &Item<'_>) -> Result<(), Error> {
    let (mut getters, mut setters, mut variants) = (Taken::new(), Taken::new(), Taken::new());
    if item.structure.discriminant.is_some() {
        getters.insert("which".to_owned(), None);
        variants.insert(unknown(item.structure).to_owned(), None);
    }
    if raw::exists(item) {
        getters.insert("as_raw".to_owned(), None);
    }
    let take = |taken: &mut Taken<'_>, name: String, field: &'_ Field| {
        let what = match taken.get(&name) {
            None => return Ok(name),
            Some(None) if name == "which" => "the name belongs to the union beside it",
            Some(None) => "the name belongs to what is made for its struct",
            Some(Some(_)) => "another field has the same name in Rust",
        };
        Err(Error::refused(format!("{}.{}", item.node.path, field.name), what))
    };
    for field in &item.structure.fields {
        if field.member.is_some() {
            let name = take(&mut variants, types::variant(field), field)?;
            variants.insert(name, Some(&field.name));
        } else {
            for name in getter_names(field) {
                let name = take(&mut getters, name, field)?;
                getters.insert(name, Some(&field.name));
            }
        }
        for name in setter_names(field) {
            let name = take(&mut setters, name, field)?;
            setters.insert(name, Some(&field.name));
        }
    }
    Ok(())
}

/// What a view calls a member of a union that only a newer schema has.
pub(crate) fn unknown(structure: &Struct) -> &'static str {
    let is_taken = structure.members().any(|(_, field)| types::variant(field) == "Unknown");
    if is_taken { "UnknownMember" } else { "Unknown" }
}

fn getter_names(field: &Field) -> Vec<String> {
    let getter = names::snake(&field.name);
    let has = format!("has_{}", getter.trim_start_matches("r#"));
    match &field.content {
        _ if is_void(field) => vec![],
        Content::Slot { ty, .. } if ty.is_pointer() => vec![getter, has],
        _ => vec![getter],
    }
}

fn setter_names(field: &Field) -> Vec<String> {
    let raw = names::snake(&field.name);
    let name = raw.trim_start_matches("r#");
    let (set, init) = (format!("set_{name}"), format!("init_{name}"));
    match &field.content {
        Content::Group(_) | Content::Slot { ty: Type::Any, .. } => vec![raw],
        Content::Slot { ty: Type::Struct(_), .. } => vec![init],
        Content::Slot { ty: Type::Data, .. } => vec![set, init],
        Content::Slot { ty: Type::List(of), .. } if matches!(**of, Type::Struct(_)) => {
            vec![format!("set_{name}_from"), set, init]
        }
        Content::Slot { ty: Type::List(_), .. } => vec![set, init],
        Content::Slot { .. } if is_void(field) && field.member.is_none() => vec![],
        Content::Slot { .. } => vec![set],
    }
}
