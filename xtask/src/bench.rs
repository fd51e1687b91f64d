//! `bench`: the comparison with limits and rivals, in one run.

use crate::context::{Context, Failure};
use crate::metadata::Workspace;
use crate::run;

/// Compares FeuerBird with its limits and its rivals in one run.
///
/// Builds the package in `benches/` (its rivals are whole systems, so the first time takes minutes) and becomes its program. The
/// table goes to the standard output, the rows to `feuerbird/bench/GROUP.json` in the target folder.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The group to run; all without it.
    group: Option<String>,
    /// One short round: under 90 seconds, the figures are rough.
    #[arg(long)]
    quick: bool,
}

/// Builds the comparison, then becomes it.
pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let out = Workspace::load(context)?.target_directory.join("feuerbird").join("bench");
    let selection = ["--release", "--package", "feuerbird-benches", "--bin", "compare"];
    let mut build = context.cargo();
    run::run(build.arg("build").args(selection))?;
    let mut start = context.cargo();
    start.args(["run", "--quiet"]).args(selection).arg("--").args(&args.group);
    if args.quick {
        start.arg("--quick");
    }
    Err(run::become_command(start.arg("--out").arg(out)))
}
