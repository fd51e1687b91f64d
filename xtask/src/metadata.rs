//! What `cargo metadata` says about the packages of this workspace.

use std::path::PathBuf;

use serde::Deserialize;

use crate::context::{Context, Failure};
use crate::run;

/// The workspace.
#[derive(Deserialize, Debug, Clone)]
pub(crate) struct Workspace {
    /// Its packages, without those of others.
    pub(crate) packages: Vec<Package>,
    /// Where build results go.
    pub(crate) target_directory: PathBuf,
}

/// A package of this workspace.
#[derive(Deserialize, Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
    pub(crate) features: std::collections::BTreeMap<String, Vec<String>>,
    metadata: Option<Metadata>,
}

/// An edge to another package.
#[derive(Deserialize, Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a normal one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Only with a feature.
    #[serde(default)]
    pub(crate) optional: bool,
}

/// Something `cargo` builds from a package.
#[derive(Deserialize, Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

#[derive(Deserialize, Debug, Clone)]
struct Metadata {
    feuerbird: Option<Place>,
}

/// The place of a package in the architecture, from `[package.metadata.feuerbird]`.
#[derive(Deserialize, Debug, Clone, Copy)]
pub(crate) struct Place {
    /// 0 is the lowest.
    pub(crate) layer: u32,
    pub(crate) tower: Tower,
    /// Is `no_std` and builds for the bare target.
    pub(crate) core: bool,
}

/// Which side a package stands on.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tower {
    /// Below both towers.
    Base,
    /// The mechanisms.
    Kernel,
    /// What programs link.
    User,
    /// Brings both together on one kind of machine.
    Home,
    /// Demos, tests, tasks.
    Shell,
}

impl Workspace {
    /// Asks `cargo`.
    ///
    /// # Errors
    ///
    /// When `cargo metadata` fails, or a manifest states its place in a way that is not understood.
    pub(crate) fn load(context: &Context) -> Result<Self, Failure> {
        let mut command = context.cargo();
        command.args(["metadata", "--format-version", "1", "--no-deps"]);
        let text = run::output(&mut command)?;
        serde_json::from_slice(&text).map_err(|error| Failure::Failed(format!("cargo metadata: {error}")))
    }

    /// The package of that name.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

impl Package {
    /// Its place in the architecture, if its manifest states one.
    pub(crate) fn place(&self) -> Option<Place> {
        self.metadata.as_ref()?.feuerbird
    }

    /// Is `no_std` and builds for the bare target.
    pub(crate) fn is_core(&self) -> bool {
        self.place().is_some_and(|place| place.core)
    }

    /// Its targets of one kind: `lib`, `bin`, `test`, `bench` or `example`.
    pub(crate) fn targets_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Target> {
        self.targets.iter().filter(move |target| target.kind.iter().any(|it| it == kind))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A made-up package with normal edges to others, for the tests of the checks.
    pub(crate) fn package(name: &str, layer: u32, tower: &str, imports: &[&str]) -> Package {
        let dependencies: Vec<_> =
            imports.iter().map(|name| serde_json::json!({"name": name, "kind": null})).collect();
        serde_json::from_value(serde_json::json!({
            "name": name,
            "manifest_path": format!("/checkout/crates/{name}/Cargo.toml"),
            "dependencies": dependencies,
            "targets": [{"name": name, "kind": ["lib"], "src_path": format!("/checkout/crates/{name}/src/lib.rs")}],
            "features": {},
            "metadata": {"feuerbird": {"layer": layer, "tower": tower, "core": true}},
        }))
        .unwrap()
    }

    #[test]
    fn the_workspace_is_understood() {
        let workspace = Workspace::load(&Context::new(true)).unwrap();
        let own = workspace.package("feuerbird-xtask").unwrap();
        assert_eq!(own.place().unwrap().tower, Tower::Shell);
        assert_eq!(own.targets_of("bin").count(), 1);
        assert!(workspace.package("feuerbird-capability").unwrap().is_core());
    }
}
