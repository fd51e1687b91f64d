//! A supervisor of its own: who may come in is its policy's to say, who somebody is the kernel's.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use feuerbird::{
    channel::RecvError,
    hosted::{Policy, PolicyError, connect},
    prelude::{Plain, SECOND},
};

fn policy(uid: u32) -> String {
    format!(
        r#"
        [[endpoint]]
        name = "telemetry"
        message_bytes = 256
        depth = 64

        [[domain]]
        name = "sensor"
        uid = {uid}
        trust = 4
        grants = [{{ endpoint = "telemetry", rights = ["send"], badge = 1 }}]

        [[domain]]
        name = "logger"
        uid = {uid}
        trust = 8
        grants = [{{ endpoint = "telemetry", rights = ["receive"] }}]
        "#
    )
}

struct Supervisor {
    process: Child,
    socket: PathBuf,
}

impl Supervisor {
    fn start(name: &str, policy: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("feuerbird-supervise-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (socket, file) = (folder.join("gate"), folder.join("policy.toml"));
        std::fs::write(&file, policy).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_actor"));
        let role = format!("supervise\n{}\n{}", socket.display(), file.display());
        let process = command
            .env(feuerbird_tests::numbered::ROLE_VARIABLE, role)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while !socket.exists() {
            assert!(Instant::now() < end, "the supervisor does not listen");
            std::thread::sleep(Duration::from_millis(2));
        }
        Self { process, socket }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(folder) = self.socket.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

#[test]
fn programs_that_the_policy_knows_exchange_messages() {
    let uid = rustix::process::getuid().as_raw();
    let mut supervisor = Supervisor::start("talk", &policy(uid));
    // Two connections are two domains, though of one process here.
    let sensor = connect(&supervisor.socket, "sensor").unwrap();
    let logger = connect(&supervisor.socket, "logger").unwrap();
    assert_eq!((sensor.trust().level(), logger.trust().level()), (4, 8));
    let (to, _) = sensor.granted(SECOND).unwrap();
    let (from, _) = logger.granted(SECOND).unwrap();
    let mut sender = sensor.sender::<Plain<u64>>(&to).unwrap();
    let mut receiver = logger.receiver::<Plain<u64>>(&from).unwrap();
    assert!(sensor.receiver::<Plain<u64>>(&to).is_err(), "the sensor may send and nothing else");
    let sending = std::thread::spawn(move || (0..1000).for_each(|value| sender.send(&value).unwrap()));
    for value in 0..1000 {
        assert_eq!(receiver.recv_timeout(5 * SECOND, |value| value), Ok(value));
    }
    sending.join().unwrap();
    assert_eq!(receiver.recv_timeout(5 * SECOND, |value| value), Err(RecvError::Disconnected));

    let mut waiting = logger.receiver::<Plain<u64>>(&from).unwrap();
    let _joined = sensor.sender::<Plain<u64>>(&to).unwrap();
    while waiting.senders() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let process = rustix::process::Pid::from_child(&supervisor.process);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    assert!(supervisor.process.wait().unwrap().success(), "SIGTERM ends it in good order");
    assert!(!supervisor.socket.exists(), "the socket is gone");
    assert!(
        sensor.endpoint(feuerbird::prelude::Terms::sized(64).unwrap()).is_err(),
        "and who is left is told"
    );
}

#[test]
fn strangers_are_refused() {
    let uid = rustix::process::getuid().as_raw();
    let supervisor = Supervisor::start("names", &policy(uid));
    assert!(connect(&supervisor.socket, "burglar").is_err(), "a name that the policy does not know");
    assert!(connect(&supervisor.socket, "sensor").is_ok(), "others go on");
    let supervisor = Supervisor::start("users", &policy(uid + 1));
    assert!(connect(&supervisor.socket, "sensor").is_err(), "another user's name");
    assert!(connect(supervisor.socket.with_extension("none"), "sensor").is_err(), "no supervisor there");
}

#[test]
fn a_policy_that_makes_no_sense_is_refused_with_its_reason() {
    let good = policy(0);
    let error = |text: String| Policy::parse(&text).unwrap_err();
    assert!(
        matches!(error(good.replace("trust = 4", "trust = 99")), PolicyError::Trust(name) if name == "sensor")
    );
    assert!(
        matches!(error(good.replace("\"logger\"", "\"sensor\"")), PolicyError::Twice(name) if name == "sensor")
    );
    assert!(matches!(
        error(good.replace("endpoint = \"telemetry\", rights = [\"send\"]", "endpoint = \"other\", rights = [\"send\"]")),
        PolicyError::NoEndpoint(name) if name == "other"
    ));
    assert!(matches!(error(good.replace("depth = 64", "depth = 63")), PolicyError::Terms(..)));
    assert!(matches!(error(good.replace("depth = 64", "deep = 64")), PolicyError::Syntax(_)));
}
