//! `ci`: the same jobs as `test`, one by one.

use clap::ValueEnum;

use crate::context::{Context, Failure};
use crate::jobs::{self, Job};
use crate::run;

/// Runs one job of the tests; without a name all of them but `machines`, `race` and `fuzz`, which take minutes.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Which one.
    #[arg(value_enum)]
    job: Option<Job>,
    /// Lists the jobs and what each proves.
    #[arg(long, conflicts_with = "job")]
    list: bool,
}

/// Runs the job or the jobs.
pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if args.list {
        for job in Job::value_variants() {
            run::print(&format!("  {:8} {}\n", job.name(), job.proves()));
        }
        return Ok(());
    }
    match args.job {
        Some(job) => jobs::run_all(context, &[job]),
        None => jobs::run_all(context, &Job::ordinary()),
    }
}
