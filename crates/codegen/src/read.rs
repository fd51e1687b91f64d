//! Reading a compiled request into the model.

use std::collections::{BTreeMap, HashMap};

use capnp::{
    message::ReaderOptions,
    schema_capnp::{code_generator_request, field, node, type_, value},
    serialize,
};

use crate::{
    Error,
    model::{Constant, Content, Default, Field, Kind, Node, Schema, Struct, Type},
    names,
};

/// In the order of ids, so that of several errors it is always the same that is reported.
type Nodes<'a> = BTreeMap<u64, node::Reader<'a>>;

/// Documentation by node: its own, and its members'.
type Docs = HashMap<u64, (String, Vec<String>)>;

/// The schema of the only file that was asked for.
pub(crate) fn request(mut bytes: &[u8]) -> Result<Schema, Error> {
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(bytes.len().saturating_mul(64)));
    let message = serialize::read_message_from_flat_slice(&mut bytes, options)?;
    let request: code_generator_request::Reader<'_> = message.get_root()?;
    let files = request.get_requested_files()?;
    if files.len() != 1 {
        return Err(Error::refused("a request has one file", "this one has none, or more than one"));
    }
    let file = files.get(0);
    let name = file.get_filename()?.to_str().map_err(capnp::Error::from)?.to_owned();
    let nodes: Nodes<'_> = request.get_nodes()?.iter().map(|node| (node.get_id(), node)).collect();
    let reading = Reading { nodes, docs: docs(&request)?, file: file.get_id() };
    reading.schema(name.clone()).map_err(|error| error.in_file(&name))
}

fn docs(request: &code_generator_request::Reader<'_>) -> Result<Docs, Error> {
    let text =
        |text: capnp::text::Reader<'_>| text.to_str().map(str::trim).map(str::to_owned).unwrap_or_default();
    let mut docs = Docs::new();
    for info in request.get_source_info()? {
        let members = info.get_members()?.iter();
        let members = members.map(|member| Ok(text(member.get_doc_comment()?)));
        let members = members.collect::<Result<_, capnp::Error>>()?;
        docs.insert(info.get_id(), (text(info.get_doc_comment()?), members));
    }
    Ok(docs)
}

struct Reading<'a> {
    nodes: Nodes<'a>,
    docs: Docs,
    file: u64,
}

impl Reading<'_> {
    fn schema(&self, file: String) -> Result<Schema, Error> {
        let mut schema = Schema { file, nodes: BTreeMap::new(), constants: vec![] };
        for (id, node) in &self.nodes {
            if !self.is_ours(*node) {
                continue;
            }
            let path = path(*node)?;
            if node.get_is_generic() {
                return Err(Error::refused(path, "generic types have no code"));
            }
            let kind = match node.which()? {
                node::Struct(structure) => Kind::Struct(self.structure(*id, &path, structure)?),
                node::Enum(enumeration) => Kind::Enum(self.enumerants(*id, enumeration)?),
                node::Const(constant) => {
                    schema.constants.push(self.constant(*id, &path, constant)?);
                    continue;
                }
                node::File(()) | node::Interface(_) | node::Annotation(_) => continue,
            };
            let name = names::type_name(&path);
            schema.nodes.insert(*id, Node { name, path, doc: self.doc(*id), kind });
        }
        check_groups(&schema)?;
        schema.constants.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(schema)
    }

    /// Whether a node is in the file that was asked for, and not in one that it imports.
    fn is_ours(&self, node: node::Reader<'_>) -> bool {
        let mut scope = node.get_scope_id();
        // A scope is never deeper than there are nodes.
        for _ in 0..self.nodes.len() {
            if scope == self.file {
                return true;
            }
            let Some(parent) = self.nodes.get(&scope) else { return false };
            scope = parent.get_scope_id();
        }
        false
    }

    fn doc(&self, id: u64) -> String {
        self.docs.get(&id).map(|(doc, _)| doc.clone()).unwrap_or_default()
    }

    fn member_doc(&self, id: u64, index: usize) -> String {
        self.docs.get(&id).and_then(|(_, members)| members.get(index)).cloned().unwrap_or_default()
    }

    fn structure(&self, id: u64, path: &str, structure: node::struct_::Reader<'_>) -> Result<Struct, Error> {
        let fields = structure.get_fields()?.iter().enumerate();
        let fields = fields.map(|(index, field)| {
            let name = field.get_name()?.to_str().map_err(capnp::Error::from)?.to_owned();
            let member = field.get_discriminant_value();
            let member = (member != field::NO_DISCRIMINANT).then_some(member);
            let place = format!("{path}.{name}");
            let content = match field.which()? {
                field::Slot(slot) => self.slot(&place, slot)?,
                field::Group(group) => Content::Group(self.group(id, &place, group.get_type_id())?),
            };
            Ok(Field { name, doc: self.member_doc(id, index), member, content })
        });
        let fields: Vec<Field> = fields.collect::<Result<_, Error>>()?;
        let has_union = structure.get_discriminant_count() > 0;
        Ok(Struct {
            data: structure.get_data_word_count(),
            pointers: structure.get_pointer_count(),
            is_group: structure.get_is_group(),
            discriminant: has_union.then(|| structure.get_discriminant_offset()),
            fields,
        })
    }

    /// A group is declared inside of its struct. Scopes end at the file, so groups do not contain themselves.
    fn group(&self, parent: u64, place: &str, id: u64) -> Result<u64, Error> {
        match self.nodes.get(&id) {
            Some(node) if node.get_scope_id() == parent && self.is_ours(*node) => Ok(id),
            _ => Err(Error::refused(place, "it is no group of this struct")),
        }
    }

    fn slot(&self, place: &str, slot: field::slot::Reader<'_>) -> Result<Content, Error> {
        let ty = self.ty(place, slot.get_type()?)?;
        let default = default(place, slot.get_default_value()?)?;
        Ok(Content::Slot { ty, offset: slot.get_offset(), default })
    }

    fn ty(&self, place: &str, ty: type_::Reader<'_>) -> Result<Type, Error> {
        let ours = |id: u64| match self.nodes.get(&id) {
            Some(node) if self.is_ours(*node) => Ok(id),
            _ => Err(Error::refused(place, "its type is in another file; put it into this one")),
        };
        Ok(match ty.which()? {
            type_::Void(()) => Type::Void,
            type_::Bool(()) => Type::Bool,
            type_::Int8(()) => Type::Number("i8", 8),
            type_::Int16(()) => Type::Number("i16", 16),
            type_::Int32(()) => Type::Number("i32", 32),
            type_::Int64(()) => Type::Number("i64", 64),
            type_::Uint8(()) => Type::Number("u8", 8),
            type_::Uint16(()) => Type::Number("u16", 16),
            type_::Uint32(()) => Type::Number("u32", 32),
            type_::Uint64(()) => Type::Number("u64", 64),
            type_::Float32(()) => Type::Number("f32", 32),
            type_::Float64(()) => Type::Number("f64", 64),
            type_::Text(()) => Type::Text,
            type_::Data(()) => Type::Data,
            type_::List(list) => Type::List(Box::new(self.ty(place, list.get_element_type()?)?)),
            type_::Enum(of) => Type::Enum(ours(of.get_type_id())?),
            type_::Struct(of) => Type::Struct(ours(of.get_type_id())?),
            type_::Interface(_) => Type::Interface,
            type_::AnyPointer(any) => match any.which()? {
                type_::any_pointer::Unconstrained(_) => Type::Any,
                _ => return Err(Error::refused(place, "generic parameters have no code")),
            },
        })
    }

    fn enumerants(
        &self,
        id: u64,
        enumeration: node::enum_::Reader<'_>,
    ) -> Result<Vec<(String, String)>, Error> {
        let all = enumeration.get_enumerants()?.iter().enumerate();
        all.map(|(index, one)| {
            let name = one.get_name()?.to_str().map_err(capnp::Error::from)?.to_owned();
            Ok((name, self.member_doc(id, index)))
        })
        .collect()
    }

    fn constant(&self, id: u64, path: &str, constant: node::const_::Reader<'_>) -> Result<Constant, Error> {
        let (rust_type, value) = match constant.get_value()?.which()? {
            value::Void(()) => ("()", "()".to_owned()),
            value::Bool(value) => ("bool", value.to_string()),
            value::Int8(value) => ("i8", value.to_string()),
            value::Int16(value) => ("i16", value.to_string()),
            value::Int32(value) => ("i32", value.to_string()),
            value::Int64(value) => ("i64", value.to_string()),
            value::Uint8(value) => ("u8", value.to_string()),
            value::Uint16(value) => ("u16", value.to_string()),
            value::Uint32(value) => ("u32", value.to_string()),
            value::Uint64(value) => ("u64", value.to_string()),
            value::Float32(value) => ("f32", format!("f32::from_bits({:#x})", value.to_bits())),
            value::Float64(value) => ("f64", format!("f64::from_bits({:#x})", value.to_bits())),
            value::Text(text) => ("&str", format!("{:?}", text?.to_str().map_err(capnp::Error::from)?)),
            value::Data(data) => ("&[u8]", format!("&{:?}", data?)),
            _ => return Err(Error::refused(path, "constants have the type of a number, a text or data")),
        };
        let name = path.split('.').map(names::screaming).collect::<Vec<_>>().join("_");
        Ok(Constant { name, path: path.to_owned(), doc: self.doc(id), rust_type, value })
    }
}

/// The name behind the file's, such as `Outer.Inner`.
fn path(node: node::Reader<'_>) -> Result<String, Error> {
    let name = node.get_display_name()?.to_str().map_err(capnp::Error::from)?;
    Ok(name.rsplit_once(':').map_or(name, |(_, path)| path).to_owned())
}

/// A group's fields lie in its struct's sections.
fn check_groups(schema: &Schema) -> Result<(), Error> {
    for node in schema.nodes.values() {
        let Kind::Struct(structure) = &node.kind else { continue };
        for field in &structure.fields {
            let Content::Group(id) = field.content else { continue };
            let fits = |group: &Struct| {
                (group.is_group, group.data, group.pointers) == (true, structure.data, structure.pointers)
            };
            if !schema.structure(id).is_some_and(fits) {
                return Err(Error::refused(
                    format!("{}.{}", node.path, field.name),
                    "it is no group of this struct",
                ));
            }
        }
    }
    Ok(())
}

fn default(place: &str, value: value::Reader<'_>) -> Result<Default, Error> {
    let bits = |bits: u64| if bits == 0 { Default::Zero } else { Default::Bits(bits) };
    Ok(match value.which()? {
        value::Void(()) | value::Interface(()) => Default::Zero,
        value::Bool(value) => bits(value.into()),
        value::Int8(value) => bits((value as u8).into()),
        value::Int16(value) => bits((value as u16).into()),
        value::Int32(value) => bits((value as u32).into()),
        value::Int64(value) => bits(value as u64),
        value::Uint8(value) => bits(value.into()),
        value::Uint16(value) | value::Enum(value) => bits(value.into()),
        value::Uint32(value) => bits(value.into()),
        value::Uint64(value) => bits(value),
        value::Float32(value) => bits(value.to_bits().into()),
        value::Float64(value) => bits(value.to_bits()),
        value::Text(text) => match text?.to_str().map_err(capnp::Error::from)? {
            "" => Default::Zero,
            text => Default::Text(text.to_owned()),
        },
        value::Data(data) => match data? {
            [] => Default::Zero,
            data => Default::Data(data.to_vec()),
        },
        value::List(any) | value::Struct(any) | value::AnyPointer(any) => words(place, any)?,
    })
}

/// The words of a message with a default as its root.
fn words(place: &str, any: capnp::any_pointer::Reader<'_>) -> Result<Default, Error> {
    if any.is_null() {
        return Ok(Default::Zero);
    }
    let size = any.target_size()?.word_count + 1;
    let first = u32::try_from(size).map_err(|_| Error::refused(place, "its default is too large"))?;
    let allocator = capnp::message::HeapAllocator::new().first_segment_words(first + 1);
    let mut message = capnp::message::Builder::new(allocator);
    message.set_root(any)?;
    match &*message.get_segments_for_output() {
        [segment] => {
            let words = segment.as_chunks::<8>().0.iter();
            Ok(Default::Words(words.map(|word| u64::from_le_bytes(*word)).collect()))
        }
        _ => Err(Error::refused(place, "its default does not fit into one segment")),
    }
}
