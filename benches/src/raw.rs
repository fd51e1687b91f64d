//! The only unsafe code of this package: shared memory, the limit ring in it, and the cycle counter.
//!
//! The ring is what a careful programmer writes by hand when both sides trust each other completely: one writer per index, each
//! index on its own 128-byte line, a private copy of the other side's index that is re-read only when the ring looks full or
//! empty, and the payload written and read in place. It is the *limit* every row is measured against, and it is nobody's API: a
//! peer that lies makes it unsound, which is exactly what the crates under test must not be.
//!
//! Slots are reused first-in-first-out, so that a slot is cold for its reader only as often as the ring is long.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use feuerbird_channel::{Consumer as LaneConsumer, Home};
use iceoryx2::prelude::ipc;
use iceoryx2::sample_mut::SampleMut;
use iceoryx2::sample_mut_uninit::SampleMutUninit;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::thread::futex;
use rustix::time::Timespec;

type Sample = SampleMut<ipc::Service, [u64], ()>;
type UninitSample = SampleMutUninit<ipc::Service, [MaybeUninit<u64>], ()>;

/// Two lines: the adjacent-line prefetcher of x86-64 moves lines in pairs.
const LINE: usize = 128;
const TAIL: usize = 0;
const HEAD: usize = LINE;
const PRODUCER_SLEEPS: usize = 2 * LINE;
const CONSUMER_SLEEPS: usize = 3 * LINE;
const SLOTS: usize = 4 * LINE;
/// How long one sleep may last before the sleeper looks for itself.
const SLEEP_S: i64 = 1;

/// Reads the time stamp counter.
#[inline(always)]
pub fn cycles() -> u64 {
    // SAFETY: `rdtsc` has no precondition on memory; every x86-64 CPU has it and Linux lets ring 3 use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// A writable shared mapping of a whole memfd.
pub struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory with no thread affinity; what is done with it is argued where it is accessed.
unsafe impl Send for Mapping {}
// SAFETY: `&Mapping` hands out nothing but atomics (`word`) and raw pointers (`slot`, private to this module).
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Creates a zeroed memfd of `bytes` and maps it.
    ///
    /// # Errors
    /// What `memfd_create`, `ftruncate` or `mmap` said.
    pub fn create(bytes: usize) -> io::Result<(OwnedFd, Arc<Self>)> {
        let fd = memfd_create("feuerbird-bench", MemfdFlags::CLOEXEC)?;
        ftruncate(&fd, bytes as u64)?;
        let mapping = Self::map(&fd, bytes)?;
        Ok((fd, Arc::new(mapping)))
    }

    /// Maps a memfd that [`Mapping::create`] made in another process of this program.
    ///
    /// # Errors
    /// What `fstat` or `mmap` said; `InvalidInput` where the size is not `bytes`.
    pub fn attach(fd: impl AsFd, bytes: usize) -> io::Result<Arc<Self>> {
        if rustix::fs::fstat(&fd)?.st_size != bytes as i64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Arc::new(Self::map(fd, bytes)?))
    }

    fn map(fd: impl AsFd, bytes: usize) -> io::Result<Self> {
        // POPULATE: a page fault inside a timed loop would be a figure of the kernel's.
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a null hint lets the kernel choose unused addresses, so that no existing mapping is replaced.
        let base = unsafe { mmap(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags, fd, 0)? };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, bytes })
    }

    /// The 32-bit word at `offset` bytes, for indices and flags.
    ///
    /// # Panics
    /// If the word does not lie inside or is not aligned.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset < self.bytes && self.bytes - offset >= 4);
        // SAFETY: (1) aligned and inside the mapping by the assertion, which lives as long as `self`; (2) the words below
        // `SLOTS` are only ever accessed as atomics, here and in the peer, and slots begin at `SLOTS`; the probe, which uses
        // words of its own mapping, makes no slots.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `base` and `bytes` are what `mmap` returned, unmapped once, and no borrow outlives `self`. A failure could
        // only mean wrong arguments and leaves the pages mapped.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// The shape of a ring: where it lies in its mapping, how many slots it has, how many 64-bit words are in each.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Slots, a power of two.
    pub slots: u32,
    /// Words of a slot, at least one.
    pub words: usize,
}

impl Shape {
    /// The bytes a ring of this shape takes, whole lines.
    pub fn bytes(self) -> usize {
        (SLOTS + self.slots as usize * self.words * 8).next_multiple_of(LINE)
    }
}

/// What both ends know, worked out once: the way to a word must not cost more than the word.
///
/// Invariant: every pointer lies inside the mapping, which lives as long as `_mapping`; `slots` begins `(mask + 1) * words` words.
struct Ring {
    tail: NonNull<AtomicU32>,
    head: NonNull<AtomicU32>,
    producer_sleeps: NonNull<AtomicU32>,
    consumer_sleeps: NonNull<AtomicU32>,
    slots: *mut u64,
    mask: u32,
    words: usize,
    _mapping: Arc<Mapping>,
}

// SAFETY: the pointers are into a mapping that any thread may use (`Mapping`), and an end of a ring is used by one thread at a
// time because its methods take `&mut self`.
unsafe impl Send for Ring {}

impl Ring {
    fn new(mapping: Arc<Mapping>, base: usize, shape: Shape) -> Self {
        assert!(shape.slots.is_power_of_two() && shape.words > 0 && base.is_multiple_of(LINE));
        assert!(base <= mapping.bytes && shape.bytes() <= mapping.bytes - base);
        let word = |offset: usize| NonNull::from(mapping.word(base + offset));
        Self {
            tail: word(TAIL),
            head: word(HEAD),
            producer_sleeps: word(PRODUCER_SLEEPS),
            consumer_sleeps: word(CONSUMER_SLEEPS),
            // SAFETY: by the assertion `base + SLOTS` lies inside the mapping. It is a multiple of `LINE`, and a mapping starts
            // at a page: aligned for `u64`.
            slots: unsafe { mapping.base.as_ptr().add(base + SLOTS).cast() },
            mask: shape.slots - 1,
            words: shape.words,
            _mapping: mapping,
        }
    }

    #[inline(always)]
    fn word(&self, word: NonNull<AtomicU32>) -> &AtomicU32 {
        // SAFETY: called with the four words of `self` only, each made from a reference into the mapping, which outlives `self`.
        unsafe { word.as_ref() }
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> *mut u64 {
        // SAFETY: `index & mask` is below the number of slots, so that the whole slot lies behind `slots`, by the invariant.
        unsafe { self.slots.add((index & self.mask) as usize * self.words) }
    }
}

/// The writing end. Invariant: slots in `head..tail` belong to the consumer, all others to this end; `tail - head <= slots`.
pub struct Producer {
    ring: Ring,
    tail: u32,
    cached_head: u32,
}

impl Producer {
    /// The writing end of the ring at `base`. At most one per ring, over all processes; all of them run this file.
    pub fn new(mapping: Arc<Mapping>, base: usize, shape: Shape) -> Self {
        Self { ring: Ring::new(mapping, base, shape), tail: 0, cached_head: 0 }
    }

    /// Fills the next slot in place; false where the ring is full. The consumer sees it after [`Producer::publish`].
    #[inline(always)]
    pub fn try_push(&mut self, fill: impl FnOnce(&mut [u64])) -> bool {
        if self.tail.wrapping_sub(self.cached_head) > self.ring.mask {
            // Partner: the Release store in `Consumer::release`.
            self.cached_head = self.ring.word(self.ring.head).load(Ordering::Acquire);
            if self.tail.wrapping_sub(self.cached_head) > self.ring.mask {
                return false;
            }
        }
        // SAFETY: (1) `slot` is valid and aligned for `words` words and memfd pages are zeroed, hence initialised; (2) the slot
        // is not in `head..tail`, so the consumer does not touch it before `publish` moves `tail` past it, and it had finished
        // with it before the `head` that we acquired; (3) `&mut self` ends the borrow before the next call.
        fill(unsafe { slice::from_raw_parts_mut(self.ring.slot(self.tail), self.ring.words) });
        self.tail = self.tail.wrapping_add(1);
        true
    }

    /// Shows the consumer everything pushed so far.
    #[inline(always)]
    pub fn publish(&mut self) {
        // Partner: the Acquire load in `Consumer::try_pop`.
        self.ring.word(self.ring.tail).store(self.tail, Ordering::Release);
    }

    /// [`Producer::publish`], and a system call only where the consumer sleeps.
    #[inline]
    pub fn publish_and_wake(&mut self) {
        self.publish();
        wake_if_asleep(self.ring.word(self.ring.consumer_sleeps), self.ring.word(self.ring.tail));
    }

    /// Sleeps until a slot was released, or a second at most.
    pub fn wait_for_room(&mut self) {
        sleep_while(
            self.ring.word(self.ring.producer_sleeps),
            self.ring.word(self.ring.head),
            self.cached_head,
        );
    }
}

/// The reading end. Invariant as at [`Producer`].
pub struct Consumer {
    ring: Ring,
    head: u32,
    cached_tail: u32,
}

impl Consumer {
    /// The reading end of the ring at `base`. At most one per ring, over all processes; all of them run this file.
    pub fn new(mapping: Arc<Mapping>, base: usize, shape: Shape) -> Self {
        Self { ring: Ring::new(mapping, base, shape), head: 0, cached_tail: 0 }
    }

    /// Reads the oldest message in place; `None` where the ring is empty. The slot goes back with [`Consumer::release`].
    #[inline(always)]
    pub fn try_pop<R>(&mut self, read: impl FnOnce(&[u64]) -> R) -> Option<R> {
        if self.head == self.cached_tail {
            // Partner: the Release store in `Producer::publish`.
            self.cached_tail = self.ring.word(self.ring.tail).load(Ordering::Acquire);
            if self.head == self.cached_tail {
                return None;
            }
        }
        // SAFETY: (1) as in `try_push`; (2) the slot is in `head..tail`, so the producer does not write it before `release`
        // moves `head` past it, and it wrote it before the `tail` that we acquired; (3) the borrow ends with this call.
        let result = read(unsafe { slice::from_raw_parts(self.ring.slot(self.head), self.ring.words) });
        self.head = self.head.wrapping_add(1);
        Some(result)
    }

    /// Gives everything popped so far back to the producer.
    #[inline(always)]
    pub fn release(&mut self) {
        // Partner: the Acquire load in `Producer::try_push`.
        self.ring.word(self.ring.head).store(self.head, Ordering::Release);
    }

    /// [`Consumer::release`], and a system call only where the producer sleeps.
    #[inline]
    pub fn release_and_wake(&mut self) {
        self.release();
        wake_if_asleep(self.ring.word(self.ring.producer_sleeps), self.ring.word(self.ring.head));
    }

    /// Sleeps until a message was published, or a second at most.
    pub fn wait_for_message(&mut self) {
        sleep_while(
            self.ring.word(self.ring.consumer_sleeps),
            self.ring.word(self.ring.tail),
            self.cached_tail,
        );
    }
}

/// The SeqCst fences on both sides order "index, then flag" here against "flag, then index" in [`sleep_while`]: one of the two sees
/// the other's store.
#[inline]
fn wake_if_asleep(flag: &AtomicU32, index: &AtomicU32) {
    fence(Ordering::SeqCst);
    if flag.load(Ordering::Relaxed) != 0 {
        // No waiter is no error, and there is no other that a valid address could meet.
        let _ = futex::wake(index, futex::Flags::empty(), 1);
    }
}

fn sleep_while(flag: &AtomicU32, index: &AtomicU32, seen: u32) {
    flag.store(1, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    let deadline = Timespec { tv_sec: SLEEP_S, tv_nsec: 0 };
    // A changed index, a signal and the deadline all mean the same to the caller: look again.
    let _ = futex::wait(index, futex::Flags::empty(), seen, Some(&deadline));
    flag.store(0, Ordering::SeqCst);
}

/// Lets a consumer read in place.
pub fn vouch_for_producer<H: Home>(mut consumer: LaneConsumer<H>) -> LaneConsumer<H> {
    // SAFETY: the producer is this program, in another thread or process, and writes through `Claim` alone, which keeps to the
    // loan discipline.
    unsafe { consumer.trust_producer() };
    consumer
}

/// Writes every word of a loaned iceoryx2 sample, at the speed of a fill; its safe `write_from_fn` goes word by word.
pub fn fill_sample(mut sample: UninitSample, stamp: u64) -> Sample {
    sample.payload_mut().fill(MaybeUninit::new(stamp));
    // SAFETY: every element of the payload was initialised by `fill`.
    unsafe { sample.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_is_first_in_first_out_and_bounded() {
        let shape = Shape { slots: 4, words: 3 };
        let (_fd, mapping) = Mapping::create(shape.bytes()).unwrap();
        let mut producer = Producer::new(mapping.clone(), 0, shape);
        let mut consumer = Consumer::new(mapping, 0, shape);
        for round in 0..10u64 {
            for i in 0..4 {
                assert!(producer.try_push(|slot| slot.fill(round * 4 + i)));
            }
            assert!(!producer.try_push(|_| unreachable!()));
            assert_eq!(consumer.try_pop(|_| ()), None, "not published yet");
            producer.publish();
            for i in 0..4 {
                assert_eq!(consumer.try_pop(|slot| slot.to_vec()), Some(vec![round * 4 + i; 3]));
            }
            assert!(!producer.try_push(|_| unreachable!()), "not released yet");
            consumer.release();
        }
    }

    #[test]
    fn a_sleeper_is_woken() {
        let shape = Shape { slots: 2, words: 1 };
        let (fd, mapping) = Mapping::create(shape.bytes()).unwrap();
        let other = Mapping::attach(fd, shape.bytes()).unwrap();
        let mut producer = Producer::new(mapping, 0, shape);
        let reader = std::thread::spawn(move || {
            let mut consumer = Consumer::new(other, 0, shape);
            let mut sum = 0;
            for _ in 0..1000 {
                let value = loop {
                    match consumer.try_pop(|slot| slot[0]) {
                        Some(value) => break value,
                        None => consumer.wait_for_message(),
                    }
                };
                consumer.release_and_wake();
                sum += value;
            }
            sum
        });
        for i in 0..1000 {
            while !producer.try_push(|slot| slot[0] = i) {
                producer.wait_for_room();
            }
            producer.publish_and_wake();
        }
        assert_eq!(reader.join().unwrap(), 499_500);
    }
}
