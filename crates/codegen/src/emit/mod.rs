//! Writing the code.

mod builder;
mod check;
mod collisions;
mod enums;
mod message;
mod raw;
mod reader;
mod setters;
mod types;
mod value;

use std::fmt::Write as _;

use crate::{
    Error,
    model::{Kind, Schema},
};

/// The code of one schema file.
pub(crate) fn file(schema: &Schema) -> Result<String, Error> {
    collisions::check(schema)?;
    let mut out = Code::default();
    out.line(&format!("// Made from {} by feuerbird-codegen: change the schema, not this.", schema.file));
    for constant in &schema.constants {
        out.doc(&constant.doc, "A constant of the schema.");
        out.line(&format!("pub const {}: {} = {};", constant.name, constant.rust_type, constant.value));
    }
    // In the order of names, so that the same schema always gives the same text.
    let mut nodes: Vec<_> = schema.nodes.iter().collect();
    nodes.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    for (&id, node) in nodes {
        match &node.kind {
            Kind::Enum(enumerants) => enums::write(&mut out, node, enumerants),
            Kind::Struct(structure) => {
                let item = Item { schema, id, node, structure };
                value::write(&mut out, &item);
                reader::write(&mut out, &item);
                builder::write(&mut out, &item);
                check::write(&mut out, &item);
                if !structure.is_group {
                    message::write(&mut out, &item);
                    raw::write(&mut out, &item);
                }
            }
        }
    }
    Ok(out.0)
}

/// A struct or group, and where it stands.
pub(crate) struct Item<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) id: u64,
    pub(crate) node: &'a crate::model::Node,
    pub(crate) structure: &'a crate::model::Struct,
}

/// The text so far.
#[derive(Default)]
pub(crate) struct Code(String);

impl Code {
    /// One or more lines, as they are.
    pub(crate) fn line(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    /// Documentation: the schema's, or a phrase.
    pub(crate) fn doc(&mut self, doc: &str, otherwise: &str) {
        let doc = if doc.is_empty() { otherwise } else { doc };
        for line in doc.lines() {
            // A string and not `///`, so that nothing in a schema's comment is code, an example or a link.
            self.line(&format!(
                "#[doc = {:?}]",
                format!(" {}", line.replace('[', "\\[").replace('`', "\\`"))
            ));
        }
    }
}

/// The path of the runtime that all code refers to.
pub(crate) const WIRE: &str = "::feuerbird_serialization::wire";
pub(crate) const CRATE: &str = "::feuerbird_serialization";
