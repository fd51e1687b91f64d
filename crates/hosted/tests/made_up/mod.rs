//! A kernel that is made up, and does as each test tells it; memory is real.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part; a test may panic

use std::{
    cell::Cell,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use feuerbird_abi::{Call, Reply, Request, Status, Upcall, UpcallKind};
use feuerbird_channel::{
    Terms,
    layout::{Half, LaneLayout},
    prepare,
};
use feuerbird_hosted::{
    LinuxHome, PeerLife,
    os::memory::{ReaderMemory, WriterMemory},
};
use feuerbird_libos::{Answer, Domain, Gate, GateError, MemoryError, Work};
use feuerbird_numa::Placement;
use feuerbird_zero_copy::WriteRegion;

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
pub(crate) const PAGE: usize = 4096;

/// A kernel that answers everything, except calls of the kind that it holds.
pub(crate) struct FakeGate {
    pub(crate) words: (WriterMemory, OwnedFd),
    pub(crate) numbers: AtomicU64,
    pub(crate) mapped: AtomicUsize,
    pub(crate) calls: Mutex<Vec<(Call, [u64; 6])>>,
    pub(crate) said: Mutex<Vec<Call>>,
    pub(crate) held: Mutex<Option<Call>>,
    pub(crate) released: Condvar,
    pub(crate) refuses: Mutex<Option<Call>>,
    /// So many calls find no room on their way.
    pub(crate) without_room: Mutex<usize>,
    /// Where memory was asked to lie.
    pub(crate) placed: Mutex<Vec<Option<Placement>>>,
}

thread_local! {
    /// Where the calling thread is said to run.
    pub(crate) static HERE: Cell<Option<Placement>> = const { Cell::new(None) };
}

#[derive(Clone)]
pub(crate) struct Fake(Arc<FakeGate>);

pub(crate) fn terms() -> Terms {
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

    fn catch_up(&self) {}

    fn home(&self) -> LinuxHome {
        LinuxHome::new()
    }

    fn make_memory(&self, bytes: usize) -> Option<(WriterMemory, OwnedFd)> {
        WriterMemory::create("fake", bytes).ok()
    }

    fn placement(&self) -> Option<Placement> {
        HERE.get()
    }

    fn make_memory_placed(
        &self,
        bytes: usize,
        placement: Option<Placement>,
    ) -> Option<(WriterMemory, OwnedFd)> {
        self.0.placed.lock().unwrap().push(placement);
        self.make_memory(bytes)
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
    pub(crate) fn hold(&self, call: Option<Call>) {
        *self.held.lock().unwrap() = call;
        self.released.notify_all();
    }

    pub(crate) fn count(&self, call: Call) -> usize {
        self.calls.lock().unwrap().iter().filter(|(made, _)| *made == call).count()
    }

    /// How often such a call found its way.
    pub(crate) fn said(&self, call: Call) -> usize {
        self.said.lock().unwrap().iter().filter(|said| **said == call).count()
    }

    /// The first two arguments of each such call.
    pub(crate) fn arguments(&self, call: Call) -> Vec<[u64; 2]> {
        let calls = self.calls.lock().unwrap();
        let made = calls.iter().filter(|(made, _)| *made == call);
        made.map(|(_, arguments)| [arguments[0], arguments[1]]).collect()
    }

    pub(crate) fn until_called(&self, call: Call, times: usize) {
        until(|| self.count(call) >= times);
    }
}

pub(crate) fn until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "it does not come");
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn domain() -> (Domain<Fake>, Arc<FakeGate>) {
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
        placed: Mutex::default(),
    });
    (Domain::enter(Fake(Arc::clone(&gate)), "").unwrap(), gate)
}

/// The number that the next binding will have.
pub(crate) fn next_number(gate: &FakeGate) -> u64 {
    gate.numbers.load(SeqCst)
}

pub(crate) fn upcall(kind: UpcallKind, values: &[u64]) -> Upcall {
    Upcall::new(kind, values[0], values)
}

pub(crate) fn joined(binding: u64, peer: u64) -> Upcall {
    upcall(UpcallKind::PeerJoined, &[binding, peer, 0, 0, 1, 1])
}

/// A peer's half of a lane, of so many pages more than agreed.
pub(crate) fn peer_half(half: Half, more: usize) -> (WriterMemory, OwnedFd, u64) {
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
pub(crate) fn in_time<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(PATIENCE).expect("it hangs")
}
