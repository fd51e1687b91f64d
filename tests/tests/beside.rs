//! Capabilities beside messages, between processes: a message names them, and the supervisor grants them.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    time::Duration,
};

use feuerbird::{
    Domain, Program,
    channel::{GrantError, MAX_GIFTS, RecvError, SendError, WhenFull},
    hosted::{Child, SocketGate},
    libos::{Authority, Error, Handle, Receiver, Sender},
    prelude::{Plain, SECOND, Terms, Trust},
};
use feuerbird_abi::{AuditKind, Status};
use feuerbird_serialization::{EncodeError, wire::CapabilityIndex};
use feuerbird_tests::introduction::{Introduction, IntroductionMessage, IntroductionWhich, PeerNote};

/// A program that introduces endpoints to others, and hears from whoever was introduced.
struct Host {
    domain: Domain,
    introductions: Handle<SocketGate>,
    sender: Sender<IntroductionMessage, SocketGate>,
    /// What is given away is derived from this.
    inbox: Handle<SocketGate>,
    answers: Receiver<Plain<u64>, SocketGate>,
}

impl Host {
    fn new() -> Self {
        let domain = feuerbird::embedded().unwrap();
        let introductions = domain.endpoint(Terms::sized(512).unwrap()).unwrap();
        let mut sender = domain.sender(&introductions).unwrap();
        sender.set_when_full(WhenFull::Block { timeout_ns: 20 * SECOND });
        let inbox = domain.endpoint(Terms::sized(64).unwrap()).unwrap();
        let answers = domain.receiver(&inbox).unwrap();
        Self { domain, introductions, sender, inbox, answers }
    }

    fn start(&self, role: &str, trust: Trust) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_authority_actor"));
        command.arg(role).stdout(Stdio::piped());
        let receive = Authority::receive(trust);
        Program::new(command, Trust::USER).spawn(&self.domain, &[(&self.introductions, receive)]).unwrap()
    }

    fn introduce(&mut self, note: &str, to: &Handle<SocketGate>) -> Result<(), SendError> {
        let none = Authority::new(feuerbird::capability::Rights::empty(), Trust::USER);
        self.sender.send_with(&introduction(note, 1), &[(to, none), (to, Authority::send(Trust::USER))])
    }

    fn answer(&mut self) -> Result<u64, RecvError> {
        self.answers.recv_timeout(20 * SECOND, |length| length)
    }
}

fn introduction(note: &str, place: u32) -> Introduction<'_> {
    Introduction {
        first: Some(CapabilityIndex(place)),
        others: &[],
        // Lives as long as the message: a test may leak a few bytes.
        note: Some(Box::leak(Box::new(PeerNote { text: note }))),
        which: IntroductionWhich::Nobody,
    }
}

fn said(mut child: Child) -> String {
    let mut output = child.process.process_mut().stdout.take().unwrap();
    let status = child.wait_timeout(Duration::from_secs(30)).unwrap().expect("it hangs");
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(status.success(), "{status}: {text}");
    text
}

#[test]
fn what_comes_beside_a_message_can_be_used_until_it_is_revoked() {
    for trust in [Trust::USER, Trust::LIBOS, Trust::KERNEL] {
        let mut host = Host::new();
        let child = host.start("guest", trust);
        let lent =
            host.inbox.derive(Authority::new(feuerbird::capability::Rights::all(), Trust::USER)).unwrap();
        for note in ["one", "three", "seven and more"] {
            host.introduce(note, &lent).unwrap();
            assert_eq!(host.answer(), Ok(note.len() as u64), "{trust:?}");
        }
        assert_eq!(lent.revoke().unwrap().capabilities, 6);
        assert_eq!(host.answer(), Err(RecvError::Revoked), "nobody is left who could answer");
        host.introductions.revoke().unwrap();
        assert_eq!(said(child), "Revoked\n");
        let log = host.domain.audit().unwrap();
        let records = log.read_all(1).unwrap().records;
        let granted = records.iter().filter(|it| it.kind == AuditKind::Granted as u16).count();
        assert_eq!(granted, 1 + 6, "every grant is in the log");
    }
}

#[test]
fn who_does_not_want_them_does_not_keep_them() {
    let mut host = Host::new();
    let mut child = host.start("deaf", Trust::USER);
    let inbox = host.inbox.clone();
    // Five times as many as may lie there.
    for _ in 0..20 {
        host.introduce("hello", &inbox).unwrap();
    }
    let mut line = String::new();
    let mut output = BufReader::new(child.process.process_mut().stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "taken\n");
    assert_eq!(host.inbox.revoke().unwrap().capabilities, 0, "nothing is left of them, and it lives");
    host.introductions.revoke().unwrap();
    assert!(child.wait_timeout(Duration::from_secs(20)).unwrap().unwrap().success());
}

#[test]
fn what_a_dead_receiver_left_is_granted_to_the_next() {
    let mut host = Host::new();
    let inbox = host.inbox.clone();
    let mut idle = host.start("idle", Trust::USER);
    let mut line = String::new();
    BufReader::new(idle.process.process_mut().stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "bound\n");
    for note in ["a", "bb"] {
        host.introduce(note, &inbox).unwrap();
    }
    // Two of two are there: the third has to wait, and is not lost.
    host.sender.set_when_full(WhenFull::Return);
    assert_eq!(host.introduce("ccc", &inbox), Err(SendError::Full));
    let guest = host.start("guest", Trust::USER);
    while host.sender.receivers() < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    idle.process.process_mut().kill().unwrap();
    idle.wait_timeout(Duration::from_secs(20)).unwrap().expect("it was killed");
    host.sender.set_when_full(WhenFull::Block { timeout_ns: 20 * SECOND });
    host.introduce("ccc", &inbox).unwrap();
    host.sender.finish(20 * SECOND).unwrap();
    let mut lengths = [(); 3].map(|()| host.answer().unwrap());
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 2, 3]);
    assert_eq!(host.sender.statistics().redelivered, 2);
    host.introductions.revoke().unwrap();
    assert_eq!(said(guest), "Revoked\n");
}

#[test]
fn nothing_is_granted_beyond_what_the_sender_may() {
    let mut host = Host::new();
    let child = host.start("guest", Trust::USER);
    let ungrantable = host.inbox.derive(Authority::send(Trust::USER)).unwrap();
    let more = host.inbox.derive(Authority::new(feuerbird::capability::Rights::GRANT, Trust::USER)).unwrap();
    let gone = host.inbox.derive(Authority::send(Trust::USER)).unwrap();
    gone.clone().delete().unwrap();
    let send = Authority::send(Trust::USER);
    for (handle, error) in
        [(&ungrantable, GrantError::Denied), (&more, GrantError::Denied), (&gone, GrantError::NoCapability)]
    {
        let inbox = host.inbox.clone();
        let refused = host.sender.send_with(&introduction("no", 0), &[(&inbox, send), (handle, send)]);
        assert_eq!(refused, Err(SendError::Ungranted(error)));
    }
    let inbox = host.inbox.clone();
    let many = vec![(&inbox, send); MAX_GIFTS + 1];
    let refused = host.sender.send_with(&introduction("no", 0), &many);
    assert_eq!(refused, Err(SendError::Ungranted(GrantError::TooMany)));
    // One more than goes beside it is not named.
    let refused = host.sender.send_with(&introduction("no", 1), &[(&inbox, send)]);
    assert_eq!(refused, Err(SendError::Unencodable(EncodeError::NoCapability)));
    assert_eq!(host.inbox.revoke().unwrap().capabilities, 2, "only what this domain derived itself");
    assert_eq!(host.domain.sender::<Plain<u64>>(&gone).err(), Some(Error::Refused(Status::NoCapability)));
    host.introductions.revoke().unwrap();
    assert_eq!(said(child), "Revoked\n");
}
