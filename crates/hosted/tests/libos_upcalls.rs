//! What a domain does with what its kernel says: before a reply, too late, too often, wrongly, and never again.
//!
//! The kernel here is made up, and does as each test tells it; memory is real.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    io::Read,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use feuerbird_abi::{Call, Reason, Reply, Request, Status, UNHEARD_OF, Upcall, UpcallKind};
use feuerbird_capability::Slot;
use feuerbird_channel::{
    Lie, RecvError, SendError, Terms,
    layout::{Half, LaneLayout},
    prepare,
};
use feuerbird_hosted::{
    LinuxHome, PeerLife,
    os::memory::{ReaderMemory, WriterMemory},
};
use feuerbird_libos::{Answer, Domain, Error, Gate, GateError, MemoryError, Repossession, Work};
use feuerbird_serialization::Plain;
use feuerbird_zero_copy::WriteRegion;
use rustix::process::{Resource, getrlimit};

const PATIENCE: Duration = Duration::from_secs(5);
const PAGE: usize = 4096;

/// A kernel that answers everything, except calls of the kind that it holds.
struct FakeGate {
    words: (WriterMemory, OwnedFd),
    numbers: AtomicU64,
    mapped: AtomicUsize,
    calls: Mutex<Vec<(Call, [u64; 6])>>,
    said: Mutex<Vec<Call>>,
    held: Mutex<Option<Call>>,
    released: Condvar,
    refuses: Mutex<Option<Call>>,
    /// So many calls find no room on their way.
    without_room: Mutex<usize>,
}

#[derive(Clone)]
struct Fake(Arc<FakeGate>);

fn terms() -> Terms {
    Terms::sized(256).unwrap()
}

impl Gate for Fake {
    type Home = LinuxHome;
    type Handle = OwnedFd;

    fn call(
        &self,
        request: Request,
        _: &[u8],
        _: Option<OwnedFd>,
        _: &mut [u8],
    ) -> Result<Answer<OwnedFd>, GateError> {
        let call = Call::from_number(request.number).unwrap();
        self.0.calls.lock().unwrap().push((call, request.arguments));
        let held = self.0.held.lock().unwrap();
        drop(self.0.released.wait_while(held, |held| *held == Some(call)).unwrap());
        if *self.0.refuses.lock().unwrap() == Some(call) {
            return Err(GateError::Refused(Status::QuotaExceeded, 0));
        }
        let mut without_room = self.0.without_room.lock().unwrap();
        if *without_room > 0 {
            *without_room -= 1;
            return Err(GateError::Shortage);
        }
        drop(without_room);
        self.0.said.lock().unwrap().push(call);
        let next = || self.0.numbers.fetch_add(1, SeqCst);
        let (values, handle) = match call {
            Call::Hello => ([1, 15, 512, 0, 0, 0], Some(self.0.words.1.try_clone().unwrap())),
            Call::Bind => ([next(), 15, terms().to_bits(), 0, 1, 0], None),
            _ => ([next(), 0, 0, 0, 0, 0], None),
        };
        Ok(Answer { reply: Reply::new(Status::Ok, request.sequence, &values), payload: 0, handle })
    }

    fn home(&self) -> LinuxHome {
        LinuxHome::new()
    }

    fn make_memory(&self, bytes: usize) -> Option<(WriterMemory, OwnedFd)> {
        WriterMemory::create("fake", bytes).ok()
    }

    fn map_memory(&self, handle: OwnedFd, bytes: usize) -> Result<ReaderMemory, MemoryError> {
        self.0.mapped.fetch_add(1, SeqCst);
        ReaderMemory::map(handle.as_fd(), bytes).map_err(|_| MemoryError::NotAsPromised)
    }

    fn life(&self, handle: OwnedFd) -> PeerLife {
        handle.into()
    }

    fn run_beside(&self, work: Work) -> Result<(), Work> {
        thread::spawn(work);
        Ok(())
    }
}

impl FakeGate {
    fn hold(&self, call: Option<Call>) {
        *self.held.lock().unwrap() = call;
        self.released.notify_all();
    }

    fn count(&self, call: Call) -> usize {
        self.calls.lock().unwrap().iter().filter(|(made, _)| *made == call).count()
    }

    /// How often such a call found its way.
    fn said(&self, call: Call) -> usize {
        self.said.lock().unwrap().iter().filter(|said| **said == call).count()
    }

    /// The first two arguments of each such call.
    fn arguments(&self, call: Call) -> Vec<[u64; 2]> {
        let calls = self.calls.lock().unwrap();
        let made = calls.iter().filter(|(made, _)| *made == call);
        made.map(|(_, arguments)| [arguments[0], arguments[1]]).collect()
    }

    fn until_called(&self, call: Call, times: usize) {
        until(|| self.count(call) >= times);
    }
}

fn until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "it does not come");
        thread::sleep(Duration::from_millis(1));
    }
}

fn domain() -> (Domain<Fake>, Arc<FakeGate>) {
    let words = WriterMemory::create("words", PAGE).unwrap();
    words.0.writable().iter().for_each(|word| word.store(1, SeqCst));
    let gate = Arc::new(FakeGate {
        words,
        numbers: AtomicU64::new(100),
        mapped: AtomicUsize::new(0),
        calls: Mutex::default(),
        said: Mutex::default(),
        held: Mutex::default(),
        released: Condvar::new(),
        refuses: Mutex::default(),
        without_room: Mutex::default(),
    });
    (Domain::enter(Fake(Arc::clone(&gate)), "").unwrap(), gate)
}

/// The number that the next binding will have.
fn next_number(gate: &FakeGate) -> u64 {
    gate.numbers.load(SeqCst)
}

fn upcall(kind: UpcallKind, values: &[u64]) -> Upcall {
    Upcall::new(kind, values[0], values)
}

fn joined(binding: u64, peer: u64) -> Upcall {
    upcall(UpcallKind::PeerJoined, &[binding, peer, 0, 0, 1, 1])
}

/// A peer's half of a lane, of so many pages more than agreed.
fn peer_half(half: Half, more: usize) -> (WriterMemory, OwnedFd, u64) {
    let layout = LaneLayout::new(terms());
    let bytes = match half {
        Half::Producer => layout.producer_bytes(),
        Half::Consumer => layout.consumer_bytes(),
    };
    let bytes = bytes.next_multiple_of(PAGE) + more * PAGE;
    let (writer, fd) = WriterMemory::create("peer", bytes).unwrap();
    prepare(&writer, &layout, half).unwrap();
    (writer, fd, bytes as u64)
}

/// Runs `work` elsewhere and panics where it takes too long.
fn in_time<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(PATIENCE).expect("it hangs")
}

#[test]
fn what_is_told_about_a_binding_before_its_reply_is_acted_on_after_it_in_order() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    gate.hold(Some(Call::Bind));
    let binding = {
        let (domain, endpoint) = (domain.clone(), endpoint.clone());
        thread::spawn(move || domain.sender::<Plain<u64>>(&endpoint).unwrap())
    };
    gate.until_called(Call::Bind, 1);
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    let telling = domain.clone();
    in_time(move || {
        telling.upcall(&joined(number, 1), None).unwrap();
        telling.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(fd)).unwrap();
        telling.upcall(&joined(number, 2), None).unwrap();
        telling.upcall(&upcall(UpcallKind::PeerLeft, &[number, 2, Reason::Died as u64]), None).unwrap();
    });
    gate.hold(None);
    let mut sender = binding.join().unwrap();
    assert_eq!(sender.receivers(), 1);
    assert_eq!(gate.count(Call::Share), 1, "nothing is made for the peer that came and left unheard");
    assert_eq!(gate.count(Call::Delete), 0);
    sender.try_send(&1).unwrap();
}

#[test]
fn peers_that_come_and_go_while_a_reply_is_on_its_way_leave_nothing() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    gate.hold(Some(Call::Bind));
    let binding = {
        let (domain, endpoint) = (domain.clone(), endpoint.clone());
        thread::spawn(move || domain.sender::<Plain<u64>>(&endpoint).unwrap())
    };
    gate.until_called(Call::Bind, 1);
    // A handle of each, of which none may stay: this process has no room for so many, or holds at most a few.
    for peer in 0..2 * getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).min(4096) {
        let handle = gate.words.1.try_clone().unwrap();
        domain.upcall(&joined(number, peer), Some(handle)).unwrap();
        let left = upcall(UpcallKind::PeerLeft, &[number, peer, Reason::Unbound as u64]);
        domain.upcall(&left, None).unwrap();
    }
    let held = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(held < 1000, "{held} handles are kept");
    gate.hold(None);
    assert_eq!(binding.join().unwrap().receivers(), 0);
    assert_eq!(gate.count(Call::Share), 0);
}

#[test]
fn a_pair_that_comes_to_nothing_is_told_to_the_endpoint_whatever_it_failed_by() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    *gate.refuses.lock().unwrap() = Some(Call::Share);
    assert_eq!(domain.upcall(&joined(number, 1), None), Err(Error::Refused(Status::QuotaExceeded)));
    assert_eq!(sender.send(&1), Err(SendError::Disconnected));
    *gate.refuses.lock().unwrap() = None;
    domain.upcall(&joined(number, 2), None).unwrap();
    let (_theirs, _, bytes) = peer_half(Half::Consumer, 0);
    let lost_on_its_way = upcall(UpcallKind::Shared, &[number, 2, bytes]);
    assert_eq!(domain.upcall(&lost_on_its_way, None), Err(Error::Garbled));
    assert_eq!(sender.send(&1), Err(SendError::Disconnected));
    assert_eq!(gate.count(Call::Delete), 2, "our halves are of no use");
    assert_eq!(
        gate.arguments(Call::Part),
        [[number, 1], [number, 2]],
        "the peers hear that they wait for nobody"
    );
    let late = upcall(UpcallKind::PeerLeft, &[number, 2, Reason::Died as u64]);
    assert_eq!((domain.upcall(&late, None), sender.try_send(&1)), (Ok(()), Err(SendError::Disconnected)));
    assert_eq!(gate.count(Call::Part), 2, "once for each");
}

#[test]
fn a_lane_that_carries_is_not_ended_by_a_second_sharing_that_lost_its_memory() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 1), None).unwrap();
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    let shared = upcall(UpcallKind::Shared, &[number, 1, bytes]);
    domain.upcall(&shared, Some(fd)).unwrap();
    assert_eq!(domain.upcall(&shared, None), Ok(()));
    sender.try_send(&1).unwrap();
    assert_eq!(gate.count(Call::Part), 0);
}

#[test]
fn who_waits_for_a_peer_that_leaves_before_there_is_a_lane_hears_of_it() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    for (reason, told) in [(Reason::Unbound, SendError::Disconnected), (Reason::Revoked, SendError::Revoked)]
    {
        let number = next_number(&gate);
        let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
        domain.upcall(&joined(number, 1), None).unwrap();
        let waiting = thread::spawn(move || sender.send(&1));
        thread::sleep(Duration::from_millis(20));
        domain.upcall(&upcall(UpcallKind::PeerLeft, &[number, 1, reason as u64]), None).unwrap();
        assert_eq!(in_time(move || waiting.join().unwrap()), Err(told));
    }
    assert_eq!(gate.count(Call::Delete), 2, "our halves are of no use");
    assert_eq!(gate.count(Call::Part), 0, "the kernel knows");
}

#[test]
fn who_left_unheard_of_is_gone_and_who_is_coming_is_not() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let left = |reason| upcall(UpcallKind::PeerLeft, &[number, UNHEARD_OF, reason as u64]);
    domain.upcall(&left(Reason::Died), None).unwrap();
    assert_eq!(sender.try_send(&1), Err(SendError::Disconnected));
    domain.upcall(&joined(number, 1), None).unwrap();
    domain.upcall(&left(Reason::Died), None).unwrap();
    assert_eq!(sender.try_send(&1), Err(SendError::Full), "the lane is being made");
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    domain.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(fd)).unwrap();
    sender.try_send(&1).unwrap();

    let number = next_number(&gate);
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 2), None).unwrap();
    domain.upcall(&upcall(UpcallKind::PeerLeft, &[number, UNHEARD_OF, 1]), None).unwrap();
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::Empty));
    domain.upcall(&upcall(UpcallKind::PeerLeft, &[number, 2, 1]), None).unwrap();
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::Disconnected));
}

#[test]
fn what_has_no_room_on_the_way_to_the_kernel_is_said_later_and_nobody_waits_for_it() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 1), None).unwrap();
    *gate.without_room.lock().unwrap() = usize::MAX;
    in_time(move || drop(sender));
    assert!(domain.receiver::<Plain<u64>>(&endpoint).is_err());
    assert_eq!((gate.count(Call::Bind), gate.count(Call::Delete)), (2, 1));
    *gate.without_room.lock().unwrap() = 0;
    until(|| gate.said(Call::Unbind) == 1 && gate.said(Call::Delete) == 1);
    thread::sleep(Duration::from_millis(30));
    assert_eq!((gate.said(Call::Unbind), gate.said(Call::Delete)), (1, 1), "once");
    // What was let go is answered for as well.
    let number = next_number(&gate);
    let sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    *gate.without_room.lock().unwrap() = 3;
    let asked = Upcall::new(UpcallKind::RevocationRequested, 77, &[number, u64::MAX, 0]);
    domain.upcall(&asked, None).unwrap();
    until(|| gate.said(Call::Acknowledge) == 1);
    // And nobody is kept alive by what it owes.
    *gate.without_room.lock().unwrap() = usize::MAX;
    drop(sender);
    let weak = domain.downgrade();
    drop((domain, endpoint));
    until(|| weak.upgrade().is_none());
}

#[test]
fn a_request_to_let_go_goes_with_its_binding() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let (first, _one) = (next_number(&gate), domain.receiver::<Plain<u64>>(&endpoint).unwrap());
    let (second, two) = (next_number(&gate), domain.receiver::<Plain<u64>>(&endpoint).unwrap());
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&handled);
    domain.on_revocation(move |_| {
        counting.fetch_add(1, SeqCst);
        let _ = released.lock().unwrap().recv();
    });
    for binding in [first, second] {
        let asked = Upcall::new(UpcallKind::RevocationRequested, binding, &[binding, u64::MAX, 0]);
        domain.upcall(&asked, None).unwrap();
    }
    until(|| handled.load(SeqCst) == 1);
    drop(two);
    drop(release);
    gate.until_called(Call::Acknowledge, 1);
    thread::sleep(Duration::from_millis(20));
    assert_eq!((handled.load(SeqCst), gate.count(Call::Acknowledge)), (1, 1));
}

#[test]
fn a_kernel_that_stands_still_holds_up_only_who_called_it() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    gate.hold(Some(Call::Bind));
    let binding = {
        let (domain, endpoint) = (domain.clone(), endpoint.clone());
        thread::spawn(move || domain.receiver::<Plain<u64>>(&endpoint).map(drop))
    };
    gate.until_called(Call::Bind, 2);
    let telling = domain.clone();
    in_time(move || telling.upcall(&joined(number, 1), None).unwrap());
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    let telling = domain.clone();
    in_time(move || telling.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(fd)).unwrap());
    assert_eq!(sender.receivers(), 1);
    in_time(move || drop(sender));
    gate.hold(None);
    binding.join().unwrap().unwrap();
}

#[test]
fn what_came_early_for_nobody_is_dropped_with_its_handle() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    gate.hold(Some(Call::Bind));
    let binding = {
        let (domain, endpoint) = (domain.clone(), endpoint.clone());
        thread::spawn(move || domain.sender::<Plain<u64>>(&endpoint).err())
    };
    gate.until_called(Call::Bind, 1);
    let (reading, writing) = std::io::pipe().unwrap();
    let telling = domain.clone();
    in_time(move || telling.upcall(&joined(7, 1), Some(writing.into())).unwrap());
    *gate.refuses.lock().unwrap() = Some(Call::Bind);
    gate.hold(None);
    assert_eq!(binding.join().unwrap(), Some(Error::Refused(Status::QuotaExceeded)));
    let mut reading = reading;
    assert_eq!(in_time(move || reading.read(&mut [0]).unwrap()), 0, "the handle is closed");
}

#[test]
fn a_region_made_for_a_binding_that_was_dropped_meanwhile_is_deleted() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    gate.hold(Some(Call::RegisterRegion));
    let telling = domain.clone();
    let joining = thread::spawn(move || telling.upcall(&joined(number, 1), None).unwrap());
    gate.until_called(Call::RegisterRegion, 1);
    drop(sender);
    let region = next_number(&gate);
    gate.hold(None);
    joining.join().unwrap();
    assert_eq!(gate.count(Call::Share), 0);
    let calls = gate.calls.lock().unwrap();
    let deleted = calls.iter().find(|(call, _)| *call == Call::Delete).map(|(_, arguments)| arguments[0]);
    assert_eq!(deleted, Some(region));
}

#[test]
fn only_memory_that_is_waited_for_and_of_the_exact_size_is_mapped() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let mapped = || gate.mapped.load(SeqCst) - 1;
    let share = |peer: u64, more: usize| {
        let (writer, fd, bytes) = peer_half(Half::Consumer, more);
        let shared = domain.upcall(&upcall(UpcallKind::Shared, &[number, peer, bytes]), Some(fd));
        (shared, writer)
    };
    assert_eq!(share(1, 0).0, Ok(()), "from nobody");
    assert_eq!(mapped(), 0);
    domain.upcall(&joined(number, 1), None).unwrap();
    assert_eq!(share(1, 1).0, Err(Error::PeerMemory), "one page more");
    assert_eq!(mapped(), 0);
    assert_eq!(share(1, 0).0, Ok(()), "a second try is not waited for");
    assert_eq!(mapped(), 0);
    assert_eq!(sender.try_send(&1), Err(SendError::PeerMisbehaved(Lie::Header)));
    assert_eq!(gate.count(Call::Delete), 1, "our half is of no use");

    domain.upcall(&joined(number, 2), None).unwrap();
    let (shared, _theirs) = share(2, 0);
    assert_eq!((shared, mapped()), (Ok(()), 1));
    assert_eq!((share(2, 0).0, mapped()), (Ok(()), 1), "twice");
    sender.try_send(&1).unwrap();
}

#[test]
fn a_sender_that_never_became_a_lane_is_told_to_the_receiver() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    domain.upcall(&joined(number, 1), None).unwrap();
    let (_, _, bytes) = peer_half(Half::Producer, 0);
    let empty = WriterMemory::create("no header", bytes as usize).unwrap();
    let shared = domain.upcall(&upcall(UpcallKind::Shared, &[number, 1, bytes]), Some(empty.1));
    assert!(matches!(shared, Err(Error::Attach(_))), "{shared:?}");
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::PeerMisbehaved(Lie::Header)));
    assert_eq!(receiver.statistics().misbehaved, 1);
    assert_eq!(receiver.try_recv(|value| value), Err(RecvError::Disconnected), "told once");

    // Where the fault is ours there is nobody to blame, and nobody to wait for either.
    *gate.refuses.lock().unwrap() = Some(Call::RegisterRegion);
    let number = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    assert_eq!(domain.upcall(&joined(number, 2), None), Err(Error::Refused(Status::QuotaExceeded)));
    assert_eq!(sender.send(&1), Err(SendError::Disconnected));
}

#[test]
fn a_revocation_handler_that_takes_long_delays_nobody_and_one_that_panics_lets_go() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let first = next_number(&gate);
    let _one = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let second = next_number(&gate);
    let _two = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let third = next_number(&gate);
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).unwrap();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    domain.on_revocation(move |deadline| {
        released.lock().unwrap_or_else(|error| error.into_inner()).recv().unwrap();
        assert_eq!(deadline, 5, "the first one panics");
    });
    let ask = |binding: u64, deadline: u64| {
        let told = Upcall::new(UpcallKind::RevocationRequested, binding, &[binding, u64::MAX, deadline]);
        let domain = domain.clone();
        in_time(move || domain.upcall(&told, None).unwrap());
    };
    ask(first, 4);
    ask(second, 5);
    // Both wait for the handler; a peer joins all the same.
    let (_theirs, fd, bytes) = peer_half(Half::Consumer, 0);
    let telling = domain.clone();
    in_time(move || {
        telling.upcall(&joined(third, 1), None).unwrap();
        telling.upcall(&upcall(UpcallKind::Shared, &[third, 1, bytes]), Some(fd)).unwrap();
    });
    assert_eq!(sender.receivers(), 1);
    assert_eq!(gate.count(Call::Acknowledge), 0, "nothing is let go before the handler has returned");
    release.send(()).unwrap();
    gate.until_called(Call::Acknowledge, 1);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(gate.count(Call::Acknowledge), 1, "one after the other");
    release.send(()).unwrap();
    gate.until_called(Call::Acknowledge, 2);
    let calls = gate.calls.lock().unwrap();
    let acknowledged: Vec<_> =
        calls.iter().filter(|(call, _)| *call == Call::Acknowledge).map(|(_, it)| it[0]).collect();
    assert_eq!(acknowledged, [first, second]);
}

#[test]
fn a_handler_that_never_returns_does_not_keep_the_domain() {
    let (domain, gate) = domain();
    let endpoint = domain.endpoint(terms()).unwrap();
    let number = next_number(&gate);
    let receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
    let (began, begins) = mpsc::channel();
    domain.on_revocation(move |_| {
        began.send(()).unwrap();
        thread::sleep(Duration::from_secs(600));
    });
    let asked = Upcall::new(UpcallKind::RevocationRequested, 1, &[number, u64::MAX, 0]);
    domain.upcall(&asked, None).unwrap();
    begins.recv_timeout(PATIENCE).unwrap();
    let weak = domain.downgrade();
    drop((domain, endpoint, receiver));
    until(|| weak.upgrade().is_none());
}

#[test]
fn a_flood_of_news_is_kept_in_bounded_memory_and_what_is_lost_is_counted() {
    let (domain, _gate) = domain();
    for index in 1..=1500 {
        domain.upcall(&upcall(UpcallKind::Granted, &[index, 1, 0, 0, 0]), None).unwrap();
        domain.upcall(&upcall(UpcallKind::Repossessed, &[u64::MAX, index, 0, 0]), None).unwrap();
    }
    let missed = domain.missed();
    assert_eq!((missed.granted, missed.repossessed), (1500 - 1024, 1500 - 256));
    let granted: Vec<_> =
        std::iter::from_fn(|| domain.granted(0).ok()).map(|(_, granted)| granted.slot).collect();
    assert!(granted.iter().copied().eq((1500 - 1023..=1500).map(Slot::from_bits)), "the newest, in order");
    let taken = domain.repossessed();
    assert!(taken.iter().copied().eq(
        (1500 - 255..=1500).map(|index| Repossession { binding: u64::MAX, slot: Slot::from_bits(index) })
    ));
}

#[test]
fn a_wait_for_a_grant_ends_with_the_kernel_and_not_before_what_it_granted() {
    let (domain, _gate) = domain();
    let waiting = domain.clone();
    let (said, says) = mpsc::channel();
    thread::spawn(move || {
        for _ in 0..3 {
            said.send(waiting.granted(u64::MAX).map(|(_, granted)| granted.slot)).unwrap();
        }
    });
    for index in [1, 2] {
        domain.upcall(&upcall(UpcallKind::Granted, &[index, 1, 0, 0, 0]), None).unwrap();
    }
    domain.kernel_gone();
    let said: Vec<_> = (0..3).map(|_| says.recv_timeout(PATIENCE).expect("it hangs")).collect();
    assert_eq!(said, [Ok(Slot::from_bits(1)), Ok(Slot::from_bits(2)), Err(Error::KernelGone)]);
}
