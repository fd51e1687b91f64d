//! `schemas`: keeps `schemas/*.capnp.request` and `schemas/hashes` in step with `schemas/*.capnp`.
//!
//! Builds read the requests, so that nobody needs the `capnp` tool; see `schemas/README.md`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::context::{Context, Failure};
use crate::jobs::Outcome;
use crate::{run, tools};

const REMEDY: &str = "run `cargo xtask schemas` and commit what it writes";

/// Regenerates what builds read of the schemas, or checks that nothing drifted.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Writes nothing; fails when a schema, its request and the hashes do not agree.
    #[arg(long)]
    check: bool,
}

/// A schema and its compiled request.
struct Pair {
    name: String,
    schema: Vec<u8>,
    request: Vec<u8>,
}

/// Regenerates or checks.
pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    tools::ensure(context, tools::CAPNP)?;
    if args.check { check_all(context) } else { regenerate(context) }
}

/// The check as a job: without the tool the hashes are still compared.
pub(crate) fn job(context: &Context) -> Result<Outcome, Failure> {
    match tools::ensure(context, tools::CAPNP) {
        Ok(()) => check_all(context).map(|()| Outcome::Passed),
        Err(missing) => {
            check_hashes(context)?;
            Ok(Outcome::Skipped(format!("the hashes agree, but nothing was regenerated: {missing}")))
        }
    }
}

fn regenerate(context: &Context) -> Result<(), Failure> {
    let folder = context.root.join("schemas");
    let mut pairs = Vec::new();
    for name in names(&folder)? {
        let schema = read(&schema_path(&folder, &name))?;
        let request = compile(context, &name)?;
        write(&request_path(&folder, &name), &request)?;
        pairs.push(Pair { name, schema, request });
    }
    write(&folder.join("hashes"), hashes(&pairs).as_bytes())?;
    run::print(&format!("{} requests and their hashes written to schemas/\n", pairs.len()));
    Ok(())
}

fn check_all(context: &Context) -> Result<(), Failure> {
    let pairs = check_hashes(context)?;
    for pair in &pairs {
        if compile(context, &pair.name)? != pair.request {
            return check_generated_code(context);
        }
    }
    run::print(&format!("{} schemas, their requests and their hashes agree\n", pairs.len()));
    Ok(())
}

/// Requests of two versions of the tool may differ where the code made of them does not: the crate's own test decides.
fn check_generated_code(context: &Context) -> Result<(), Failure> {
    let mut test = context.cargo();
    test.args(["test", "--package", "feuerbird-serialization", "--test", "schemas"]);
    run::run(&mut test).map_err(|failure| Failure::Failed(format!("{failure}\na schema drifted: {REMEDY}")))
}

fn check_hashes(context: &Context) -> Result<Vec<Pair>, Failure> {
    let folder = context.root.join("schemas");
    let mut pairs = Vec::new();
    for name in names(&folder)? {
        let schema = read(&schema_path(&folder, &name))?;
        let request = read(&request_path(&folder, &name))?;
        pairs.push(Pair { name, schema, request });
    }
    compare(&read(&folder.join("hashes"))?, &pairs).map_err(Failure::Failed)?;
    Ok(pairs)
}

fn compare(written: &[u8], pairs: &[Pair]) -> Result<(), String> {
    let expected = hashes(pairs);
    if written == expected.as_bytes() {
        return Ok(());
    }
    Err(format!("schemas/hashes does not fit the schemas and requests: {REMEDY}; it should read\n{expected}"))
}

/// A line for each schema: name, hash of the schema, hash of the request.
fn hashes(pairs: &[Pair]) -> String {
    let mut text = String::new();
    for pair in pairs {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {:016x} {:016x}", pair.name, fnv(&pair.schema), fnv(&pair.request));
    }
    text
}

/// FNV-1a, 64 bits: against accidents, not against anyone.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn compile(context: &Context, name: &str) -> Result<Vec<u8>, Failure> {
    let mut command = context.command(tools::CAPNP.program);
    command.current_dir(context.root.join("schemas")).args(["compile", "-o-"]).arg(format!("{name}.capnp"));
    run::output(&mut command)
}

fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| Failure::io(folder.display(), &error))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".capnp").map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

fn schema_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.capnp"))
}

fn request_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.capnp.request"))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::io(format!("{}; {REMEDY}", path.display()), &error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::io(path.display(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(schema: &str) -> Pair {
        Pair { name: "sample".to_owned(), schema: schema.into(), request: b"request".to_vec() }
    }

    #[test]
    fn hashes_are_fnv_1a() {
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn a_changed_schema_is_noticed_and_the_message_says_what_to_do() {
        let written = hashes(&[pair("struct A {}")]);
        assert_eq!(compare(written.as_bytes(), &[pair("struct A {}")]), Ok(()));
        let message = compare(written.as_bytes(), &[pair("struct B {}")]).unwrap_err();
        assert!(message.contains("cargo xtask schemas"), "{message}");
    }

    #[test]
    fn the_checked_in_hashes_fit() {
        assert!(!check_hashes(&Context::new(true)).unwrap().is_empty());
    }
}
