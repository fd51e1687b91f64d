//! What a channel needs from where it runs.

use core::fmt;

use feuerbird_zero_copy::{HeapReader, HeapWriter, Region, WriteRegion};

/// The longest uninterrupted sleep: after it, validity and the peer's life are looked at again. 4 ms, so that a death that
/// the system reports within 8 ms is an error at the survivor within 20 ms.
pub const SLICE_NS: u64 = 4_000_000;

/// A word to wait on: its address and the low half it had when it was last looked at.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// The word. Only its low half counts.
    pub address: *const u64,
    /// What the low half was.
    pub seen: u32,
}

/// Where a channel runs: its memory, its clock, and how it sleeps.
pub trait Home: Clone + fmt::Debug + Send + Sync + 'static {
    /// Memory that this domain writes.
    type Writer: WriteRegion + fmt::Debug;
    /// Memory that another domain writes.
    type Reader: Region + fmt::Debug;
    /// Tells whether another domain has ended.
    type Life: Send + fmt::Debug;

    /// Monotonic time in nanoseconds.
    fn now_ns(&self) -> u64;

    /// Sleeps until the low half of one of the words is not what was seen, somebody wakes one of them, or the time is over.
    /// May return earlier.
    fn wait(&self, words: &[Watched], timeout_ns: u64);

    /// Wakes who waits on a word of ours.
    fn wake(&self, address: *const u64);

    /// Whether [`heavy_barrier`](Self::heavy_barrier) reaches every domain that may be a peer.
    fn has_heavy_barrier(&self) -> bool;

    /// Makes every processor that runs a peer fence: the dear half of an asymmetric fence, before sleeping.
    fn heavy_barrier(&self);

    /// Whether a peer's domain has ended. Called once a slice while waiting, never on the data path.
    fn is_dead(&self, life: &Self::Life) -> bool;

    /// A breath between two looks at a word.
    fn relax(&self) {
        #[cfg(not(loom))]
        core::hint::spin_loop();
        #[cfg(loom)]
        loom::thread::yield_now();
    }
}

/// Both sides in one program, on the heap, without sleeping: for models, Miri and examples.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeapHome;

impl Home for HeapHome {
    type Writer = HeapWriter;
    type Reader = HeapReader;
    type Life = core::convert::Infallible;

    fn now_ns(&self) -> u64 {
        0
    }

    fn wait(&self, _: &[Watched], _: u64) {
        self.relax();
    }

    fn wake(&self, _: *const u64) {}

    fn has_heavy_barrier(&self) -> bool {
        // Nobody sleeps here, so nobody has to be seen sleeping; models look at both fences all the same.
        true
    }

    fn heavy_barrier(&self) {
        feuerbird_zero_copy::sync::light_fence(false);
    }

    fn is_dead(&self, life: &Self::Life) -> bool {
        match *life {}
    }
}
