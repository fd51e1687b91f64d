//! A started program has its gate and nothing else, is noticed when it dies, and does not outlive its supervisor.
//!
//! The programs are this test binary itself: `program` is a test that does nothing unless it was started with a gate.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    env,
    fs::{self, File},
    os::fd::{AsFd, AsRawFd},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use feuerbird_hosted::os::{
    death,
    socket::Socket,
    spawn::{Child, GATE_VARIABLE, GateError, SpawnError, spawn, take_gate},
};

const ROLE: &str = "FEUERBIRD_TEST_ROLE";
const LONG: Duration = Duration::from_secs(20);

fn start(role: &str) -> (Child, Socket) {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "program", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    (spawn(command, theirs.into(), None).unwrap(), ours)
}

#[test]
fn program() {
    let Ok(role) = env::var(ROLE) else { return };
    let gate = take_gate().unwrap();
    assert_eq!(take_gate().unwrap_err(), GateError::Taken);
    match role.as_str() {
        "descriptors" => {
            let numbers = fs::read_dir("/proc/self/fd").unwrap();
            let mut numbers: Vec<i32> =
                numbers.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
            // The highest is the listing itself, and it is gone now.
            numbers.retain(|&number| fs::read_link(format!("/proc/self/fd/{number}")).is_ok());
            let strangers =
                numbers.iter().filter(|&&number| number > 2 && number != gate.as_fd().as_raw_fd());
            gate.send(&[strangers.count() as u8; 64], &[], &[]).unwrap();
        }
        "supervisor" => {
            let (child, childs_gate) = start("sleeper");
            childs_gate.receive_timeout(LONG).unwrap(); // from now on it does nothing but sleep
            gate.send(&[0; 64], &child.id().to_ne_bytes(), &[]).unwrap();
            thread::sleep(LONG);
        }
        "exit" => std::process::exit(42),
        _ => {
            gate.send(&[1; 64], &[], &[]).unwrap();
            thread::sleep(LONG);
        }
    }
}

#[test]
fn only_the_gate_is_inherited() {
    // A descriptor that a careless library left inheritable.
    let careless = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&careless, rustix::io::FdFlags::empty()).unwrap();
    let (mut child, gate) = start("descriptors");
    assert_eq!(gate.receive_timeout(LONG).unwrap().record()[0], 0, "descriptors beside the gate");
    assert!(child.wait_timeout(LONG).unwrap().unwrap().success());
}

#[test]
fn sender_of_a_message_is_the_program() {
    let (child, gate) = start("sleeper");
    assert_eq!(gate.receive_timeout(LONG).unwrap().sender.unwrap().pid, child.id());
}

#[test]
fn end_of_program_is_noticed() {
    let (mut child, _gate) = start("exit");
    assert_eq!(child.wait_timeout(LONG).unwrap().unwrap().code(), Some(42));
    assert!(death::is_dead(child.pidfd()).unwrap());
    let (mut child, gate) = start("sleeper");
    gate.receive_timeout(LONG).unwrap();
    assert!(child.wait_timeout(Duration::from_millis(10)).unwrap().is_none());
    assert!(!death::is_dead(child.pidfd()).unwrap());
}

#[test]
fn death_is_noticed_within_20_ms() {
    // The best of some: the machine may be busy with something else.
    let notice = || {
        let (mut child, gate) = start("sleeper");
        gate.receive_timeout(LONG).unwrap();
        let pidfd = death::open(child.id()).unwrap();
        let start = Instant::now();
        child.kill().unwrap();
        assert!(death::wait_dead(&pidfd, Some(LONG)).unwrap());
        start.elapsed()
    };
    let best = (0..5).map(|_| notice()).min().unwrap();
    println!("SIGKILL to notice: {best:?}");
    assert!(best < Duration::from_millis(20), "{best:?}");
}

#[test]
fn dropped_program_is_dead_and_its_socket_closed() {
    let (child, gate) = start("sleeper");
    gate.receive_timeout(LONG).unwrap();
    let pidfd = death::open(child.id()).unwrap();
    drop(child);
    assert!(death::is_dead(&pidfd).unwrap());
    assert!(gate.receive().is_err());
}

#[test]
fn program_dies_with_its_supervisor() {
    let (mut supervisor, gate) = start("supervisor");
    let message = gate.receive_timeout(LONG).unwrap();
    let pid = u32::from_ne_bytes(message.payload().try_into().unwrap());
    let grandchild = death::open(pid).unwrap();
    assert!(!death::is_dead(&grandchild).unwrap());
    supervisor.kill().unwrap();
    assert!(death::wait_dead(&grandchild, Some(Duration::from_secs(5))).unwrap());
}

#[test]
fn missing_program_is_an_error() {
    let (_ours, theirs) = Socket::pair().unwrap();
    let result = spawn(Command::new("/nonexistent/program"), theirs.into(), None);
    assert!(matches!(result.unwrap_err(), SpawnError::Os(rustix::io::Errno::NOENT)));
}

#[test]
fn without_a_supervisor_there_is_no_gate() {
    if env::var(GATE_VARIABLE).is_err() {
        assert_eq!(take_gate().unwrap_err(), GateError::NotSet);
    }
    assert!(death::open(0).is_err() && death::open(u32::MAX).is_err());
}
