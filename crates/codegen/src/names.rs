//! Names of the schema, as Rust writes them.

/// `camelCase` as `snake_case`, made an identifier.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut previous = '_';
    for (index, letter) in name.char_indices() {
        let next_is_lower =
            name[index + letter.len_utf8()..].starts_with(|next: char| next.is_ascii_lowercase());
        let starts_word = letter.is_ascii_uppercase()
            && previous != '_'
            && (!previous.is_ascii_uppercase() || next_is_lower);
        if starts_word {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
        previous = letter;
    }
    escaped(out)
}

/// `camelCase` as `SCREAMING_CASE`.
pub(crate) fn screaming(name: &str) -> String {
    snake(name).trim_start_matches("r#").trim_end_matches('_').to_ascii_uppercase()
}

/// `camelCase` as `CamelCase`.
pub(crate) fn camel(name: &str) -> String {
    let mut letters = name.chars();
    let name = letters
        .next()
        .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str());
    // The only keyword that begins with a capital letter.
    if name == "Self" { "Itself".to_owned() } else { name }
}

/// `Outer.Inner` as `OuterInner`.
pub(crate) fn type_name(path: &str) -> String {
    camel(&path.split('.').map(camel).collect::<String>())
}

/// An identifier that is no keyword.
fn escaped(name: String) -> String {
    const RAW: [&str; 48] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
        "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
        "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static",
        "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where",
        "while", "yield",
    ];
    match name.as_str() {
        // These four cannot be raw identifiers.
        "self" | "super" | "crate" | "_" => name + "_",
        keyword if RAW.contains(&keyword) => format!("r#{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_those_of_rust() {
        for (schema, rust) in [
            ("sentAt", "sent_at"),
            ("x", "x"),
            ("type", "r#type"),
            ("HTTPServer", "http_server"),
            ("self", "self_"),
        ] {
            assert_eq!(snake(schema), rust);
        }
        assert_eq!(screaming("darkRed"), "DARK_RED");
        assert_eq!(screaming("type"), "TYPE");
        assert_eq!(camel("shape"), "Shape");
        assert_eq!(camel("self"), "Itself");
        assert_eq!(type_name("Outer.inner"), "OuterInner");
    }
}
