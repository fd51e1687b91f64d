//! Buffers, and who holds them: all of it in the owner's private memory.

use alloc::{collections::VecDeque, vec, vec::Vec};

use feuerbird_numa::NodeId;

use crate::{BufferId, Counters, LayoutError, LoanError, PoolLayout, ReleaseError, WriteRegion};

/// How many readers one pool can have; the last bit of a holder set is the owner's own.
const MAX_READERS: u32 = 63;
const OWNER: u64 = 1 << MAX_READERS;

/// A reader as its pool's owner numbers it, 0 to 62.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReaderId(u8);

/// A buffer that its owner published and still holds itself, so that it can publish it again or go on from it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept(BufferId);

impl Kept {
    /// The buffer's number.
    #[inline]
    pub fn id(&self) -> BufferId {
        self.0
    }
}

/// The buffers in memory that we write.
///
/// Free buffers are reused first-in-first-out: reusing the one freed last would make writer and reader fight over its
/// cache lines while it is still being read ahead.
///
/// # Cost
/// Loan, publish and release are a few private words each. Nothing here allocates after [`new`](Self::new), locks or
/// calls the system.
#[derive(Debug)]
pub struct Pool<W> {
    region: W,
    layout: PoolLayout,
    free: Vec<VecDeque<BufferId>>,
    /// Per buffer, who holds it: one bit per reader and one for the owner. The reference count is the number of bits.
    holders: Vec<u64>,
    readers: u64,
    held: [u32; MAX_READERS as usize],
    quota: u32,
    counters: Counters,
}

impl<W: WriteRegion> Pool<W> {
    /// Lays a pool out in a region; the parts of the region outside `layout` stay the caller's. No reader may hold more
    /// than `quota` buffers at once.
    ///
    /// # Errors
    /// [`LayoutError::TooLarge`] where the region is too small.
    ///
    /// # Cost
    /// Allocates a word and a half per buffer, once.
    pub fn new(region: W, layout: PoolLayout, quota: u32) -> Result<Self, LayoutError> {
        if layout.end() > region.len() {
            return Err(LayoutError::TooLarge);
        }
        layout.write_header(&region);
        let mut next = 0;
        let free = layout.classes().iter().map(|class| {
            let ids = (next..next + class.count).map(BufferId).collect();
            next += class.count;
            ids
        });
        Ok(Self {
            free: free.collect(),
            holders: vec![0; layout.buffers() as usize],
            readers: 0,
            held: [0; MAX_READERS as usize],
            quota,
            counters: Counters::default(),
            region,
            layout,
        })
    }

    /// The region that the pool lies in.
    #[inline]
    pub fn region(&self) -> &W {
        &self.region
    }

    /// The pool's geometry.
    #[inline]
    pub fn layout(&self) -> &PoolLayout {
        &self.layout
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many buffers somebody holds.
    pub fn in_flight(&self) -> u32 {
        self.layout.buffers() - self.free.iter().map(|list| list.len() as u32).sum::<u32>()
    }

    /// How many buffers a reader holds.
    pub fn held_by(&self, reader: ReaderId) -> u32 {
        self.held[usize::from(reader.0)]
    }

    /// Admits a reader; `None` where there are 63 already.
    pub fn add_reader(&mut self) -> Option<ReaderId> {
        let number = self.readers.trailing_ones();
        (number < MAX_READERS).then(|| {
            self.readers |= 1 << number;
            ReaderId(number as u8)
        })
    }

    /// Takes back all that a reader holds and forgets it; returns how many buffers came back. For a reader that died, was
    /// revoked or misbehaved.
    ///
    /// # Cost
    /// In proportion to the number of buffers; not for the hot path.
    pub fn remove_reader(&mut self, reader: ReaderId) -> u32 {
        let bit = 1 << reader.0;
        let mut back = 0;
        for index in 0..self.holders.len() {
            if self.holders[index] & bit != 0 {
                self.let_go(BufferId(index as u32), bit);
                back += 1;
            }
        }
        self.counters.released += u64::from(back);
        self.counters.reclaimed += u64::from(back);
        self.held[usize::from(reader.0)] = 0;
        self.readers &= !bit;
        back
    }

    /// Hands out a buffer of at least `bytes` bytes to be filled.
    ///
    /// # Errors
    /// [`LoanError::TooLarge`] where no class is large enough, [`LoanError::Exhausted`] where all of those are in flight.
    #[inline]
    pub fn loan(&mut self, bytes: usize) -> Result<Loan<'_, W>, LoanError> {
        let id = self.take(bytes, None)?;
        Ok(Loan { pool: self, id, bytes, open: true })
    }

    /// Hands out a buffer on `node` where there is one, and else wherever there is one.
    ///
    /// # Errors
    /// As for [`loan`](Self::loan).
    pub fn loan_near(&mut self, bytes: usize, node: NodeId) -> Result<Loan<'_, W>, LoanError> {
        let id = self.take(bytes, Some(node)).or_else(|_| self.take(bytes, None))?;
        Ok(Loan { pool: self, id, bytes, open: true })
    }

    /// Takes a buffer back from a reader that says it is done.
    ///
    /// # Errors
    /// [`ReleaseError`] where the reader does not hold such a buffer: forged, repeated or foreign. Nothing changes then.
    #[inline]
    pub fn release(&mut self, reader: ReaderId, id: BufferId) -> Result<(), ReleaseError> {
        let bit = 1 << reader.0;
        let refusal = match self.holders.get(id.0 as usize) {
            None => Some(ReleaseError::NoSuchBuffer),
            Some(holders) if holders & bit == 0 => Some(ReleaseError::NotHeld),
            Some(_) => None,
        };
        if let Some(error) = refusal {
            self.counters.forged_returns += 1;
            return Err(error);
        }
        self.let_go(id, bit);
        self.held[usize::from(reader.0)] -= 1;
        self.counters.released += 1;
        Ok(())
    }

    /// Publishes a kept buffer to one more reader.
    ///
    /// # Errors
    /// [`LoanError::NoReader`] or [`LoanError::QuotaReached`].
    pub fn publish_kept(&mut self, kept: &Kept, reader: ReaderId) -> Result<BufferId, LoanError> {
        self.hold(kept.0, reader)?;
        self.counters.copies_avoided += 1;
        Ok(kept.0)
    }

    /// Goes on from a kept buffer: copy-on-write. Nobody else holds it: the same buffer, no copy. Somebody reads it: a new
    /// buffer with a copy of its first `bytes` bytes; readers keep what they have.
    ///
    /// # Errors
    /// [`LoanError::Exhausted`] where a copy is needed and no buffer is free; `kept` comes back with it.
    pub fn modify(&mut self, kept: Kept, bytes: usize) -> Result<Loan<'_, W>, (Kept, LoanError)> {
        let id = kept.0;
        if self.holders[id.0 as usize] == OWNER {
            self.counters.copies_avoided += 1;
            return Ok(Loan { pool: self, id, bytes, open: true });
        }
        let fresh = match self.take(bytes, None) {
            Ok(fresh) => fresh,
            Err(error) => return Err((kept, error)),
        };
        self.copy_within(id, fresh, bytes);
        self.counters.copies_made += 1;
        self.let_go(id, OWNER);
        Ok(Loan { pool: self, id: fresh, bytes, open: true })
    }

    /// Lets go of a kept buffer. Readers that hold it keep it.
    pub fn discard(&mut self, kept: Kept) {
        self.let_go(kept.0, OWNER);
    }

    /// Counts a use of bytes that did, or did not, need a copy outside the pool's own knowledge.
    #[inline]
    pub fn count_copy(&mut self, avoided: bool) {
        if avoided {
            self.counters.copies_avoided += 1;
        } else {
            self.counters.copies_made += 1;
        }
    }

    fn copy_within(&self, from: BufferId, to: BufferId, bytes: usize) {
        let (Some(from), Some(to)) = (self.layout.offset(from), self.layout.offset(to)) else { return };
        let (from, to, words) = (from / 8, to / 8, bytes.div_ceil(8));
        for word in 0..words {
            let value = self.region.words().load(from + word);
            self.region.writable()[to + word].store(value, crate::sync::Ordering::Relaxed);
        }
    }

    /// Takes a free buffer; the owner holds it.
    #[inline]
    fn take(&mut self, bytes: usize, node: Option<NodeId>) -> Result<BufferId, LoanError> {
        let mut fits = false;
        for (class, list) in self.layout.classes().iter().zip(&mut self.free) {
            if (class.bytes as usize) < bytes || (node.is_some() && class.node != node) {
                continue;
            }
            fits = true;
            if let Some(id) = list.pop_front() {
                self.holders[id.0 as usize] = OWNER;
                self.counters.loans += 1;
                return Ok(id);
            }
        }
        Err(if fits { LoanError::Exhausted } else { LoanError::TooLarge })
    }

    #[inline]
    fn hold(&mut self, id: BufferId, reader: ReaderId) -> Result<(), LoanError> {
        let bit = 1 << reader.0;
        if self.readers & bit == 0 {
            return Err(LoanError::NoReader);
        }
        let held = &mut self.held[usize::from(reader.0)];
        if *held >= self.quota {
            self.counters.quota_refusals += 1;
            return Err(LoanError::QuotaReached);
        }
        if self.holders[id.0 as usize] & bit == 0 {
            self.holders[id.0 as usize] |= bit;
            *held += 1;
        }
        self.counters.published += 1;
        Ok(())
    }

    #[inline]
    fn let_go(&mut self, id: BufferId, bit: u64) {
        let holders = &mut self.holders[id.0 as usize];
        *holders &= !bit;
        if *holders == 0
            && let Some((_, class)) = self.layout.place(id)
        {
            self.free[class].push_back(id);
        }
    }
}

/// A buffer that is being filled. Dropped without being published, it goes back.
#[derive(Debug)]
pub struct Loan<'p, W: WriteRegion> {
    pool: &'p mut Pool<W>,
    id: BufferId,
    bytes: usize,
    open: bool,
}

impl<W: WriteRegion> Loan<'_, W> {
    /// How many bytes were asked for.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether no bytes were asked for.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The bytes asked for, in place. They hold whatever the buffer's last user left.
    #[cfg(not(loom))]
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let (offset, bytes) = (self.offset(), self.bytes);
        // SAFETY: the buffer was free, so no reader holds it, and readers in this process read only what they hold
        // (contract of `heap_region`); the loan borrows the pool, so there is no other loan, and `&mut self` makes this
        // the loan's only slice.
        unsafe { self.pool.region.bytes_mut(offset, bytes) }
    }

    /// Copies bytes in at the start. What loom can see, and what a ring that readers may overtake needs.
    ///
    /// # Panics
    /// When `from` is longer than the loan.
    pub fn copy_in(&mut self, from: &[u8]) {
        assert!(from.len() <= self.bytes, "more bytes than were asked for");
        self.pool.region.copy_in(self.offset(), from);
    }

    /// Hands the buffer to a reader, who will return it.
    ///
    /// # Errors
    /// [`LoanError::NoReader`] or [`LoanError::QuotaReached`]; the buffer goes back to the pool.
    #[inline]
    pub fn publish(mut self, reader: ReaderId) -> Result<BufferId, LoanError> {
        self.pool.hold(self.id, reader)?;
        self.pool.let_go(self.id, OWNER);
        self.pool.counters.copies_avoided += 1;
        self.open = false;
        Ok(self.id)
    }

    /// Ends the filling and keeps the buffer, to be published to several readers or modified later.
    pub fn keep(mut self) -> Kept {
        self.open = false;
        Kept(self.id)
    }

    fn offset(&self) -> usize {
        self.pool.layout.offset(self.id).expect("a loan's buffer came from this layout's free list")
    }
}

impl<W: WriteRegion> Drop for Loan<'_, W> {
    fn drop(&mut self) {
        if self.open {
            self.pool.let_go(self.id, OWNER);
        }
    }
}
