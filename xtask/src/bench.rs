//! `bench`: the comparison with limits and rivals, in one run.

mod account;
pub(crate) mod kernel;

use std::process::Command;

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
    /// Of group kernel: keeps the figures in kernel/paths.txt, which CI compares with, and in kernel/accounts.txt where those go that
    /// do not reach their targets.
    #[arg(long, conflicts_with = "account")]
    bless: bool,
    /// Of group kernel: steps through this path, named as in kernel/paths.txt, and tells what its instructions are for.
    #[arg(long, value_name = "PATH")]
    account: Option<String>,
    /// With --account: each instruction in the order of execution, with its function and line.
    #[arg(long, requires = "account")]
    listing: bool,
}

/// Runs what was asked for.
pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let out = Workspace::load(context)?.target_directory.join("feuerbird").join("bench");
    let is_of_kernel = args.bless || args.account.is_some();
    if is_of_kernel && args.group.as_deref() != Some("kernel") {
        return Err(Failure::Usage(
            "only the figures of group kernel are kept and have accounts: `bench kernel --bless`, `bench kernel --account PATH`"
                .to_owned(),
        ));
    }
    if let Some(path) = &args.account {
        return kernel::print_account(context, path, args.listing);
    }
    match args.group.as_deref() {
        Some("kernel") => kernel::bench(context, &out, args.bless),
        Some(_) => {
            build(context)?;
            Err(run::become_command(comparison(context, args).arg("--out").arg(out)))
        }
        // The kernel takes an emulator, which may be missing: last, so that whoever waits has seen the rest.
        None => each([
            &|| build(context).and_then(|()| run::run(comparison(context, args).arg("--out").arg(&out))),
            &|| kernel::bench(context, &out, args.bless),
        ]),
    }
}

const SELECTION: [&str; 5] = ["--release", "--package", "feuerbird-benches", "--bin", "compare"];

fn build(context: &Context) -> Result<(), Failure> {
    run::run(context.cargo().arg("build").args(SELECTION))
}

fn comparison(context: &Context, args: &Args) -> Command {
    let mut start = context.cargo();
    start.args(["run", "--quiet"]).args(SELECTION).arg("--").args(&args.group);
    if args.quick {
        start.arg("--quick");
    }
    start
}

/// Runs every part, whatever became of those before it.
///
/// # Errors
///
/// The failure, or all of them in one.
fn each(parts: [&dyn Fn() -> Result<(), Failure>; 2]) -> Result<(), Failure> {
    let mut failures: Vec<Failure> = parts.into_iter().filter_map(|part| part().err()).collect();
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        _ => {
            let texts: Vec<String> = failures.iter().map(Failure::to_string).collect();
            Err(Failure::Failed(texts.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_part_that_fails_stops_no_other_and_is_reported() {
        let ran = Cell::new(0);
        let passes = || {
            ran.set(ran.get() + 1);
            Ok(())
        };
        let fails = || Err(Failure::ToolMissing("no emulator".to_owned()));
        assert!(each([&passes, &passes]).is_ok());
        let ended = [each([&passes, &fails]), each([&fails, &passes])];
        assert!(ended.iter().all(|it| matches!(it, Err(Failure::ToolMissing(_)))), "{ended:?}");
        assert_eq!(ran.get(), 4);
        let both = each([&fails, &fails]).unwrap_err().to_string();
        assert_eq!(both, "no emulator; no emulator");
    }
}
