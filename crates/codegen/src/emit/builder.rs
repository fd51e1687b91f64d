//! Builders: fields written in place.

use crate::{
    emit::{Code, Item, WIRE, setters},
    model::{Content, Type},
};

pub(crate) fn write(out: &mut Code, item: &Item<'_>) {
    let Item { node, structure, .. } = item;
    let name = &node.name;
    out.line(&format!("/// Writes a [`{name}`] where it is sent from. What is not set has its default."));
    out.line(&format!("#[derive(Debug)] pub struct {name}Builder<'w>({WIRE}::StructBuilder<'w>);"));
    out.line(&format!(
        "impl<'w> ::core::convert::From<{WIRE}::StructBuilder<'w>> for {name}Builder<'w> {{
            #[inline] fn from(fields: {WIRE}::StructBuilder<'w>) -> Self {{ Self(fields) }}
        }}"
    ));
    out.line(&format!("impl {name}Builder<'_> {{"));
    for field in &structure.fields {
        setters::write(out, item, field);
    }
    if item.structure.is_group {
        reset(out, item);
    }
    out.line("}");
}

/// Makes all fields of a group zero. Only keywords become names with an underscore at the end, so no field's method has this name.
fn reset(out: &mut Code, item: &Item<'_>) {
    out.line("#[allow(dead_code)] fn reset_(&mut self) {");
    if let Some(at) = item.structure.discriminant {
        out.line(&format!("self.0.set_u16({at}, 0);"));
    }
    for field in &item.structure.fields {
        match &field.content {
            Content::Group(id) => {
                out.line(&format!("{}Builder(self.0.reborrow()).reset_();", item.schema.name(*id)));
            }
            Content::Slot { ty: Type::Void, .. } => {}
            Content::Slot { ty: Type::Bool, offset, .. } => {
                out.line(&format!("self.0.set_bool({offset}, false);"));
            }
            Content::Slot { ty: Type::Number(_, bits), offset, .. } => {
                out.line(&format!("self.0.set_u{bits}({offset}, 0);"));
            }
            Content::Slot { ty: Type::Enum(_), offset, .. } => {
                out.line(&format!("self.0.set_u16({offset}, 0);"));
            }
            Content::Slot { offset, .. } => out.line(&format!("self.0.pointer({offset}).clear();")),
        }
    }
    out.line("}");
}
