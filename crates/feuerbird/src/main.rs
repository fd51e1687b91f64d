//! The command `feuerbird`: a supervisor on its own, and a message printed.
#![forbid(unsafe_code)]

mod print;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use feuerbird::hosted::{Policy, Supervisor, os};

/// Capability-secured inter-process communication at memory speed.
///
/// Exit codes: 0 done, 1 something failed, 2 wrong usage.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a supervisor that programs connect to.
    ///
    /// Who may connect, as what, and with which capabilities is the policy's to say; who somebody is, the kernel's
    /// (SO_PEERCRED). Ends with Ctrl-C: then every channel ends and every program is told, and nothing is left behind. The
    /// programs go on, without a supervisor.
    Supervise {
        /// Where to listen: the path of a Unix socket that is made, for its owner alone; or for every user, where the
        /// policy names users other than this one.
        #[arg(long)]
        socket: PathBuf,
        /// The policy, a TOML file.
        #[arg(long)]
        policy: PathBuf,
    },
    /// Print the message on standard input by its schema, as text or JSON.
    ///
    /// It is checked as it would be on receipt, so that a message that a program refuses is refused here with the reason.
    Print(print::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Supervise { socket, policy } => supervise(&socket, &policy),
        Command::Print(arguments) => print::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("feuerbird: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(socket: &std::path::Path, policy: &std::path::Path) -> anyhow::Result<()> {
    os::signal::watch()?;
    let policy = Policy::read(policy).with_context(|| policy.display().to_string())?;
    let is_for_all = policy.admits_others();
    let listener = os::socket::Listener::bind(socket).with_context(|| socket.display().to_string())?;
    let mut supervisor = Supervisor::alone(listener, policy)?;
    eprintln!("feuerbird: listening on {}; Ctrl-C ends it and every channel", socket.display());
    if is_for_all {
        eprintln!(
            "feuerbird: the policy names other users: every user may connect (mode 0666), and it decides"
        );
    }
    supervisor.run(os::signal::interrupted)?;
    eprintln!("feuerbird: ended");
    Ok(())
}
