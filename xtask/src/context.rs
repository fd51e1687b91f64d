//! Where the checkout is, how commands are started in it, and how a task fails.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

/// What every task needs to know.
#[derive(Debug)]
pub(crate) struct Context {
    /// The root of the checkout.
    pub(crate) root: PathBuf,
    /// Nothing may be installed or downloaded.
    pub(crate) offline: bool,
}

impl Context {
    /// A context for the checkout this program was started from by `cargo`, or else built in.
    pub(crate) fn new(offline: bool) -> Self {
        let own = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = own.parent().map_or_else(|| own.clone(), PathBuf::from);
        Self { root, offline }
    }

    /// A command in the root, without the variables that `cargo run` set for this program only.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|own| name_text.starts_with(own)) {
                command.env_remove(&name);
            }
        }
        if self.offline {
            command.env("CARGO_NET_OFFLINE", "true");
        }
        command
    }

    /// The same `cargo` that built this program.
    pub(crate) fn cargo(&self) -> Command {
        self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }
}

/// Why a task ended without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A check or a command failed.
    Failed(String),
    /// The command line named something that is not there.
    Usage(String),
    /// A tool is missing and could not be had.
    ToolMissing(String),
}

impl Failure {
    /// The exit code, as the help text documents it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::ToolMissing(_) => 3,
        }
    }

    /// A failure to do something to a file or a program.
    pub(crate) fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Usage(text) | Self::ToolMissing(text) => formatter.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_the_help_documents() {
        let failures = [Failure::Failed, Failure::Usage, Failure::ToolMissing]
            .map(|make| make(String::new()).exit_code());
        assert_eq!(failures, [1, 2, 3]);
    }

    #[test]
    fn the_root_has_the_workspace_manifest() {
        assert!(Context::new(false).root.join("Cargo.lock").exists());
    }
}
