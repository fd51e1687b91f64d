//! Schemas and values that nobody chose: a schema as source and as a compiled request, and messages of it with what they must print
//! as.
#![allow(dead_code, unreachable_pub)]

use std::fmt::Write;

use capnp::{
    message::{Builder, HeapAllocator},
    schema_capnp::{code_generator_request, field, node, type_, value},
};
use feuerbird_serialization::{
    EncodeError,
    reflect::{FieldKind, StructSchema},
    wire::{ElementSize, PointerBuilder, StructBuilder},
};

/// The generator `splitmix64`: the same schema for a seed, always.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// One of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Numbers with few bits, with many, and with all.
    fn bits(&mut self, bits: u32) -> u64 {
        let all = u64::MAX >> (64 - bits);
        match self.below(4) {
            0 => 0,
            1 => self.next() & all & 0xF,
            2 => all,
            _ => self.next() & all,
        }
    }
}

/// The types of fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Ty {
    Void,
    Bool,
    Int(u32),
    Uint(u32),
    Float(u32),
    Text,
    Data,
    Enum(usize),
    Struct(usize),
    List(Box<Ty>),
    Any,
}

/// The fields of a struct or group, of which those of the union are at the end.
pub struct Scope {
    pub fields: Vec<Field>,
    pub members: Vec<Field>,
}

pub struct Field {
    pub name: String,
    pub kind: Kind,
}

pub enum Kind {
    /// A type, and the bits of the default.
    Slot(Ty, u64),
    Group(Scope),
}

pub struct Model {
    pub structs: Vec<Scope>,
    /// How many enumerants each has.
    pub enums: Vec<usize>,
}

/// Texts that are awkward to print.
const TEXTS: [&str; 6] = ["", "a", "\"\\", "ä火\n", "eight by", "longer than a word, and another"];

fn id(kind: u64, number: usize) -> u64 {
    1 << 63 | kind << 32 | number as u64
}

impl Ty {
    fn bits(&self) -> u32 {
        match self {
            Self::Bool => 1,
            Self::Int(bits) | Self::Uint(bits) | Self::Float(bits) => *bits,
            Self::Enum(_) => 16,
            _ => 0,
        }
    }

    fn is_pointer(&self) -> bool {
        matches!(self, Self::Text | Self::Data | Self::Struct(_) | Self::List(_) | Self::Any)
    }

    fn source(&self) -> String {
        match self {
            Self::Void => "Void".to_owned(),
            Self::Bool => "Bool".to_owned(),
            Self::Int(bits) => format!("Int{bits}"),
            Self::Uint(bits) => format!("UInt{bits}"),
            Self::Float(bits) => format!("Float{bits}"),
            Self::Text => "Text".to_owned(),
            Self::Data => "Data".to_owned(),
            Self::Enum(number) => format!("E{number}"),
            Self::Struct(number) => format!("S{number}"),
            Self::List(of) => format!("List({})", of.source()),
            Self::Any => "AnyPointer".to_owned(),
        }
    }

    fn request(&self, mut to: type_::Builder<'_>) {
        match self {
            Self::Void => to.set_void(()),
            Self::Bool => to.set_bool(()),
            Self::Int(8) => to.set_int8(()),
            Self::Int(16) => to.set_int16(()),
            Self::Int(32) => to.set_int32(()),
            Self::Int(_) => to.set_int64(()),
            Self::Uint(8) => to.set_uint8(()),
            Self::Uint(16) => to.set_uint16(()),
            Self::Uint(32) => to.set_uint32(()),
            Self::Uint(_) => to.set_uint64(()),
            Self::Float(32) => to.set_float32(()),
            Self::Float(_) => to.set_float64(()),
            Self::Text => to.set_text(()),
            Self::Data => to.set_data(()),
            Self::Enum(number) => to.init_enum().set_type_id(id(2, *number)),
            Self::Struct(number) => to.init_struct().set_type_id(id(1, *number)),
            Self::List(of) => of.request(to.init_list().init_element_type()),
            Self::Any => to.init_any_pointer().init_unconstrained().set_any_kind(()),
        }
    }

    fn default(&self, bits: u64, mut to: value::Builder<'_>) {
        match self {
            Self::Bool => to.set_bool(bits == 1),
            Self::Int(8) => to.set_int8(bits as i8),
            Self::Int(16) => to.set_int16(bits as i16),
            Self::Int(32) => to.set_int32(bits as i32),
            Self::Int(_) => to.set_int64(bits as i64),
            Self::Uint(8) => to.set_uint8(bits as u8),
            Self::Uint(16) => to.set_uint16(bits as u16),
            Self::Uint(32) => to.set_uint32(bits as u32),
            Self::Uint(_) => to.set_uint64(bits),
            Self::Float(32) => to.set_float32(f32::from_bits(bits as u32)),
            Self::Float(_) => to.set_float64(f64::from_bits(bits)),
            Self::Enum(_) => to.set_enum(bits as u16),
            Self::Text => to.set_text(""),
            Self::Data => to.set_data(&[]),
            Self::Void => to.set_void(()),
            Self::Struct(_) => drop(to.init_struct()),
            Self::List(_) => drop(to.init_list()),
            Self::Any => drop(to.init_any_pointer()),
        }
    }

    /// A value of so many bits as schemas write it.
    fn printed(&self, bits: u64) -> String {
        match self {
            Self::Bool => (bits == 1).to_string(),
            Self::Int(width) => ((bits << (64 - width)) as i64 >> (64 - width)).to_string(),
            Self::Float(32) => format!("{:?}", f32::from_bits(bits as u32)),
            Self::Float(_) => format!("{:?}", f64::from_bits(bits)),
            Self::Enum(_) => format!("e{bits}"),
            _ => bits.to_string(),
        }
    }
}

impl Model {
    pub fn new(random: &mut Random, with_any: bool) -> Self {
        let enums = (0..1 + random.below(2)).map(|_| 1 + random.below(5)).collect();
        let mut model = Self { structs: vec![], enums };
        let count = 1 + random.below(4);
        for _ in 0..count {
            let mut next = 0;
            model.structs.push(model.scope(random, count, &mut next, 2, with_any));
        }
        model
    }

    fn scope(
        &self,
        random: &mut Random,
        structs: usize,
        next: &mut usize,
        depth: usize,
        with_any: bool,
    ) -> Scope {
        let mut some = |random: &mut Random, count: usize| -> Vec<Field> {
            (0..count)
                .map(|_| {
                    if depth > 0 && random.is_one_in(8) {
                        let group = self.scope(random, structs, next, depth - 1, with_any);
                        *next += 1;
                        return Field { name: format!("g{next}"), kind: Kind::Group(group) };
                    }
                    let ty = self.ty(random, structs, if with_any { 12 } else { 11 }, 2);
                    *next += 1;
                    let has_default = !ty.is_pointer() && ty != Ty::Void && random.is_one_in(2);
                    let default = if has_default { self.bits(random, &ty) } else { 0 };
                    Field { name: format!("f{next}"), kind: Kind::Slot(ty, default) }
                })
                .collect()
        };
        let count = 1 + random.below(6);
        let fields = some(random, count);
        let count = if random.is_one_in(2) { 2 + random.below(4) } else { 0 };
        let members = some(random, count);
        Scope { fields, members }
    }

    fn ty(&self, random: &mut Random, structs: usize, kinds: usize, depth: usize) -> Ty {
        let bits = 8 << random.below(4);
        match random.below(kinds) {
            0 => Ty::Void,
            1 => Ty::Bool,
            2 | 3 => Ty::Int(bits),
            4 => Ty::Uint(bits),
            5 => Ty::Float(32 << random.below(2)),
            6 => Ty::Text,
            7 => Ty::Data,
            8 => Ty::Enum(random.below(self.enums.len())),
            9 => Ty::Struct(random.below(structs)),
            10 if depth == 0 => Ty::Text,
            10 => Ty::List(Box::new(self.ty(random, structs, 11, depth - 1))),
            _ => Ty::Any,
        }
    }

    /// The bits of a value that is no pointer.
    fn bits(&self, random: &mut Random, ty: &Ty) -> u64 {
        match ty {
            Ty::Enum(number) => random.below(self.enums[*number]) as u64,
            // Not all bits of one that is not a number come through text.
            Ty::Float(32) => ((random.next() as i16) as f32 / 8.0).to_bits().into(),
            Ty::Float(_) => ((random.next() as i32) as f64 / 8.0).to_bits(),
            ty => random.bits(ty.bits().max(1)),
        }
    }

    /// The schema as a person would write it.
    pub fn source(&self) -> String {
        let mut out = format!("@{:#x};\n", id(3, 0));
        for (number, count) in self.enums.iter().enumerate() {
            let _ = write!(out, "enum E{number} @{:#x} {{", id(2, number));
            out.extend((0..*count).map(|one| format!(" e{one} @{one};")));
            out += " }\n";
        }
        for (number, scope) in self.structs.iter().enumerate() {
            let _ = write!(out, "struct S{number} @{:#x} {{", id(1, number));
            scope.source(&mut out, &mut 0);
            out += " }\n";
        }
        out
    }

    /// The schema as the reference tool would compile it, but that nothing is where the tool would put it.
    pub fn request(&self) -> Vec<u8> {
        let mut nodes = vec![];
        for (number, scope) in self.structs.iter().enumerate() {
            let (mut data, mut pointers) = (0, 0);
            let own = id(1, number);
            scope.lay_out(
                &format!("S{number}"),
                (own, id(3, 0)),
                &mut (&mut data, &mut pointers),
                &mut nodes,
            );
            let sections = (data.div_ceil(64) as u16, pointers as u16);
            nodes.iter_mut().for_each(|node| node.sections = node.sections.or(Some(sections)));
        }
        let mut message = Builder::new(HeapAllocator::new());
        let mut request = message.init_root::<code_generator_request::Builder<'_>>();
        let mut file = request.reborrow().init_requested_files(1).get(0);
        file.set_id(id(3, 0));
        file.set_filename("random.capnp");
        let mut to = request.init_nodes((nodes.len() + self.enums.len()) as u32);
        for (index, node) in nodes.iter().enumerate() {
            node.request(to.reborrow().get(index as u32));
        }
        for (number, count) in self.enums.iter().enumerate() {
            let mut node = to.reborrow().get((nodes.len() + number) as u32);
            node.set_id(id(2, number));
            node.set_display_name(format!("random.capnp:E{number}"));
            node.set_scope_id(id(3, 0));
            let mut all = node.init_enum().init_enumerants(*count as u32);
            (0..*count as u32).for_each(|one| all.reborrow().get(one).set_name(format!("e{one}")));
        }
        capnp::serialize::write_message_to_words(&message)
    }
}

/// A struct or group with its fields' places.
struct Node<'m> {
    name: String,
    id: u64,
    scope: u64,
    /// Of the struct that it is, or is in.
    sections: Option<(u16, u16)>,
    discriminant: Option<u32>,
    fields: Vec<(&'m Field, Option<u16>, Place)>,
}

enum Place {
    Slot(u32),
    Group(u64),
}

impl Scope {
    /// Whether the first member of a union is a pointer, here or in a group.
    pub fn has_a_pointer_first(&self) -> bool {
        let is_pointer = |field: &Field| matches!(&field.kind, Kind::Slot(ty, _) if ty.is_pointer());
        self.members.first().is_some_and(is_pointer)
            || self.fields.iter().chain(&self.members).any(|field| match &field.kind {
                Kind::Group(group) => group.has_a_pointer_first(),
                Kind::Slot(..) => false,
            })
    }

    fn source(&self, out: &mut String, next: &mut usize) {
        let mut field = |out: &mut String, field: &Field| match &field.kind {
            Kind::Slot(ty, bits) => {
                let default = if *bits == 0 { String::new() } else { format!(" = {}", ty.printed(*bits)) };
                let _ = write!(out, " {} @{next} :{}{default};", field.name, ty.source());
                *next += 1;
            }
            Kind::Group(group) => {
                let _ = write!(out, " {} :group {{", field.name);
                group.source(out, next);
                out.push_str(" }");
            }
        };
        self.fields.iter().for_each(|one| field(out, one));
        if !self.members.is_empty() {
            *out += " union {";
            self.members.iter().for_each(|one| field(out, one));
            *out += " }";
        }
    }

    /// Gives each field a place behind all others, but members of a union the same.
    fn lay_out<'m>(
        &'m self,
        name: &str,
        (own, scope): (u64, u64),
        (bits, pointers): &mut (&mut u32, &mut u32),
        nodes: &mut Vec<Node<'m>>,
    ) {
        let mut fields = vec![];
        let mut place = |field: &'m Field, bits: &mut u32, pointers: &mut u32| match &field.kind {
            Kind::Slot(ty, _) if ty.is_pointer() => {
                *pointers += 1;
                Place::Slot(*pointers - 1)
            }
            Kind::Slot(ty, _) => {
                let width = ty.bits();
                *bits = bits.next_multiple_of(width.max(1)) + width;
                // One without width has no place.
                Place::Slot(bits.checked_div(width).map_or(0, |places| places - 1))
            }
            Kind::Group(group) => {
                let id = Random(own + nodes.len() as u64).next() | 1 << 63;
                let name = format!("{name}.{}", field.name);
                group.lay_out(&name, (id, own), &mut (bits, pointers), nodes);
                Place::Group(id)
            }
        };
        for field in &self.fields {
            let at = place(field, bits, pointers);
            fields.push((field, None, at));
        }
        let mut discriminant = None;
        if !self.members.is_empty() {
            **bits = bits.next_multiple_of(16) + 16;
            discriminant = Some(**bits / 16 - 1);
            let start = (bits.next_multiple_of(64), **pointers);
            let mut end = start;
            for (number, field) in self.members.iter().enumerate() {
                let (mut own_bits, mut own_pointers) = start;
                let at = place(field, &mut own_bits, &mut own_pointers);
                fields.push((field, Some(number as u16), at));
                end = (end.0.max(own_bits), end.1.max(own_pointers));
            }
            (**bits, **pointers) = end;
        }
        nodes.push(Node { name: name.to_owned(), id: own, scope, sections: None, discriminant, fields });
    }
}

impl Node<'_> {
    fn request(&self, mut to: node::Builder<'_>) {
        to.set_id(self.id);
        to.set_display_name(format!("random.capnp:{}", self.name));
        to.set_scope_id(self.scope);
        let mut structure = to.init_struct();
        let (data, pointers) = self.sections.unwrap();
        structure.set_data_word_count(data);
        structure.set_pointer_count(pointers);
        structure.set_is_group(self.name.contains('.'));
        if let Some(at) = self.discriminant {
            let members = self.fields.iter().filter(|(_, member, _)| member.is_some()).count();
            structure.set_discriminant_count(members as u16);
            structure.set_discriminant_offset(at);
        }
        let mut fields = structure.init_fields(self.fields.len() as u32);
        for (index, (field, member, place)) in self.fields.iter().enumerate() {
            let mut to = fields.reborrow().get(index as u32);
            to.set_name(&field.name[..]);
            to.set_discriminant_value(member.unwrap_or(field::NO_DISCRIMINANT));
            match (&field.kind, place) {
                (Kind::Slot(ty, default), Place::Slot(at)) => {
                    let mut slot = to.init_slot();
                    slot.set_offset(*at);
                    ty.request(slot.reborrow().init_type());
                    ty.default(*default, slot.init_default_value());
                }
                (_, Place::Group(id)) => to.init_group().set_type_id(*id),
                _ => unreachable!(),
            }
        }
    }
}

/// Writes values by a schema that was read, with the names and defaults of the model it was made of.
pub struct Writer<'m> {
    pub model: &'m Model,
    pub random: Random,
}

type Written = Result<String, EncodeError>;

/// How deep structs lie in each other.
const DEPTH: usize = 5;

impl Writer<'_> {
    /// Writes a struct or group, and gives what it must print as.
    pub fn structure(
        &mut self,
        scope: &Scope,
        schema: StructSchema<'_>,
        to: &mut StructBuilder<'_>,
        depth: usize,
    ) -> Written {
        let mut parts = vec![];
        let named = |fields: &[Field], name: &str| fields.iter().position(|field| field.name == name);
        for field in schema.fields().filter(|field| field.member().is_none()) {
            let model = &scope.fields[named(&scope.fields, field.name()).unwrap()];
            let text = self.field(model, field.kind(), to, depth, true)?;
            parts.extend(text.map(|text| format!("{} = {text}", field.name())));
        }
        if let Some(at) = schema.discriminant() {
            let number = if depth == DEPTH { 0 } else { self.random.below(scope.members.len()) as u16 };
            let field = schema.member(number).unwrap();
            let model = &scope.members[named(&scope.members, field.name()).unwrap()];
            to.set_u16(at as usize, number);
            let text = self.field(model, field.kind(), to, depth, number == 0)?;
            // The first member is printed if it was set, as far as one can know.
            parts.extend(text.map(|text| format!("{} = {text}", field.name())));
        }
        Ok(format!("({})", parts.join(", ")))
    }

    fn field(
        &mut self,
        model: &Field,
        kind: FieldKind<'_>,
        to: &mut StructBuilder<'_>,
        depth: usize,
        may_be_null: bool,
    ) -> Result<Option<String>, EncodeError> {
        let (ty, default, offset) = match (&model.kind, kind) {
            (Kind::Group(scope), FieldKind::Group(schema)) => {
                return self.structure(scope, schema, to, depth).map(Some);
            }
            (Kind::Slot(ty, default), FieldKind::Slot { offset, .. }) => (ty, *default, offset as usize),
            _ => panic!("{} is of another kind", model.name),
        };
        if ty.is_pointer() {
            if may_be_null && (depth == DEPTH || self.random.is_one_in(3)) {
                return Ok(None);
            }
            let FieldKind::Slot { ty: read, .. } = kind else { unreachable!() };
            return self.pointer(ty, read, to.pointer(offset as u16), depth + 1).map(Some);
        }
        if *ty == Ty::Void {
            return Ok(Some("void".to_owned()));
        }
        let bits = self.model.bits(&mut self.random, ty);
        let stored = bits ^ default;
        match ty.bits() {
            1 => to.set_bool(offset, stored == 1),
            8 => to.set_u8(offset, stored as u8),
            16 => to.set_u16(offset, stored as u16),
            32 => to.set_u32(offset, stored as u32),
            _ => to.set_u64(offset, stored),
        }
        Ok(Some(ty.printed(bits)))
    }

    fn pointer(
        &mut self,
        ty: &Ty,
        read: feuerbird_serialization::reflect::Type<'_>,
        to: PointerBuilder<'_>,
        depth: usize,
    ) -> Written {
        use feuerbird_serialization::reflect::Type;
        match (ty, read) {
            (Ty::Text, Type::Text) => {
                let text = self.random.pick(&TEXTS);
                to.text(text)?;
                Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")))
            }
            (Ty::Data, Type::Data) => {
                let data = self.random.pick(&TEXTS).as_bytes();
                to.data(data)?;
                let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(format!("{}\"{digits}\"", if data.is_empty() { "" } else { "0x" }))
            }
            (Ty::Struct(number), Type::Struct(schema)) => {
                let (data, pointers) = schema.sections();
                let mut to = to.structure(data, pointers)?;
                self.structure(&self.model.structs[*number], schema, &mut to, depth.min(DEPTH))
            }
            (Ty::Any, Type::AnyPointer) => {
                to.structure(1, 1)?.pointer(0).text("behind")?;
                Ok("<opaque pointer>".to_owned())
            }
            (Ty::List(of), Type::List(element)) => {
                let count = if depth >= DEPTH { 0 } else { self.random.below(4) };
                let parts = self.list(of, element.ty(), count, to, depth)?;
                Ok(format!("[{}]", parts.join(", ")))
            }
            other => panic!("{other:?}"),
        }
    }

    fn list(
        &mut self,
        ty: &Ty,
        read: feuerbird_serialization::reflect::Type<'_>,
        count: usize,
        to: PointerBuilder<'_>,
        depth: usize,
    ) -> Result<Vec<String>, EncodeError> {
        use feuerbird_serialization::reflect::Type;
        if let (Ty::Struct(number), Type::Struct(schema)) = (ty, read) {
            let (data, pointers) = schema.sections();
            let mut to = to.structures(count, data, pointers)?;
            let scope = &self.model.structs[*number];
            return (0..count)
                .map(|index| self.structure(scope, schema, &mut to.structure(index), depth))
                .collect();
        }
        if ty.is_pointer() {
            let mut to = to.list(ElementSize::Pointer, count)?;
            return (0..count).map(|index| self.pointer(ty, read, to.pointer(index), depth + 1)).collect();
        }
        let size = match ty.bits() {
            0 => ElementSize::Void,
            1 => ElementSize::Bit,
            8 => ElementSize::Byte,
            16 => ElementSize::TwoBytes,
            32 => ElementSize::FourBytes,
            _ => ElementSize::EightBytes,
        };
        let mut to = to.list(size, count)?;
        let element = |index: usize| -> String {
            let bits = self.model.bits(&mut self.random, ty);
            match (ty, ty.bits() as usize / 8) {
                (Ty::Void, _) => return "void".to_owned(),
                (Ty::Bool, _) => to.set_bool(index, bits == 1),
                (_, bytes) => {
                    to.bytes_mut()[index * bytes..][..bytes].copy_from_slice(&bits.to_le_bytes()[..bytes]);
                }
            }
            ty.printed(bits)
        };
        Ok((0..count).map(element).collect())
    }
}
