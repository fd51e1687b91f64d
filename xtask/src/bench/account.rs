//! `bench kernel --account`: what the instructions of a path are. The program that steps through them is `xtask/account`.

use std::process::Command;

use super::kernel::Count;
use crate::context::{Context, Failure};
use crate::qemu;
use crate::run;

/// Where the accounts of what does not reach its target are kept, from the root.
pub(super) const KEPT: &str = "kernel/accounts.txt";

/// Longer ones are not kept: a loop over the same, and a minute to step through.
pub(super) const LONGEST_KEPT: u64 = 10_000;

/// What the file says of itself.
const HEAD: &str = "\
# Where the instructions of the paths go that do not reach their targets: `cargo xtask bench kernel --bless` writes this file from a
# trace, and `cargo xtask bench kernel --account NAME` prints the same of any path. First what a part is for, then how many of its
# instructions each function has. Parts come in the order in which they begin; a tool (a table, the clock) is part of who uses it.
";

/// The accounts of paths, and before each its instructions if that is asked for.
pub(super) fn accounts(context: &Context, paths: &[Count], has_listing: bool) -> Result<String, Failure> {
    let folder = qemu::build(context)?;
    run::run(&mut package(context, "build"))?;
    let mut command = package(context, "run");
    command.arg("--").arg("--kernel").arg(folder.join(qemu::KERNEL));
    command.arg("--programs").arg(folder.join(qemu::PROGRAMS)).arg("--root").arg(&context.root);
    for (path, count) in paths {
        command.args(["--path", &format!("{path}={count}")]);
    }
    if has_listing {
        command.arg("--listing");
    }
    let said = run::output(command.arg("--").args(qemu::stepped_machine(&folder)))?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn package(context: &Context, task: &str) -> Command {
    let mut command = context.cargo();
    command.args([task, "--quiet", "--package", "feuerbird-account"]);
    command
}

/// Keeps the accounts of what does not reach its target.
pub(super) fn keep(context: &Context, paths: &[Count]) -> Result<(), Failure> {
    let text = format!("{HEAD}\n{}", accounts(context, paths, false)?);
    std::fs::write(context.root.join(KEPT), text)
        .map_err(|error| Failure::io(format!("cannot write {KEPT}"), &error))
}

/// The figures of the accounts that are kept.
#[cfg(test)]
pub(super) fn kept(context: &Context) -> Vec<Count> {
    let text = std::fs::read_to_string(context.root.join(KEPT)).unwrap();
    let figure = |line: &str| {
        let (path, count) = line.split_once(" instructions, and ")?.0.rsplit_once(": ")?;
        Some((path.to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(figure).collect()
}
