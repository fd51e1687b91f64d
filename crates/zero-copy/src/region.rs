//! Memory with one writer, possibly not us.

use crate::sync::{AtomicU64, Ordering, fence};

/// Memory that somebody else may be writing at this very moment.
///
/// There is no slice and no reference to its bytes, only atomic words and copies: a reference to memory that an
/// untrusted peer can still write would be undefined behaviour. What others may change meanwhile: every bit, at any time.
///
/// # Safety
/// For as long as the value lives, [`words`](Self::words) returns the same readable memory, aligned to 64 bytes, that
/// nobody unmaps or shrinks; and within this process it is written only through the one [`WriteRegion`] for it. And
/// [`is_vouched_for`](Self::is_vouched_for) says true only where somebody who may has vouched for the writer.
pub unsafe trait Region: Send + Sync {
    /// The whole memory as words that can be loaded and not stored.
    fn words(&self) -> Words<'_>;

    /// Size in bytes, a multiple of 8.
    #[inline]
    fn len(&self) -> usize {
        self.words().len() * 8
    }

    /// Whether there is no memory at all.
    #[inline]
    fn is_empty(&self) -> bool {
        self.words().is_empty()
    }

    /// Whether its writer is vouched for to run the loan discipline: never to write a range from its publication until it
    /// is given back. Who maps the memory says so, knowing whose it is; where nobody does, bytes are copied out.
    #[inline]
    fn is_vouched_for(&self) -> bool {
        false
    }

    /// Copies `into.len()` bytes from `offset` (a multiple of 8) out.
    ///
    /// The copy may be torn when the writer writes meanwhile; it is a plain value all the same.
    ///
    /// # Panics
    /// When the range is not inside the region or `offset` is odd: callers check what a peer says first.
    ///
    /// # Cost
    /// One relaxed load per word; a home may replace it with something faster.
    #[inline]
    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        let words = &self.words().0[checked_words(offset, into.len(), self.len())];
        let mut chunks = into.chunks_exact_mut(8);
        for (chunk, word) in chunks.by_ref().zip(words) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        let rest = chunks.into_remainder();
        if let (false, Some(last)) = (rest.is_empty(), words.last()) {
            rest.copy_from_slice(&last.load(Ordering::Relaxed).to_ne_bytes()[..rest.len()]);
        }
    }

    /// The bytes in place.
    ///
    /// # Safety
    /// Nobody writes the range while the slice lives: the memory is sealed against writing, or its writer is trusted to
    /// run the loan discipline and has published the range.
    ///
    /// # Panics
    /// When the range is not inside the region.
    #[cfg(not(loom))]
    #[inline]
    unsafe fn bytes(&self, offset: usize, bytes: usize) -> &[u8] {
        let _ = checked_words(offset, bytes, self.len());
        // SAFETY: the range was just checked to lie inside the words, which stay readable for the life of `self` (trait
        // contract); that nobody writes them meanwhile is the caller's duty, stated above.
        unsafe { core::slice::from_raw_parts(self.words().0.as_ptr().cast::<u8>().add(offset), bytes) }
    }
}

/// Words of a region, to be loaded only: where a peer is the writer they are mapped read-only, and a store would trap.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a>(&'a [AtomicU64]);

impl<'a> Words<'a> {
    /// Wraps the words of a region; for those who implement [`Region`].
    #[inline]
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// How many words there are.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Reads one word. Orders nothing.
    ///
    /// # Panics
    /// When there is no such word.
    #[inline]
    pub fn load(self, index: usize) -> u64 {
        self.0[index].load(Ordering::Relaxed)
    }

    /// Reads one word, and makes everything its writer wrote before it visible.
    ///
    /// A relaxed load and an acquire fence instead of an acquire load: the language promises only for relaxed loads that
    /// they work on memory that is mapped read-only.
    ///
    /// # Panics
    /// When there is no such word.
    #[inline]
    pub fn load_acquire(self, index: usize) -> u64 {
        let value = self.load(index);
        fence(Ordering::Acquire);
        value
    }

    /// The address of one word, for waiting on it.
    ///
    /// # Panics
    /// When there is no such word.
    #[inline]
    pub fn address(self, index: usize) -> *const u64 {
        assert!(index < self.0.len(), "word outside the region");
        // From the whole slice, so that whoever keeps the address of the first word may reach the others.
        self.0.as_ptr().wrapping_add(index).cast()
    }
}

/// Memory that we, and nobody else, write.
///
/// # Safety
/// As for [`Region`], and: the words may be written, and at most one value of this trait exists for the memory in the
/// whole system, so that whoever holds it is the one writer.
pub unsafe trait WriteRegion: Region {
    /// The words, which we may store to.
    #[inline]
    fn writable(&self) -> &[AtomicU64] {
        self.words().0
    }

    /// Copies bytes in at `offset` (a multiple of 8). Bytes of the last word beyond `from` become zero.
    ///
    /// # Panics
    /// When the range is not inside the region or `offset` is odd.
    #[inline]
    fn copy_in(&self, offset: usize, from: &[u8]) {
        let words = &self.writable()[checked_words(offset, from.len(), self.len())];
        for (chunk, word) in from.chunks(8).zip(words) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
    }

    /// The bytes in place, to be filled before they are published.
    ///
    /// # Safety
    /// While the slice lives, nobody in this process reads or writes the range in any other way. What other processes
    /// read meanwhile is torn, which their copies have to expect anyway.
    ///
    /// # Panics
    /// When the range is not inside the region.
    #[cfg(not(loom))]
    #[allow(clippy::mut_from_ref)] // one writer, many disjoint buffers: disjointness is the caller's duty
    #[inline]
    unsafe fn bytes_mut(&self, offset: usize, bytes: usize) -> &mut [u8] {
        let _ = checked_words(offset, bytes, self.len());
        let base = self.words().0.as_ptr().cast_mut().cast::<u8>();
        // SAFETY: the range was just checked to lie inside the words, which are writable (trait contract) and lie in
        // `UnsafeCell`s; that the slice is the only access is the caller's duty, stated above.
        unsafe { core::slice::from_raw_parts_mut(base.add(offset), bytes) }
    }
}

/// The words that hold a range of bytes.
///
/// # Panics
/// When the range is not inside `len` bytes or starts between words.
#[inline]
fn checked_words(offset: usize, bytes: usize, len: usize) -> core::ops::Range<usize> {
    assert!(offset.is_multiple_of(8) && offset <= len && bytes <= len - offset, "range outside the region");
    let first = offset / 8;
    first..first + bytes.div_ceil(8)
}
