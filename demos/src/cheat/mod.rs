//! A hostile program, and what stops it.
//!
//! Each attempt runs three processes: the victim (this one) receives, an honest child sends, and a hostile child tries one
//! thing. The hostile child uses none of our libraries' manners: it speaks to its gate by hand and owns the memory that the
//! victim reads (file `client.rs`). What stopped it is what was seen, by it or by the victim; nothing is assumed.
//!
//! A child is started as this same program with its role in the environment variable [`ROLE_VARIABLE`]; roles that start with
//! `cheat-` come to [`child`].

mod attempts;
mod client;
mod run_queue;
mod scribble;
mod victim;

use std::process::Command;

use anyhow::Context;
use feuerbird::hosted::os::signal;

/// The environment variable that tells a child of the demo what it is.
pub const ROLE_VARIABLE: &str = "FEUERBIRD_DEMO_ROLE";

/// One thing that was tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What was tried.
    pub attempt: &'static str,
    /// What stopped it; `None` where nothing did.
    pub stopped_by: Option<String>,
}

/// Tries everything; `progress` sees each attempt when it is over. Ends early where the program was interrupted.
///
/// # Errors
/// Where an attempt could not be made at all.
pub fn run(progress: &mut dyn FnMut(&Attempt)) -> anyhow::Result<Vec<Attempt>> {
    let program = std::env::current_exe().context("where is this program?")?;
    run_as(&|| Command::new(&program), progress)
}

/// As [`run`], with children started by `program`, which hands its role on to [`child`].
///
/// # Errors
/// Where an attempt could not be made at all.
pub fn run_as(
    program: &dyn Fn() -> Command,
    progress: &mut dyn FnMut(&Attempt),
) -> anyhow::Result<Vec<Attempt>> {
    let domain = feuerbird::embedded()?;
    let mut attempts = Vec::new();
    for plan in victim::PLANS {
        let stopped_by = victim::suffer(&domain, plan, program).with_context(|| plan.attempt)?;
        // What was cut short says nothing.
        if signal::interrupted() {
            break;
        }
        let attempt = Attempt { attempt: plan.attempt, stopped_by };
        progress(&attempt);
        attempts.push(attempt);
    }
    Ok(attempts)
}

/// What a child with a role of `cheat-` does.
///
/// # Errors
/// Where it cannot do it.
pub fn child(role: &str) -> anyhow::Result<()> {
    if role == victim::HONEST { victim::be_honest() } else { attempts::attempt(role) }
}
