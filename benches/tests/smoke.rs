//! The program as it is run: every rival passes every message whole, and nothing is left behind.

use std::process::{Command, Stdio};

/// What process `owner` left behind: its files begin with this.
fn leftovers(owner: u32) -> Vec<String> {
    let prefix = format!("feuerbird_bench_{owner}_");
    let folders = ["/dev/shm", "/tmp/iceoryx2/services", "/tmp/iceoryx2/nodes"];
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(&prefix))
        .collect()
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
    ] {
        assert!(out.contains(transport), "{transport} is missing from\n{out}");
    }
    assert_eq!(leftovers(owner), Vec::<String>::new());
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
