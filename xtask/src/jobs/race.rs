//! The job `race`: messages are read in memory that another thread scribbles over, for ten seconds in each format and at each level of
//! optimisation that the crate is built with anywhere.
//!
//! What a compiler may do with reads of memory that changes depends on how hard it tries, so one level proves nothing of another.

use super::Outcome;
use crate::context::{Context, Failure};
use crate::run;

const PACKAGE: &str = "feuerbird-serialization";
const TEST: &str = "racing_writer";
/// The variable that makes the test take ten seconds for each format.
const LONG: &str = "FEUERBIRD_LONG";
/// Of `dev`, of `test` elsewhere in the workspace, and of `test` for the crate itself.
const LEVELS: [u8; 3] = [0, 1, 3];

pub(super) fn run(context: &Context) -> Result<Outcome, Failure> {
    for level in LEVELS {
        eprintln!("racing for ten seconds in each format at optimisation level {level}");
        // The crate's own level alone: what it depends on is built already.
        let profile = format!("profile.test.package.{PACKAGE}.opt-level={level}");
        race(context, &["--config", &profile])?;
    }
    eprintln!("racing for ten seconds in each format in the release profile");
    race(context, &["--release"])?;
    Ok(Outcome::Passed)
}

fn race(context: &Context, profile: &[&str]) -> Result<(), Failure> {
    let mut test = context.cargo();
    test.args(["test", "--package", PACKAGE, "--test", TEST]).args(profile);
    run::run(test.env(LONG, "1"))
}
