//! The data path makes no system call and no allocation while both sides keep up.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    alloc::{GlobalAlloc, Layout, System},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use feuerbird::{
    capability::Trust,
    channel::{
        Consumer, Home, LaneIn, LaneOut, Producer, Receiver, Sender, Terms, Validity, Watched,
        layout::{Half, LaneLayout},
        prepare,
    },
    hosted::{
        LinuxHome,
        os::memory::{ReaderMemory, WriterMemory},
    },
    serialization::{
        Layer,
        sample::{Sample, SampleMessage, encoded_size},
    },
};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: AtomicU64 = const { AtomicU64::new(0) };
}

// SAFETY: hands everything on to the system's allocator; counting touches a thread-local that never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.fetch_add(1, Ordering::Relaxed));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(|count| count.load(Ordering::Relaxed))
}

/// The Linux home, counting each way of its into the system.
#[derive(Clone, Debug)]
struct Counted {
    home: LinuxHome,
    waits: Arc<AtomicU64>,
    wakes: Arc<AtomicU64>,
    others: Arc<AtomicU64>,
}

impl Counted {
    fn new() -> Self {
        Self { home: LinuxHome::new(), waits: Arc::default(), wakes: Arc::default(), others: Arc::default() }
    }

    fn calls(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (read(&self.waits), read(&self.wakes), read(&self.others))
    }
}

impl Home for Counted {
    type Writer = WriterMemory;
    type Reader = ReaderMemory;
    type Life = OwnedFd;

    fn now_ns(&self) -> u64 {
        self.others.fetch_add(1, Ordering::SeqCst);
        self.home.now_ns()
    }

    fn wait(&self, words: &[Watched], timeout_ns: u64) {
        self.waits.fetch_add(1, Ordering::SeqCst);
        self.home.wait(words, timeout_ns);
    }

    fn wake(&self, address: *const u64) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.home.wake(address);
    }

    fn has_heavy_barrier(&self) -> bool {
        self.home.has_heavy_barrier()
    }

    fn heavy_barrier(&self) {
        self.others.fetch_add(1, Ordering::SeqCst);
        self.home.heavy_barrier();
    }

    fn is_dead(&self, life: &OwnedFd) -> bool {
        self.others.fetch_add(1, Ordering::SeqCst);
        self.home.is_dead(life)
    }
}

type Ends = (Sender<SampleMessage, Counted>, Receiver<SampleMessage, Counted>);

/// A channel over real shared memory, both ends here.
fn ends(home: &Counted, trust: Trust, payload: usize) -> Ends {
    let layer = Layer::for_trust(trust);
    let terms = Terms::new(encoded_size(payload, layer) as u32, 64).unwrap();
    let layout = LaneLayout::new(terms);
    let half = |half, bytes: usize| {
        let bytes = bytes.next_multiple_of(4096);
        let (own, descriptor) = WriterMemory::create("quiet", bytes).unwrap();
        prepare(&own, &layout, half).unwrap();
        (own, ReaderMemory::map(descriptor.as_fd(), bytes).unwrap())
    };
    let (out, out_view) = half(Half::Producer, layout.producer_bytes());
    let (back, back_view) = half(Half::Consumer, layout.consumer_bytes());
    let valid = Validity::unconditional;
    let producer = Producer::attach(home.clone(), terms, out, back_view, valid(), None).unwrap();
    let consumer = Consumer::attach(home.clone(), terms, back, out_view, valid(), None).unwrap();
    let (outgoing, incoming) = (Arc::default(), Arc::default());
    let sender = Sender::new(home.clone(), valid(), Arc::clone(&outgoing));
    let receiver = Receiver::new(home.clone(), valid(), Arc::clone(&incoming));
    outgoing.push(LaneOut::new(producer, layer));
    incoming.push(LaneIn::new(consumer, trust, terms));
    (sender, receiver)
}

#[test]
fn no_system_call_and_no_allocation_while_both_sides_keep_up() {
    for trust in [Trust::KERNEL, Trust::LIBOS, Trust::USER] {
        for payload in [16, 3000] {
            let home = Counted::new();
            let (mut sender, mut receiver) = ends(&home, trust, payload);
            let bytes = vec![7; payload];
            let mut pass = |sequence| {
                sender
                    .send(&Sample { sequence, producer: 1, sent_at: 2, digest: 3, payload: &bytes })
                    .unwrap();
                let got = receiver.recv(|sample| (sample.sequence, sample.payload.len())).unwrap();
                assert_eq!(got, (sequence, payload));
            };
            // The first message brings the lanes in.
            pass(0);
            let (calls, allocated) = (home.calls(), allocations());
            (1..=20_000).for_each(&mut pass);
            assert_eq!(home.calls(), calls, "system calls, trust {trust}, {payload} B");
            assert_eq!(allocations(), allocated, "allocations, trust {trust}, {payload} B");
        }
    }
}

#[test]
fn a_sleeper_costs_one_wake_for_each_sleep() {
    let home = Counted::new();
    let (mut sender, mut receiver) = ends(&home, Trust::USER, 16);
    receiver.set_spins(0);
    let receiving = std::thread::spawn(move || {
        (0..20).for_each(|_| receiver.recv(|_| ()).unwrap());
        receiver.statistics().sleeps
    });
    for sequence in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(3));
        sender.send(&Sample { sequence, ..Sample::default() }).unwrap();
    }
    let sleeps = receiving.join().unwrap();
    let wakes = sender.statistics().wakes;
    assert!((1..=sleeps).contains(&wakes), "{wakes} wakes for {sleeps} sleeps");
    assert_eq!(home.calls().1, wakes);
}
