//! What the rules look at: the packages, and the text of every file of the project.

use std::fs;
use std::path::{Path, PathBuf};

use crate::context::{Context, Failure};
use crate::metadata::{Package, Workspace};
use crate::run;

/// The checkout, read once.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(super) packages: Vec<Package>,
    pub(super) files: Vec<File>,
    root: PathBuf,
}

/// A file of the project.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// From the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Facts {
    /// Reads the checkout; files that are not text are left out.
    pub(super) fn read(context: &Context) -> Result<Self, Failure> {
        let packages = Workspace::load(context)?.packages;
        let files = paths(context)?
            .into_iter()
            .filter_map(|path| Some(File { text: fs::read_to_string(context.root.join(&path)).ok()?, path }))
            .collect();
        Ok(Self { packages, files, root: context.root.clone() })
    }

    /// The Rust files.
    pub(super) fn sources(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The file at a path from the root.
    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// A path from the root, for one that `cargo metadata` gave.
    pub(super) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// The folder of a package, from the root.
    pub(super) fn folder(&self, package: &Package) -> String {
        self.relative(package.manifest_path.parent().unwrap_or(Path::new("")))
    }
}

/// The files that git tracks or would; without git all but build results and hidden folders.
fn paths(context: &Context) -> Result<Vec<String>, Failure> {
    let mut git = context.command("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    if context.root.join(".git").exists()
        && let Ok(list) = run::output(&mut git)
    {
        let list = String::from_utf8_lossy(&list);
        return Ok(list.split_terminator('\0').map(str::to_owned).collect());
    }
    let mut found = Vec::new();
    walk(&context.root, &context.root, &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<(), Failure> {
    let failed = |error| Failure::io(folder.display(), &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, path) = (entry.file_name(), entry.path());
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && (name == "target" || name == ".git") || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            walk(root, &path, found)?;
        } else {
            found.push(path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A made-up checkout.
    pub(in crate::tidy) fn facts(packages: &[Package], files: &[(&str, &str)]) -> Facts {
        let files =
            files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
        Facts { packages: packages.to_vec(), files, root: PathBuf::from("/checkout") }
    }

    #[test]
    fn git_and_the_walk_agree_about_this_file() {
        let context = Context::new(true);
        let own = "xtask/src/tidy/facts.rs".to_owned();
        assert!(paths(&context).unwrap().contains(&own));
        let mut walked = Vec::new();
        walk(&context.root, &context.root.join("xtask"), &mut walked).unwrap();
        assert!(walked.contains(&own));
    }
}
