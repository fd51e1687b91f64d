//! The jobs of `test` and `ci`: what each proves, how it runs, and the summary of a run.

mod commands;
mod fuzz;
mod interop;
mod race;

use std::time::{Duration, Instant};

pub(crate) use commands::{BARE_TARGET, ensure_bare_target};

use crate::context::{Context, Failure};
use crate::{qemu, schemas, tidy};

/// A job, in the order in which `test` runs them: the quick to fail come first.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Fmt,
    Tidy,
    Clippy,
    Docs,
    Schemas,
    Bare,
    Test,
    Qemu,
    Interop,
    Benches,
    Loom,
    Miri,
    Machines,
    Race,
    Fuzz,
}

/// How a job ended, when it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It proved what it says.
    Passed,
    /// It could not run here, for this reason.
    Skipped(String),
}

impl Job {
    /// All jobs that a run without a name runs. Racing, fuzzing and more machines are by name only: building for every profile, and with
    /// the sanitizer, and booting so often takes minutes.
    pub(crate) fn ordinary() -> Vec<Self> {
        let all = <Self as clap::ValueEnum>::value_variants().iter();
        all.copied().filter(|job| !matches!(job, Self::Machines | Self::Race | Self::Fuzz)).collect()
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Clippy => "clippy",
            Self::Docs => "docs",
            Self::Schemas => "schemas",
            Self::Bare => "bare",
            Self::Test => "test",
            Self::Qemu => "qemu",
            Self::Interop => "interop",
            Self::Benches => "benches",
            Self::Loom => "loom",
            Self::Miri => "miri",
            Self::Machines => "machines",
            Self::Race => "race",
            Self::Fuzz => "fuzz",
        }
    }

    /// What it proves.
    pub(crate) fn proves(self) -> &'static str {
        match self {
            Self::Fmt => "every file is formatted as rustfmt does",
            Self::Tidy => {
                "layers, towers, unsafe, sizes, no_std and documentation are as ARCHITECTURE.md says"
            }
            Self::Clippy => "no warning of the compiler or of clippy, tests and benches included",
            Self::Docs => {
                "the documentation builds without a warning: no broken link, nothing public undocumented"
            }
            Self::Schemas => "what builds read of the schemas is what the schemas say",
            Self::Bare => {
                "every core crate builds alone for x86_64-unknown-none: it needs no operating system"
            }
            Self::Test => "all unit, integration and documentation tests pass",
            Self::Qemu => "the exokernel boots in QEMU, and its tests from ring 3 pass on two machines",
            Self::Interop => "other implementations of Cap'n Proto read our messages, and we theirs",
            Self::Benches => {
                "every benchmark and every comparison runs, and what it measures gives right results"
            }
            Self::Loom => "the lock-free protocols hold in every interleaving of the model's small cases",
            Self::Fuzz => {
                "no decoder panics, hangs or reads where it must not, on what a fuzzer finds in seconds"
            }
            Self::Miri => "shared memory and the codec have no undefined behaviour in these tests",
            Self::Machines => {
                "the tests from ring 3 pass on every machine of 1 core or 4, in 1 node or 2, an old or a new processor"
            }
            Self::Race => {
                "of memory that is written meanwhile, only consistent messages or errors come, at every level of optimisation"
            }
        }
    }

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        match self {
            Self::Fmt => commands::fmt(context),
            Self::Tidy => tidy::check(context).map(|()| Outcome::Passed),
            Self::Clippy => commands::clippy(context),
            Self::Docs => commands::docs(context),
            Self::Schemas => schemas::job(context),
            Self::Bare => commands::bare(context),
            Self::Test => commands::test(context),
            Self::Qemu => qemu::job(context),
            Self::Interop => interop::run(context),
            Self::Benches => commands::benches(context),
            Self::Loom => commands::loom(context),
            Self::Miri => commands::miri(context),
            Self::Machines => qemu::machines(context),
            Self::Race => race::run(context),
            Self::Fuzz => fuzz::run(context),
        }
    }
}

/// A job that ended.
struct Report {
    job: Job,
    result: Result<Outcome, Failure>,
    took: Duration,
}

/// Runs the jobs one after the other, all of them even after a failure, and prints a summary.
///
/// # Errors
///
/// Names the jobs that failed.
pub(crate) fn run_all(context: &Context, jobs: &[Job]) -> Result<(), Failure> {
    let reports: Vec<Report> = jobs.iter().map(|job| run_one(context, *job)).collect();
    // One stream, so that the parts stay in order in a log.
    eprint!("\n{}", summary(&reports));
    let failed: Vec<&str> =
        reports.iter().filter(|report| report.result.is_err()).map(|report| report.job.name()).collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Failed(format!("failed: {}", failed.join(", ")))) }
}

fn run_one(context: &Context, job: Job) -> Report {
    eprintln!("\n== {}: {}", job.name(), job.proves());
    let start = Instant::now();
    let result = job.run(context);
    let took = start.elapsed();
    let word = match &result {
        Ok(Outcome::Passed) => "passed".to_owned(),
        Ok(Outcome::Skipped(reason)) => format!("skipped: {reason}"),
        Err(failure) => format!("FAILED: {failure}"),
    };
    eprintln!("== {}: {word} ({:.1} s)", job.name(), took.as_secs_f64());
    Report { job, result, took }
}

fn summary(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        let word = match &report.result {
            Ok(Outcome::Passed) => "passed",
            Ok(Outcome::Skipped(_)) => "skipped",
            Err(_) => "FAILED",
        };
        text += &format!("  {:8} {word:8} {:7.1} s\n", report.job.name(), report.took.as_secs_f64());
        if let Ok(Outcome::Skipped(reason)) = &report.result {
            text += &format!("           {reason}\n");
        }
    }
    let total: Duration = reports.iter().map(|report| report.took).sum();
    text + &format!("  {:8} {:8} {:7.1} s\n", "total", "", total.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn names_are_those_of_the_command_line() {
        for job in Job::value_variants() {
            assert_eq!(job.to_possible_value().unwrap().get_name(), job.name());
        }
    }

    #[test]
    fn the_summary_tells_passed_failed_and_skipped_apart() {
        let took = Duration::from_millis(1500);
        let reports = [
            Report { job: Job::Fmt, result: Ok(Outcome::Passed), took },
            Report { job: Job::Test, result: Err(Failure::Failed("broken".to_owned())), took },
            Report { job: Job::Miri, result: Ok(Outcome::Skipped("no nightly".to_owned())), took },
        ];
        let text = summary(&reports);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert!(lines[0].starts_with("fmt") && lines[0].contains("passed") && lines[0].ends_with("1.5 s"));
        assert!(lines[1].starts_with("test") && lines[1].contains("FAILED"));
        assert!(lines[2].starts_with("miri") && lines[2].contains("skipped"));
        assert_eq!(lines[3], "no nightly");
        assert!(lines[4].starts_with("total") && lines[4].ends_with("4.5 s"));
    }
}
