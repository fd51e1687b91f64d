//! Revocation is final and prompt, in processes that do not help.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    io::Read,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use feuerbird::{
    Domain, Program,
    capability::Rights,
    channel::RecvError,
    hosted::{Child, SocketGate},
    libos::{Authority, Handle, Receiver},
    prelude::{Plain, SECOND, Terms, Trust},
};
use feuerbird_tests::numbered::ROLE_VARIABLE;

fn start(domain: &Domain, role: &str, from: &Handle<SocketGate>, authority: Authority) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_actor"));
    command.env(ROLE_VARIABLE, role).stdout(Stdio::piped());
    Program::new(command, Trust::USER).spawn(domain, &[(from, authority)]).unwrap()
}

fn everything() -> Authority {
    Authority::new(Rights::all(), Trust::KERNEL)
}

fn said(mut child: Child) -> String {
    let mut output = child.process.process_mut().stdout.take().unwrap();
    child.wait_timeout(Duration::from_secs(20)).unwrap().expect("it hangs");
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    text
}

/// Receives until `enough` messages of `sender` came; panics on a message of `banned`.
fn receive(receiver: &mut Receiver<Plain<u64>, SocketGate>, sender: u64, enough: usize, banned: Option<u64>) {
    let end = Instant::now() + Duration::from_secs(20);
    let mut count = 0;
    while count < enough {
        assert!(Instant::now() < end, "{count} of {enough} messages");
        match receiver.recv_timeout(SECOND, |value| value >> 32) {
            Ok(from) => {
                assert_ne!(Some(from), banned, "a message of a revoked sender");
                count += usize::from(from == sender);
            }
            Err(RecvError::DeadlinePassed | RecvError::Revoked) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn after_revoke_returns_nothing_of_the_revoked_sender_is_received() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let (one, two) = (endpoint.derive(everything()).unwrap(), endpoint.derive(everything()).unwrap());
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let first = start(&domain, "flood 1", &one, Authority::send(Trust::USER));
    let second = start(&domain, "flood 2", &two, Authority::send(Trust::USER));
    receive(&mut receiver, 1, 500, None);
    receive(&mut receiver, 2, 500, None);
    // The lane of the first is full of messages at this moment.
    let revoked = one.revoke().unwrap();
    assert!(revoked.forced >= 1, "{revoked:?}");
    receive(&mut receiver, 2, 5_000, Some(1));
    let first = said(first);
    assert!(first.contains("revoked, 1 repossessed"), "{first}");
    assert!(first.contains("again: the kernel refused: the slot holds no usable capability"), "{first}");
    two.revoke().unwrap();
    assert!(said(second).contains("revoked"));
}

#[test]
fn a_holder_is_told_first_and_may_let_go_by_itself() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let one = endpoint.derive(everything()).unwrap();
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let child = start(&domain, "flood 1", &one, Authority::send(Trust::USER));
    receive(&mut receiver, 1, 500, None);
    let began = Instant::now();
    let revoked = one.revoke_within(5 * SECOND).unwrap();
    assert_eq!(revoked.forced, 0, "it let go by itself");
    assert!(began.elapsed() < Duration::from_secs(4), "long before the deadline");
    let child = said(child);
    assert!(child.contains("told") && child.contains("revoked"), "{child}");
}

#[test]
fn a_holder_that_does_not_let_go_is_made_to_at_the_deadline() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let one = endpoint.derive(everything()).unwrap();
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let mut child = start(&domain, "stubborn 1", &one, Authority::send(Trust::USER));
    receive(&mut receiver, 1, 500, None);
    let began = Instant::now();
    let revoked = one.revoke_within(SECOND / 5).unwrap();
    assert!(revoked.forced >= 1, "{revoked:?}");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(3), "{took:?}");
    let late = receiver.recv_timeout(SECOND / 5, |value| value);
    assert!(late.is_err(), "a message of a revoked sender: {late:?}");
    child.process.kill().unwrap();
}

#[test]
fn a_revoked_receiver_gets_nothing_more_and_another_gets_it_all() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let (one, two) = (endpoint.derive(everything()).unwrap(), endpoint.derive(everything()).unwrap());
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let first = start(&domain, "listen 1", &one, Authority::receive(Trust::USER));
    let second = start(&domain, "listen 2", &two, Authority::receive(Trust::USER));
    let end = Instant::now() + Duration::from_secs(10);
    while sender.receivers() < 2 {
        assert!(Instant::now() < end, "receivers do not join");
        std::thread::sleep(Duration::from_millis(1));
    }
    (1..=1000).for_each(|value| sender.send(&value).unwrap());
    one.revoke().unwrap();
    (1001..=3000).for_each(|value| sender.send(&value).unwrap());
    sender.finish(10 * SECOND).unwrap();
    drop(sender);
    let (first, second) = (said(first), said(second));
    let numbers = |text: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with("revoked") || line.starts_with("disconnected"))
            .unwrap();
        let mut words = line.split(' ').skip(1).map(|word| word.parse::<u64>().unwrap());
        (words.next().unwrap(), words.next().unwrap())
    };
    let ((first_count, first_last), (second_count, second_last)) = (numbers(&first), numbers(&second));
    assert!(first.contains("revoked"), "{first}");
    assert!(first_last <= 1000, "it received {first_last}, which was sent after its revocation");
    assert_eq!(second_last, 3000);
    assert_eq!(first_count + second_count, 3000, "each message once: {first} and {second}");
}
