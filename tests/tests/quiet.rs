//! While both sides keep up, a message costs no system call of ours and no allocation; and one who sleeps is woken once.
//!
//! The home below counts what would be system calls: all waiting and waking of a channel goes through it.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use feuerbird::libos::Authority;
use feuerbird_capability::{Rights, Trust};
use feuerbird_channel::{
    Consumer, Home, LaneIn, LaneOut, Producer, Receiver, Sender, Terms, Validity, Watched,
    layout::{Half, LaneLayout},
    prepare,
};
use feuerbird_hosted::{
    LinuxHome, PeerLife,
    os::memory::{ReaderMemory, WriterMemory},
};
use feuerbird_serialization::{
    Layer, Plain,
    sample::{Sample, SampleMessage, encoded_size},
};

const PAIRS: u64 = 100_000;

/// Counts what each thread asks for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with the same arguments; counting touches no memory it manages. What is
// not written here (`realloc`, `alloc_zeroed`) comes down to `alloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, that is from the system's allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Debug, Default)]
struct Counts {
    waits: AtomicU64,
    wakes: AtomicU64,
    /// Looks at the clock and at the peer's life, and heavy barriers.
    others: AtomicU64,
    /// Somebody is between the start of a wait and its end.
    asleep: AtomicBool,
    /// Who is woken stays in its wait as long as this is set.
    hold: AtomicBool,
}

/// The hosted home, counted. Its waits have no limit in time, so that each ends by a wake or not at all.
#[derive(Clone, Debug)]
struct CountedHome {
    inner: LinuxHome,
    counts: Arc<Counts>,
}

impl Home for CountedHome {
    type Writer = WriterMemory;
    type Reader = ReaderMemory;
    type Life = PeerLife;

    fn now_ns(&self) -> u64 {
        self.counts.others.fetch_add(1, SeqCst);
        self.inner.now_ns()
    }

    fn wait(&self, words: &[Watched], _: u64) {
        self.counts.waits.fetch_add(1, SeqCst);
        self.counts.asleep.store(true, SeqCst);
        self.inner.wait(words, 10_000_000_000);
        while self.counts.hold.load(SeqCst) {
            thread::yield_now();
        }
        self.counts.asleep.store(false, SeqCst);
    }

    fn wake(&self, address: *const u64) {
        self.counts.wakes.fetch_add(1, SeqCst);
        self.inner.wake(address);
    }

    fn has_heavy_barrier(&self) -> bool {
        self.inner.has_heavy_barrier()
    }

    fn heavy_barrier(&self) {
        self.counts.others.fetch_add(1, SeqCst);
        self.inner.heavy_barrier();
    }

    fn is_dead(&self, life: &PeerLife) -> bool {
        self.counts.others.fetch_add(1, SeqCst);
        self.inner.is_dead(life)
    }
}

type Ends<T> = (Sender<T, CountedHome>, Receiver<T, CountedHome>);

/// One lane within this process, over the memory that lanes between processes have.
fn lane<T: feuerbird_serialization::Message>(bytes: usize, trust: Trust) -> (Ends<T>, Arc<Counts>) {
    let terms = Terms::new(bytes as u32, 64).unwrap();
    let layout = LaneLayout::new(terms);
    let half = |half: Half, bytes: usize| {
        let bytes = bytes.next_multiple_of(4096);
        let (memory, fd) = WriterMemory::create("quiet", bytes).unwrap();
        prepare(&memory, &layout, half).unwrap();
        (memory, ReaderMemory::map(fd.as_fd(), bytes).unwrap())
    };
    let (out, out_view) = half(Half::Producer, layout.producer_bytes());
    let (back, back_view) = half(Half::Consumer, layout.consumer_bytes());
    let counts = Arc::new(Counts::default());
    let home = || CountedHome { inner: LinuxHome::new(), counts: Arc::clone(&counts) };
    let valid = Validity::unconditional;
    let producer = Producer::attach(home(), terms, out, back_view, valid(), None).unwrap();
    let mut consumer = Consumer::attach(home(), terms, back, out_view, valid(), None).unwrap();
    // SAFETY: the producer is the one above, which keeps the loan discipline.
    unsafe { consumer.trust_producer() };
    let (outgoing, arriving) = (Arc::default(), Arc::default());
    let sender = Sender::new(home(), valid(), Arc::clone(&outgoing));
    let receiver = Receiver::new(home(), valid(), Arc::clone(&arriving));
    outgoing.push(LaneOut::new(producer, trust, terms));
    arriving.push(LaneIn::new(consumer, trust, terms));
    ((sender, receiver), counts)
}

/// Sends and receives in turn; the calls and the allocations that it took. One pair goes before: with it the ends take their
/// lane and make room for its messages.
fn cost_of_pairs(payload_bytes: usize, trust: Trust) -> ([u64; 3], u64) {
    let layer = Layer::for_trust(trust);
    let ((mut sender, mut receiver), counts) =
        lane::<SampleMessage>(encoded_size(payload_bytes, layer), trust);
    let payload = vec![0x5a; payload_bytes];
    let mut pair = |sequence: u64| {
        let sample = Sample { sequence, producer: 1, sent_at: 2, digest: 3, payload: &payload };
        sender.send(&sample).unwrap();
        let same = receiver.recv(|got| Sample::from(got) == sample).unwrap();
        assert!(same, "message {sequence} is not what was sent");
    };
    pair(0);
    let read = || [&counts.waits, &counts.wakes, &counts.others].map(|count| count.load(SeqCst));
    let (calls, before) = (read(), ALLOCATIONS.get());
    (1..=PAIRS).for_each(&mut pair);
    let allocations = ALLOCATIONS.get() - before;
    assert_eq!(receiver.layer(), Some(layer));
    let in_place = receiver.statistics().copies_avoided;
    assert_eq!(in_place, if layer == Layer::Raw { PAIRS + 1 } else { 0 }, "only Raw is read in place");
    let now = read();
    (std::array::from_fn(|index| now[index] - calls[index]), allocations)
}

#[test]
fn the_counter_of_allocations_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

/// 64 bytes travel in their slot, 2 000 in a buffer of the pool.
#[test]
fn who_keeps_up_neither_waits_nor_wakes_nor_allocates() {
    for trust in [Trust::KERNEL, Trust::LIBOS, Trust::USER] {
        for payload_bytes in [64, 2000] {
            let (calls, allocations) = cost_of_pairs(payload_bytes, trust);
            let case = format!("{payload_bytes} bytes in {:?}", Layer::for_trust(trust));
            assert_eq!(calls, [0; 3], "waits, wakes and other calls of {PAIRS} pairs of {case}");
            assert_eq!(allocations, 0, "allocations of {PAIRS} pairs of {case}");
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

/// Sends `burst` messages to a receiver each time that it sleeps; waits and wakes of all rounds.
fn rounds(rounds: u64, burst: u64) -> (u64, u64) {
    let ((mut sender, mut receiver), counts) = lane::<Plain<u64>>(64, Trust::USER);
    receiver.set_spins(0);
    let (total, received) = (rounds * burst, Arc::new(AtomicU64::new(0)));
    let seen = Arc::clone(&received);
    let thread = thread::spawn(move || {
        for expected in 0..total {
            assert_eq!(receiver.recv(|value| value).unwrap(), expected);
            seen.store(expected + 1, SeqCst);
        }
    });
    for round in 0..rounds {
        // Held, it is asleep for the sender until the whole burst is sent.
        counts.hold.store(true, SeqCst);
        until("it does not sleep", || counts.asleep.load(SeqCst) && counts.waits.load(SeqCst) > round);
        (0..burst).for_each(|index| sender.send(&(round * burst + index)).unwrap());
        counts.hold.store(false, SeqCst);
        until("it was not woken", || received.load(SeqCst) == (round + 1) * burst);
        until("it is still asleep", || !counts.asleep.load(SeqCst) || counts.waits.load(SeqCst) > round + 1);
    }
    thread.join().unwrap();
    (counts.waits.load(SeqCst), counts.wakes.load(SeqCst))
}

#[test]
fn who_sleeps_is_woken_once_however_much_is_sent() {
    for burst in [1, 8] {
        let (waits, wakes) = rounds(500, burst);
        assert_eq!((waits, wakes), (500, 500), "waits and wakes of 500 rounds of {burst}");
    }
}

/// Through domains it is the gate that vouches, by what the supervisor said of the peer, and not whoever states some trust.
#[test]
fn messages_of_the_trusted_base_are_read_in_place_and_others_copied() {
    for (trust, in_place) in [(Trust::KERNEL, true), (Trust::LIBOS, false), (Trust::USER, false)] {
        let domain = feuerbird::embedded().unwrap();
        let endpoint = domain.endpoint(Terms::sized(256).unwrap()).unwrap();
        let sending = endpoint.derive(Authority::new(Rights::all(), trust)).unwrap();
        let mut receiver = domain.receiver::<Plain<u64>>(&endpoint).unwrap();
        let mut sender = domain.sender::<Plain<u64>>(&sending).unwrap();
        for value in 0..10 {
            sender.send(&value).unwrap();
            assert_eq!(receiver.recv(|value| value), Ok(value));
        }
        let statistics = receiver.statistics();
        let (avoided, made) = if in_place { (10, 0) } else { (0, 10) };
        assert_eq!((statistics.copies_avoided, statistics.copies_made), (avoided, made), "{trust:?}");
    }
}
