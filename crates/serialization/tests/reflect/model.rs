//! Random schemas, and where their fields lie.
//!
//! Fields get their places in the order of their numbers, so that a schema whose structs end earlier is an older version of it.

use proptest::{collection::vec, prelude::*};

/// A schema before it has places.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// How many enumerants each enum has.
    pub(crate) enums: Vec<usize>,
    pub(crate) structs: Vec<Vec<FieldModel>>,
}

#[derive(Clone, Debug)]
pub(crate) struct FieldModel {
    /// Whether it is in the union of its struct.
    pub(crate) is_member: bool,
    pub(crate) content: ContentModel,
}

#[derive(Clone, Debug)]
pub(crate) enum ContentModel {
    /// A type, and what makes its default.
    Slot(Ty, u64),
    Group(Vec<FieldModel>),
}

/// A type; enums and structs by number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ty {
    Void,
    Bool,
    Int(u32),
    Uint(u32),
    Float(u32),
    Enum(usize),
    Text,
    Data,
    Struct(usize),
    List(Box<Ty>),
    Any,
    Interface,
}

const ENUMS: usize = 2;
const STRUCTS: usize = 4;

/// The most structs and groups that a schema may have: what the second reader has tables for.
pub(crate) const NODES_LIMIT: usize = 32;

pub(crate) fn models() -> impl Strategy<Value = Model> {
    let enums = vec(1..6_usize, ENUMS);
    let fields = || vec(field(), 0..9);
    let structs = vec(fields(), 1..=STRUCTS);
    let all = (enums, structs).prop_map(|(enums, structs)| Model { enums, structs });
    all.prop_filter("too many groups", |model| model.nodes() <= NODES_LIMIT)
}

fn field() -> impl Strategy<Value = FieldModel> {
    let slot =
        (ty(), prop_oneof![Just(0), any::<u64>()]).prop_map(|(ty, default)| ContentModel::Slot(ty, default));
    let leaf = (any::<bool>(), slot).prop_map(|(is_member, content)| FieldModel { is_member, content });
    leaf.prop_recursive(2, 12, 4, |inner| {
        (any::<bool>(), vec(inner, 1..4))
            .prop_map(|(is_member, fields)| FieldModel { is_member, content: ContentModel::Group(fields) })
    })
}

fn ty() -> impl Strategy<Value = Ty> {
    let bits = || prop_oneof![Just(8_u32), Just(16), Just(32), Just(64)];
    let leaf = prop_oneof![
        1 => Just(Ty::Void),
        2 => Just(Ty::Bool),
        2 => bits().prop_map(Ty::Int),
        2 => bits().prop_map(Ty::Uint),
        1 => prop_oneof![Just(32_u32), Just(64)].prop_map(Ty::Float),
        1 => (0..ENUMS).prop_map(Ty::Enum),
        2 => Just(Ty::Text),
        2 => Just(Ty::Data),
        3 => (0..STRUCTS).prop_map(Ty::Struct),
        1 => Just(Ty::Any),
        1 => Just(Ty::Interface),
    ];
    // The crate's reflection has no lists of these two.
    let element = leaf.clone().prop_filter("no list has it", |ty| !matches!(ty, Ty::Any | Ty::Interface));
    let list = element.prop_recursive(2, 4, 1, |inner| inner.prop_map(|ty| Ty::List(Box::new(ty))));
    prop_oneof![3 => leaf, 2 => list.prop_map(|ty| Ty::List(Box::new(ty)))]
}

impl Model {
    fn nodes(&self) -> usize {
        fn groups(fields: &[FieldModel]) -> usize {
            fields
                .iter()
                .map(|field| match &field.content {
                    ContentModel::Slot(..) => 0,
                    ContentModel::Group(fields) => 1 + groups(fields),
                })
                .sum()
        }
        self.structs.iter().map(|fields| 1 + groups(fields)).sum()
    }

    /// A version from before the last fields and enumerants were added; `cuts` says how many each struct had not.
    pub(crate) fn older(&self, cuts: [usize; STRUCTS]) -> Self {
        let enums = self.enums.iter().zip(cuts).map(|(count, cut)| count.saturating_sub(cut).max(1));
        let structs = self.structs.iter().zip(cuts);
        let structs = structs.map(|(fields, cut)| fields[..fields.len().saturating_sub(cut)].to_vec());
        Self { enums: enums.collect(), structs: structs.collect() }
    }
}

/// A schema with places.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) enums: Vec<usize>,
    /// All structs, then their groups.
    pub(crate) nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    /// The node that it is a group of.
    pub(crate) group_of: Option<usize>,
    /// Words of data, and pointers, of the struct around all groups.
    pub(crate) data: u16,
    pub(crate) pointers: u16,
    /// In units of 16 bits.
    pub(crate) discriminant: Option<u32>,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) member: Option<u16>,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Slot { ty: Ty, offset: u32, default: u64 },
    Group(usize),
}

impl Schema {
    pub(crate) fn new(model: &Model) -> Self {
        let structs = model.structs.len();
        let mut schema = Self { enums: model.enums.clone(), nodes: Vec::new() };
        schema.nodes.resize_with(structs, Node::default);
        for (index, fields) in model.structs.iter().enumerate() {
            let (first_group, mut free) = (schema.nodes.len(), Free::default());
            schema.place(index, fields, structs, &mut free);
            let groups = first_group..schema.nodes.len();
            for node in std::iter::once(index).chain(groups) {
                (schema.nodes[node].data, schema.nodes[node].pointers) =
                    (free.bits.div_ceil(64) as u16, free.pointers as u16);
            }
        }
        schema
    }

    fn place(&mut self, index: usize, fields: &[FieldModel], structs: usize, free: &mut Free) {
        let mut members = 0;
        // Members of a union take the same place, where they are of the same size.
        let mut shared: [Option<u32>; 8] = [None; 8];
        for field in fields {
            let member = field.is_member.then(|| {
                members += 1;
                members - 1
            });
            if member == Some(0) {
                self.nodes[index].discriminant = Some(free.slot(16));
            }
            let content = match &field.content {
                ContentModel::Group(fields) => {
                    self.nodes.push(Node { group_of: Some(index), ..Node::default() });
                    let group = self.nodes.len() - 1;
                    self.place(group, fields, structs, free);
                    Content::Group(group)
                }
                ContentModel::Slot(ty, default) => {
                    let ty = ty.within(structs);
                    let offset = match member {
                        Some(_) => *shared[ty.size_class()].get_or_insert_with(|| free.place(&ty)),
                        None => free.place(&ty),
                    };
                    Content::Slot { ty, offset, default: *default }
                }
            };
            self.nodes[index].fields.push(Field { member, content });
        }
    }
}

impl Ty {
    /// The same, of a schema with so many structs.
    fn within(&self, structs: usize) -> Self {
        match self {
            Self::Struct(index) => Self::Struct(index % structs),
            Self::List(element) => Self::List(Box::new(element.within(structs))),
            other => other.clone(),
        }
    }

    /// Its bits among the data; `None` of a pointer.
    fn bits(&self) -> Option<u32> {
        Some(match self {
            Self::Void => 0,
            Self::Bool => 1,
            Self::Int(bits) | Self::Uint(bits) | Self::Float(bits) => *bits,
            Self::Enum(_) => 16,
            _ => return None,
        })
    }

    fn size_class(&self) -> usize {
        match self.bits() {
            None => 7,
            Some(bits) => bits.checked_ilog2().map_or(6, |log| [0, 9, 9, 1, 2, 3, 4][log as usize]),
        }
    }
}

/// What no field has taken yet.
#[derive(Default)]
struct Free {
    bits: u32,
    pointers: u32,
}

impl Free {
    fn place(&mut self, ty: &Ty) -> u32 {
        let Some(bits) = ty.bits() else {
            self.pointers += 1;
            return self.pointers - 1;
        };
        self.slot(bits)
    }

    /// A place in units of `bits`.
    fn slot(&mut self, bits: u32) -> u32 {
        if bits == 0 {
            return 0;
        }
        let start = self.bits.next_multiple_of(bits);
        self.bits = start + bits;
        start / bits
    }
}
