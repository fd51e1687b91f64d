//! The program as people run it: its help, and its exit codes.

use std::io;
use std::process::{Command, Output, Stdio};

fn xtask(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_feuerbird-xtask")).args(words).output().expect("the program starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn every_subcommand_has_help() {
    for subcommand in ["demo", "test", "ci", "tidy", "bench", "schemas"] {
        let output = xtask(&[subcommand, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{subcommand}");
        let help = text(&output);
        assert!(help.contains(&format!("Usage: cargo xtask {subcommand}")), "{help}");
        assert!(help.contains("--offline"), "{help}");
    }
}

#[test]
fn the_help_documents_the_exit_codes() {
    let help = text(&xtask(&["--help"]));
    for part in ["Exit codes", "0 all went well", "1 a check", "2 wrong usage", "3 a tool is missing"] {
        assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains(part), "{help}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for words in [&["nonsense"][..], &["ci", "nonsense"], &["demo", "nonsense"], &[]] {
        assert_eq!(xtask(words).status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn the_list_of_jobs_names_them_all() {
    let list = text(&xtask(&["ci", "--list"]));
    for job in
        ["fmt", "clippy", "tidy", "docs", "schemas", "bare", "test", "interop", "benches", "loom", "miri"]
    {
        assert!(list.lines().any(|line| line.trim_start().starts_with(job)), "{list}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    for task in ["ci", "demo"] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_feuerbird-xtask"));
        let output = command
            .args([task, "--list"])
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{task}: {}", text(&output));
    }
}
