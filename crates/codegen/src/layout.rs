//! What names a layout: a hash of everything that the Raw layer depends on.

use std::collections::BTreeSet;

use crate::model::{Content, Kind, Schema, Type};

/// 64-bit FNV-1a over every field that a struct can reach: names, places, types and defaults.
pub(crate) fn hash(schema: &Schema, id: u64) -> u64 {
    let mut text = String::new();
    let (mut seen, mut open) = (BTreeSet::from([id]), vec![id]);
    while let Some(id) = open.pop() {
        describe(schema, id, &mut text, &mut |next| {
            if seen.insert(next) {
                open.push(next);
            }
        });
    }
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn describe(schema: &Schema, id: u64, text: &mut String, reaches: &mut dyn FnMut(u64)) {
    let Some(node) = schema.nodes.get(&id) else { return };
    *text += &node.path;
    match &node.kind {
        Kind::Enum(enumerants) => {
            enumerants.iter().for_each(|(name, _)| *text += &format!(" {name}"));
        }
        Kind::Struct(structure) => {
            *text += &format!("{} {} {:?}", structure.data, structure.pointers, structure.discriminant);
            for field in &structure.fields {
                *text += &format!(" {} {:?} {:?}", field.name, field.member, field.content);
                match &field.content {
                    Content::Group(group) => reaches(*group),
                    Content::Slot { ty, .. } => types(ty, reaches),
                }
            }
        }
    }
    text.push('\n');
}

fn types(ty: &Type, reaches: &mut dyn FnMut(u64)) {
    match ty {
        Type::Struct(id) | Type::Enum(id) => reaches(*id),
        Type::List(element) => types(element, reaches),
        _ => {}
    }
}
