//! Processes that do not trust each other exchange numbered messages at memory speed, and every one is accounted for.
//!
//! What you will see: how far the time stamp counter is calibrated; live statistics while producers and consumers work,
//! once for each level of trust (the kernel's, a LibOS's, a stranger's), whose messages travel Raw, in Cap'n Proto Lite and
//! in Cap'n Proto Full; for each a proof, counted from the marks that the consumers made, that no message was lost, came
//! twice or was altered; and a table that compares the three.
//!
//! `--kill` kills a producer and a consumer at random moments; `--cheat` starts a hostile program and shows what stops it;
//! `--threads` does the work within one domain; `--help` says the rest.
#![forbid(unsafe_code)]

mod args;
mod json;
mod kill;
mod live;
mod results;
mod run;
mod team;
mod work;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, error::ErrorKind};
use feuerbird::{
    hosted::os::{
        clock::{self, Calibration},
        signal,
    },
    serialization::Layer,
};
use feuerbird_demos::cheat;
use feuerbird_demos_worker::{Plan, Random, Role};

use crate::{args::Args, kill::Killer, results::Results, run::Watch, team::Team};

/// As a shell says it of a program that SIGINT has ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    // The workers and the attackers arrive here, too: they are this same program.
    let (result, who) = match std::env::var(cheat::ROLE_VARIABLE) {
        Err(_) => (demonstrate(&arguments()), "producer-consumer".to_owned()),
        Ok(role) => {
            (child(&role).map(|()| ExitCode::SUCCESS), format!("{role} (process {})", std::process::id()))
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("{who}: {error:#}");
        ExitCode::FAILURE
    })
}

fn arguments() -> Args {
    let args = Args::parse();
    if let Err(error) = args.check() {
        Args::command().error(ErrorKind::ValueValidation, error).exit();
    }
    args
}

fn child(role: &str) -> anyhow::Result<()> {
    match role {
        "producer" => work::as_process(Role::Producer),
        "consumer" => work::as_process(Role::Consumer),
        role if role.starts_with("cheat-") => cheat::child(role),
        _ => anyhow::bail!("no such role"),
    }
}

fn demonstrate(args: &Args) -> anyhow::Result<ExitCode> {
    signal::watch()?;
    let calibration = Calibration::measure();
    eprintln!(
        "clock: {calibration}; latencies are from a message's making to its handling, in time and in cycles"
    );
    let mut results = Results::default();
    if args.cheat {
        results.attempts = cheat(args)?;
    } else {
        exchange(args, calibration, &mut results)?;
    }
    finish(args, calibration, &results)
}

/// Runs the layers one after the other.
fn exchange(args: &Args, calibration: Calibration, results: &mut Results) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(clock::now_ns);
    if args.kill {
        eprintln!("kill: --seed {seed} repeats these victims and moments");
    }
    let mut random = Random::new(seed);
    let domain = feuerbird::embedded()?;
    for trust in args.trusts() {
        if signal::interrupted() {
            break;
        }
        let team =
            if args.threads { Team::of_threads(args)? } else { Team::of_processes(&domain, args, trust)? };
        announce(args, trust, &team);
        let killer = if args.kill {
            Killer::new(Plan::new(&mut random, args.producers, args.consumers))
        } else {
            Killer::default()
        };
        let outcome = Watch::new(args, team, killer, calibration).run(trust)?;
        let proof = format!("{}: {}\n", outcome.layer, results::proof(&outcome));
        if args.json {
            eprint!("{proof}")
        } else {
            say(&proof)?
        }
        results.outcomes.push(outcome);
    }
    Ok(())
}

fn announce(args: &Args, trust: feuerbird::prelude::Trust, team: &Team) {
    let who = if args.threads {
        "threads of one domain".to_owned()
    } else {
        format!("processes, producers trusted 0x{:X}", trust.level())
    };
    let Args { producers, consumers, size, .. } = args;
    eprintln!(
        "{}: {producers} producers, {consumers} consumers, {who}; payload {size} B",
        Layer::for_trust(trust)
    );
    if let Some(sandbox) = &team.sandbox {
        eprintln!("  sandbox of the producers: {}", sandbox.replace('\n', "; "));
    }
}

fn cheat(args: &Args) -> anyhow::Result<Vec<cheat::Attempt>> {
    cheat::run(&mut |attempt| {
        let line = match &attempt.stopped_by {
            Some(what) => format!("{}: stopped by {what}\n", attempt.attempt),
            None => format!("{}: NOT STOPPED\n", attempt.attempt),
        };
        if !args.json {
            // A closed standard output is found out at the end.
            let _ = say(&line);
        }
    })
}

/// Prints what is to be compared, and says how it went.
fn finish(args: &Args, calibration: Calibration, results: &Results) -> anyhow::Result<ExitCode> {
    if args.json {
        say(&(json::line(results, args.size, calibration)? + "\n"))?;
    } else if !results.outcomes.is_empty() {
        say(&format!("\n{}", results.table(args.size, calibration)))?;
    }
    Ok(match (signal::interrupted(), results.is_proven()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// Writes to standard output. A reader that has gone away has seen enough.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
