//! A supervisor of its own: who may come in is its policy's to say, who somebody is the kernel's.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use feuerbird::{
    channel::RecvError,
    hosted::{Policy, PolicyError, StartError, connect, os::socket::Socket},
    libos::Error,
    prelude::{Plain, SECOND},
};
use feuerbird_abi::{Call, Request, Status};

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
        Self::start_by(name, policy, Command::new(env!("CARGO_BIN_EXE_actor")))
    }

    /// With so many descriptors at most.
    fn start_with_descriptors(name: &str, policy: &str, limit: u32) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit}; exec {}", env!("CARGO_BIN_EXE_actor"))]);
        Self::start_by(name, policy, command)
    }

    fn start_by(name: &str, policy: &str, mut command: Command) -> Self {
        let folder = std::env::temp_dir().join(format!("feuerbird-supervise-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (socket, file) = (folder.join("gate"), folder.join("policy.toml"));
        std::fs::write(&file, policy).unwrap();
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

/// A program that connects: a child of `authority_actor`, and what it says, line by line.
struct Client {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(role: &str, supervisor: &Supervisor) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_authority_actor"));
        let mut process = command.arg(role).arg(&supervisor.socket).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn says(&mut self) -> String {
        self.lines.next().expect("it ended").unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn programs_of_their_own_talk_and_notice_the_end_of_the_supervisor() {
    let mut supervisor = Supervisor::start("programs", &policy(rustix::process::getuid().as_raw()));
    let mut logger = Client::start("logger", &supervisor);
    let mut sensor = Client::start("sensor", &supervisor);
    assert_eq!(sensor.says(), "sent 1000");
    assert_eq!(logger.says(), "received 1000");

    let process = rustix::process::Pid::from_child(&supervisor.process);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let began = Instant::now();
    assert_eq!(supervisor.process.wait().unwrap().code(), Some(0));
    assert!(!supervisor.socket.exists(), "the socket is gone");
    // One sends, the other waits for more; both live on for a while, so that neither notices the other's end.
    assert_eq!(sensor.says(), "Some(Disconnected), Some(KernelGone)");
    assert_eq!(logger.says(), "Disconnected, Some(KernelGone)");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(sensor.process.wait().unwrap().success() && logger.process.wait().unwrap().success());
}

#[test]
fn programs_notice_a_supervisor_that_is_killed() {
    let mut supervisor = Supervisor::start("killed", &policy(rustix::process::getuid().as_raw()));
    let mut logger = Client::start("logger", &supervisor);
    let mut sensor = Client::start("sensor", &supervisor);
    assert_eq!((sensor.says(), logger.says()), ("sent 1000".into(), "received 1000".into()));
    supervisor.process.kill().unwrap();
    supervisor.process.wait().unwrap();
    assert_eq!(sensor.says(), "Some(Disconnected), Some(KernelGone)");
    assert_eq!(logger.says(), "Disconnected, Some(KernelGone)");
}

/// Time that a process has spent on a processor, in clock ticks (hundredths of a second).
fn ticks(process: &Child) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_supervisor_without_descriptors_refuses_and_ends_nobody() {
    let uid = rustix::process::getuid().as_raw();
    let supervisor = Supervisor::start_with_descriptors("full", &policy(uid), 24);
    let sensor = connect(&supervisor.socket, "sensor").unwrap();
    let mut regions = Vec::new();
    let refused = loop {
        match sensor.region(4096) {
            Ok(region) => regions.push(region),
            Err(error) => break error,
        }
        assert!(regions.len() < 24);
    };
    assert_eq!(refused, Error::Refused(Status::ObjectsFull));
    // Now there is none for who knocks, either. It waits for that without work, and is let in when there is one.
    let knocking = Socket::connect(&supervisor.socket).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let before = ticks(&supervisor.process);
    std::thread::sleep(Duration::from_millis(500));
    let spent = ticks(&supervisor.process) - before;
    assert!(spent < 15, "{spent} of 50 hundredths spent on nothing");
    drop(knocking);
    for region in regions {
        region.handle.delete().unwrap();
    }
    assert!(sensor.region(4096).is_ok(), "what was given back can be had again");
    assert!(connect(&supervisor.socket, "logger").is_ok());
}

#[test]
fn a_program_without_descriptors_is_told_so_and_goes_on() {
    let supervisor = Supervisor::start("program", &policy(rustix::process::getuid().as_raw()));
    let mut program = Client::start("full", &supervisor);
    assert_eq!(program.says(), "Some(Refused(ObjectsFull)), None, None");
}

#[test]
fn visitors_that_came_and_went_leave_no_room_taken() {
    let supervisor = Supervisor::start("visitors", &policy(rustix::process::getuid().as_raw()));
    // More than the capability space of the supervisor's own domain has slots.
    for visitor in 0..1300 {
        drop(
            connect(&supervisor.socket, "sensor")
                .unwrap_or_else(|error| panic!("visitor {visitor}: {error}")),
        );
    }
    // Those who are gone before they are let in, likewise.
    for visitor in 0..1300u64 {
        let socket = Socket::connect(&supervisor.socket).unwrap();
        let request = Request::new(Call::Hello, visitor, &[]);
        let _ = socket.send(zerocopy::transmute_ref!(&request), b"sensor", &[]);
    }
    assert_eq!(connect(&supervisor.socket, "sensor").unwrap().trust().level(), 4);
}

#[test]
fn a_connection_that_was_handed_on_is_nobodys() {
    let supervisor = Supervisor::start("handed", &policy(rustix::process::getuid().as_raw()));
    let connection = Socket::connect(&supervisor.socket).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_authority_actor"));
    let said =
        command.arg("hello-from-input").stdin(std::os::fd::OwnedFd::from(connection)).output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap().trim(), "Some(NoCapability)");
}

#[test]
fn a_policy_for_other_users_opens_the_door_to_them_and_to_no_others() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};
    let own = rustix::process::getuid().as_raw();
    let guest = own + 12345;
    let mode = |supervisor: &Supervisor| std::fs::metadata(&supervisor.socket).unwrap().permissions().mode();
    let closed = Supervisor::start("own", &policy(own));
    assert_eq!(mode(&closed) & 0o777, 0o600);
    let open = Supervisor::start("guests", &policy(guest));
    // It is opened just after it is made.
    let end = Instant::now() + Duration::from_secs(5);
    while mode(&open) & 0o777 != 0o666 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(mode(&open) & 0o777, 0o666);
    let enter = |supervisor: &Supervisor, uid: u32| {
        // A copy, because the build folder may be closed to others.
        let program = supervisor.socket.with_file_name("actor");
        std::fs::copy(env!("CARGO_BIN_EXE_authority_actor"), &program).unwrap();
        let mut command = Command::new(program);
        command.arg("enter").arg(&supervisor.socket).uid(uid);
        // Another test that starts a program at this moment may have inherited the copy's descriptor for an instant.
        let mut said = command.output();
        while said.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ExecutableFileBusy) {
            std::thread::sleep(Duration::from_millis(1));
            said = command.output();
        }
        let said = said.unwrap();
        String::from_utf8(said.stdout).unwrap()
    };
    assert!(enter(&open, own).contains("no usable capability"), "nobody is who it is not");
    // Only root can be somebody else.
    if own == 0 {
        assert_eq!(enter(&open, guest).trim(), "trust 4");
        assert!(enter(&open, guest + 1).contains("no usable capability"));
        assert!(enter(&closed, guest).contains("no supervisor answers"), "the file system keeps them out");
    }
}

#[test]
fn strangers_are_refused() {
    let uid = rustix::process::getuid().as_raw();
    let supervisor = Supervisor::start("names", &policy(uid));
    let refusal = |error: StartError| match error {
        StartError::Domain(Error::Refused(status)) => status,
        other => panic!("{other}"),
    };
    let error = |name: &str| connect(&supervisor.socket, name).err().map(refusal);
    assert_eq!(error("burglar"), Some(Status::NoCapability), "a name that the policy does not know");
    assert_eq!(error("sensor2"), Some(Status::NoCapability), "more than a name");
    assert_eq!(error("sens"), Some(Status::NoCapability), "less than a name");
    assert_eq!(error("sensor"), None, "others go on");
    let stranger = Supervisor::start("users", &policy(uid + 1));
    for name in ["sensor", "logger", ""] {
        let error = connect(&stranger.socket, name).err().map(refusal);
        assert_eq!(error, Some(Status::NoCapability), "another user's name: {name:?}");
    }
    let nowhere = supervisor.socket.with_extension("none");
    let error = connect(&nowhere, "sensor").err().unwrap();
    assert!(matches!(&error, StartError::NoSupervisor(path, _) if *path == nowhere.display().to_string()));
    assert!(error.to_string().contains("feuerbird supervise --socket"), "{error}");
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
    let endpoint = "[[endpoint]]\nname = \"telemetry\"\nmessage_bytes = 64\n";
    assert!(matches!(error(good.clone() + endpoint), PolicyError::Twice(name) if name == "telemetry"));

    // The text names what is to be mended.
    for (text, named) in [
        (good.replace("trust = 4", "trust = 99"), ["\"sensor\"", "0 to 15"]),
        (good.replace("\"logger\"", "\"sensor\""), ["\"sensor\"", "twice"]),
        (
            good.replace(
                "endpoint = \"telemetry\", rights = [\"send\"]",
                "endpoint = \"other\", rights = [\"send\"]",
            ),
            ["\"other\"", "[[endpoint]]"],
        ),
        (good.replace("depth = 64", "deep = 64"), ["`deep`", "`depth`"]),
        (good.replace("[\"send\"]", "[\"own\"]"), ["`own`", "`send`"]),
        (good.replace("depth = 64", "depth = 63"), ["\"telemetry\"", "power of two"]),
        (good.replace("trust = 4", ""), ["trust", "missing"]),
    ] {
        let text = error(text).to_string();
        assert!(named.iter().all(|word| text.contains(word)), "{named:?}: {text}");
    }
}
