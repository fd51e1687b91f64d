//! A revocation after which a peer's memory reads as zeroes, at each moment at which that memory is looked at.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // a test may unwrap

mod support;

use feuerbird_capability::Trust;
use feuerbird_channel::{
    Arriving, AttachError, ClaimError, Consumer, Ended, HeapHome, Home, LaneOut, PollError, Producer,
    SendError, Sender, Terms, Validity, Watched,
};
use feuerbird_serialization::Plain;
use feuerbird_zero_copy::{
    HeapReader, HeapWriter, Region, Words, WriteRegion, heap_region,
    sync::{AtomicU64, Ordering},
};
use std::sync::Arc;
use support::halves;

/// More looks than any operation here takes.
const LOOKS: u64 = 12;

const VALID: u32 = 1;

/// Who can write the validity word and take memory away.
#[derive(Debug)]
struct Kernel {
    word: HeapWriter,
    memory: HeapWriter,
    /// At which look from now it does so; 0 for never.
    at: AtomicU64,
}

impl Kernel {
    fn is_looked_at(&self) {
        if self.at.load(Ordering::Relaxed) > 0 && self.at.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.withdraw();
        }
    }

    /// The word first, as kernels do.
    fn withdraw(&self) {
        self.word.writable()[0].store(u64::from(VALID) + 1, Ordering::Release);
        self.memory.writable().iter().for_each(|word| word.store(0, Ordering::Release));
    }
}

/// A view of memory, with whoever withdraws it where it is a peer's.
#[derive(Debug)]
struct View(HeapReader, Option<Arc<Kernel>>);

// SAFETY: the words are those of the region inside.
unsafe impl Region for View {
    fn words(&self) -> Words<'_> {
        if let Some(kernel) = &self.1 {
            kernel.is_looked_at();
        }
        self.0.words()
    }
}

/// The heap's home with such views.
#[derive(Clone, Debug)]
struct ViewHome;

impl Home for ViewHome {
    type Writer = HeapWriter;
    type Reader = View;
    type Life = core::convert::Infallible;

    fn now_ns(&self) -> u64 {
        0
    }
    fn wait(&self, _: &[Watched], _: u64) {}
    fn wake(&self, _: *const u64) {}
    fn has_heavy_barrier(&self) -> bool {
        true
    }
    fn heavy_barrier(&self) {}
    fn is_dead(&self, life: &Self::Life) -> bool {
        match *life {}
    }
}

/// A kernel that withdraws this memory, the view of it, and a pair that it has not ended.
fn kernel_of(memory: HeapWriter, view: HeapReader) -> (Arc<Kernel>, View, Validity<View>) {
    // SAFETY: all of this test runs on one thread.
    let (word, word_view) = unsafe { heap_region(64) };
    word.writable()[0].store(VALID.into(), Ordering::Release);
    let validity = Validity::new(Arc::new(View(word_view, None)), 0, VALID).unwrap();
    let kernel = Arc::new(Kernel { word, memory, at: AtomicU64::new(0) });
    let view = View(view, Some(Arc::clone(&kernel)));
    (kernel, view, validity)
}

/// A producer whose consumer's half is what a consumer has written, as far as [`show`](Self::show) has shown it.
struct Bench {
    producer: Producer<ViewHome>,
    consumer: Consumer<HeapHome>,
    written: HeapReader,
    kernel: Arc<Kernel>,
    validity: Validity<View>,
}

impl Bench {
    fn new(terms: Terms) -> Self {
        let (ours, shown) = (halves(terms), halves(terms));
        let (kernel, view, validity) = kernel_of(shown.back, shown.back_view);
        let producer = Producer::attach(ViewHome, terms, ours.out, view, validity.share(), None).unwrap();
        let valid = Validity::unconditional();
        let consumer = Consumer::attach(HeapHome, terms, ours.back, ours.out_view, valid, None).unwrap();
        Self { producer, consumer, written: ours.back_view, kernel, validity }
    }

    /// Fills the lane, and has all of it taken.
    fn lap(&mut self, bytes: usize) {
        while let Ok(claim) = self.producer.claim(bytes) {
            claim.publish(bytes).unwrap();
        }
        while self.consumer.take_into(&mut [0; 1024]).unwrap().is_some() {}
        self.show();
    }

    fn show(&self) {
        let words = self.written.len() / 8;
        for index in 0..words {
            self.kernel.memory.writable()[index].store(self.written.words().load(index), Ordering::Relaxed);
        }
    }
}

/// Each way to look at the consumer's half, at each look of it, in each lap that has cases of its own.
fn withdrawn_from_a_producer(operation: impl Fn(&mut Producer<ViewHome>) -> Result<(), PollError>) {
    for bytes in [64, 1024] {
        for (laps, look) in (0..3).flat_map(|laps| (1..=LOOKS).map(move |look| (laps, look))) {
            let mut bench = Bench::new(Terms::new(bytes, 4).unwrap());
            (0..laps).for_each(|_| bench.lap(bytes as usize));
            bench.kernel.at.store(look, Ordering::Relaxed);
            let result = operation(&mut bench.producer);
            assert!(matches!(result, Ok(()) | Err(PollError::Ending)), "{laps}, {look}: {result:?}");
            bench.kernel.withdraw();
            bench.validity.end(Ended::Revoked);
            let late = operation(&mut bench.producer);
            assert!(matches!(late, Ok(()) | Err(PollError::Revoked)), "{laps}, {look}: {late:?}");
        }
    }
}

#[test]
fn what_a_producer_reads_of_withdrawn_memory_is_no_lie() {
    withdrawn_from_a_producer(|producer| producer.has_room().map(drop));
    withdrawn_from_a_producer(|producer| producer.untaken().map(drop));
    withdrawn_from_a_producer(|producer| producer.take_returns().map(drop));
    for bytes in [8, 500] {
        withdrawn_from_a_producer(|producer| {
            loop {
                match producer.claim(bytes) {
                    Ok(claim) => claim.publish(bytes)?,
                    Err(ClaimError::Full | ClaimError::TooLarge) => return Ok(()),
                    Err(ClaimError::Ended(error)) => return Err(error),
                }
            }
        });
    }
}

#[test]
fn a_half_that_is_withdrawn_before_it_is_attached_is_no_lie() {
    for (bytes, look) in [64, 1024].into_iter().flat_map(|bytes| (1..=LOOKS).map(move |look| (bytes, look))) {
        let terms = Terms::new(bytes, 4).unwrap();
        let (ours, theirs) = (halves(terms), halves(terms));
        let (kernel, view, valid) = kernel_of(theirs.back, theirs.back_view);
        kernel.at.store(look, Ordering::Relaxed);
        let producer = Producer::attach(ViewHome, terms, ours.out, view, valid, None);
        assert!(matches!(producer.err(), None | Some(AttachError::Ended)), "{bytes}, {look}");
        let (kernel, view, valid) = kernel_of(theirs.out, theirs.out_view);
        kernel.at.store(look, Ordering::Relaxed);
        let consumer = Consumer::attach(ViewHome, terms, ours.back, view, valid, None);
        assert!(matches!(consumer.err(), None | Some(AttachError::Ended)), "{bytes}, {look}");
    }
}

#[test]
fn who_waits_until_all_is_taken_hears_of_a_revocation_and_of_no_lie() {
    let terms = Terms::new(64, 4).unwrap();
    let Bench { producer, consumer: _consumer, kernel, validity, .. } = {
        let mut bench = Bench::new(terms);
        bench.lap(8);
        bench
    };
    let arriving = Arc::new(Arriving::new());
    arriving.push(LaneOut::new(producer, Trust::KERNEL, terms));
    let mut sender: Sender<Plain<u64>, _> = Sender::new(ViewHome, Validity::unconditional(), arriving);
    sender.try_send(&1).unwrap();
    kernel.withdraw();
    assert_eq!(sender.finish(0), Err(SendError::DeadlinePassed), "why is not known yet");
    assert_eq!(sender.receivers(), 1, "nor whether what it has not taken is anybody else's");
    validity.end(Ended::Revoked);
    assert_eq!(sender.finish(u64::MAX), Err(SendError::Revoked));
    assert_eq!(sender.statistics().misbehaved, 0);
}
