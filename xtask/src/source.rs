//! Rust source without what is not code, for checks that look for words.

/// The source with comments, strings and character literals blanked out; lines keep their numbers.
pub(crate) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = at + skipped(&bytes[at..], code.last().copied());
        if end == at {
            code.push(bytes[at]);
            at += 1;
        } else {
            code.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// The length of the comment or literal that begins here, 0 when none does.
fn skipped(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(is_word);
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => string(rest),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string(rest),
        // A byte or C string: `br"..."`, `cr#"..."#`.
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => match raw_string(&rest[1..]) {
            0 => 0,
            length => length + 1,
        },
        [b'\'', b'\\', ..] => {
            2 + rest[2..].iter().skip(1).position(|byte| *byte == b'\'').map_or(0, |at| at + 2)
        }
        [b'\'', first, ..] => character(rest, *first),
        _ => 0,
    }
}

/// A character literal; 0 for a lifetime.
fn character(rest: &[u8], first: u8) -> usize {
    let width = match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw string; 0 for a raw identifier.
fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let close: Vec<u8> = [b'"'].into_iter().chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = 2 + hashes;
    rest[body..]
        .windows(close.len())
        .position(|window| window == close)
        .map_or(rest.len(), |at| body + at + close.len())
}

/// The code with every item behind `#[cfg(test)]` blanked out.
pub(crate) fn without_tests(code: &str) -> String {
    without(code, |condition| condition == "test")
}

/// The code with every item behind a `#[cfg(...)]` with such a condition blanked out.
pub(crate) fn without(code: &str, is_left_out: impl Fn(&str) -> bool) -> String {
    const MARK: &str = "#[cfg(";
    let mut left = String::new();
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        let (before, marked) = rest.split_at(start);
        left += before;
        let condition = marked[MARK.len()..].split(")]").next().unwrap_or_default();
        let end = if is_left_out(condition) { item_end(marked) } else { MARK.len() };
        let blank = |character| if character == '\n' { '\n' } else { ' ' };
        if is_left_out(condition) {
            left.extend(marked[..end].chars().map(blank));
        } else {
            left += &marked[..end];
        }
        rest = &marked[end..];
    }
    left + rest
}

/// Where the item at the start ends: at its semicolon, or at the brace that closes its first.
fn item_end(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The line numbers, from 1, in which the code has the word.
pub(crate) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    code.lines().enumerate().filter(|(_, line)| has_word(line, word)).map(|(index, _)| index + 1).collect()
}

pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].bytes().next_back();
        let after = line[at + word.len()..].bytes().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(source: &str) -> Vec<usize> {
        lines_with_word(&code_only(source), "unsafe")
    }

    #[test]
    fn a_word_in_code_is_found() {
        assert_eq!(finds("fn a() {}\nunsafe fn b() {}\n"), [2]);
        assert_eq!(finds("/* a /* b */ c */ unsafe {}"), [1]);
        assert_eq!(finds("let a = b'\"'; unsafe {}"), [1]);
        assert_eq!(finds("let a = '\\''; unsafe {}"), [1]);
        assert_eq!(finds("let a = '\u{2026}'; unsafe {}"), [1]);
        assert_eq!(finds("fn a<'a>(b: &'a str) { unsafe {} }"), [1]);
        assert_eq!(finds("let a = r#\"b\"c\"#; unsafe {}"), [1]);
        assert_eq!(finds("let a = \"\\\"\"; unsafe {}"), [1]);
        assert_eq!(finds("let r#type = 1; unsafe {}"), [1]);
        assert_eq!(finds("let a = br\"\\\"; unsafe {}"), [1]);
        assert_eq!(finds("let a = cr#\"b\"c\"#; unsafe {}"), [1]);
    }

    #[test]
    fn a_word_in_a_comment_a_string_or_a_longer_word_is_not() {
        for source in [
            "// unsafe",
            "//! unsafe\n/// unsafe",
            "/* a\n/* unsafe */ unsafe */",
            "\"unsafe\"",
            "\"\\\" unsafe\"",
            "r#\"a\" unsafe\"#",
            "b\"unsafe\"",
            "#![forbid(unsafe_code)]",
        ] {
            assert!(finds(source).is_empty(), "{source}");
        }
    }

    #[test]
    fn items_behind_cfg_test_are_left_out_and_nothing_else() {
        let code = "use a;\n#[cfg(test)]\nmod tests {\n    fn b() { std() }\n}\n#[cfg(test)]\nuse std::c;\nfn std() {}\n";
        assert_eq!(lines_with_word(&without_tests(code), "std"), [8]);
    }
}
