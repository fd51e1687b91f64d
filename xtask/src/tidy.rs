//! `tidy`: the rules of the architecture that no compiler checks.
//!
//! Every rule is a pure function from facts to findings; [`facts`] reads them from the checkout.

mod core_crates;
mod exceptions;
mod facts;
mod files;
mod layers;
mod packages;
mod unsafe_code;

use crate::context::{Context, Failure};
use crate::run;
use facts::Facts;

/// Checks layers, towers, unsafe code, file sizes, documentation and `no_std`, as ARCHITECTURE.md states them.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Something a rule has to say about the checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Makes the check fail.
    Error(String),
    /// Is only shown.
    Warning(String),
}

/// The subcommand.
pub(crate) fn run(context: &Context, _args: &Args) -> Result<(), Failure> {
    check(context)
}

/// Applies every rule and prints what they find.
///
/// # Errors
///
/// When there is a finding that is more than a warning.
pub(crate) fn check(context: &Context) -> Result<(), Failure> {
    let facts = Facts::read(context)?;
    let findings = all(&facts);
    let mut errors = 0;
    for finding in &findings {
        match finding {
            Finding::Warning(text) => run::print(&format!("warning: {text}\n")),
            Finding::Error(text) => {
                errors += 1;
                run::print(&format!("error: {text}\n"));
            }
        }
    }
    run::print(&format!("{} packages and {} files looked at\n", facts.packages.len(), facts.files.len()));
    if errors == 0 { Ok(()) } else { Err(Failure::Failed(format!("tidy has {errors} errors"))) }
}

fn all(facts: &Facts) -> Vec<Finding> {
    [
        layers::check(&facts.packages),
        packages::check(facts),
        core_crates::check(facts),
        unsafe_code::check(facts, exceptions::UNSAFE),
        files::check(facts, exceptions::LONG),
    ]
    .concat()
}
