//! A schema, as far as code depends on it.

use std::collections::BTreeMap;

/// One schema file.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The file's name in the request.
    pub(crate) file: String,
    /// Structs, groups and enums of the file by id.
    pub(crate) nodes: BTreeMap<u64, Node>,
    /// Constants: name, doc, type and value as Rust writes them.
    pub(crate) constants: Vec<Constant>,
}

#[derive(Debug)]
pub(crate) struct Constant {
    /// The name in Rust.
    pub(crate) name: String,
    /// The name in the schema.
    pub(crate) path: String,
    pub(crate) doc: String,
    pub(crate) rust_type: &'static str,
    pub(crate) value: String,
}

#[derive(Debug)]
pub(crate) struct Node {
    /// The name in Rust.
    pub(crate) name: String,
    /// The name in the schema, for people: `Outer.Inner`.
    pub(crate) path: String,
    pub(crate) doc: String,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Struct(Struct),
    /// The enumerants with their documentation, in order.
    Enum(Vec<(String, String)>),
}

/// A struct, or a group inside of one.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) data: u16,
    pub(crate) pointers: u16,
    pub(crate) is_group: bool,
    /// The discriminant's place in units of 16 bits, where there are union members.
    pub(crate) discriminant: Option<u32>,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug)]
pub(crate) struct Field {
    /// The name in the schema.
    pub(crate) name: String,
    pub(crate) doc: String,
    /// The member of a union that it is.
    pub(crate) member: Option<u16>,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Slot { ty: Type, offset: u32, default: Default },
    Group(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Void,
    Bool,
    /// An integer or float: its Rust name and its bits.
    Number(&'static str, u32),
    Enum(u64),
    Text,
    Data,
    List(Box<Type>),
    Struct(u64),
    Interface,
    Any,
}

/// What a field that was never set reads as.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Default {
    /// Zero, empty or null.
    Zero,
    /// The bits of a number or enum, or a bool.
    Bits(u64),
    Text(String),
    Data(Vec<u8>),
    /// A message's only segment, with a pointer to the value first.
    Words(Vec<u64>),
}

impl Type {
    pub(crate) fn is_pointer(&self) -> bool {
        matches!(
            self,
            Self::Text | Self::Data | Self::List(_) | Self::Struct(_) | Self::Interface | Self::Any
        )
    }
}

impl Struct {
    pub(crate) fn plain_fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.member.is_none())
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (u16, &Field)> {
        self.fields.iter().filter_map(|field| Some((field.member?, field)))
    }
}

impl Schema {
    pub(crate) fn name(&self, id: u64) -> &str {
        self.nodes.get(&id).map_or("", |node| &node.name)
    }

    pub(crate) fn structure(&self, id: u64) -> Option<&Struct> {
        match &self.nodes.get(&id)?.kind {
            Kind::Struct(structure) => Some(structure),
            Kind::Enum(_) => None,
        }
    }
}
