//! `demo`: runs one of the programs in `demos/`.

use std::ffi::OsString;
use std::fs;

use crate::context::{Context, Failure};
use crate::metadata::{Package, Workspace};
use crate::run;

/// The package that has them.
const PACKAGE: &str = "feuerbird-demos";

/// The one that shows the main job.
pub(crate) const DEFAULT: &str = "producer-consumer";

/// Runs a demo; without a name the one that shows the main job.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo -- --kill\n  cargo xtask demo --list"
)]
pub(crate) struct Args {
    /// Which one; `--list` names them.
    #[arg(default_value = DEFAULT)]
    pub(crate) name: String,
    /// Lists the demos and what each shows.
    #[arg(long, conflicts_with_all = ["name", "arguments"])]
    list: bool,
    /// Passed on to the demo.
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<OsString>,
}

struct Demo {
    name: String,
    about: String,
}

/// Builds the demo, then becomes it: Ctrl-C and the exit code are the demo's own.
pub(crate) fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let workspace = Workspace::load(context)?;
    let demos = workspace.package(PACKAGE).map(demos).unwrap_or_default();
    if args.list {
        run::print(&listing(&demos));
        return Ok(());
    }
    if !demos.iter().any(|demo| demo.name == args.name) {
        let known = listing(&demos);
        return Err(Failure::Usage(format!("there is no demo `{}`; these are there:\n{known}", args.name)));
    }
    let selection = ["--release", "--package", PACKAGE, "--bin", &args.name];
    let mut build = context.cargo();
    run::run(build.arg("build").args(selection))?;
    // Through `cargo`, which knows where the program lies and, on Unix, becomes it too.
    let mut start = context.cargo();
    start.args(["run", "--quiet"]).args(selection).arg("--").args(args.arguments);
    Err(run::become_command(&mut start))
}

fn demos(package: &Package) -> Vec<Demo> {
    let mut demos: Vec<Demo> = package
        .targets_of("bin")
        .map(|target| Demo {
            name: target.name.clone(),
            about: about(&fs::read_to_string(&target.src_path).unwrap_or_default()),
        })
        .collect();
    demos.sort_by(|a, b| (a.name != DEFAULT, &a.name).cmp(&(b.name != DEFAULT, &b.name)));
    demos
}

/// The first line of the documentation of a source file.
fn about(source: &str) -> String {
    source.lines().find_map(|line| line.strip_prefix("//!")).unwrap_or("").trim().to_owned()
}

fn listing(demos: &[Demo]) -> String {
    let width = demos.iter().map(|demo| demo.name.len()).max().unwrap_or(0);
    demos.iter().map(|demo| format!("  {:width$}  {}\n", demo.name, demo.about)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_the_first_documentation_line() {
        assert_eq!(about("//! Shows it.\n//!\n//! More.\nfn main() {}"), "Shows it.");
        assert_eq!(about("#![forbid(unsafe_code)]\n//! Shows it.\n"), "Shows it.");
        assert_eq!(about("fn main() {}"), "");
    }

    #[test]
    fn a_listing_is_aligned() {
        let demos = [("a", "One."), ("longer", "Two.")]
            .map(|(name, about)| Demo { name: name.to_owned(), about: about.to_owned() });
        assert_eq!(listing(&demos), "  a       One.\n  longer  Two.\n");
    }

    #[test]
    fn an_unknown_demo_is_wrong_usage() {
        let args = Args { name: "nonsense".to_owned(), list: false, arguments: Vec::new() };
        assert!(matches!(run(&Context::new(true), args), Err(Failure::Usage(_))));
    }
}
