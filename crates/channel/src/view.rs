//! A region's words, found once.
//!
//! A lane looks at three or four words per message. Asking the region for its slice each time, and checking an index that a
//! mask and the terms already bound, costs more than the rest of a small message; so a lane keeps the address.

use core::{marker::PhantomData, ptr::NonNull};

use feuerbird_zero_copy::{
    Region,
    sync::{AtomicU64, Ordering, fence},
};

/// The words of a region that its holder also owns, or one word behind an `Arc` of its holder's.
///
/// Invariant: the region or the word of which this was made is owned by the same struct, outlives this value, and has at least `words`
/// words; its contract says that they stay where they are.
#[derive(Debug)]
pub(crate) struct View {
    base: NonNull<AtomicU64>,
    words: PhantomData<[AtomicU64]>,
}

// SAFETY: sharing one gives shared access to atomics, as `&[AtomicU64]` does.
unsafe impl Sync for View {}

// SAFETY: what is reached through it are atomics, and they live as long as the region in the same struct, which is `Send`.
unsafe impl Send for View {}

impl View {
    /// The words of `region`, at least `bytes` bytes of them.
    ///
    /// # Panics
    /// When the region is smaller.
    ///
    /// # Safety
    /// The caller keeps the region at least as long as the view.
    pub(crate) unsafe fn new(region: &impl Region, bytes: usize) -> Self {
        assert!(bytes > 0 && bytes <= region.len(), "a view of no more than there is");
        let base =
            NonNull::new(region.words().address(0).cast_mut().cast()).expect("memory is not at address 0");
        Self { base, words: PhantomData }
    }

    /// One word of `region`, as the view's only one.
    ///
    /// # Panics
    /// When the region has no such word.
    ///
    /// # Safety
    /// As for [`new`](Self::new).
    pub(crate) unsafe fn of_word(region: &impl Region, index: usize) -> Self {
        assert!(index < region.words().len(), "a view of no more than there is");
        let base = NonNull::new(region.words().address(index).cast_mut().cast());
        Self { base: base.expect("memory is not at address 0"), words: PhantomData }
    }

    /// One word that is in no region.
    ///
    /// # Safety
    /// The caller keeps the word, where it is, at least as long as the view.
    pub(crate) unsafe fn of_atomic(word: &AtomicU64) -> Self {
        Self { base: NonNull::from(word), words: PhantomData }
    }

    /// One word.
    ///
    /// # Safety
    /// `index` is below the number of words that the view was made for: it comes from the same [`LaneLayout`].
    ///
    /// [`LaneLayout`]: crate::layout::LaneLayout
    #[inline]
    pub(crate) unsafe fn word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: inside the region by the caller's word, alive by the invariant.
        unsafe { self.base.add(index).as_ref() }
    }

    /// Reads a word of the peer's. Orders nothing.
    ///
    /// # Safety
    /// As for [`word`](Self::word).
    #[inline]
    pub(crate) unsafe fn load(&self, index: usize) -> u64 {
        // SAFETY: the caller's word.
        unsafe { self.word(index) }.load(Ordering::Relaxed)
    }

    /// Reads a word of the peer's, and all that it wrote before (see `Words::load_acquire`).
    ///
    /// # Safety
    /// As for [`word`](Self::word).
    #[inline]
    pub(crate) unsafe fn load_acquire(&self, index: usize) -> u64 {
        // SAFETY: the caller's word.
        let value = unsafe { self.load(index) };
        fence(Ordering::Acquire);
        value
    }

    /// Bytes in place.
    ///
    /// # Safety
    /// As for [`word`](Self::word), for each word that holds one of them; and nobody writes them while the slice lives.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) unsafe fn bytes(&self, offset: usize, bytes: usize) -> &[u8] {
        // SAFETY: inside the region and unwritten by the caller's word, alive by the invariant.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr().cast::<u8>().add(offset), bytes) }
    }

    /// Bytes in place, to be filled.
    ///
    /// # Safety
    /// As for [`word`](Self::word), for each word that holds one of them; the region is ours to write, and nobody in this
    /// process reads or writes them in any other way while the slice lives.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) unsafe fn bytes_mut(&mut self, offset: usize, bytes: usize) -> &mut [u8] {
        // SAFETY: inside the region and ours alone by the caller's word, alive by the invariant; the words are `UnsafeCell`s.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr().cast::<u8>().add(offset), bytes) }
    }

    /// Has bytes in place filled, and says what `fill` says.
    ///
    /// # Safety
    /// As for [`bytes_mut`](Self::bytes_mut), while `fill` runs.
    #[cfg(not(loom))]
    #[inline(always)] // with what fills them: a result that passes through memory costs as much as the rest of a small message
    pub(crate) unsafe fn fill<R>(
        &mut self,
        offset: usize,
        bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        // SAFETY: the caller's word.
        fill(unsafe { self.bytes_mut(offset, bytes) })
    }

    /// The same for models, which know no bytes: these are written word by word once they are known, which is what the processor does.
    ///
    /// # Safety
    /// As for [`word`](Self::word), for each word that holds one of them.
    #[cfg(loom)]
    pub(crate) unsafe fn fill<R>(
        &mut self,
        offset: usize,
        bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let mut aside = crate::buffer::Buffer::with_capacity(bytes);
        let result = fill(&mut aside.bytes_mut()[..bytes]);
        for (index, word) in aside.bytes().chunks_exact(8).enumerate() {
            let word = u64::from_ne_bytes(word.try_into().expect("chunks of eight"));
            // SAFETY: the caller's word.
            unsafe { self.word(offset / 8 + index) }.store(word, Ordering::Relaxed);
        }
        result
    }

    /// Copies the bytes of a small message out, word by word.
    ///
    /// # Safety
    /// As for [`word`](Self::word), for each word that holds a byte of it.
    #[inline(always)] // a call and a loop cost more than the one word that the smallest messages are
    pub(crate) unsafe fn copy_out(&self, first: usize, into: &mut [u8]) {
        if into.len() == 8 {
            // SAFETY: the caller's word.
            into.copy_from_slice(&unsafe { self.load(first) }.to_ne_bytes());
            return;
        }
        // SAFETY: the caller's word.
        unsafe { self.copy_out_words(first, into) }
    }

    /// # Safety
    /// As for [`copy_out`](Self::copy_out).
    #[inline(never)]
    unsafe fn copy_out_words(&self, first: usize, into: &mut [u8]) {
        let mut index = first;
        let mut chunks = into.chunks_exact_mut(8);
        for chunk in chunks.by_ref() {
            // SAFETY: the caller's word.
            chunk.copy_from_slice(&unsafe { self.load(index) }.to_ne_bytes());
            index += 1;
        }
        let rest = chunks.into_remainder();
        if !rest.is_empty() {
            // SAFETY: the caller's word: the rest lies in one more word.
            rest.copy_from_slice(&unsafe { self.load(index) }.to_ne_bytes()[..rest.len()]);
        }
    }
}
