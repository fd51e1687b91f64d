//! The job `interop`: other implementations of Cap'n Proto read our messages and we theirs.

use std::path::Path;

use super::Outcome;
use crate::context::{Context, Failure};
use crate::metadata::Workspace;
use crate::{run, tools};

/// The C++ library for Python; its wheels have all they need in them.
const PACKAGE: &str = "pycapnp>=2,<3";
/// What tells the test which Python has it.
const VARIABLE: &str = "FEUERBIRD_PYCAPNP_PYTHON";
/// What makes a test fail that would be left out: the job has seen to it that nothing is missing.
const DEMANDED: &str = "FEUERBIRD_DEMAND_PEERS";

pub(super) fn run(context: &Context) -> Result<Outcome, Failure> {
    let mut test = context.cargo();
    // Of the whole workspace, so that what the job `test` has built is used again: its features are those of all members.
    test.args(["test", "--test", "interop", "--test", "random_schemas", "--test", "schemas"]);
    let workspace = Workspace::load(context)?;
    let environment = workspace.target_directory.join("pycapnp");
    let lacking: Vec<String> = [
        tools::ensure(context, tools::CAPNP).err().map(|failure| failure.to_string()),
        ensure_pycapnp(context, &environment).err(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let python = environment.join("bin/python");
    if has_pycapnp(context, &python) {
        test.env(VARIABLE, python);
    }
    if lacking.is_empty() {
        test.env(DEMANDED, "1");
    }
    // What is there is tested, whatever else is missing.
    run::run(&mut test)?;
    if lacking.is_empty() { Ok(Outcome::Passed) } else { Ok(Outcome::Skipped(lacking.join("; "))) }
}

/// Makes an environment of its own under `target/`, so that nothing of the machine's Python changes.
fn ensure_pycapnp(context: &Context, environment: &Path) -> Result<(), String> {
    let python = environment.join("bin/python");
    if has_pycapnp(context, &python) {
        return Ok(());
    }
    let lacking = "the live peer was left out: there is no Python with pycapnp";
    if context.offline {
        return Err(format!("{lacking}, and --offline forbids installing it"));
    }
    tools::ensure(context, tools::VENV).map_err(|failure| format!("{lacking}: {failure}"))?;
    eprintln!(
        "installing {PACKAGE} from Python's package registry in {}: it is the peer of this test",
        environment.display()
    );
    let mut make = context.command("python3");
    let made = run::run(make.args(["-m", "venv"]).arg(environment)).and_then(|()| {
        let words =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
        run::run(context.command(&python).args(words).arg(PACKAGE))
    });
    made.map_err(|failure| format!("{lacking}, and it could not be installed: {failure}"))
}

fn has_pycapnp(context: &Context, python: &Path) -> bool {
    run::succeeds(context.command(python).args(["-c", "import capnp"]))
}
