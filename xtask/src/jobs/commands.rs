//! The jobs that are commands of the Rust tools.

use std::process::Command;

use super::Outcome;
use crate::context::{Context, Failure};
use crate::metadata::{Package, Workspace};
use crate::run;

type JobResult = Result<Outcome, Failure>;

/// What core crates and the kernel are built for.
pub(crate) const BARE_TARGET: &str = "x86_64-unknown-none";

/// The tests of the heap-backed regions, pools and lanes: what Miri can follow, and where the unsafe code is. The codec has none of
/// its own, but what it is made of has: zerocopy and the `capnp` crate.
const UNDER_MIRI: [(&str, &[&str]); 3] = [
    ("feuerbird-zero-copy", &["pool", "returns"]),
    ("feuerbird-channel", &["lane", "hostile", "revoked"]),
    ("feuerbird-serialization", &["corners", "evolution", "known_bugs"]),
];

/// Tests that take Miri more than minutes; what they repeat in loops is in the others once.
const TOO_LONG_FOR_MIRI: [&str; 4] = [
    "no_word_of_a_",
    "random_scribbling_never_gets_through",
    "keeps_order_and_content_across_threads",
    "the_types_of_the_capnp_crate_read_every_segment",
];

fn passed(command: &mut Command) -> JobResult {
    run::run(command).map(|()| Outcome::Passed)
}

pub(super) fn fmt(context: &Context) -> JobResult {
    passed(context.cargo().args(["fmt", "--all", "--check"]))
}

pub(super) fn clippy(context: &Context) -> JobResult {
    passed(context.cargo().args(["clippy", "--all-targets", "--", "--deny", "warnings"]))
}

pub(super) fn docs(context: &Context) -> JobResult {
    passed(context.cargo().args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

pub(super) fn test(context: &Context) -> JobResult {
    passed(context.cargo().args(["test", "--no-fail-fast"]))
}

pub(super) fn benches(context: &Context) -> JobResult {
    let of_crates = run::run(context.cargo().args(["test", "--benches", "--no-fail-fast"]));
    // The comparisons are no default member, so that nobody builds the rivals who does not want them: no other job looks here.
    let package = ["--package", "feuerbird-benches"];
    run::run(context.cargo().arg("clippy").args(package).args([
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    run::run(context.cargo().arg("test").args(package).arg("--no-fail-fast"))?;
    of_crates.map(|()| Outcome::Passed)
}

pub(super) fn bare(context: &Context) -> JobResult {
    if let Err(reason) = ensure_bare_target(context) {
        return Ok(Outcome::Skipped(reason));
    }
    let workspace = Workspace::load(context)?;
    // One by one: built together, a crate would get the features that another one asks of a dependency of both.
    for package in workspace.packages.iter().filter(|package| package.is_core()) {
        run::run(context.cargo().args(["build", "--target", BARE_TARGET, "--package", &package.name]))?;
    }
    Ok(Outcome::Passed)
}

pub(crate) fn ensure_bare_target(context: &Context) -> Result<(), String> {
    if has_bare_target(context) {
        return Ok(());
    }
    if context.offline {
        return Err(format!("the target {BARE_TARGET} is missing and --offline forbids `rustup target add`"));
    }
    eprintln!("adding the Rust target {BARE_TARGET}: core crates must build without an operating system");
    let added = run::run(context.command("rustup").args(["target", "add", BARE_TARGET]));
    if has_bare_target(context) {
        return Ok(());
    }
    let why = added.err().map_or_else(|| "it did not help".to_owned(), |failure| failure.to_string());
    Err(format!("the target {BARE_TARGET} is missing and could not be added: {why}"))
}

fn has_bare_target(context: &Context) -> bool {
    let mut rustc = context.command("rustc");
    let folder = run::output(rustc.args(["--print", "target-libdir", "--target", BARE_TARGET]));
    folder.is_ok_and(|path| std::path::Path::new(String::from_utf8_lossy(&path).trim()).exists())
}

/// Every package that has a test target named `loom_...`.
pub(super) fn loom(context: &Context) -> JobResult {
    let workspace = Workspace::load(context)?;
    let mut modelled = workspace
        .packages
        .iter()
        .filter(|package| package.targets_of("test").any(|target| target.name.starts_with("loom_")))
        .peekable();
    if modelled.peek().is_none() {
        return Err(Failure::Failed("no package has a test named loom_*".to_owned()));
    }
    let mut command = context.cargo();
    command.args(["test", "--no-fail-fast"]).args(selection(modelled)).args(["--test", "loom_*"]);
    // Its own folder: the flag would otherwise throw away everything that the other jobs built.
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", workspace.target_directory.join("loom"));
    // The models run for seconds, while optimising what the other tests depend on takes minutes.
    command.env("CARGO_PROFILE_TEST_DEBUG", "0").env("CARGO_PROFILE_TEST_OPT_LEVEL", "0");
    passed(&mut command)
}

pub(super) fn miri(context: &Context) -> JobResult {
    if let Err(reason) = ensure_miri(context) {
        return Ok(Outcome::Skipped(reason));
    }
    let target = Workspace::load(context)?.target_directory.join("miri");
    // One by one: a name of a test selects it in every package of a command.
    for (package, tests) in UNDER_MIRI {
        let mut command = nightly_cargo(context);
        command.args(["miri", "test", "--no-fail-fast", "--package", package]);
        tests.iter().for_each(|test| {
            command.args(["--test", test]);
        });
        command.arg("--");
        TOO_LONG_FOR_MIRI.iter().for_each(|test| {
            command.args(["--skip", test]);
        });
        // Interpreting the unwinder for the sake of a panic that a test expects takes longer than the test.
        command.env("RUST_BACKTRACE", "0");
        // The tests read the clock for their deadlines.
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("CARGO_TARGET_DIR", &target);
        run::run(&mut command)?;
    }
    Ok(Outcome::Passed)
}

/// The `cargo` of the nightly toolchain, also when this program was started by another toolchain's.
pub(super) fn nightly_cargo(context: &Context) -> Command {
    let mut command = context.command("rustup");
    command.args(["run", "nightly", "cargo"]).env_remove("CARGO").env_remove("RUSTC");
    command
}

fn ensure_miri(context: &Context) -> Result<(), String> {
    if has_miri(context) {
        return Ok(());
    }
    if context.offline {
        return Err("Miri is missing and --offline forbids installing it".to_owned());
    }
    eprintln!("installing Miri with the nightly toolchain: it finds undefined behaviour in unsafe code");
    let has_nightly = run::succeeds(context.command("rustup").args(["run", "nightly", "rustc", "--version"]));
    let words: &[&str] = if has_nightly {
        &["component", "add", "--toolchain", "nightly", "miri", "rust-src"]
    } else {
        &["toolchain", "install", "nightly", "--profile", "minimal", "--component", "miri,rust-src"]
    };
    let installed = run::run(context.command("rustup").args(words));
    if has_miri(context) {
        return Ok(());
    }
    let why = installed.err().map_or_else(|| "it did not help".to_owned(), |failure| failure.to_string());
    Err(format!("Miri is missing and could not be installed: {why}"))
}

fn has_miri(context: &Context) -> bool {
    run::succeeds(nightly_cargo(context).args(["miri", "--version"]))
}

fn selection<'a>(packages: impl Iterator<Item = &'a Package>) -> Vec<&'a str> {
    packages.flat_map(|package| ["--package", &package.name]).collect()
}
