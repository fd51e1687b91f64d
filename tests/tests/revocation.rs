//! Revocation is final and prompt, in processes that do not help.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    io::Read,
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use feuerbird::{
    Domain, Program,
    capability::Rights,
    channel::{
        Consumer, RecvError, SendError, Validity, WhenFull,
        layout::{Half, LaneLayout},
        prepare,
    },
    hosted::{
        Child, LinuxHome, SocketGate,
        os::{
            memory::{ReaderMemory, WriterMemory},
            socket::Socket,
        },
    },
    libos::{Authority, Error, Handle, Receiver},
    prelude::{Message, Plain, SECOND, Terms, Trust},
};
use feuerbird_abi::{Call, Class, Reply, Request, Role, Status, Upcall, UpcallKind};
use feuerbird_tests::numbered::ROLE_VARIABLE;
use zerocopy::{FromBytes, IntoBytes};

fn start(domain: &Domain, role: &str, from: &Handle<SocketGate>, authority: Authority) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_actor"));
    command.env(ROLE_VARIABLE, role).stdout(Stdio::piped());
    Program::new(command, Trust::USER).spawn(domain, &[(from, authority)]).unwrap()
}

/// The same with a child of `authority_actor`.
fn start_other(domain: &Domain, role: &[&str], from: &Handle<SocketGate>, authority: Authority) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authority_actor"));
    command.args(role).stdout(Stdio::piped());
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

/// What came of each sender so far: a lane keeps the order, so a message of another number is a lost one.
struct Inbox {
    receiver: Receiver<Plain<u64>, SocketGate>,
    next: [u64; 3],
}

impl Inbox {
    fn new(receiver: Receiver<Plain<u64>, SocketGate>) -> Self {
        Self { receiver, next: [0; 3] }
    }

    /// Receives until `enough` more messages of `sender` came; panics on a message of `banned`.
    fn receive(&mut self, sender: usize, enough: u64, banned: Option<usize>) {
        let end = Instant::now() + Duration::from_secs(20);
        let goal = self.next[sender] + enough;
        while self.next[sender] < goal {
            assert!(Instant::now() < end, "{} of {goal} messages", self.next[sender]);
            match self.receiver.recv_timeout(SECOND, |value| value) {
                Ok(value) => {
                    let (from, count) = ((value >> 32) as usize, value & u64::from(u32::MAX));
                    assert_ne!(Some(from), banned, "a message of a revoked sender");
                    assert_eq!(count, self.next[from], "a message of sender {from} is lost");
                    self.next[from] += 1;
                }
                Err(RecvError::DeadlinePassed | RecvError::Revoked) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn after_revoke_returns_nothing_of_the_revoked_sender_is_received() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let (one, two) = (endpoint.derive(everything()).unwrap(), endpoint.derive(everything()).unwrap());
    let mut inbox = Inbox::new(domain.receiver::<Plain<u64>>(&endpoint).unwrap());
    let first = start(&domain, "flood 1", &one, Authority::send(Trust::USER));
    let second = start(&domain, "flood 2", &two, Authority::send(Trust::USER));
    inbox.receive(1, 500, None);
    inbox.receive(2, 500, None);
    // The lane of the first is full of messages at this moment.
    let revoked = one.revoke().unwrap();
    assert!(revoked.forced >= 1, "{revoked:?}");
    inbox.receive(2, 5_000, Some(1));
    let first = said(first);
    assert!(first.contains("revoked, 1 repossessed"), "{first}");
    assert!(first.contains("again: the kernel refused: the slot holds no usable capability"), "{first}");
    two.revoke().unwrap();
    assert!(said(second).contains("revoked"));
}

/// A program that speaks to its gate by hand, receives over a lane, and stops listening to what its kernel tells it.
struct Deaf {
    socket: Socket,
    sequence: u64,
    upcalls: Vec<(Upcall, Option<OwnedFd>)>,
}

impl Deaf {
    fn call(
        &mut self,
        call: Call,
        arguments: &[u64],
        payload: &[u8],
        handle: Option<OwnedFd>,
    ) -> ([u64; 6], Option<OwnedFd>) {
        self.sequence += 1;
        let request = Request::new(call, self.sequence, arguments);
        let record: &[u8; 64] = zerocopy::transmute_ref!(&request);
        let handles: Vec<_> = handle.iter().map(AsFd::as_fd).collect();
        self.socket.send(record, payload, &handles).unwrap();
        loop {
            if let Some((reply, handle)) = self.hear() {
                assert_eq!((reply.sequence, reply.status), (self.sequence, Status::Ok as u32), "{call:?}");
                return (reply.values, handle);
            }
        }
    }

    /// Reads what comes: a reply, or an upcall that is kept.
    fn hear(&mut self) -> Option<(Reply, Option<OwnedFd>)> {
        let mut message = self.socket.receive_timeout(Duration::from_secs(10)).unwrap();
        let handle = message.fds[0].take();
        let upcall = Upcall::read_from_bytes(message.record()).unwrap();
        if upcall.class == Class::Upcall as u32 {
            self.upcalls.push((upcall, handle));
            return None;
        }
        Some((Reply::read_from_bytes(message.record()).unwrap(), handle))
    }

    fn wait_for(&mut self, kind: UpcallKind) -> ([u64; 6], Option<OwnedFd>) {
        loop {
            if let Some(at) = self.upcalls.iter().position(|(upcall, _)| upcall.kind == kind as u32) {
                let (upcall, handle) = self.upcalls.remove(at);
                return (upcall.values, handle);
            }
            self.hear();
        }
    }

    /// Enters the domain of which this is the gate, and receives from the one sender of the endpoint that it is granted.
    fn receive(gate: OwnedFd) -> (Self, Consumer<LinuxHome>) {
        let mut this = Self { socket: Socket::from_fd(gate).unwrap(), sequence: 0, upcalls: vec![] };
        let (hello, words) = this.call(Call::Hello, &[], &[], None);
        let words = ReaderMemory::map(words.unwrap().as_fd(), hello[2] as usize * 8).unwrap();
        let slot = this.wait_for(UpcallKind::Granted).0[0];
        let arguments = [slot, Role::Receiver as u64, 0];
        let (bound, _) = this.call(Call::Bind, &arguments, Plain::<u64>::IDENTITY.as_bytes(), None);
        let terms = Terms::from_bits(bound[2]).unwrap();
        let ([binding, peer, _, _, word, value], _) = this.wait_for(UpcallKind::PeerJoined);
        let validity = Validity::new(Arc::new(words), word as usize, value as u32).unwrap();

        let layout = LaneLayout::new(terms);
        let bytes = layout.consumer_bytes().next_multiple_of(4096);
        let (own, memory) = WriterMemory::create("deaf", bytes).unwrap();
        prepare(&own, &layout, Half::Consumer).unwrap();
        let (region, _) = this.call(Call::RegisterRegion, &[bytes as u64], &[], Some(memory));
        this.call(Call::Share, &[binding, peer, region[0]], &[], None);
        let ([_, _, bytes, ..], theirs) = this.wait_for(UpcallKind::Shared);
        let theirs = ReaderMemory::map(theirs.unwrap().as_fd(), bytes as usize).unwrap();
        let consumer = Consumer::attach(LinuxHome::new(), terms, own, theirs, validity, None).unwrap();
        (this, consumer)
    }
}

/// The program that receives may never hear that somebody was revoked: revocation needs no help of its.
#[test]
fn revocation_needs_no_help_of_the_receiving_program_either() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let one = endpoint.derive(everything()).unwrap();
    let (receiving, gate) = domain.create_domain(Trust::USER).unwrap();
    endpoint.grant(&receiving, Authority::receive(Trust::USER)).unwrap();
    let child = start(&domain, "flood 1", &one, Authority::send(Trust::USER));
    let (_deaf, mut consumer) = Deaf::receive(gate.unwrap());
    let (mut copy, mut taken) = (vec![0; consumer.message_bytes()], 0);
    let end = Instant::now() + Duration::from_secs(20);
    while taken < 500 {
        assert!(Instant::now() < end, "{taken} messages");
        taken += u64::from(consumer.take_into(&mut copy).unwrap().is_some());
    }
    // From here on it reads nothing of what the kernel says. Its lane is full, and the sender goes on trying.
    std::thread::sleep(Duration::from_millis(30));
    assert!(one.revoke().unwrap().forced >= 1);
    let end = Instant::now() + Duration::from_millis(200);
    while Instant::now() < end {
        assert_eq!(consumer.take_into(&mut copy), Ok(None), "a message of a revoked sender");
        assert!(!consumer.has_message());
    }
    assert!(said(child).contains("revoked"));
}

#[test]
fn a_holder_is_told_first_and_may_let_go_by_itself() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let one = endpoint.derive(everything()).unwrap();
    let mut inbox = Inbox::new(domain.receiver::<Plain<u64>>(&endpoint).unwrap());
    let child = start(&domain, "flood 1", &one, Authority::send(Trust::USER));
    inbox.receive(1, 500, None);
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
    let mut inbox = Inbox::new(domain.receiver::<Plain<u64>>(&endpoint).unwrap());
    let mut child = start(&domain, "stubborn 1", &one, Authority::send(Trust::USER));
    inbox.receive(1, 500, None);
    let began = Instant::now();
    let revoked = one.revoke_within(SECOND / 5).unwrap();
    assert!(revoked.forced >= 1, "{revoked:?}");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(3), "{took:?}");
    let late = inbox.receiver.recv_timeout(SECOND / 5, |value| value);
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

#[test]
fn what_is_taken_at_the_deadline_is_told_to_whom_it_was_taken_from() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let one = endpoint.derive(everything()).unwrap();
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    // It asks for twenty times as long as it is given.
    let child = start_other(&domain, &["slow", "6000"], &one, Authority::send(Trust::USER));
    for expected in 0..500 {
        assert_eq!(receiver.recv_timeout(10 * SECOND, |value| value), Ok(expected));
    }
    let began = Instant::now();
    let revoked = one.revoke_within(3 * SECOND / 10).unwrap();
    assert_eq!(revoked.forced, 1, "{revoked:?}");
    let took = began.elapsed();
    assert!((Duration::from_millis(290)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let late = receiver.try_recv(|value| value);
    assert!(late.is_err(), "a message of a revoked sender: {late:?}");
    assert_eq!(said(child).trim(), "revoked, 1 repossessed, the granted slot: true");
}

#[test]
fn a_revoked_receiver_hears_that_it_is_revoked_and_nothing_else() {
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let one = endpoint.derive(everything()).unwrap();
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let child = start_other(&domain, &["listen"], &one, Authority::receive(Trust::USER));
    (1..=1000).for_each(|value| sender.send(&value).unwrap());
    sender.finish(10 * SECOND).unwrap();
    one.revoke().unwrap();
    sender.set_when_full(WhenFull::Block { timeout_ns: SECOND });
    let refused = sender.send(&1001);
    assert_eq!(refused, Err(SendError::Revoked), "nobody is left who may receive");
    assert_eq!(said(child), "Revoked after 1000\nnothing more\n");
}

#[test]
fn revoking_the_top_of_a_chain_ends_all_of_it_and_a_sibling_lives_on() {
    let refused = Some(Error::Refused(Status::NoCapability));
    let domain = feuerbird::embedded().unwrap();
    let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
    let (top, sibling) = (endpoint.derive(everything()).unwrap(), endpoint.derive(everything()).unwrap());
    let mut chain = vec![top.derive(everything()).unwrap()];
    for depth in 0..5 {
        chain.push(chain[depth].derive(everything()).unwrap());
    }
    let mut inbox = Inbox::new(domain.receiver::<Plain<u64>>(&endpoint).unwrap());
    let child = start(&domain, "flood 1", chain.last().unwrap(), Authority::send(Trust::USER));
    let mut in_the_middle = domain.sender::<Plain<u64>>(&chain[2]).unwrap();
    in_the_middle.set_when_full(WhenFull::Block { timeout_ns: 5 * SECOND });
    in_the_middle.send(&(2 << 32)).unwrap();
    inbox.receive(1, 500, None);

    let revoked = top.revoke().unwrap();
    assert_eq!((revoked.capabilities, revoked.forced), (7, 2), "six in the chain, one granted; two bound");
    let (other, _gate) = domain.create_domain(Trust::USER).unwrap();
    for handle in &chain {
        assert_eq!(domain.sender::<Plain<u64>>(handle).err(), refused);
        assert_eq!(domain.receiver::<Plain<u64>>(handle).err(), refused);
        assert_eq!(handle.derive(Authority::send(Trust::USER)).err(), refused);
        assert_eq!(handle.copy().err(), refused);
        assert_eq!(handle.grant(&other, Authority::send(Trust::USER)).err(), refused);
        assert_eq!(handle.inspect().err(), refused);
        assert_eq!(handle.revoke().err(), refused);
    }
    assert_eq!(in_the_middle.send(&(2 << 32 | 1)), Err(SendError::Revoked));
    assert!(said(child).contains("revoked"));
    let again = top.revoke().unwrap();
    assert_eq!((again.capabilities, again.forced), (0, 0), "the second time there is nothing left");

    // What was not below the top works as before, the top itself included.
    for handle in [&top, &sibling] {
        let mut sender = domain.sender::<Plain<u64>>(handle).unwrap();
        let count = inbox.next[2];
        sender.send(&(2 << 32 | count)).unwrap();
        inbox.receive(2, 1, Some(1));
    }
}
