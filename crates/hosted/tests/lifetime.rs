//! A domain ends with its last user, and leaves nothing behind in its process; the process itself goes on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs, process, thread,
    time::{Duration, Instant},
};

use feuerbird_abi::{Call, Request};
use feuerbird_capability::{Rights, Slot, Trust};
use feuerbird_channel::Terms;
use feuerbird_hosted::{Program, embedded, inherited, os::spawn::take_gate};
use feuerbird_libos::Authority;
use feuerbird_serialization::Plain;

const CHILD: &str = "FEUERBIRD_TEST_LETS_GO";

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// One test, because it counts what the whole process has.
#[test]
fn nothing_is_left_of_a_domain_that_nobody_uses() {
    match std::env::var(CHILD).as_deref() {
        Ok("lets go") => child(),
        Ok("closes") => deaf_child(),
        _ => {}
    }
    a_program_that_lets_go_of_its_domain_is_not_killed();
    (0..3).for_each(|_| a_program_that_closes_its_gate_while_it_is_written_to_is_not_killed());
    a_hundred_embedded_domains_leave_no_thread_and_no_descriptor();
}

fn a_hundred_embedded_domains_leave_no_thread_and_no_descriptor() {
    let here = || (count("/proc/self/task"), count("/proc/self/fd"));
    let before = settled(here);
    for _ in 0..100 {
        let domain = embedded().unwrap();
        domain.on_revocation(|_| {});
        let endpoint = domain.endpoint(Terms::sized(64).unwrap()).unwrap();
        let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
        let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
        drop((domain, endpoint));
        sender.send(&7).unwrap();
        assert_eq!(receiver.recv(|value| value), Ok(7), "its endpoints keep it alive");
    }
    let end = Instant::now() + Duration::from_secs(10);
    while here() != before {
        assert!(Instant::now() < end, "threads and descriptors before: {before:?}, after: {:?}", here());
        thread::sleep(Duration::from_millis(5));
    }
}

/// What was there before may still be ending.
fn settled(count: impl Fn() -> (usize, usize)) -> (usize, usize) {
    let mut seen = (count(), Instant::now());
    while seen.1.elapsed() < Duration::from_millis(300) {
        thread::sleep(Duration::from_millis(10));
        if count() != seen.0 {
            seen = (count(), Instant::now());
        }
    }
    seen.0
}

fn a_program_that_lets_go_of_its_domain_is_not_killed() {
    let domain = embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(64).unwrap()).unwrap();
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let program = Program::this(Trust::new(8).unwrap()).unwrap().arg("--nocapture").env(CHILD, "lets go");
    let grants = [(&endpoint, Authority::new(Rights::SEND, Trust::new(8).unwrap()))];
    let mut child = program.spawn(&domain, &grants).unwrap();
    assert_eq!(receiver.recv_timeout(10_000_000_000, |value| value), Ok(1));
    let status = child.wait_timeout(Duration::from_secs(10)).unwrap().expect("it hangs");
    assert_eq!(status.code(), Some(7), "{status}");
    // Its domain has ended all the same.
    let end = Instant::now() + Duration::from_secs(5);
    while child
        .domain
        .handle()
        .inspect()
        .is_ok_and(|_| endpoint.grant(&child.domain, Authority::send(Trust::USER)).is_ok())
    {
        assert!(Instant::now() < end, "its domain lives on");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The supervisor notices by writing, and not by reading, that nobody listens any more.
fn a_program_that_closes_its_gate_while_it_is_written_to_is_not_killed() {
    let domain = embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(64).unwrap()).unwrap();
    let program = Program::this(Trust::new(8).unwrap()).unwrap().arg("--nocapture").env(CHILD, "closes");
    let mut child = program.spawn(&domain, &[]).unwrap();
    let began = Instant::now();
    let status = loop {
        // Refused when it has gone, or has no slot left: its socket is full by then.
        if let Ok(slot) = endpoint.grant(&child.domain, Authority::send(Trust::USER)) {
            assert_ne!(slot, Slot::NULL);
        }
        if let Some(status) = child.wait_timeout(Duration::ZERO).unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it hangs");
    };
    assert_eq!(status.code(), Some(7), "{status}");
}

/// Says hello, so that the supervisor knows its process, reads nothing, and closes its gate in the middle of a flood.
fn deaf_child() -> ! {
    let gate = take_gate().unwrap();
    let hello = Request::new(Call::Hello, 1, &[]);
    gate.send(zerocopy::transmute_ref!(&hello), &[], &[]).unwrap();
    // Before its capability space is full, and nothing would be written any more.
    thread::sleep(Duration::from_millis(10));
    drop(gate);
    thread::sleep(Duration::from_millis(200));
    process::exit(7)
}

fn child() -> ! {
    let domain = inherited().unwrap().unwrap();
    let (endpoint, _) = domain.granted(5_000_000_000).unwrap();
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    sender.send(&1).unwrap();
    let weak = domain.downgrade();
    drop((sender, endpoint, domain));
    // Its threads may be at work for a moment; then it is gone, and this program still there.
    let end = Instant::now() + Duration::from_secs(5);
    while weak.upgrade().is_some() && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(300));
    process::exit(if weak.upgrade().is_none() { 7 } else { 8 })
}
