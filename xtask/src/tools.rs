//! Tools that a task needs and a fresh machine may lack: found, or installed from Debian's packages.

use std::io::IsTerminal;

use crate::context::{Context, Failure};
use crate::run;

/// A program, and where Debian and Ubuntu have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    /// Arguments with which it ends well only where all of it is there.
    proof: &'static [&'static str],
    package: &'static str,
    why: &'static str,
}

/// The schema compiler.
pub(crate) const CAPNP: Tool = Tool {
    program: "capnp",
    proof: &["--version"],
    package: "capnproto",
    why: "it turns schemas/*.capnp into the requests that builds read",
};

/// The emulator that the kernel runs in.
pub(crate) const QEMU: Tool = Tool {
    program: "qemu-system-x86_64",
    proof: &["--version"],
    package: "qemu-system-x86",
    why: "the kernel boots in it",
};

/// What makes a Python of its own for a test. Debian's Python has the module `venv` without what it needs.
pub(crate) const VENV: Tool = Tool {
    program: "python3",
    proof: &["-c", "import ensurepip, venv"],
    package: "python3-venv",
    why: "the peers of a test go into a Python environment of their own, under target/",
};

/// What decides how a missing tool can be had.
#[derive(Debug, Clone, Copy)]
struct Machine {
    offline: bool,
    has_apt: bool,
    is_root: bool,
    has_sudo: bool,
    has_terminal: bool,
}

/// Finds the tool, or installs its package after saying what and why.
///
/// # Errors
///
/// [`Failure::ToolMissing`] with what a person can do, when it is not there and cannot be had.
pub(crate) fn ensure(context: &Context, tool: Tool) -> Result<(), Failure> {
    if is_there(context, tool) {
        return Ok(());
    }
    let machine = Machine {
        offline: context.offline,
        has_apt: run::succeeds(context.command("apt-get").arg("--version")),
        is_root: run::output(context.command("id").arg("-u")).is_ok_and(|id| id.trim_ascii() == b"0"),
        has_sudo: run::succeeds(context.command("sudo").arg("--version")),
        has_terminal: std::io::stdin().is_terminal(),
    };
    let prefix = plan(tool, machine).map_err(Failure::ToolMissing)?;
    eprintln!("installing Debian's package `{}` for `{}`: {}", tool.package, tool.program, tool.why);
    let steps: [&[&str]; 2] = [&["update"], &["install", "--yes", "--no-install-recommends", tool.package]];
    for step in steps {
        let words = [prefix, &["apt-get"], step].concat();
        let mut command = context.command(words[0]);
        // An index that cannot be brought up to date may still have the package; the end is judged by the tool.
        let _ = run::run(command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive"));
    }
    if is_there(context, tool) {
        return Ok(());
    }
    Err(Failure::ToolMissing(format!("installing `{}` did not help; {}", tool.package, advice(tool))))
}

fn is_there(context: &Context, tool: Tool) -> bool {
    run::succeeds(context.command(tool.program).args(tool.proof))
}

/// The words to put before `apt-get`, or why it cannot be used.
fn plan(tool: Tool, machine: Machine) -> Result<&'static [&'static str], String> {
    let lacking = format!("`{}` is missing ({})", tool.program, tool.why);
    if machine.offline {
        return Err(format!("{lacking} and --offline forbids installing it; {}", advice(tool)));
    }
    if !machine.has_apt {
        return Err(format!("{lacking} and there is no apt-get here; {}", advice(tool)));
    }
    match machine {
        Machine { is_root: true, .. } => Ok(&[]),
        Machine { has_sudo: true, has_terminal: true, .. } => Ok(&["sudo"]),
        // Nobody could type a password.
        Machine { has_sudo: true, .. } => Ok(&["sudo", "-n"]),
        _ => Err(format!("{lacking}, and installing takes root or sudo; {}", advice(tool))),
    }
}

fn advice(tool: Tool) -> String {
    format!("as root: apt-get install {}", tool.package)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Machine =
        Machine { offline: false, has_apt: true, is_root: false, has_sudo: true, has_terminal: true };

    #[test]
    fn rights_decide_how_apt_is_called() {
        assert_eq!(plan(CAPNP, Machine { is_root: true, ..FRESH }).unwrap(), [""; 0]);
        assert_eq!(plan(CAPNP, FRESH).unwrap(), ["sudo"]);
        assert_eq!(plan(CAPNP, Machine { has_terminal: false, ..FRESH }).unwrap(), ["sudo", "-n"]);
    }

    #[test]
    fn a_refusal_names_the_tool_the_reason_and_the_way_out() {
        let refused = [
            Machine { offline: true, is_root: true, ..FRESH },
            Machine { has_apt: false, ..FRESH },
            Machine { has_sudo: false, ..FRESH },
        ];
        for (machine, reason) in refused.into_iter().zip(["--offline", "no apt-get", "root or sudo"]) {
            let message = plan(CAPNP, machine).unwrap_err();
            for part in ["`capnp`", reason, "apt-get install capnproto"] {
                assert!(message.contains(part), "{message}");
            }
        }
    }

    #[test]
    fn offline_installs_nothing() {
        let tool = Tool { program: "there-is-no-such-program", ..CAPNP };
        assert!(matches!(ensure(&Context::new(true), tool), Err(Failure::ToolMissing(_))));
    }

    #[test]
    fn a_tool_that_lacks_a_part_is_missing() {
        let shell = |script| Tool { program: "sh", proof: script, ..VENV };
        assert!(ensure(&Context::new(true), shell(&["-c", "exit 0"])).is_ok());
        let refused = ensure(&Context::new(true), shell(&["-c", "exit 1"])).unwrap_err().to_string();
        assert!(refused.contains("apt-get install python3-venv"), "{refused}");
    }
}
