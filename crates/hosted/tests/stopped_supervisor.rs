//! A supervisor that stands still (SIGSTOP) holds up its callers, who sleep; messages and everything else go on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use feuerbird_hosted::{Policy, Supervisor, connect, os::socket::Listener};
use feuerbird_serialization::Plain;
use rustix::{
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
    time::{ClockId, clock_gettime},
};

const PATH: &str = "FEUERBIRD_TEST_SUPERVISE";
const SECOND: u64 = 1_000_000_000;

const POLICY: &str = r#"
    [[endpoint]]
    name = "telemetry"
    message_bytes = 256
    depth = 64

    [[domain]]
    name = "sensor"
    uid = UID
    trust = 4
    grants = [{ endpoint = "telemetry", rights = ["send"] }]

    [[domain]]
    name = "logger"
    uid = UID
    trust = 8
    grants = [{ endpoint = "telemetry", rights = ["receive"] }]
"#;

/// Ends with the test, stopped or not.
struct Killed(Child);

impl Killed {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed()).unwrap()
    }

    /// Returns when the last of its threads stands still: until then one of them may still answer.
    fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
    }

    fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}

#[test]
fn who_waits_for_a_stopped_supervisor_burns_no_core_and_messages_go_on() {
    if let Some(path) = std::env::var_os(PATH) {
        let policy = POLICY.replace("UID", &rustix::process::getuid().as_raw().to_string());
        let listener = Listener::bind(path.as_ref()).unwrap();
        Supervisor::alone(listener, Policy::parse(&policy).unwrap()).unwrap().run(|| false).unwrap();
        return;
    }
    let path = std::env::temp_dir().join(format!("feuerbird-stopped-{}", std::process::id()));
    let supervisor = Killed(Command::new(std::env::current_exe().unwrap()).env(PATH, &path).spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        assert!(Instant::now() < end, "the supervisor does not listen");
        thread::sleep(Duration::from_millis(2));
    }
    let (sensor, logger) = (connect(&path, "sensor").unwrap(), connect(&path, "logger").unwrap());
    let (to, from) = (sensor.granted(SECOND).unwrap().0, logger.granted(SECOND).unwrap().0);
    let mut receiver = logger.receiver::<Plain<u64>>(&from).unwrap();
    let mut sender = sensor.sender::<Plain<u64>>(&to).unwrap();
    sender.send(&1).unwrap();
    assert_eq!(receiver.recv_timeout(SECOND, |value| value), Ok(1));

    supervisor.stop();
    let before = cpu_time();
    // Three calls of one domain, side by side: each waits for its own answer.
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (sensor, to) = (sensor.clone(), to.clone());
            thread::spawn(move || sensor.sender::<Plain<u64>>(&to).map(drop))
        })
        .collect();
    for value in 0..50 {
        sender.send(&value).unwrap();
        assert_eq!(receiver.recv_timeout(SECOND, |value| value), Ok(value));
        thread::sleep(Duration::from_millis(10));
    }
    let burned = cpu_time() - before;
    let all_wait = callers.iter().all(|caller| !caller.is_finished());
    // Before anything fails: what is dropped then makes calls.
    supervisor.go_on();
    assert!(all_wait, "the supervisor does not stand still");
    assert!(burned < Duration::from_millis(150), "{burned:?} of processor time in half a second of waiting");
    for caller in callers {
        caller.join().unwrap().unwrap();
    }
    let _ = std::fs::remove_file(path);
}
