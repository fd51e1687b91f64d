//! Messages whose schema is known only when the program runs: for tools.
//!
//! A [`Schema`] is a compiled request as `capnp compile -o-` writes it, read where it lies: nothing is generated and nothing is
//! allocated. It decodes messages of every layer with the same checks as generated code, looks at their fields by name, and
//! prints them as [text](StructValue::text) and [JSON](StructValue::json).
//!
//! What it is not: fast. Each step looks a type up in the request.
//!
//! ```
//! use feuerbird_serialization::reflect::Schema;
//! use feuerbird_serialization::sample::Sample;
//! use feuerbird_serialization::{Encode, Layer, Stable};
//! use zerocopy::IntoBytes;
//!
//! # let request = include_bytes!("../../../../schemas/sample.capnp.request");
//! # let mut aligned = vec![0_u64; request.len() / 8];
//! # aligned.as_mut_bytes().copy_from_slice(request);
//! # let request = aligned.as_bytes();
//! let schema = Schema::new(Stable::new(request)?)?;
//! let sample = schema.structure("Sample").ok_or("no such struct")?;
//!
//! let mut buffer = [0_u64; 16];
//! let sent = Sample { sequence: 1, producer: 7, sent_at: 0, digest: 42, payload: b"hi" };
//! let length = sent.encode(Layer::Lite, buffer.as_mut_bytes())?;
//! let value = sample.decode(Stable::new(&buffer.as_bytes()[..length])?, Layer::Lite)?;
//! assert_eq!(
//!     value.text().to_string(),
//!     r#"(sequence = 1, producer = 7, sentAt = 0, digest = 42, payload = 0x"6869")"#
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod print;
mod value;

use core::fmt;

use check::Check;
pub use value::{ListValue, StructValue, Value};

use crate::{
    DecodeError, Layer, Stable, frame,
    wire::{AnyReader, Element, ElementSize, List, RawList, StructReader},
};

/// How many groups may be around another: they nest without pointers, which alone the walk bounds.
pub const GROUPS_LIMIT: usize = 4;

/// How often a request may make its reader look at a type.
const LOOKUPS_LIMIT: u64 = 1 << 26;

/// Structs of any schema, as elements of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Structs {}

impl Element for Structs {
    const SIZE: ElementSize = ElementSize::Composite;
    type Item<'a> = StructReader<'a>;
    fn read<'a>(list: &RawList<'a>, index: u32) -> StructReader<'a> {
        list.structure(index)
    }
}

/// Where Cap'n Proto's own `schema.capnp` puts what is read here; published places never change.
mod place {
    /// Pointers of `CodeGeneratorRequest`.
    pub(super) const NODES: u16 = 0;
    pub(super) const FILES: u16 = 1;
    /// The pointer of a `RequestedFile`, a `Node`, a `Field` and an `Enumerant` to its name.
    pub(super) const FILE_NAME: u16 = 0;
    pub(super) const NAME: u16 = 0;
    /// The kinds of `Node`.
    pub(super) const STRUCT: u16 = 1;
    pub(super) const ENUM: u16 = 2;
    /// The pointer of a `Node` to its fields or enumerants.
    pub(super) const MEMBERS: u16 = 3;
    /// What stands for "in no union" in a `Field`.
    pub(super) const NO_MEMBER: u16 = 0xFFFF;
    /// Pointers of a `Field`.
    pub(super) const TYPE: u16 = 2;
    pub(super) const DEFAULT: u16 = 3;
}

/// A compiled schema.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    nodes: List<'a, Structs>,
    files: List<'a, Structs>,
}

/// A struct of a schema, or a group inside of one.
#[derive(Clone, Copy)]
pub struct StructSchema<'a> {
    schema: Schema<'a>,
    node: StructReader<'a>,
}

/// A field of a struct.
#[derive(Clone, Copy)]
pub struct FieldSchema<'a> {
    schema: Schema<'a>,
    field: StructReader<'a>,
}

/// An enum of a schema.
#[derive(Clone, Copy)]
pub struct EnumSchema<'a> {
    node: StructReader<'a>,
}

/// The type of a list's elements.
#[derive(Clone, Copy)]
pub struct ElementSchema<'a> {
    schema: Schema<'a>,
    ty: StructReader<'a>,
}

/// The type of a field or element.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // they are those of the schema language
pub enum Type<'a> {
    Void,
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Float32,
    Float64,
    Text,
    Data,
    List(ElementSchema<'a>),
    Enum(EnumSchema<'a>),
    Struct(StructSchema<'a>),
    Interface,
    AnyPointer,
}

/// What a field is.
#[derive(Clone, Copy, Debug)]
pub enum FieldKind<'a> {
    /// A value at a place, counted in its own size; of pointers, among the pointers.
    Slot {
        /// Of this type.
        ty: Type<'a>,
        /// At this place.
        offset: u32,
    },
    /// More fields of the same struct.
    Group(StructSchema<'a>),
}

impl<'a> Schema<'a> {
    /// A compiled request: what `capnp compile -o-` wrote, of one file or more with all that they import.
    ///
    /// # Errors
    /// What is wrong with it as a message; [`DecodeError::Malformed`] if a type that it names is not in it, a name is none of the
    /// schema language, a group is not inside of its struct or nested deeper than [`GROUPS_LIMIT`], or a default leads to another;
    /// [`DecodeError::Amplified`] if its defaults lead to far more than the request holds, or there are tens of millions of pairs
    /// of fields and types.
    ///
    /// # Cost
    /// The number of fields times the number of types.
    pub fn new(request: Stable<'a>) -> Result<Self, DecodeError> {
        let bytes = request.bytes().len();
        let request = frame::open(request, Layer::Full.format(), 0, 0)?;
        request.pointer(place::NODES).check_list::<Structs>()?;
        request.pointer(place::FILES).check_list::<Structs>()?;
        let [nodes, files] = [place::NODES, place::FILES].map(|at| request.pointer(at).list());
        let schema = Self { nodes, files };
        schema.check(bytes)?;
        Ok(schema)
    }

    /// The struct of this name, such as `Outer.Inner`, in a file that was asked for.
    pub fn structure(&self, name: &str) -> Option<StructSchema<'a>> {
        self.structures().find(|structure| structure.name() == name)
    }

    /// All structs of the files that were asked for, those inside of others too, without groups.
    pub fn structures(&self) -> impl Iterator<Item = StructSchema<'a>> {
        let schema = *self;
        let all = self.nodes.iter().filter_map(move |node| StructSchema::new(schema, node));
        all.filter(move |structure| !structure.is_group() && schema.is_asked_for(structure.node))
    }

    fn is_asked_for(&self, node: StructReader<'a>) -> bool {
        let file = display_name(node).0;
        self.files.iter().any(|asked| asked.pointer(place::FILE_NAME).text() == file)
    }

    fn node(&self, id: u64) -> Option<StructReader<'a>> {
        self.nodes.iter().find(|node| node.u64(0, 0) == id)
    }

    fn structure_of(&self, id: u64) -> Option<StructSchema<'a>> {
        StructSchema::new(*self, self.node(id)?)
    }

    /// Checks what the request says, so that nothing can go wrong any more where it is used.
    fn check(&self, bytes: usize) -> Result<(), DecodeError> {
        let all = || self.nodes.iter().filter_map(|node| StructSchema::new(*self, node));
        let lookups = all()
            .map(|one| one.members().len() as u64)
            .map(|fields| fields.saturating_mul(fields.saturating_add(self.nodes.len() as u64)));
        if lookups.fold(0, u64::saturating_add) > LOOKUPS_LIMIT {
            return Err(DecodeError::Amplified);
        }
        let enums = self.nodes.iter().filter(|node| node.u16(6, 0) == place::ENUM);
        let is_whole = enums.flat_map(|node| members(node).iter()).all(is_named)
            && all().all(|structure| structure.is_whole())
            && all().all(|structure| structure.fields().all(|field| structure.has_its_group(field)));
        if !is_whole {
            return Err(DecodeError::Malformed);
        }
        let mut check = Check::defaults(bytes);
        all().flat_map(|structure| structure.fields()).try_for_each(|field| match field.kind() {
            FieldKind::Slot { ty, .. } if ty.is_pointer() => check.pointer(ty, field.default().pointer(0)),
            _ => Ok(()),
        })
    }
}

/// The fields of a node that is a struct, the enumerants of one that is an enum.
fn members(node: StructReader<'_>) -> List<'_, Structs> {
    node.pointer(place::MEMBERS).list()
}

/// Whether a field or enumerant has a name that can be printed as it is.
fn is_named(member: StructReader<'_>) -> bool {
    let name = member.pointer(place::NAME).text();
    !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

/// The file's name and the one behind it.
fn display_name(node: StructReader<'_>) -> (&str, &str) {
    let name = node.pointer(place::NAME).text();
    name.rsplit_once(':').unwrap_or(("", name))
}

impl<'a> StructSchema<'a> {
    fn new(schema: Schema<'a>, node: StructReader<'a>) -> Option<Self> {
        (node.u16(6, 0) == place::STRUCT).then_some(Self { schema, node })
    }

    /// Its id.
    pub fn id(&self) -> u64 {
        self.node.u64(0, 0)
    }

    /// Its name, such as `Outer.Inner`.
    pub fn name(&self) -> &'a str {
        display_name(self.node).1
    }

    /// Words of the data section, and pointers.
    pub fn sections(&self) -> (u16, u16) {
        (self.node.u16(7, 0), self.node.u16(12, 0))
    }

    /// Whether it is a group: fields of the struct around it.
    pub fn is_group(&self) -> bool {
        self.node.bool(224, false)
    }

    /// All fields, members of the union too, in the order of their numbers.
    pub fn fields(&self) -> impl Iterator<Item = FieldSchema<'a>> + use<'a> {
        let schema = self.schema;
        self.members().iter().map(move |field| FieldSchema { schema, field })
    }

    /// The place of the number that says which member of the union is set, where there is a union; in units of 16 bits.
    pub fn discriminant(&self) -> Option<u32> {
        (self.node.u16(15, 0) > 0).then(|| self.node.u32(8, 0))
    }

    /// The member of the union with this number.
    pub fn member(&self, number: u16) -> Option<FieldSchema<'a>> {
        self.fields().find(|field| field.member() == Some(number))
    }

    fn scope(&self) -> u64 {
        self.node.u64(2, 0)
    }

    fn members(&self) -> List<'a, Structs> {
        members(self.node)
    }

    /// Whether all fields have names, and their types are here.
    fn is_whole(&self) -> bool {
        self.fields().all(|field| is_named(field.field) && field.find().is_some())
    }

    /// Whether a field is no group, or the only one that is a certain group inside of this struct.
    fn has_its_group(&self, field: FieldSchema<'_>) -> bool {
        let FieldKind::Group(group) = field.kind() else { return true };
        let same = |other: &FieldSchema<'_>| other.group().is_some_and(|other| other == group.id());
        let is_inside = group.is_group() && group.scope() == self.id();
        is_inside && self.fields().filter(same).count() == 1 && group.ends()
    }

    /// Whether groups around groups end at a struct.
    fn ends(&self) -> bool {
        let mut around = *self;
        for _ in 0..=GROUPS_LIMIT {
            if !around.is_group() {
                return true;
            }
            let Some(next) = self.schema.structure_of(around.scope()) else { return false };
            around = next;
        }
        false
    }
}

/// Where a field lies.
#[derive(Clone, Copy)]
enum Place {
    /// A number, or nothing.
    Data,
    /// The pointer at this place.
    Pointer(u32),
    /// Fields of its own.
    Group,
}

impl<'a> FieldSchema<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        self.field.pointer(place::NAME).text()
    }

    /// The number of the union member that it is.
    pub fn member(&self) -> Option<u16> {
        let member = self.field.u16(1, place::NO_MEMBER);
        (member != place::NO_MEMBER).then_some(member)
    }

    /// What it is.
    pub fn kind(&self) -> FieldKind<'a> {
        // The schema was seen to be whole.
        self.find().unwrap_or(FieldKind::Slot { ty: Type::Void, offset: 0 })
    }

    /// Where it lies, without a look at other types.
    fn place(&self) -> Place {
        if self.group().is_some() {
            return Place::Group;
        }
        match self.field.pointer(place::TYPE).structure().u16(0, 0) {
            0..=11 | 15 => Place::Data,
            _ => Place::Pointer(self.field.u32(1, 0)),
        }
    }

    /// The group's id, if it is one.
    fn group(&self) -> Option<u64> {
        (self.field.u16(4, 0) != 0).then(|| self.field.u64(2, 0))
    }

    fn find(&self) -> Option<FieldKind<'a>> {
        let Self { schema, field } = *self;
        if let Some(group) = self.group() {
            return schema.structure_of(group).map(FieldKind::Group);
        }
        let ty = Type::find(schema, field.pointer(place::TYPE).structure())?;
        Some(FieldKind::Slot { ty, offset: field.u32(1, 0) })
    }

    /// The value that it has if it was never set: a `Value` of the schema's own.
    pub(crate) fn default(&self) -> StructReader<'a> {
        self.field.pointer(place::DEFAULT).structure()
    }
}

impl<'a> EnumSchema<'a> {
    /// Its name, such as `Outer.Color`.
    pub fn name(&self) -> &'a str {
        display_name(self.node).1
    }

    /// The name of this number, if this version of the schema has one.
    pub fn enumerant(&self, number: u16) -> Option<&'a str> {
        Some(members(self.node).get(number.into())?.pointer(place::NAME).text())
    }
}

impl<'a> ElementSchema<'a> {
    /// The type.
    pub fn ty(&self) -> Type<'a> {
        // The schema was seen to be whole.
        Type::find(self.schema, self.ty).unwrap_or(Type::Void)
    }
}

impl<'a> Type<'a> {
    /// A `Type` of the schema's own.
    fn find(schema: Schema<'a>, ty: StructReader<'a>) -> Option<Self> {
        let of_id = |kind: u16| schema.node(ty.u64(1, 0)).filter(|node| node.u16(6, 0) == kind);
        Some(match ty.u16(0, 0) {
            0 => Self::Void,
            1 => Self::Bool,
            2 => Self::Int8,
            3 => Self::Int16,
            4 => Self::Int32,
            5 => Self::Int64,
            6 => Self::Uint8,
            7 => Self::Uint16,
            8 => Self::Uint32,
            9 => Self::Uint64,
            10 => Self::Float32,
            11 => Self::Float64,
            12 => Self::Text,
            13 => Self::Data,
            14 => {
                let element = ty.pointer(0).structure();
                // Its own element must be there too; how deep it goes, the walk has bounded.
                Self::find(schema, element)?;
                Self::List(ElementSchema { schema, ty: element })
            }
            15 => Self::Enum(EnumSchema { node: of_id(place::ENUM)? }),
            16 => Self::Struct(StructSchema { schema, node: of_id(place::STRUCT)? }),
            17 => Self::Interface,
            18 => Self::AnyPointer,
            _ => return None,
        })
    }

    /// Whether fields of this type are among the pointers.
    pub fn is_pointer(&self) -> bool {
        use Type::{AnyPointer, Data, Interface, List, Struct, Text};
        matches!(self, Text | Data | List(_) | Struct(_) | Interface | AnyPointer)
    }
}

impl Type<'_> {
    /// How elements of this type lie.
    fn element_size(&self) -> ElementSize {
        match self {
            Self::Void => ElementSize::Void,
            Self::Bool => ElementSize::Bit,
            Self::Int8 | Self::Uint8 => ElementSize::Byte,
            Self::Int16 | Self::Uint16 | Self::Enum(_) => ElementSize::TwoBytes,
            Self::Int32 | Self::Uint32 | Self::Float32 => ElementSize::FourBytes,
            Self::Int64 | Self::Uint64 | Self::Float64 => ElementSize::EightBytes,
            Self::Struct(_) => ElementSize::Composite,
            _ => ElementSize::Pointer,
        }
    }
}

/// The pointer at a place that may be too large for any struct.
pub(crate) fn pointer_at<'a>(fields: &StructReader<'a>, offset: u32) -> AnyReader<'a> {
    u16::try_from(offset).map_or(AnyReader::NULL, |offset| fields.pointer(offset))
}

/// Schemas print as the names of what they are: what is in them may lead in a circle.
macro_rules! named {
    ($($schema:ident |$one:ident| $name:expr;)*) => {
        $(impl fmt::Debug for $schema<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $one = self;
                f.debug_tuple(stringify!($schema)).field(&$name).finish()
            }
        })*
    };
}
named! {
    StructSchema |one| one.name();
    FieldSchema |one| one.name();
    EnumSchema |one| one.name();
    ElementSchema |one| one.ty();
}
