//! The writing end of a lane.
//!
//! A bounded single-producer ring after Lamport ("Specifying concurrent program modules", 1983), with two differences that
//! distrust demands: each side's words lie in memory that only that side can write, and a message announces itself by the
//! turn in its own slot (as in Vyukov's bounded queue), so that a small message and its announcement are one cache line.

mod claim;
mod returns;

pub use claim::Claim;

use core::ops::Range;
use returns::Returns;

use crate::{
    AttachError, ClaimError, Ended, Home, Lie, Overflow, PollError, Terms, Validity, Watched,
    buffer::Buffer,
    header::check_header,
    layout::{CLOSED_WORD, HEAD_WORD, Half, LaneLayout, SLEEPING_WORD, Stamp},
    view::View,
};
use feuerbird_zero_copy::{
    BufferId, Counters, Kept, LoanError, Pool, ReaderId, Region, ReturnReader, WriteRegion,
    sync::{Ordering, fence, light_fence},
};

/// How many messages are announced together at most.
const MOST_DEFERRED: usize = 32;

/// The writing end of a lane to one consumer.
///
/// What the peer may change meanwhile: its own region, every bit. The producer reads from it where the consumer is
/// (checked against what was sent), whether it sleeps or has closed (hints), and which buffers it returns (judged by the
/// pool).
#[derive(Debug)]
pub struct Producer<H: Home> {
    home: H,
    layout: LaneLayout,
    memory: Memory<H::Writer>,
    /// Of the region in `memory`, as far as the layout reaches.
    own_words: View,
    peer: H::Reader,
    /// Of `peer`, as far as the layout reaches.
    peer_words: View,
    validity: Validity<H::Reader>,
    life: Option<H::Life>,
    /// Messages shorter than this go into their slots without a second look; none where slots are overwritten under a reader.
    slot_limit: usize,
    /// Messages published; the next one's index.
    tail: u64,
    /// What the consumer was last seen to have taken; never above `tail`.
    head: u64,
    /// Messages written behind `tail` and not announced yet, and their stamps.
    deferred: usize,
    stamps: [Stamp; MOST_DEFERRED],
    /// The sleep of the peer's that a wake was already spent on.
    woken: u64,
    sleeps: u64,
    light: bool,
    scratch: Buffer,
    dropped: u64,
    wakes: u64,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per lane, and a box would be one more hop for each message"
)]
enum Memory<W> {
    Slots(W),
    Pooled { pool: Pool<W>, reader: ReaderId, returns: Returns },
}

impl<W: WriteRegion> Memory<W> {
    #[inline]
    fn region(&self) -> &W {
        match self {
            Self::Slots(region) => region,
            Self::Pooled { pool, .. } => pool.region(),
        }
    }
}

impl<H: Home> Producer<H> {
    /// Attaches to a consumer. `own` was [prepared](crate::prepare) and is fresh otherwise; `peer` is the consumer's half.
    ///
    /// # Errors
    /// [`AttachError`] where either half does not fit the terms.
    pub fn attach(
        home: H,
        terms: Terms,
        own: H::Writer,
        peer: H::Reader,
        validity: Validity<H::Reader>,
        life: Option<H::Life>,
    ) -> Result<Self, AttachError> {
        let layout = LaneLayout::new(terms);
        if own.len() < layout.producer_bytes() {
            return Err(AttachError::RegionTooSmall);
        }
        check_header(&peer, &layout, Half::Consumer, &validity)?;
        let memory = match layout.pool() {
            None => Memory::Slots(own),
            Some(pool) => {
                let mut pool =
                    Pool::new(own, *pool, pool.buffers()).map_err(|_| AttachError::RegionTooSmall)?;
                let reader = pool.add_reader().expect("a fresh pool has room for a reader");
                let (offset, places) = layout.returns();
                let buffers = pool.layout().buffers();
                let returns = Returns::new(ReturnReader::new(offset, places), buffers);
                Memory::Pooled { pool, reader, returns }
            }
        };
        // SAFETY: both regions go into the same struct, and no part of it leaves it.
        let own_words = unsafe { View::new(memory.region(), layout.producer_bytes()) };
        // SAFETY: as above.
        let peer_words = unsafe { View::new(&peer, layout.consumer_bytes()) };
        let scratch = if terms.policy() == Overflow::DropOldest { layout.message_bytes() } else { 0 };
        Ok(Self {
            own_words,
            peer_words,
            light: home.has_heavy_barrier(),
            home,
            layout,
            memory,
            peer,
            validity,
            life,
            slot_limit: match terms.policy() {
                Overflow::Wait => layout.inline_bytes().min(layout.message_bytes()) + 1,
                Overflow::DropOldest => 0,
            },
            tail: 0,
            head: 0,
            deferred: 0,
            stamps: [Stamp(0); MOST_DEFERRED],
            woken: 0,
            sleeps: 0,
            scratch: Buffer::with_capacity(scratch),
            dropped: 0,
            wakes: 0,
        })
    }

    /// Claims room for a message of at most `bytes` bytes.
    ///
    /// # Errors
    /// [`ClaimError`].
    ///
    /// # Cost
    /// A few private words and one or two of the peer's cache lines that stay unchanged; the peer's position is read again
    /// only when the lane looks full.
    #[inline(always)] // with `publish`: passing a claim through memory costs as much as the rest of a small message
    pub fn claim(&mut self, bytes: usize) -> Result<Claim<'_, H>, ClaimError> {
        // A claim finds a place for its stamp, so that what is written can always be put off.
        if self.deferred == MOST_DEFERRED {
            self.announce_deferred();
        }
        self.check_open().map_err(ClaimError::Ended)?;
        if bytes > self.layout.message_bytes() {
            return Err(ClaimError::TooLarge);
        }
        // Where the oldest is dropped, it is when the message is published: a claim that comes to nothing costs none.
        if self.layout.terms().policy() == Overflow::Wait && !self.has_room().map_err(ClaimError::Ended)? {
            return Err(ClaimError::Full);
        }
        let kept = if bytes > self.layout.inline_bytes() { Some(self.take_buffer(bytes)?) } else { None };
        Ok(Claim { bytes, kept, producer: self })
    }

    /// Has the next message's slot filled with at most `bytes` bytes, where nothing else has to be done for it, and says what `fill` says.
    /// `None`, and nothing is written, where [`claim`](Self::claim) has to do more, or to say why the lane has ended.
    ///
    /// A lane is looked at before anything is written to it: a consumer that was revoked can see its slots for as long as it likes, whether
    /// they are announced or not.
    #[inline(always)] // as `claim`
    pub(crate) fn fill_slot<R>(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let is_free = self.deferred == 0 && self.layout.has_place_behind(self.tail - self.head);
        if !is_free || bytes >= self.slot_limit || !self.is_open() {
            return None;
        }
        let start = self.layout.slot_bytes(self.tail);
        // SAFETY: as for `Claim::bytes_mut`: `slot_limit` bounds the range to the slot, all of which is in the layout, and the consumer
        // is past it. The producer is borrowed while it is filled.
        Some(unsafe { self.own_words.fill(start, bytes, fill) })
    }

    /// Announces what [`fill_slot`](Self::fill_slot) has just filled as far as `bytes`, which is no more than was asked for there.
    ///
    /// # Errors
    /// Why the lane ended meanwhile; nothing was published.
    #[inline(always)] // as `claim`
    pub(crate) fn announce_slot(&mut self, bytes: usize) -> Result<(), PollError> {
        self.check_valid()?;
        self.announce(Stamp::new(self.tail, bytes, false));
        Ok(())
    }

    /// Whether there is room for a message now.
    ///
    /// # Errors
    /// [`PollError::PeerMisbehaved`] where the peer's position cannot be, or why the lane ended meanwhile.
    #[inline(always)]
    pub fn has_room(&mut self) -> Result<bool, PollError> {
        if self.layout.has_place_behind(self.next() - self.head) {
            return Ok(true);
        }
        self.look_at_head()?;
        Ok(self.layout.has_place_behind(self.next() - self.head))
    }

    /// How many messages were published and not yet taken, as last seen after looking again.
    ///
    /// # Errors
    /// As for [`has_room`](Self::has_room).
    pub fn untaken(&mut self) -> Result<u64, PollError> {
        self.look_at_head()?;
        Ok(self.next() - self.head)
    }

    /// The index of the next message to be written.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.tail + self.deferred as u64
    }

    /// How many messages were published so far.
    pub fn published(&self) -> u64 {
        self.tail
    }

    /// How many messages were overwritten before they were taken, as far as is known.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The index of the oldest message that may not have been taken, as last seen.
    pub(crate) fn oldest(&self) -> u64 {
        self.head
    }

    /// Whether messages are written aside and copied into their slots, which a reader may be in.
    pub(crate) fn copies_in(&self) -> bool {
        self.layout.terms().policy() == Overflow::DropOldest
    }

    /// How many system calls went into waking the peer.
    pub fn wakes(&self) -> u64 {
        self.wakes
    }

    /// What the pool counted, where messages are large enough for one.
    pub fn pool_counters(&self) -> Option<Counters> {
        match &self.memory {
            Memory::Slots(_) => None,
            Memory::Pooled { pool, .. } => Some(pool.counters()),
        }
    }

    /// Looks at validity, and at the peer's life with a system call. For whoever waits.
    ///
    /// # Errors
    /// Why the lane ended.
    pub fn check_alive(&mut self) -> Result<(), PollError> {
        if let Some(life) = &self.life
            && self.home.is_dead(life)
        {
            self.validity.end(Ended::Died);
        }
        self.check_open()
    }

    /// Ends the lane and copies messages that were published and not taken, oldest first, to `take`. Returns how many
    /// there were.
    ///
    /// A consumer that was revoked can have looked at the validity word just before it changed, and advance its position
    /// just after it was looked at here: such a message, one at most, arrives at both. Copied out, the look and the step are
    /// neighboring instructions; read in place, the reading lies between them. Nothing is ever lost here.
    pub fn recover(&mut self, mut take: impl FnMut(&[u8])) -> u64 {
        self.recover_each(|_, bytes| take(bytes))
    }

    /// As [`recover`](Self::recover), with the index of each.
    pub(crate) fn recover_each(&mut self, mut take: impl FnMut(u64, &[u8])) -> u64 {
        self.memory.region().writable()[CLOSED_WORD].store(1, Ordering::Release);
        self.validity.end(Ended::Unbound);
        // What the consumer's processor has executed is seen now, and whatever told that the lane is over was written after
        // the last position.
        self.home.heavy_barrier();
        fence(Ordering::Acquire);
        // A peer that lied about its position has taken what it was last believed to have taken.
        let _ = self.look_at_head();
        let mut bytes = Buffer::with_capacity(self.layout.message_bytes());
        let oldest = self.head.max(self.tail.saturating_sub(self.layout.depth()));
        for index in oldest..self.next() {
            let region = self.memory.region();
            // What was put off has its stamp here only.
            let put_off = index.checked_sub(self.tail).and_then(|place| self.stamps.get(place as usize));
            let announced = || Stamp(region.words().load(self.layout.stamp_word(index)));
            let stamp = put_off.copied().unwrap_or_else(announced);
            let slot = self.layout.slot_bytes(index);
            let start = if stamp.is_pooled() {
                let id = BufferId(region.words().load(slot / 8) as u32);
                self.layout.pooled(id, stamp.bytes())
            } else {
                Some(slot)
            };
            let start = start.expect("only this producer writes its stamps");
            region.copy_out(start, &mut bytes.bytes_mut()[..stamp.bytes()]);
            take(index, &bytes.bytes()[..stamp.bytes()]);
        }
        let recovered = self.next() - oldest;
        self.tail = self.next();
        self.deferred = 0;
        self.head = self.tail;
        recovered
    }

    /// Takes back every buffer, for a lane that ended; returns how many are still out after that, which is a bug here.
    pub fn reclaim(&mut self) -> u32 {
        match &mut self.memory {
            Memory::Slots(_) => 0,
            Memory::Pooled { pool, reader, .. } => {
                pool.remove_reader(*reader);
                pool.in_flight()
            }
        }
    }

    /// Takes back the buffers that the peer returned and whose messages it has taken; how many it has still.
    ///
    /// # Errors
    /// [`PollError::PeerMisbehaved`] where it returned what it does not hold, or why the lane ended meanwhile.
    pub fn take_returns(&mut self) -> Result<u32, PollError> {
        self.believe_returns().map_err(|lie| self.validity.judge(lie))
    }

    fn believe_returns(&mut self) -> Result<u32, Lie> {
        let Memory::Pooled { pool, reader, returns } = &mut self.memory else { return Ok(0) };
        // As many as there can be: a peer that returns without end holds nobody up.
        for _ in 0..self.layout.depth() {
            let Some((id, message)) = returns.next(&self.peer).map_err(|_| Lie::Return)? else { break };
            if message >= self.head {
                self.head = position(&self.peer, &self.layout, self.head..self.tail)?;
            }
            if message >= self.head {
                returns.put_back(id);
                break;
            }
            pool.release(*reader, id).map_err(|_| Lie::Return)?;
        }
        Ok(pool.in_flight())
    }

    /// Says that the producer goes to sleep, so that the consumer wakes it when there is room. Follow with one
    /// [`Home::heavy_barrier`] for all lanes, then look again with [`has_room`](Self::has_room).
    pub fn begin_sleep(&mut self) {
        self.sleeps = (self.sleeps + 1) | 1;
        self.memory.region().writable()[SLEEPING_WORD].store(self.sleeps, Ordering::SeqCst);
    }

    /// Says that the producer is awake.
    pub fn end_sleep(&mut self) {
        self.sleeps += 1;
        self.memory.region().writable()[SLEEPING_WORD].store(self.sleeps, Ordering::Relaxed);
    }

    /// What to wait on for room.
    pub fn watched(&self) -> Watched {
        Watched { address: self.peer.words().address(HEAD_WORD), seen: self.head as u32 }
    }

    /// The pair's validity.
    pub fn validity(&self) -> &Validity<H::Reader> {
        &self.validity
    }

    /// Whether the lane holds, and its consumer has not closed it.
    #[inline(always)]
    fn is_open(&self) -> bool {
        // SAFETY: the word is one of the layout that the view was made for.
        self.validity.is_valid() && unsafe { self.peer_words.load(CLOSED_WORD) } == 0
    }

    #[inline(always)]
    pub(crate) fn check_open(&self) -> Result<(), PollError> {
        if self.is_open() { Ok(()) } else { self.why_ended() }
    }

    /// The part of [`check_open`](Self::check_open) that matters once a message is written: whether it may be seen.
    #[inline]
    fn check_valid(&self) -> Result<(), PollError> {
        if self.validity.is_valid() { Ok(()) } else { self.why_ended() }
    }

    #[cold]
    fn why_ended(&self) -> Result<(), PollError> {
        Err(self.validity.standing().into())
    }

    #[cold]
    fn look_at_head(&mut self) -> Result<(), PollError> {
        let position = position(&self.peer, &self.layout, self.head..self.tail);
        self.head = position.map_err(|lie| self.validity.judge(lie))?;
        Ok(())
    }

    /// Frees the oldest slot of a ring that drops its oldest.
    fn make_room(&mut self) -> Result<(), PollError> {
        if !self.has_room()? {
            self.head += 1;
            self.dropped += 1;
        }
        Ok(())
    }

    /// Takes a pool buffer, after hearing what the peer returned if there seems to be none.
    #[inline(never)] // far more than a small message costs, and none of its business
    fn take_buffer(&mut self, bytes: usize) -> Result<Kept, ClaimError> {
        if let Memory::Pooled { pool, .. } = &mut self.memory
            && let Ok(loan) = pool.loan(bytes)
        {
            return Ok(loan.keep());
        }
        self.take_returns().map_err(ClaimError::Ended)?;
        let Memory::Pooled { pool, .. } = &mut self.memory else { return Err(ClaimError::TooLarge) };
        match pool.loan(bytes) {
            Ok(loan) => Ok(loan.keep()),
            Err(LoanError::TooLarge) => Err(ClaimError::TooLarge),
            // There are as many buffers as places, a consumer returns a buffer before it gives up its place, and there is a
            // free place: a buffer was kept back, or its return withdrawn.
            Err(_) => Err(ClaimError::Ended(self.validity.judge(Lie::Return))),
        }
    }

    /// Where a buffer's bytes start.
    #[inline(never)] // as `take_buffer`
    fn buffer_start(&self, kept: &Kept) -> usize {
        let place = self.layout.pool().and_then(|pool| pool.offset(kept.id()));
        place.expect("a kept buffer came from this layout's free list")
    }

    #[cold]
    fn give_up(&mut self, kept: Kept) {
        if let Memory::Pooled { pool, .. } = &mut self.memory {
            pool.discard(kept);
        }
    }

    /// Keeps a message that is in its place, or in a buffer, for the next announcement.
    #[inline]
    fn put_off(&mut self, kept: Option<Kept>, bytes: usize) {
        match kept {
            None => self.defer(Stamp::new(self.next(), bytes, false)),
            Some(kept) => self.put_off_buffer(kept, bytes),
        }
    }

    /// Announces a message behind those that were deferred, or one in a buffer.
    #[inline(never)] // as `take_buffer`
    fn announce_with_deferred(&mut self, kept: Option<Kept>, bytes: usize) {
        self.put_off(kept, bytes);
        self.announce_deferred();
    }

    /// Gives a filled buffer to the consumer, to be announced.
    fn put_off_buffer(&mut self, kept: Kept, bytes: usize) {
        let index = self.next();
        let Memory::Pooled { pool, reader, returns } = &mut self.memory else { return };
        let id = pool.publish_kept(&kept, *reader).expect("the quota is the number of buffers");
        pool.discard(kept);
        returns.fill(id, index);
        let slot = self.layout.slot_bytes(index);
        pool.region().writable()[slot / 8].store(u64::from(id.0), Ordering::Relaxed);
        self.defer(Stamp::new(index, bytes, true));
    }

    /// Keeps a stamp for a message whose bytes are in place, until all that are kept are announced together.
    #[inline]
    fn defer(&mut self, stamp: Stamp) {
        // `claim` saw to it that there is a place.
        self.stamps[self.deferred] = stamp;
        self.deferred += 1;
    }

    /// Announces what was written and [deferred](Claim::defer), oldest first, and wakes the consumer if it sleeps. Does nothing once
    /// the lane is not valid any more: what was deferred is then [recovered](Self::recover) with the rest.
    ///
    /// # Cost
    /// A store for each message, and one look at whether the consumer sleeps.
    pub fn announce_deferred(&mut self) {
        if self.check_valid().is_err() {
            return;
        }
        for deferred in 0..core::mem::take(&mut self.deferred) {
            self.store_stamp(self.stamps[deferred]);
        }
        self.wake_if_asleep();
    }

    /// Announces message `tail`, whose bytes are in place, and wakes the consumer if it sleeps.
    #[inline(always)]
    fn announce(&mut self, stamp: Stamp) {
        self.store_stamp(stamp);
        self.wake_if_asleep();
    }

    #[inline(always)]
    fn store_stamp(&mut self, stamp: Stamp) {
        // SAFETY: a stamp's word is one of the layout that the view was made for.
        let word = unsafe { self.own_words.word(self.layout.stamp_word(self.tail)) };
        // Pairs with the acquire load in `Consumer::poll`: the bytes were written before.
        word.store(stamp.0, Ordering::Release);
        self.tail += 1;
    }

    #[inline]
    fn wake_if_asleep(&mut self) {
        light_fence(self.light);
        // SAFETY: the word is one of the layout that the view was made for.
        let sleep = unsafe { self.peer_words.load(SLEEPING_WORD) };
        if sleep & 1 == 1 {
            self.wake(sleep);
        }
    }

    /// Once for each sleep.
    #[cold]
    fn wake(&mut self, sleep: u64) {
        if sleep == self.woken {
            return;
        }
        self.woken = sleep;
        self.wakes += 1;
        self.home.wake(self.memory.region().words().address(self.layout.stamp_word(self.tail - 1)));
    }
}

/// Where the consumer is: from where it was last seen to what was published.
///
/// # Errors
/// [`Lie::Head`] where it cannot be.
fn position(peer: &impl Region, layout: &LaneLayout, between: Range<u64>) -> Result<u64, Lie> {
    // Pairs with the release store in `Consumer::advance`: the slots below it were read before.
    let head = peer.words().load_acquire(HEAD_WORD);
    // A slow consumer of a ring that drops its oldest stands behind what was dropped; nobody stands ahead of the tail.
    let backwards = head < between.start && layout.terms().policy() == Overflow::Wait;
    if backwards || head > between.end {
        return Err(Lie::Head);
    }
    Ok(head.max(between.start))
}

impl<H: Home> Drop for Producer<H> {
    fn drop(&mut self) {
        if self.deferred > 0 {
            self.announce_deferred();
        }
        self.memory.region().writable()[CLOSED_WORD].store(1, Ordering::Release);
        light_fence(self.light);
        if self.peer.words().load(SLEEPING_WORD) & 1 == 1 {
            self.home.wake(self.memory.region().words().address(self.layout.stamp_word(self.tail)));
        }
    }
}
