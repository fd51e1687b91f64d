//! Unsafe code stands only in listed files, and every other crate forbids it.

use super::Finding;
use super::exceptions::Exception;
use super::facts::Facts;
use crate::metadata::Package;
use crate::source::{code_only, lines_with_word};

const FORBID: &str = "#![forbid(unsafe_code)]";

/// Holds the tree against the list, in both directions.
pub(super) fn check(facts: &Facts, listed: &[Exception]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used = vec![false; listed.len()];
    for file in facts.sources() {
        let lines = lines_with_word(&code_only(&file.text), "unsafe");
        let Some(first) = lines.first() else { continue };
        match listed.iter().position(|entry| entry.covers(&file.path)) {
            Some(entry) => used[entry] = true,
            None => findings.push(Finding::Error(format!(
                "{}:{first}: unsafe code outside the listed files; do without, or list it with a reason in \
                 xtask/src/tidy/exceptions.rs",
                file.path
            ))),
        }
    }
    for (entry, _) in listed.iter().zip(used).filter(|(_, used)| !used) {
        let Exception { path, reason } = entry;
        findings.push(Finding::Error(format!(
            "{path}: listed for unsafe code ({reason}), but has none; remove the entry"
        )));
    }
    findings.extend(facts.packages.iter().flat_map(|package| check_roots(facts, package, listed)));
    findings
}

/// A crate without a listed file in `src/` forbids unsafe code in its roots.
fn check_roots(facts: &Facts, package: &Package, listed: &[Exception]) -> Vec<Finding> {
    let sources = format!("{}/src/", facts.folder(package));
    if listed.iter().any(|entry| entry.path.starts_with(&sources)) {
        return Vec::new();
    }
    let roots = package.targets_of("lib").chain(package.targets_of("bin"));
    roots
        .map(|target| facts.relative(&target.src_path))
        .filter(|path| !facts.file(path).is_some_and(|root| code_only(&root.text).contains(FORBID)))
        .map(|path| Finding::Error(format!("{path}: add `{FORBID}`, this crate has no unsafe code")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;
    use crate::metadata::tests::package;

    const LISTED: &[Exception] = &[Exception { path: "crates/a/src/raw/", reason: "a reason" }];

    #[test]
    fn unsafe_code_in_a_listed_folder_is_right() {
        let files = [("crates/a/src/lib.rs", "mod raw;"), ("crates/a/src/raw/b.rs", "unsafe fn b() {}")];
        assert_eq!(check(&facts(&[package("a", 0, "base", &[])], &files), LISTED), []);
    }

    #[test]
    fn unsafe_code_elsewhere_is_an_error_with_its_line() {
        let files =
            [("crates/a/src/raw/b.rs", "unsafe {}"), ("crates/a/src/c.rs", "//! c\nfn c() { unsafe {} }")];
        let findings = check(&facts(&[], &files), LISTED);
        assert!(matches!(&findings[..], [Finding::Error(text)] if text.starts_with("crates/a/src/c.rs:2:")));
    }

    #[test]
    fn a_stale_entry_is_an_error() {
        let findings = check(&facts(&[], &[("crates/a/src/raw/b.rs", "fn b() {}")]), LISTED);
        assert!(matches!(&findings[..], [Finding::Error(text)] if text.contains("has none")));
    }

    #[test]
    fn a_crate_without_unsafe_code_must_forbid_it() {
        let packages = [package("a", 0, "base", &[])];
        assert_eq!(
            check(&facts(&packages, &[("crates/a/src/lib.rs", "//! a\n#![forbid(unsafe_code)]")]), &[]),
            []
        );
        for source in ["//! a", "// #![forbid(unsafe_code)]", "#![deny(unsafe_code)]"] {
            assert_eq!(
                check(&facts(&packages, &[("crates/a/src/lib.rs", source)]), &[]).len(),
                1,
                "{source}"
            );
        }
    }
}
