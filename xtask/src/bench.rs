//! `bench`: the comparison with limits and rivals, in one run.

pub(crate) mod kernel;

use crate::context::{Context, Failure};
use crate::metadata::Workspace;
use crate::run;

/// Compares FeuerBird with its limits and its rivals in one run.
///
/// Builds the package in `benches/` (its rivals are whole systems, so the first time takes minutes) and becomes its program. The
/// tables go to the standard output, the rows to `feuerbird/bench/GROUP.json` in the target folder.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The group to run: in-process, hosted, serialization or kernel; all without it.
    group: Option<String>,
    /// One short round: under 90 seconds, the figures are rough.
    #[arg(long)]
    quick: bool,
    /// Of group kernel: keeps the figures in kernel/paths.txt, which CI compares with.
    #[arg(long)]
    bless: bool,
}

/// Builds the comparison, then becomes it.
pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let out = Workspace::load(context)?.target_directory.join("feuerbird").join("bench");
    if args.bless && args.group.as_deref() != Some("kernel") {
        return Err(Failure::Usage(
            "only the figures of group kernel are kept: `bench kernel --bless`".to_owned(),
        ));
    }
    if args.group.as_deref().is_none_or(|group| group == "kernel") {
        kernel::bench(context, &out, args.bless)?;
    }
    if args.group.as_deref() == Some("kernel") {
        return Ok(());
    }
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
