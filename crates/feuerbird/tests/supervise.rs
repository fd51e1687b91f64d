//! `feuerbird supervise`, as people run it.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A folder of one test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("feuerbird-{test}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Admits whoever made this folder.
    fn good_policy(&self) -> PathBuf {
        let uid = std::fs::metadata(&self.0).unwrap().uid();
        self.policy(&format!(
            r#"
            [[endpoint]]
            name = "telemetry"
            message_bytes = 256

            [[domain]]
            name = "sensor"
            uid = {uid}
            trust = 4
            grants = [{{ endpoint = "telemetry", rights = ["send"] }}]
            "#
        ))
    }

    fn policy(&self, text: &str) -> PathBuf {
        let path = self.path("policy.toml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn ends(&mut self) -> ExitStatus {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn supervise(socket: &Path, policy: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feuerbird"));
    command.arg("supervise").arg("--socket").arg(socket).arg("--policy").arg(policy);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_says_where_it_listens_admits_by_its_policy_and_leaves_nothing_behind() {
    let folder = Folder::new("supervise");
    let socket = folder.path("socket");
    let mut process = Running(supervise(&socket, &folder.good_policy()).spawn().unwrap());
    let mut says = BufReader::new(process.0.stderr.take().unwrap());
    let mut line = String::new();
    says.read_line(&mut line).unwrap();
    assert!(line.contains(&format!("listening on {}", socket.display())), "{line}");
    // The endpoint of the policy comes with the admission; and who is not in it stays outside.
    let domain = feuerbird::connect(&socket, "sensor").unwrap();
    domain.granted(10_000_000_000).unwrap();
    assert!(feuerbird::connect(&socket, "nobody").is_err());
    let kill = format!("kill -TERM {}", process.0.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert_eq!(process.ends().code(), Some(0));
    let mut rest = String::new();
    says.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("ended"), "{rest}");
    assert!(!socket.exists(), "the socket is gone");
}

#[test]
fn a_policy_that_cannot_be_carried_out_ends_it_with_1_and_the_reason() {
    let folder = Folder::new("bad-policy");
    let socket = folder.path("socket");
    let output = supervise(&socket, &folder.policy("nonsense = 1")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("policy.toml") && said.contains("nonsense"), "{said}");
    assert!(!socket.exists());
    let output = supervise(&socket, &folder.path("missing.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", self::said(&output));
}

#[test]
fn a_missing_flag_is_wrong_usage() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_feuerbird")).args(["supervise", "--socket", "/nowhere"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--policy"), "{}", said(&output));
}
