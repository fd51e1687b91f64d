//! Nobody is ended by what others do: floods of upcalls, replies that nobody reads, and a supervisor out of descriptors.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    io::Read,
    os::fd::AsFd,
    process::Command,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use feuerbird::{
    Domain, Program,
    capability::{Rights, Slot},
    channel::{RecvError, SendError},
    hosted::{SocketGate, os::socket::Socket},
    libos::{Authority, DomainHandle, Handle, Receiver},
    prelude::{Message, Plain, SECOND, Terms, Trust, WhenFull},
};
use feuerbird_abi::{AuditKind, Call, Class, Reply, Request, Role, Status, Upcall, UpcallKind};
use zerocopy::{FromBytes, IntoBytes};

/// Held by every test: alone by one that counts what the whole process has mapped, and by the others together.
static MAPPINGS: RwLock<()> = RwLock::new(());

fn among_others() -> RwLockReadGuard<'static, ()> {
    MAPPINGS.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone() -> RwLockWriteGuard<'static, ()> {
    MAPPINGS.write().unwrap_or_else(PoisonError::into_inner)
}

/// A domain that reads nothing unless told to.
struct Deaf {
    domain: DomainHandle<SocketGate>,
    socket: Socket,
}

/// What was waiting for one.
#[derive(Debug, Default)]
struct Heard {
    upcalls: Vec<Upcall>,
    replies: Vec<Reply>,
}

impl Deaf {
    fn new(root: &Domain) -> Self {
        let (domain, gate) = root.create_domain(Trust::USER).unwrap();
        Self { domain, socket: Socket::from_fd(gate.unwrap()).unwrap() }
    }

    fn ask(&self, call: Call, sequence: u64, arguments: &[u64], payload: &[u8]) {
        let request = Request::new(call, sequence, arguments);
        let record: &[u8; 64] = zerocopy::transmute_ref!(&request);
        self.socket.send(record, payload, &[]).unwrap();
    }

    /// Reads all that comes, up to the reply to `sequence`.
    fn hear(&self, sequence: u64) -> Heard {
        let mut heard = Heard::default();
        loop {
            let message = self.socket.receive_timeout(Duration::from_secs(10)).unwrap();
            let reply = Reply::read_from_bytes(message.record()).unwrap();
            if reply.class == Class::Upcall as u32 {
                heard.upcalls.push(Upcall::read_from_bytes(message.record()).unwrap());
                continue;
            }
            heard.replies.push(reply);
            if reply.sequence == sequence {
                assert_eq!(reply.status, Status::Ok as u32);
                return heard;
            }
        }
    }
}

impl Heard {
    fn count(&self, kind: UpcallKind) -> usize {
        self.upcalls.iter().filter(|upcall| upcall.kind == kind as u32).count()
    }
}

fn endpoint(root: &Domain) -> Handle<SocketGate> {
    root.endpoint(Terms::sized(64).unwrap()).unwrap()
}

fn ended(root: &Domain) -> usize {
    let log = root.audit().unwrap().read_all(1).unwrap();
    log.records.iter().filter(|it| it.kind == AuditKind::DomainEnded as u16).count()
}

#[test]
fn a_flood_of_grants_is_refused_to_who_floods_and_ends_nobody() {
    let _turn = among_others();
    let root = feuerbird::embedded().unwrap();
    let endpoint = endpoint(&root);
    let victim = Deaf::new(&root);
    let send = Authority::send(Trust::USER);
    let given = (0..4096).map(|_| endpoint.grant(&victim.domain, send));
    let refused = given.filter_map(Result::err).collect::<Vec<_>>();
    assert!(refused.iter().all(|error| *error == feuerbird::libos::Error::Refused(Status::SlotsFull)));
    assert!(refused.len() >= 3072, "nobody was refused");
    // And all of them at once: a domain that was told of nothing hears of nothing that is gone.
    assert!(endpoint.revoke().unwrap().capabilities >= 512);
    assert_eq!(ended(&root), 0);
    victim.ask(Call::Hello, 1, &[], &[]);
    let heard = victim.hear(1);
    assert!(heard.count(UpcallKind::Granted) >= 8, "what its socket took it hears");
    assert_eq!(heard.count(UpcallKind::Granted), heard.count(UpcallKind::Repossessed));
    // It can be granted to as before.
    endpoint.grant(&victim.domain, send).unwrap();
    victim.ask(Call::Null, 2, &[], &[]);
    assert_eq!(victim.hear(2).count(UpcallKind::Granted), 1);
}

#[test]
fn granting_and_revoking_without_end_leaves_no_more_than_the_victim_could_own() {
    let _turn = among_others();
    let root = feuerbird::embedded().unwrap();
    let endpoint = endpoint(&root);
    let victim = Deaf::new(&root);
    for _ in 0..8192 {
        endpoint.grant(&victim.domain, Authority::send(Trust::USER)).unwrap();
        endpoint.revoke().unwrap();
    }
    assert_eq!(ended(&root), 0);
    victim.ask(Call::Hello, 1, &[], &[]);
    assert!(victim.hear(1).upcalls.len() < 1024, "the queue grows");
}

#[test]
fn peers_that_come_and_go_without_end_do_not_end_who_does_not_listen() {
    let _turn = among_others();
    let root = feuerbird::embedded().unwrap();
    let endpoint = endpoint(&root);
    let victim = Deaf::new(&root);
    let slot = endpoint.grant(&victim.domain, Authority::receive(Trust::USER)).unwrap();
    let contract = <Plain<u64> as Message>::IDENTITY;
    victim.ask(Call::Bind, 1, &[slot.to_bits(), Role::Receiver as u64, 0], contract.as_bytes());
    victim.hear(1);
    for _ in 0..4096 {
        drop(root.sender::<Plain<u64>>(&endpoint).unwrap());
    }
    let _stays = root.sender::<Plain<u64>>(&endpoint).unwrap();
    assert_eq!(ended(&root), 0);
    victim.ask(Call::Null, 2, &[], &[]);
    let heard = victim.hear(2);
    assert!(heard.upcalls.len() < 1024, "the queue grows");
    let unheard_of = |it: &&Upcall| it.kind == UpcallKind::PeerLeft as u32 && it.values[1] == u64::MAX;
    let notes = heard.upcalls.iter().filter(unheard_of).count();
    assert_eq!(notes, 1, "told together");
    let left = heard.count(UpcallKind::PeerLeft) - notes;
    assert_eq!(heard.count(UpcallKind::PeerJoined), left + 1, "one is left");
    // The one that stays is the last one that it heard of.
    let last = heard.upcalls.iter().rev().find(|it| it.kind == UpcallKind::PeerJoined as u32).unwrap();
    let left = heard.upcalls.iter().filter(|it| it.kind == UpcallKind::PeerLeft as u32);
    assert!(left.into_iter().all(|it| it.values[1] != last.values[1]));
}

#[test]
fn who_does_not_read_its_replies_is_served_later_and_delays_nobody() {
    let _turn = among_others();
    const ASKED: u64 = 1024;
    let root = feuerbird::embedded().unwrap();
    let deaf = Deaf::new(&root);
    (1..=ASKED).for_each(|sequence| deaf.ask(Call::Null, sequence, &[], &[]));
    let began = Instant::now();
    let _others_go_on = endpoint(&root);
    assert!(began.elapsed() < Duration::from_secs(5));
    let replies = deaf.hear(ASKED).replies;
    assert!(replies.iter().map(|reply| reply.sequence).eq(1..=ASKED), "each one, in order");
    assert_eq!(ended(&root), 0);
}

#[test]
fn who_goes_on_asking_and_never_reads_ends_itself_and_nobody_else() {
    let _turn = among_others();
    let root = feuerbird::embedded().unwrap();
    let (deaf, other) = (Deaf::new(&root), Deaf::new(&root));
    let request = Request::new(Call::Null, 1, &[]);
    let ask = || deaf.socket.send(zerocopy::transmute_ref!(&request), &[], &[]).is_ok();
    let taken = (0..100_000).take_while(|_| ask()).count();
    assert!((1024..10_000).contains(&taken), "{taken} requests");
    assert_eq!(ended(&root), 1);
    other.ask(Call::Null, 1, &[], &[]);
    assert_eq!(other.hear(1).replies.len(), 1);
}

/// In a socket that nobody reads they would count against every program of the user.
#[test]
fn descriptors_are_not_parked_at_the_supervisor() {
    let _turn = among_others();
    const ASKED: u64 = 900;
    let root = feuerbird::embedded().unwrap();
    let deaf = Deaf::new(&root);
    let (mut reading, writing) = std::io::pipe().unwrap();
    for sequence in 1..=ASKED {
        let request = Request::new(Call::RegisterRegion, sequence, &[4096]);
        let parked = [writing.as_fd(); 2];
        deaf.socket.send(zerocopy::transmute_ref!(&request), &[], &parked).unwrap();
    }
    drop(writing);
    let (closed, closes) = std::sync::mpsc::channel();
    std::thread::spawn(move || closed.send(reading.read(&mut [0]).unwrap()));
    assert_eq!(closes.recv_timeout(Duration::from_secs(5)), Ok(0), "some are kept");
    // Each is answered all the same: a pipe is no memory, and what was not served at once has lost it.
    let mut replies = vec![];
    while replies.len() < ASKED as usize {
        let message = deaf.socket.receive_timeout(Duration::from_secs(10)).unwrap();
        replies.push(Reply::read_from_bytes(message.record()).unwrap());
    }
    assert!(replies.iter().map(|reply| reply.sequence).eq(1..=ASKED));
    let lost = replies.iter().filter(|it| it.status == Status::ObjectsFull as u32).count();
    assert!((100..900).contains(&lost), "{lost} were served late");
    assert!(replies.iter().all(|reply| reply.status != Status::Ok as u32));
    assert_eq!(ended(&root), 0);
}

#[test]
fn programs_that_came_and_went_leave_no_slot_taken() {
    let _turn = among_others();
    let root = feuerbird::embedded().unwrap();
    let first = root.create_domain(Trust::USER).unwrap().0.handle().slot().index;
    let program = || Program::new(Command::new("/bin/true"), Trust::USER).without_sandbox();
    for _ in 0..4 {
        drop(program().spawn(&root, &[]).unwrap());
        let missing = Program::new(Command::new("/nowhere/at/all"), Trust::USER).without_sandbox();
        assert!(missing.spawn(&root, &[]).is_err());
        let refused = root.handle(Slot { index: 99, generation: 1 });
        assert!(program().spawn(&root, &[(&refused, Authority::send(Trust::USER))]).is_err());
    }
    // Domains that ended are swept little by little.
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let (domain, gate) = root.create_domain(Trust::USER).unwrap();
        let last = domain.handle().slot().index;
        if last <= first + 1 {
            break;
        }
        assert!(Instant::now() < end, "slots are taken: from {first} to {last}");
        drop(gate);
        domain.handle().clone().delete().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many mappings of memory of ours there are, and of how many bytes.
fn mapped() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let ours = maps.lines().filter(|line| line.contains("memfd:feuerbird"));
    let bytes = ours.map(|line| {
        let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        usize::from_str_radix(to, 16).unwrap() - usize::from_str_radix(from, 16).unwrap()
    });
    bytes.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes))
}

/// What a receiver takes next; the ends of lanes, and of those that never came to be, are told between messages.
fn next(receiver: &mut Receiver<Plain<u64>, SocketGate>) -> Option<u64> {
    let end = Instant::now() + Duration::from_secs(1);
    loop {
        match receiver.recv_timeout(SECOND / 10, |value| value) {
            Ok(value) => return Some(value),
            Err(error) if Instant::now() > end => {
                assert!(matches!(error, RecvError::Disconnected | RecvError::DeadlinePassed), "{error}");
                return None;
            }
            Err(_) => {}
        }
    }
}

/// Sends one message from a peer of its own, which goes: whether it was taken in, and how long that took to say.
fn send_and_go(root: &Domain, endpoint: &Handle<SocketGate>, value: &u64) -> Result<(), SendError> {
    let began = Instant::now();
    let mut sender = root.sender::<Plain<u64>>(endpoint).unwrap();
    sender.set_when_full(WhenFull::Block { timeout_ns: 10 * SECOND });
    let sent = sender.send(value);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{value}: {sent:?} after {:?}, {} receivers",
        began.elapsed(),
        sender.receivers()
    );
    sent
}

/// Peers that come, send and go cost an owner that does not look memory for so many lanes, and no more.
#[test]
fn peers_that_come_and_go_unseen_leave_a_bounded_number_of_lanes() {
    let _turn = alone();
    let root = feuerbird::embedded().unwrap();
    let endpoint = endpoint(&root);
    let mut receiver = root.receiver::<Plain<u64>>(&endpoint).unwrap();
    let (before, _) = mapped();
    let mut sent = vec![];
    // Those that left nothing make room for those that do.
    for value in 0..600 {
        if value % 2 == 1 {
            drop(root.sender::<Plain<u64>>(&endpoint).unwrap());
            continue;
        }
        match send_and_go(&root, &endpoint, &value) {
            Ok(()) => sent.push(value),
            Err(error) => assert_eq!(error, SendError::Disconnected, "who finds no room hears of it"),
        }
    }
    let (after, _) = mapped();
    assert!(after.saturating_sub(before) < 2 * 300, "{} mappings more", after.saturating_sub(before));
    assert!((200..=256).contains(&sent.len()), "{} of 256 lanes", sent.len());
    // One that stays hears of it as well, and is let in when it comes again.
    let mut stays = root.sender::<Plain<u64>>(&endpoint).unwrap();
    assert_eq!(stays.send(&7), Err(SendError::Disconnected));
    let mut received: Vec<_> = std::iter::from_fn(|| next(&mut receiver)).collect();
    received.sort_unstable();
    assert_eq!(received, sent, "each one, whoever sent it");
    assert_eq!(stays.send(&7), Err(SendError::Disconnected));
    drop(stays);
    let mut again = root.sender::<Plain<u64>>(&endpoint).unwrap();
    again.send(&7).unwrap();
    assert_eq!(next(&mut receiver), Some(7));
}

/// Large lanes are fewer.
#[test]
fn peers_that_come_and_go_unseen_leave_a_bounded_amount_of_memory() {
    let _turn = alone();
    let root = feuerbird::embedded().unwrap();
    let endpoint = root.endpoint(Terms::new(1 << 20, 16).unwrap()).unwrap();
    let at_most = 8 * (17 << 20);
    let mut receiver = root.receiver::<Plain<u64>>(&endpoint).unwrap();
    let (_, before) = mapped();
    let sent = (0..20).filter(|value| send_and_go(&root, &endpoint, value).is_ok()).collect::<Vec<_>>();
    let (_, after) = mapped();
    assert!(after.saturating_sub(before) <= at_most, "{} MiB more", after.saturating_sub(before) >> 20);
    assert!((7..=8).contains(&sent.len()), "{} lanes of 17 MiB", sent.len());
    let mut received: Vec<_> = std::iter::from_fn(|| next(&mut receiver)).collect();
    received.sort_unstable();
    assert_eq!(received, sent);
    // Those who stay are none of it: what they cost is theirs as well.
    let mut staying: Vec<_> = (0..6).map(|_| root.sender::<Plain<u64>>(&endpoint).unwrap()).collect();
    staying.iter_mut().for_each(|sender| sender.send(&1).unwrap());
    assert!((0..6).all(|_| next(&mut receiver) == Some(1)));
}

#[test]
fn a_program_that_listens_hears_of_every_grant_in_a_flood() {
    let _turn = among_others();
    let root = feuerbird::embedded().unwrap();
    let endpoint = endpoint(&root);
    let own = root.own();
    let granted = Authority::new(Rights::SEND, Trust::USER);
    for badge in 1..=500 {
        endpoint.grant(&own, granted.badge(badge)).unwrap();
    }
    for badge in 1..=500 {
        let (_, granted) = root.granted(SECOND).unwrap();
        assert_eq!(granted.badge.0, badge);
    }
}
