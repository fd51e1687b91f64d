//! Compares FeuerBird with its limits and its rivals: same machine, same run, pinned, payload touched by both sides.
//!
//! A table for people goes to the standard output, progress to the standard error stream, and `DIR/<group>.json` holds the rows.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use feuerbird_benches::case::Effort;
use feuerbird_benches::groups::Group;
use feuerbird_benches::machine::Machine;
use feuerbird_benches::{interrupt, peer, row, smoke};

/// Compares FeuerBird with its limits and its rivals in one run.
///
/// Progress goes to the standard error stream, the table to the standard output, the rows to DIR/GROUP.json. A row in which we
/// have no figure yet is shown and not written. A figure means something only beside its limit and its cache-line probe.
#[derive(Parser, Debug)]
#[command(
    after_help = "Exit codes: 0 everything was measured (whether or not the targets are reached); 1 something failed or a \
message was wrong, see the standard error stream; 2 wrong usage; 3 this machine cannot run it (it takes two CPUs); 130 \
interrupted."
)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    /// The group to run; all without it.
    group: Option<Group>,
    /// One short round instead of several: under 90 seconds, figures are rough.
    #[arg(long)]
    quick: bool,
    /// Where the result files go.
    #[arg(long, value_name = "DIR", default_value = "target/feuerbird/bench")]
    out: PathBuf,
    #[command(subcommand)]
    hidden: Option<Hidden>,
}

#[derive(Subcommand, Debug)]
enum Hidden {
    /// The answering process.
    #[command(hide = true)]
    Peer(peer::PeerArgs),
    /// One tiny measurement of everything.
    #[command(hide = true)]
    Smoke,
}

const FAILED: u8 = 1;
const UNSUITED: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Hidden::Peer(args)) = &cli.hidden {
        return ended("the answering process", peer::run(args));
    }
    let machine = match interrupt::clean_up_on_signals().and_then(|()| Machine::prepare()) {
        Ok(machine) => machine,
        Err(error) => {
            eprintln!("this machine cannot run the comparison, which takes two CPUs: {error}");
            return UNSUITED.into();
        }
    };
    if let Some(Hidden::Smoke) = cli.hidden {
        return ended("smoke", smoke::run(&machine));
    }
    match compare(&cli, &machine) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("{failures} measurements failed; their rows or columns are missing");
            FAILED.into()
        }
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => ended("compare", Err(error)),
    }
}

fn ended<E: std::fmt::Display>(who: &str, result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{who}: {error}");
            FAILED.into()
        }
    }
}

/// Runs the groups asked for and returns the number of failed measurements.
fn compare(cli: &Cli, machine: &Machine) -> io::Result<u32> {
    let groups =
        cli.group.map_or(vec![Group::InProcess, Group::Hosted, Group::Serialization], |group| vec![group]);
    let effort = if cli.quick { Effort::QUICK } else { Effort::FULL };
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "CPUs {} and {}, {:.4} TSC cycles per ns (calibrated), {} round(s) of {} ms per subject",
        machine.first_cpu,
        machine.second_cpu,
        machine.cycles_per_ns,
        effort.rounds,
        effort.budget.as_millis(),
    )?;
    writeln!(
        out,
        "Payload written and read in full by both sides. Values are medians. Probe: one bare cache line, cycles, round trip. (busy): others had the CPUs for \
         over a fifth of the time, and nothing is said about the target."
    )?;
    let mut failures = 0;
    for group in groups {
        let (rows, failed) = run(group, machine, effort)?;
        failures += failed;
        let path = write_json(&cli.out, group, &rows)?;
        write!(out, "{}", row::to_table(group.name(), &rows))?;
        writeln!(out, "rows written to {}", path.display())?;
    }
    Ok(failures)
}

fn run(group: Group, machine: &Machine, effort: Effort) -> io::Result<(Vec<row::Row>, u32)> {
    let (mut rows, mut failures) = (vec![], 0);
    let cases = group.cases();
    for (index, case) in cases.iter().enumerate() {
        let mut progress = |line: &str| eprintln!("[{} {}/{}] {line}", group.name(), index + 1, cases.len());
        let outcome = case.run(machine, effort, &mut progress)?;
        rows.extend(outcome.rows);
        failures += outcome.failures;
    }
    Ok((rows, failures))
}

fn write_json(folder: &Path, group: Group, rows: &[row::Row]) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.json", group.name()));
    std::fs::write(&path, format!("{:#}\n", row::to_json(group.name(), rows)))?;
    Ok(path)
}
