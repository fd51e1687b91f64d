//! What every package must have: the shared lints, and a README where others meet it.

use super::Finding;
use super::facts::Facts;

/// Every package inherits the lints; every crate under `crates/` has a README.md.
pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &facts.packages {
        let folder = facts.folder(package);
        let manifest = facts.file(&format!("{folder}/Cargo.toml")).map_or("", |file| &file.text);
        if !inherits_lints(manifest) {
            findings
                .push(Finding::Error(format!("{folder}/Cargo.toml: add `[lints]` with `workspace = true`")));
        }
        if folder.starts_with("crates/") && facts.file(&format!("{folder}/README.md")).is_none() {
            findings.push(Finding::Error(format!("{folder}: there is no README.md")));
        }
    }
    findings
}

fn inherits_lints(manifest: &str) -> bool {
    let mut section = manifest.lines().skip_while(|line| line.trim() != "[lints]").skip(1);
    section.find(|line| !line.trim().is_empty()).is_some_and(|line| line.replace(' ', "") == "workspace=true")
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;
    use crate::metadata::tests::package;

    const LINTED: &str = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";

    #[test]
    fn a_package_with_both_is_right() {
        let files = [("crates/a/Cargo.toml", LINTED), ("crates/a/README.md", "# a")];
        assert_eq!(check(&facts(&[package("a", 0, "base", &[])], &files)), []);
    }

    #[test]
    fn a_missing_readme_and_missing_lints_are_errors() {
        let packages = [package("a", 0, "base", &[])];
        let readme = check(&facts(&packages, &[("crates/a/Cargo.toml", LINTED)]));
        assert_eq!(readme, [Finding::Error("crates/a: there is no README.md".to_owned())]);
        for manifest in ["[package]\n", "[lints]\n[lib]\nworkspace = true", "[lints]\nworkspace = false"] {
            let files = [("crates/a/Cargo.toml", manifest), ("crates/a/README.md", "# a")];
            assert_eq!(check(&facts(&packages, &files)).len(), 1, "{manifest}");
        }
    }
}
