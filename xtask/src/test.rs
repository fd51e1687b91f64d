//! `test`: everything that can go wrong, in one command.

use crate::context::{Context, Failure};
use crate::jobs::{self, Job};

/// The jobs of `--quick`.
const QUICK: [Job; 4] = [Job::Fmt, Job::Clippy, Job::Tidy, Job::Test];

/// Runs every test and check, goes on after a failure, and ends with a summary.
///
/// `cargo xtask ci --list` says what each job proves. A job whose tool cannot be had is skipped and says so.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only the fast ones: fmt, clippy, tidy, test.
    #[arg(long)]
    quick: bool,
}

/// Runs the jobs.
pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if args.quick { jobs::run_all(context, &QUICK) } else { jobs::run_all(context, &Job::ordinary()) }
}
