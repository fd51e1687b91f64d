//! Starting programs: shown, streamed, and their ends told apart; and what is printed of our own.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::context::Failure;

/// The command as a person would type it, with the variables set for it in front.
pub(crate) fn line(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.display(), quoted(&value.to_string_lossy())));
        }
    }
    let program = command.get_program().to_string_lossy();
    words.push(program.rsplit('/').next().unwrap_or(&program).to_owned());
    words.extend(command.get_args().map(|word| quoted(&word.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    if word.contains([' ', '*', '"']) { format!("'{word}'") } else { word.to_owned() }
}

/// Writes a result to the standard output. A reader that has gone, as `head` does, needs no more of it, and that is no failure.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Runs a command with its output going where ours goes.
///
/// # Errors
///
/// When it cannot be started or ends with another code than 0.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = line(command);
    eprintln!("$ {shown}");
    let status = command.status().map_err(|error| Failure::io(format!("cannot start `{shown}`"), &error))?;
    if status.success() { Ok(()) } else { Err(Failure::Failed(format!("`{shown}`: {status}"))) }
}

/// Runs a command and returns what it wrote to its standard output.
///
/// # Errors
///
/// When it cannot be started or ends with another code than 0; the message has what it said about that.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let shown = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::io(format!("cannot start `{shown}`"), &error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::Failed(format!("`{shown}`: {}\n{}", output.status, said.trim_end())))
}

/// Whether the command can be started and ends with 0; says nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success())
}

/// Becomes the command: signals, terminal and exit code are its own. Returns only when it cannot be started.
pub(crate) fn become_command(command: &mut Command) -> Failure {
    let shown = line(command);
    Failure::io(format!("cannot start `{shown}`"), &command.exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.env("RUSTFLAGS", "--cfg loom").args(["test", "--test", "loom_*"]);
        assert_eq!(line(&command), "RUSTFLAGS='--cfg loom' cargo test --test 'loom_*'");
    }

    #[test]
    fn a_failing_command_fails_with_its_words() {
        let failure = output(Command::new("sh").args(["-c", "echo wrong >&2; exit 5"])).unwrap_err();
        assert!(failure.to_string().contains("wrong"), "{failure}");
        assert!(matches!(run(&mut Command::new("false")), Err(Failure::Failed(_))));
        assert!(!succeeds(&mut Command::new("there-is-no-such-program")));
    }
}
