//! Core crates need no operating system: `#![no_std]`, no `std` feature, no `std` outside tests.

use super::Finding;
use super::facts::Facts;
use crate::metadata::Package;
use crate::source::{code_only, lines_with_word, without_tests};

/// Looks at every package whose manifest says `core = true`.
pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    facts
        .packages
        .iter()
        .filter(|package| package.is_core())
        .flat_map(|package| check_package(facts, package))
        .collect()
}

fn check_package(facts: &Facts, package: &Package) -> Vec<Finding> {
    let folder = facts.folder(package);
    let mut findings = Vec::new();
    if package.features.contains_key("std") {
        findings.push(Finding::Error(format!("{folder}/Cargo.toml: a core crate has no `std` feature")));
    }
    for target in package.targets_of("lib") {
        let path = facts.relative(&target.src_path);
        if !facts.file(&path).is_some_and(|root| root.text.lines().any(|line| line.trim() == "#![no_std]")) {
            findings
                .push(Finding::Error(format!("{path}: a core crate has `#![no_std]`, without a condition")));
        }
    }
    let sources = format!("{folder}/src/");
    for file in facts.sources().filter(|file| file.path.starts_with(&sources)) {
        for line in lines_with_word(&without_tests(&code_only(&file.text)), "std") {
            findings
                .push(Finding::Error(format!("{}:{line}: a core crate uses `std` in tests only", file.path)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;
    use crate::metadata::tests::package;

    fn errors(source: &str) -> usize {
        check(&facts(&[package("a", 0, "base", &[])], &[("crates/a/src/lib.rs", source)])).len()
    }

    #[test]
    fn core_and_alloc_are_right() {
        assert_eq!(
            errors(
                "//! std::fmt\n#![no_std]\nextern crate alloc;\nuse core::fmt;\n#[cfg(test)]\nmod t { use std::vec; }\n"
            ),
            0
        );
    }

    #[test]
    fn std_in_code_is_an_error() {
        for line in
            ["use std::fmt;", "extern crate std;", "fn a() { std::process::abort() }", "use ::std::fmt;"]
        {
            assert_eq!(errors(&format!("#![no_std]\n{line}\n")), 1, "{line}");
        }
    }

    #[test]
    fn a_missing_or_conditional_no_std_is_an_error() {
        assert_eq!(errors("//! It is no_std.\n"), 1);
        assert_eq!(errors("#![cfg_attr(not(feature = \"fast\"), no_std)]\n"), 1);
    }

    #[test]
    fn a_std_feature_is_an_error() {
        let mut package = package("a", 0, "base", &[]);
        package.features.insert("std".to_owned(), Vec::new());
        assert_eq!(check(&facts(&[package], &[("crates/a/src/lib.rs", "#![no_std]")])).len(), 1);
    }
}
