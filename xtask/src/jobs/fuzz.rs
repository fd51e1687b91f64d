//! The job `fuzz`: each decoder on what a fuzzer makes of honest messages, for some seconds.
//!
//! Built as `cargo fuzz` builds its targets, so that nothing has to be installed but the nightly compiler; with `cargo fuzz` at hand,
//! `cargo fuzz run lite` in `crates/serialization`, say, runs one for as long as wanted.

use std::path::Path;

use super::{Outcome, commands::nightly_cargo};
use crate::context::{Context, Failure};
use crate::metadata::Workspace;
use crate::run;

/// The packages with targets, and these.
const PACKAGES: [(&str, &[&str]); 2] = [
    ("crates/boot/fuzz/Cargo.toml", &["pvh", "acpi", "numa", "sysfs", "elf"]),
    (
        "crates/serialization/fuzz/Cargo.toml",
        &[
            "raw",
            "lite",
            "full",
            "formats",
            "packed",
            "plain",
            "canonical",
            "capnp_types",
            "request",
            "messagepack",
            "protobuf",
            "flatbuffers",
        ],
    ),
];
/// Seconds for each.
const SECONDS: u32 = 10;
/// What libFuzzer and the address sanitizer need.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Zsanitizer=address";
/// The sanitizer's flags are for what is fuzzed, not for build scripts: that takes a target.
const HOST: &str = "x86_64-unknown-linux-gnu";

pub(super) fn run(context: &Context) -> Result<Outcome, Failure> {
    if let Err(reason) = ensure_nightly(context) {
        return Ok(Outcome::Skipped(reason));
    }
    let folder = Workspace::load(context)?.target_directory.join("fuzz");
    PACKAGES.iter().try_for_each(|(manifest, targets)| package(context, &folder, manifest, targets))?;
    Ok(Outcome::Passed)
}

fn package(context: &Context, folder: &Path, manifest: &str, targets: &[&str]) -> Result<(), Failure> {
    let manifest = context.root.join(manifest);
    let mut build = nightly_cargo(context);
    build.args(["build", "--release", "--bins", "--target", HOST, "--manifest-path"]).arg(&manifest);
    run::run(build.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", folder))?;
    let corpus = folder.join("corpus");
    // A seed that its target refuses at once seeds nothing.
    let mut tests = context.cargo();
    tests.args(["test", "--quiet", "--lib", "--manifest-path"]).arg(&manifest);
    run::run(tests.env("CARGO_TARGET_DIR", folder.join("seeds")))?;
    let mut seeds = context.cargo();
    seeds.args(["run", "--quiet", "--example", "seeds", "--manifest-path"]).arg(&manifest);
    run::run(seeds.env("CARGO_TARGET_DIR", folder.join("seeds")).arg("--").arg(&corpus))?;
    targets.iter().try_for_each(|target| fuzz(context, folder, &corpus, target))
}

fn fuzz(context: &Context, folder: &Path, corpus: &Path, target: &str) -> Result<(), Failure> {
    eprintln!("fuzzing {target} for {SECONDS} s");
    let mut program = context.command(folder.join(HOST).join("release").join(target));
    program.args([format!("-max_total_time={SECONDS}"), "-timeout=10".to_owned(), "-verbosity=0".to_owned()]);
    program.arg(format!("-artifact_prefix={}/", folder.display())).arg(corpus.join(target));
    run::run(&mut program)
}

fn ensure_nightly(context: &Context) -> Result<(), String> {
    let has = || run::succeeds(nightly_cargo(context).arg("--version"));
    if has() {
        return Ok(());
    }
    if context.offline {
        return Err("the nightly toolchain is missing and --offline forbids installing it".to_owned());
    }
    eprintln!("installing the nightly toolchain: only it builds with the sanitizer that fuzzing needs");
    let words = ["toolchain", "install", "nightly", "--profile", "minimal"];
    let installed = run::run(context.command("rustup").args(words));
    if has() {
        return Ok(());
    }
    let why = installed.err().map_or_else(|| "it did not help".to_owned(), |failure| failure.to_string());
    Err(format!("the nightly toolchain is missing and could not be installed: {why}"))
}
