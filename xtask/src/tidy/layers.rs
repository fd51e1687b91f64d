//! Layers and towers: who may import whom.

use super::Finding;
use crate::metadata::{Package, Place, Tower};

/// Every normal or build dependency inside the workspace goes to a lower layer and stays in its tower. Dependencies of tests are
/// free: a test may bring together what the product keeps apart.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    packages.iter().flat_map(|package| check_package(package, packages)).collect()
}

fn check_package(package: &Package, all: &[Package]) -> Vec<Finding> {
    let Some(place) = package.place() else {
        return vec![Finding::Error(format!(
            "{}: the manifest states no place; add [package.metadata.feuerbird] with layer, tower and core",
            package.name
        ))];
    };
    package
        .dependencies
        .iter()
        .filter(|edge| edge.kind.as_deref() != Some("dev"))
        .filter_map(|edge| all.iter().find(|other| other.name == edge.name))
        .filter_map(|other| Some((other, other.place()?)))
        .flat_map(|(other, target)| check_edge(&package.name, place, &other.name, target))
        .collect()
}

fn check_edge(from: &str, place: Place, to: &str, target: Place) -> Vec<Finding> {
    let mut findings = Vec::new();
    if target.layer >= place.layer {
        findings.push(Finding::Error(format!(
            "{from} (layer {}) imports {to} (layer {}): an import must go to a lower layer; let the lower one define a trait",
            place.layer, target.layer
        )));
    }
    if !may_import(place.tower, target.tower) {
        findings.push(Finding::Error(format!(
            "{from} ({:?} tower) imports {to} ({:?} tower): the towers stay apart",
            place.tower, target.tower
        )));
    }
    findings
}

fn may_import(from: Tower, to: Tower) -> bool {
    match from {
        Tower::Base => to == Tower::Base,
        Tower::Kernel => matches!(to, Tower::Base | Tower::Kernel),
        Tower::User => matches!(to, Tower::Base | Tower::User),
        Tower::Home | Tower::Shell => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::package;

    fn errors(packages: &[Package]) -> usize {
        check(packages).len()
    }

    #[test]
    fn an_edge_down_inside_a_tower_is_right() {
        let packages = [
            package("capability", 0, "base", &[]),
            package("channel", 2, "user", &["capability", "zerocopy"]),
            package("exokernel", 2, "kernel", &["capability"]),
            package("hosted", 4, "home", &["channel", "exokernel"]),
        ];
        assert_eq!(check(&packages), []);
    }

    #[test]
    fn an_edge_up_or_across_a_layer_is_an_error() {
        for layer in [1, 2] {
            let packages = [package("low", 1, "user", &["high"]), package("high", layer, "user", &[])];
            assert_eq!(errors(&packages), 1);
        }
    }

    #[test]
    fn the_towers_stay_apart() {
        for (from, to) in
            [("kernel", "user"), ("user", "kernel"), ("base", "user"), ("user", "home"), ("kernel", "shell")]
        {
            assert_eq!(
                errors(&[package("a", 5, from, &["b"]), package("b", 1, to, &[])]),
                1,
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn dependencies_of_tests_are_free_those_of_build_scripts_are_not() {
        let mut packages = [package("a", 1, "kernel", &["b"]), package("b", 3, "user", &[])];
        packages[0].dependencies[0].kind = Some("dev".to_owned());
        assert_eq!(errors(&packages), 0);
        packages[0].dependencies[0].kind = Some("build".to_owned());
        assert_eq!(errors(&packages), 2);
    }

    #[test]
    fn a_package_without_a_place_is_an_error() {
        let mut text = serde_json::json!({
            "name": "a", "manifest_path": "a", "dependencies": [], "targets": [], "features": {}, "metadata": null,
        });
        assert_eq!(errors(&[serde_json::from_value(text.clone()).unwrap()]), 1);
        text["metadata"] = serde_json::json!({"other": {}});
        assert_eq!(errors(&[serde_json::from_value(text).unwrap()]), 1);
    }
}
