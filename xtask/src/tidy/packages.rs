//! What every package must have: the shared lints and fields, and a README where others meet it.

use super::Finding;
use super::facts::Facts;

/// Said once, in the root manifest, so that no package can say otherwise: above all whether it may be published.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

/// Every package inherits the lints and the shared fields; every crate under `crates/` has a README.md.
pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &facts.packages {
        let folder = facts.folder(package);
        let manifest = facts.file(&format!("{folder}/Cargo.toml")).map_or("", |file| &file.text);
        if !inherits_lints(manifest) {
            findings
                .push(Finding::Error(format!("{folder}/Cargo.toml: add `[lints]` with `workspace = true`")));
        }
        findings.extend(INHERITED.iter().filter(|field| !inherits(manifest, field)).map(|field| {
            Finding::Error(format!("{folder}/Cargo.toml: inherit it with `{field}.workspace = true`"))
        }));
        if folder.starts_with("crates/") && facts.file(&format!("{folder}/README.md")).is_none() {
            findings.push(Finding::Error(format!("{folder}: there is no README.md")));
        }
    }
    findings
}

fn inherits_lints(manifest: &str) -> bool {
    section(manifest, "[lints]").any(|line| line == "workspace=true")
}

fn inherits(manifest: &str, field: &str) -> bool {
    let expected = format!("{field}.workspace=true");
    section(manifest, "[package]").any(|line| line == expected)
}

/// The lines of a section, without blanks and comments.
fn section<'a>(manifest: &'a str, header: &'a str) -> impl Iterator<Item = String> + 'a {
    let lines = manifest.lines().map(|line| line.split('#').next().unwrap_or("").replace([' ', '\t'], ""));
    lines.skip_while(move |line| line != header).skip(1).take_while(|line| !line.starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;
    use crate::metadata::tests::package;

    const SHARED: &str = "version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n\
                          license.workspace = true # as all\npublish.workspace = true\n";

    fn manifest(shared: &str, lints: &str) -> String {
        format!("[package]\nname = \"a\"\n{shared}\n{lints}")
    }

    fn findings(manifest: &str) -> Vec<Finding> {
        let files = [("crates/a/Cargo.toml", manifest), ("crates/a/README.md", "# a")];
        check(&facts(&[package("a", 0, "base", &[])], &files))
    }

    #[test]
    fn a_package_with_all_is_right() {
        assert_eq!(findings(&manifest(SHARED, "[lints]\nworkspace = true\n")), []);
    }

    #[test]
    fn a_missing_readme_is_an_error() {
        let manifest = manifest(SHARED, "[lints]\nworkspace = true\n");
        let facts = facts(&[package("a", 0, "base", &[])], &[("crates/a/Cargo.toml", &manifest)]);
        assert_eq!(check(&facts), [Finding::Error("crates/a: there is no README.md".to_owned())]);
    }

    #[test]
    fn missing_lints_are_an_error() {
        for lints in ["", "[lints]\n[lib]\nworkspace = true", "[lints]\nworkspace = false"] {
            assert_eq!(findings(&manifest(SHARED, lints)).len(), 1, "{lints}");
        }
    }

    #[test]
    fn a_shared_field_of_its_own_is_an_error() {
        for field in INHERITED {
            let line = format!("{field}.workspace = true");
            for own in ["", &format!("{field} = \"own\""), &format!("[lib]\n{line}")] {
                // Last, so that another section cannot take the fields after it along.
                let others: Vec<&str> = SHARED.lines().filter(|it| !it.starts_with(&line)).collect();
                let shared = format!("{}\n{own}\n", others.join("\n"));
                let found = findings(&manifest(&shared, "[lints]\nworkspace = true\n"));
                assert!(
                    matches!(&found[..], [Finding::Error(text)] if text.contains(&line)),
                    "{own}: {found:?}"
                );
            }
        }
    }
}
