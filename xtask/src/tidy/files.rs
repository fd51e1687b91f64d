//! Rules for single files: documentation at the top, size, and nothing that holds on one machine only.

use super::Finding;
use super::exceptions::Exception;
use super::facts::{Facts, File};

const WARN_LINES: usize = 600;
const MOST_LINES: usize = 1000;

/// Folders whose paths are those of one person or one machine.
const PERSONAL: [&str; 5] = ["home", "root", "Users", "work", "workspace"];

/// Looks at every file.
pub(super) fn check(facts: &Facts, long: &[Exception]) -> Vec<Finding> {
    let sources = facts.sources().flat_map(|file| check_doc(file).into_iter().chain(check_size(file, long)));
    sources.chain(facts.files.iter().filter_map(check_paths)).collect()
}

/// A Rust file says at its top what it is.
fn check_doc(file: &File) -> Option<Finding> {
    let first = file.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    let is_documented =
        first.is_some_and(|line| line.strip_prefix("//!").is_some_and(|text| !text.trim().is_empty()));
    (!is_documented).then(|| {
        Finding::Error(format!("{}:1: the file must start with a `//!` line that says what it is", file.path))
    })
}

fn check_size(file: &File, long: &[Exception]) -> Option<Finding> {
    let lines = file.text.lines().count();
    if lines <= WARN_LINES || long.iter().any(|entry| entry.covers(&file.path)) {
        return None;
    }
    let text = format!(
        "{}: {lines} lines; split it, or list it with a reason in xtask/src/tidy/exceptions.rs (over {MOST_LINES} is an error)",
        file.path
    );
    Some(if lines > MOST_LINES { Finding::Error(text) } else { Finding::Warning(text) })
}

fn check_paths(file: &File) -> Option<Finding> {
    let (index, line) = file.text.lines().enumerate().find(|(_, line)| names_one_machine(line))?;
    Some(Finding::Error(format!("{}:{}: a path of one machine: {}", file.path, index + 1, line.trim())))
}

/// Has an absolute path into a personal folder; the same words inside a longer path or address do not count.
fn names_one_machine(line: &str) -> bool {
    PERSONAL.iter().any(|folder| {
        line.match_indices(&format!("/{folder}/")).any(|(at, found)| {
            let before = line[..at].chars().next_back();
            let after = line[at + found.len()..].chars().next();
            before.is_none_or(|it| !it.is_alphanumeric() && !".-_}>*~/".contains(it))
                && after.is_some_and(char::is_alphanumeric)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<Finding> {
        check(&facts(&[], &[(path, text)]), &[Exception { path: "long.rs", reason: "a table" }])
    }

    fn lines(count: usize) -> String {
        "//! Long.\n".repeat(count)
    }

    #[test]
    fn a_file_without_documentation_is_an_error() {
        for text in ["", "fn a() {}", "// a comment", "//!\nfn a() {}", "/// of an item\nfn a() {}"] {
            assert_eq!(findings("a.rs", text).len(), 1, "{text}");
        }
        for text in ["//! It.", "#![cfg(loom)]\n//! It.", "\n//! It."] {
            assert_eq!(findings("a.rs", text), [], "{text}");
        }
        assert_eq!(findings("a.md", "text"), []);
    }

    #[test]
    fn a_long_file_is_warned_of_then_refused() {
        assert_eq!(findings("a.rs", &lines(600)), []);
        assert!(matches!(findings("a.rs", &lines(601))[..], [Finding::Warning(_)]));
        assert!(matches!(findings("a.rs", &lines(1001))[..], [Finding::Error(_)]));
        assert_eq!(findings("long.rs", &lines(1001)), []);
    }

    #[test]
    fn a_path_of_one_machine_is_an_error_in_any_file() {
        for folder in PERSONAL {
            for line in [format!("cd /{folder}/me"), format!("\"/{folder}/me/x\""), format!("/{folder}/me")] {
                assert_eq!(findings("a.md", &line).len(), 1, "{line}");
            }
            for line in [
                format!("https://a.org/{folder}/b"),
                format!("x/{folder}/y"),
                format!("the folder /{folder}/"),
            ] {
                assert_eq!(findings("a.md", &line), [], "{line}");
            }
        }
    }
}
