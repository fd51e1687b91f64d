//! `cargo xtask`: the one command for demos, tests, checks, the comparison with rivals, and schemas.
//!
//! One file per subcommand; what several need is in [`context`], [`metadata`], [`jobs`] and [`tools`].
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod context;
mod demo;
mod image;
mod jobs;
mod metadata;
mod qemu;
mod run;
mod schemas;
mod size;
mod source;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use context::{Context, Failure};

/// Development tasks of FeuerBird.
///
/// What a task misses on Debian or Ubuntu is installed, after saying what and why; nothing else is ever asked of you.
#[derive(Parser, Debug)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Exit codes: 0 all went well; 1 a check or a command failed; 2 wrong usage; 3 a tool is missing and could \
not be had. `demo` and `bench` pass on the exit code of what they run."
)]
struct Cli {
    /// Installs and downloads nothing: what is missing is named instead.
    #[arg(long, global = true)]
    offline: bool,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    Demo(demo::Args),
    Test(test::Args),
    Ci(ci::Args),
    Tidy(tidy::Args),
    Bench(bench::Args),
    Schemas(schemas::Args),
    Qemu(qemu::Args),
    Size(size::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run_task(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message = failure.to_string();
            if !message.is_empty() {
                eprintln!("error: {message}");
            }
            failure.exit_code().into()
        }
    }
}

fn run_task(cli: Cli) -> Result<(), Failure> {
    let context = Context::new(cli.offline);
    match cli.task {
        Task::Demo(args) => demo::run(&context, args),
        Task::Test(args) => test::run(&context, &args),
        Task::Ci(args) => ci::run(&context, &args),
        Task::Tidy(args) => tidy::run(&context, &args),
        Task::Bench(args) => bench::run(&context, &args),
        Task::Schemas(args) => schemas::run(&context, &args),
        Task::Qemu(args) => qemu::run(&context, &args),
        Task::Size(args) => size::run(&context, &args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_after_two_dashes_go_to_the_default_demo() {
        let cli = Cli::try_parse_from(["xtask", "demo", "--", "--kill", "--seconds", "2"]).unwrap();
        let Task::Demo(args) = cli.task else { panic!("not a demo: {cli:?}") };
        assert_eq!(args.name, demo::DEFAULT);
        assert_eq!(args.arguments, ["--kill", "--seconds", "2"]);
    }

    #[test]
    fn offline_is_understood_before_and_after_the_subcommand() {
        for line in [["xtask", "--offline", "test"], ["xtask", "test", "--offline"]] {
            assert!(Cli::try_parse_from(line).unwrap().offline);
        }
    }

    #[test]
    fn lists_are_there_offline_too_and_take_nothing_else() {
        for task in ["demo", "ci"] {
            assert!(Cli::try_parse_from(["xtask", task, "--list", "--offline"]).is_ok(), "{task}");
        }
        for line in [["ci", "--list", "fmt"], ["demo", "--list", "cheat"]] {
            assert_eq!(Cli::try_parse_from(["xtask"].into_iter().chain(line)).unwrap_err().exit_code(), 2);
        }
    }

    #[test]
    fn an_unknown_job_is_wrong_usage() {
        assert_eq!(Cli::try_parse_from(["xtask", "ci", "nonsense"]).unwrap_err().exit_code(), 2);
    }
}
