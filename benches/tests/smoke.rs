//! The program as it is run: every rival passes every message whole, and nothing is left behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// What process `owner` left behind: its files begin with this.
fn leftovers(owner: u32) -> Vec<PathBuf> {
    let prefix = format!("feuerbird_bench_{owner}_");
    let entries = |folder: &Path| {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let nodes: Vec<PathBuf> = entries(Path::new("/tmp/iceoryx2/nodes"));
    let folders = ["/dev/shm", "/tmp/iceoryx2/services"].map(PathBuf::from);
    let files: Vec<PathBuf> = folders.iter().chain(&nodes).flat_map(|folder| entries(folder)).collect();
    files
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect()
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let out = std::env::temp_dir().join(format!("feuerbird-bench-test-{}", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(["hosted", "--quick", "--out"]).arg(&out).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let owner = child.id();
    let mut progress = BufReader::new(child.stderr.take().unwrap()).lines();
    // The subject that has the most to leave behind is under way.
    assert!(progress.any(|line| line.unwrap().contains("iceoryx2")));
    std::thread::sleep(Duration::from_millis(50));
    kill_process(Pid::from_raw(owner as i32).unwrap(), Signal::INT).unwrap();
    // The peer has the other copy of this pipe: its end is the end of both.
    progress.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(leftovers(owner), Vec::<PathBuf>::new());
    assert!(!out.exists(), "no result of half a run");
}

#[test]
fn every_transport_passes_every_message_whole() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    let child = command.arg("smoke").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let owner = child.id();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    for transport in [
        "limit ring, sleeping",
        "iceoryx2",
        "ipc-channel",
        "unix stream",
        "unix seqpacket",
        "capability lookup",
        "cloud 64 KiB, round trip",
    ] {
        assert!(out.contains(transport), "{transport} is missing from\n{out}");
    }
    assert_eq!(leftovers(owner), Vec::<PathBuf>::new());
}

#[test]
fn help_documents_the_exit_codes_and_hides_the_peer() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare")).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("Exit codes: 0") && !help.contains("peer"), "{help}");
}

#[test]
fn an_unknown_group_is_wrong_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare")).arg("nonsense").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
