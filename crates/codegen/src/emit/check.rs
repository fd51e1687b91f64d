//! The check of every field's type, before a handler sees anything.

use crate::{
    emit::{CRATE, Code, Item, WIRE, types},
    model::{Content, Field, Type},
};

/// The name of a struct's check, a private function.
pub(crate) fn function(name: &str) -> String {
    format!("check_{name}")
}

pub(crate) fn write(out: &mut Code, item: &Item<'_>) {
    let Item { node, structure, .. } = item;
    out.line(&format!(
        "#[allow(non_snake_case)] #[inline]
        fn {}(fields: {WIRE}::StructReader<'_>) -> ::core::result::Result<(), {CRATE}::DecodeError> {{ let _ = &fields;",
        function(&node.name)
    ));
    for field in structure.plain_fields() {
        check(out, item, field);
    }
    if let Some(discriminant) = structure.discriminant {
        out.line(&format!("match fields.u16({discriminant}, 0) {{"));
        for (number, field) in structure.members() {
            out.line(&format!("{number} => {{"));
            check(out, item, field);
            out.line("}");
        }
        out.line("_ => {} }");
    }
    out.line("::core::result::Result::Ok(()) }");
}

fn check(out: &mut Code, item: &Item<'_>, field: &Field) {
    let schema = item.schema;
    let (ty, offset) = match &field.content {
        Content::Group(id) => return out.line(&format!("{}(fields)?;", function(schema.name(*id)))),
        Content::Slot { ty, offset, .. } => (ty, offset),
    };
    let check = match ty {
        Type::Text => "check_text()".to_owned(),
        Type::Data => "check_data()".to_owned(),
        Type::List(of) => format!("check_list::<{}>()", types::element(schema, of)),
        Type::Struct(id) => format!("check_struct({})", function(schema.name(*id))),
        Type::Interface => "check_capability()".to_owned(),
        _ => return,
    };
    out.line(&format!("fields.pointer({offset}).{check}?;"));
}
