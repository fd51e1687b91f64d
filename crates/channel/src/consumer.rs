//! The reading end of a lane.

use feuerbird_zero_copy::{
    BufferId, Region, ReturnWriter, WriteRegion,
    sync::{Ordering, fence, light_fence},
};

use crate::{
    AttachError, Ended, Home, Lie, Overflow, PollError, Standing, Terms, Validity, Watched,
    header::check_header,
    layout::{CLOSED_WORD, HEAD_WORD, Half, LaneLayout, SLEEPING_WORD, Stamp},
    view::View,
};

/// The reading end of a lane from one producer.
///
/// What the peer may change meanwhile: its own region, every bit. A message is taken by copying it into private memory
/// ([`take_into`](Self::take_into)), or read in place ([`borrow`](Self::borrow)) where the peer is trusted not to touch what it
/// has published.
#[derive(Debug)]
pub struct Consumer<H: Home> {
    home: H,
    layout: LaneLayout,
    own: H::Writer,
    /// Of `own`, as far as the layout reaches.
    own_words: View,
    returns: ReturnWriter,
    peer: H::Reader,
    /// Of `peer`, as far as the layout reaches.
    peer_words: View,
    validity: Validity<H::Reader>,
    life: Option<H::Life>,
    /// Messages taken; the next one's index.
    head: u64,
    /// The largest message that may be taken from its slot without a second look; none where slots are overwritten.
    slot_bytes: usize,
    /// The sleep of the peer's that a wake was already spent on, and where the lane stood when it was first seen.
    woken: u64,
    full_at: (u64, u64),
    sleeps: u64,
    light: bool,
    in_place: bool,
    missed: u64,
    wakes: u64,
}

/// Where the next message lies, by what was read once and checked.
#[derive(Clone, Copy, Debug)]
struct Place {
    stamp: Stamp,
    start: usize,
    bytes: usize,
    buffer: Option<BufferId>,
}

/// A message that was copied out and taken: its length, and in the last bit whether capabilities go beside it, which its last bytes
/// name. One word, because it is handed through with every message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken(usize);

impl Taken {
    const GIFTS: usize = 1 << (usize::BITS - 1);

    #[inline]
    fn new(bytes: usize, has_gifts: bool) -> Self {
        Self(if has_gifts { bytes | Self::GIFTS } else { bytes })
    }

    #[inline]
    pub(crate) fn bytes(self) -> usize {
        self.0 & !Self::GIFTS
    }

    #[inline]
    pub(crate) fn has_gifts(self) -> bool {
        self.0 & Self::GIFTS != 0
    }
}

impl<H: Home> Consumer<H> {
    /// Attaches to a producer. `own` was prepared and is fresh otherwise; `peer` is the producer's half. Messages may be read in
    /// place where whoever mapped `peer` vouches for its writer ([`Region::is_vouched_for`]).
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
        if own.len() < layout.consumer_bytes() {
            return Err(AttachError::RegionTooSmall);
        }
        check_header(&peer, &layout, Half::Producer, &validity)?;
        let (offset, places) = layout.returns();
        // SAFETY: both regions go into the same struct, and no part of it leaves it.
        let own_words = unsafe { View::new(&own, layout.consumer_bytes()) };
        // SAFETY: as above.
        let peer_words = unsafe { View::new(&peer, layout.producer_bytes()) };
        let in_place = peer.is_vouched_for() && terms.policy() == Overflow::Wait;
        Ok(Self {
            own_words,
            peer_words,
            light: home.has_heavy_barrier(),
            home,
            layout,
            own,
            returns: ReturnWriter::new(offset, places),
            peer,
            validity,
            life,
            head: 0,
            slot_bytes: match terms.policy() {
                Overflow::Wait => layout.inline_bytes().min(layout.message_bytes()),
                Overflow::DropOldest => 0,
            },
            woken: 0,
            full_at: (0, 0),
            sleeps: 0,
            in_place,
            missed: 0,
            wakes: 0,
        })
    }

    /// Lets [`borrow`](Self::borrow) read in place, where the region itself is not vouched for.
    ///
    /// # Safety
    /// The caller vouches that the producer runs the loan discipline: it never writes a message from its publication until
    /// it is taken. A [`Producer`](crate::Producer) of this crate keeps to that.
    pub unsafe fn trust_producer(&mut self) {
        self.in_place = self.layout.terms().policy() == Overflow::Wait;
    }

    /// Whether messages are read in place.
    pub fn reads_in_place(&self) -> bool {
        self.in_place
    }

    /// Copies the next message to `into` and takes it; `None` where there is none now. Returns its length.
    ///
    /// The bytes may be anything the producer wrote at any time, but they no longer change.
    ///
    /// # Errors
    /// Why the lane ended, or [`PollError::PeerMisbehaved`].
    ///
    /// # Panics
    /// When `into` is shorter than the terms' largest message.
    #[inline]
    pub fn take_into(&mut self, into: &mut [u8]) -> Result<Option<usize>, PollError> {
        Ok(self.take(into)?.map(Taken::bytes))
    }

    /// As [`take_into`](Self::take_into).
    #[inline(always)] // every message takes this way or that of `take_plain`
    pub(crate) fn take(&mut self, into: &mut [u8]) -> Result<Option<Taken>, PollError> {
        assert!(into.len() >= self.layout.message_bytes(), "room for the largest message");
        match self.take_plain(into) {
            Some(bytes) => Ok(Some(Taken::new(bytes, false))),
            None => self.take_slowly(into),
        }
    }

    /// The common case in one run: a message in its slot, from a producer that waits for room. `None` where there is none, and where
    /// it is another case.
    ///
    /// # Panics
    /// When the message is longer than `into`.
    #[inline(always)] // as above
    pub(crate) fn take_plain(&mut self, into: &mut [u8]) -> Option<usize> {
        let (head, word) = (self.head, self.layout.stamp_word(self.head));
        // Pairs with the release store in `Producer::announce`.
        // SAFETY: a stamp's word is one of the layout that the view was made for.
        let stamp = Stamp(unsafe { self.peer_words.load_acquire(word) });
        let bytes = stamp.bytes();
        if stamp.turn() != Stamp::turn_of(head) || !stamp.is_plain() || bytes > self.slot_bytes {
            return None;
        }
        // SAFETY: `slot_bytes` bounds what was read to the slot, all of which is in the layout.
        unsafe { self.peer_words.copy_out(word + 1, &mut into[..bytes]) };
        // Looked at last, so that a copy that a revocation overtook is not taken: its message goes to another one, and what it reads may
        // have been withdrawn. The look is not to come before the copy.
        fence(Ordering::Acquire);
        if !self.validity.is_valid() {
            return None;
        }
        self.advance(None);
        Some(bytes)
    }

    #[inline(never)] // out of the way of the common case
    fn take_slowly(&mut self, into: &mut [u8]) -> Result<Option<Taken>, PollError> {
        // Each round of a ring that drops its oldest, the message was overwritten once more: bounded, so that a producer
        // that only ever overwrites cannot hold the consumer here.
        for _ in 0..64 {
            let Some(place) = self.poll()? else { return Ok(None) };
            self.peer.copy_out(place.start, &mut into[..place.bytes]);
            // Looked at again, as above, with what `poll` says about it.
            fence(Ordering::Acquire);
            if self.is_overwritten(place) || self.validity.is_barred() {
                continue;
            }
            self.advance(place.buffer);
            return Ok(Some(Taken::new(place.bytes, place.stamp.has_gifts())));
        }
        Ok(None)
    }

    /// The next message in place, taken when the value is dropped; `None` where there is none now.
    ///
    /// # Errors
    /// Why the lane ended, or [`PollError::PeerMisbehaved`].
    ///
    /// # Panics
    /// Where nobody vouched for the producer ([`reads_in_place`](Self::reads_in_place)).
    #[cfg(not(loom))]
    #[inline]
    pub fn borrow(&mut self) -> Result<Option<Borrowed<'_, H>>, PollError> {
        assert!(self.in_place, "reading in place needs a trusted producer");
        if self.validity.is_valid() {
            let stamp = self.stamp();
            let bytes = stamp.bytes();
            if stamp.turn() == Stamp::turn_of(self.head) && stamp.is_plain() && bytes <= self.slot_bytes {
                let start = self.layout.slot_bytes(self.head);
                let place = Place { stamp, start, bytes, buffer: None };
                return Ok(Some(Borrowed { consumer: self, place }));
            }
        }
        Ok(self.poll()?.map(|place| Borrowed { consumer: self, place }))
    }

    /// Whether messages may be overwritten before they are taken.
    pub(crate) fn may_miss(&self) -> bool {
        self.layout.terms().policy() == Overflow::DropOldest
    }

    /// How many messages were taken.
    pub fn taken(&self) -> u64 {
        self.head
    }

    /// How many messages were overwritten before they were taken.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// How many system calls went into waking the peer.
    pub fn wakes(&self) -> u64 {
        self.wakes
    }

    /// The largest message, in bytes.
    pub fn message_bytes(&self) -> usize {
        self.layout.message_bytes()
    }

    /// Looks at the peer's life with a system call. For whoever waits: the end shows at the next look for a message.
    pub fn check_alive(&mut self) {
        if let Some(life) = &self.life
            && self.home.is_dead(life)
        {
            self.validity.end(Ended::Died);
        }
    }

    /// Says that the consumer goes to sleep, so that the producer wakes it. Follow with one [`Home::heavy_barrier`] for all
    /// lanes, then look again with [`has_message`](Self::has_message).
    pub fn begin_sleep(&mut self) {
        self.sleeps = (self.sleeps + 1) | 1;
        self.own.writable()[SLEEPING_WORD].store(self.sleeps, Ordering::SeqCst);
    }

    /// Says that the consumer is awake.
    pub fn end_sleep(&mut self) {
        self.sleeps += 1;
        self.own.writable()[SLEEPING_WORD].store(self.sleeps, Ordering::Relaxed);
    }

    /// Whether something is there to look at: a message, a lie or the end.
    #[inline]
    pub fn has_message(&self) -> bool {
        match self.validity.standing() {
            Standing::Valid => {
                let stamp = Stamp(self.peer.words().load(self.layout.stamp_word(self.head)));
                self.is_news(stamp) || self.peer.words().load(CLOSED_WORD) != 0
            }
            // Nothing may be read, and there is nothing to tell yet: not a reason to stay awake.
            Standing::Ending => false,
            Standing::Over(_) => true,
        }
    }

    /// Whether the lane is over, and nothing is left that may be taken.
    pub fn is_spent(&self) -> bool {
        match self.validity.standing() {
            Standing::Valid | Standing::Ending => false,
            Standing::Over(Ended::Revoked) => true,
            Standing::Over(Ended::Unbound | Ended::Died) => {
                !self.is_news(Stamp(self.peer.words().load(self.layout.stamp_word(self.head))))
            }
        }
    }

    /// What to wait on for a message.
    pub fn watched(&self) -> Watched {
        let address = self.peer.words().address(self.layout.stamp_word(self.head));
        Watched { address, seen: self.lap_before() }
    }

    /// The pair's validity.
    pub fn validity(&self) -> &Validity<H::Reader> {
        &self.validity
    }

    /// The stamp where the next message will be.
    #[inline]
    fn stamp(&self) -> Stamp {
        // Pairs with the release store in `Producer::announce`.
        // SAFETY: a stamp's word is one of the layout that the view was made for.
        Stamp(unsafe { self.peer_words.load_acquire(self.layout.stamp_word(self.head)) })
    }

    /// Looks for the next message.
    #[inline(never)] // the common case is looked at before
    fn poll(&mut self) -> Result<Option<Place>, PollError> {
        // What was overwritten is skipped, to what its producer may be overwriting already: bounded.
        for _ in 0..8 {
            let barred = self.validity.is_barred();
            let stamp = self.stamp();
            if !barred && stamp.turn() == Stamp::turn_of(self.head) {
                return self.judged(stamp);
            }
            if barred || !self.skips(stamp) {
                return self.nothing(stamp);
            }
        }
        Ok(None)
    }

    /// Where the next message lies, by its stamp; nothing where what was read may have been withdrawn.
    #[inline]
    fn judged(&mut self, stamp: Stamp) -> Result<Option<Place>, PollError> {
        match self.place(stamp).map_err(|lie| self.validity.judge(lie)) {
            Ok(place) => Ok(Some(place)),
            Err(error @ PollError::PeerMisbehaved(_)) => Err(error),
            Err(_) => self.ended(),
        }
    }

    /// Checks what a stamp says, against private constants only.
    #[inline]
    fn place(&self, stamp: Stamp) -> Result<Place, Lie> {
        let bytes = stamp.bytes();
        let slot = self.layout.slot_bytes(self.head);
        if bytes > self.layout.message_bytes() {
            return Err(Lie::Length);
        }
        if stamp.is_pooled() {
            let id = BufferId(self.peer.words().load(slot / 8) as u32);
            let start = self.layout.pooled(id, bytes).ok_or(Lie::Buffer)?;
            return Ok(Place { stamp, start, bytes, buffer: Some(id) });
        }
        if bytes > self.layout.inline_bytes() {
            return Err(Lie::Length);
        }
        Ok(Place { stamp, start: slot, bytes, buffer: None })
    }

    /// What a stamp means that is not the next message's, nor that of one by which it was overwritten.
    #[inline]
    fn nothing(&mut self, stamp: Stamp) -> Result<Option<Place>, PollError> {
        if self.validity.is_barred() {
            return self.ended();
        }
        if stamp.turn() == self.lap_before() && self.full_at.0 != 0 {
            self.wake_producer_if_asleep(0);
        }
        // In a ring that drops its oldest: being written at this moment, or for ever if its producer died over it, or nonsense.
        if stamp.turn() != self.lap_before() && self.layout.terms().policy() == Overflow::Wait {
            return Err(PollError::PeerMisbehaved(Lie::Stamp));
        }
        self.empty()
    }

    /// Whether a stamp says that there is something to look at.
    fn is_news(&self, stamp: Stamp) -> bool {
        match self.layout.terms().policy() {
            Overflow::Wait => stamp.turn() != self.lap_before(),
            Overflow::DropOldest => {
                stamp.turn() == Stamp::turn_of(self.head) || self.overwritten_by(stamp).is_some()
            }
        }
    }

    /// How many messages after the next one a stamp is that overwrote it, or is about to.
    #[inline]
    fn overwritten_by(&self, stamp: Stamp) -> Option<u32> {
        if self.layout.terms().policy() == Overflow::Wait {
            return None;
        }
        let ahead = stamp.turn().wrapping_sub(Stamp::turn_of(self.head));
        // Half of the turns are behind, and a busy stamp is far from any.
        let ahead = if ahead < 0x4000_0000 { ahead } else { ahead ^ 0x8000_0000 };
        (0 < ahead && ahead < 0x4000_0000).then_some(ahead)
    }

    /// An empty lane: is it at its end?
    #[inline]
    fn empty(&mut self) -> Result<Option<Place>, PollError> {
        if self.peer.words().load(CLOSED_WORD) == 0 && self.validity.is_valid() {
            return Ok(None);
        }
        // The last message may have come between the two looks.
        fence(Ordering::Acquire);
        let stamp = self.stamp();
        if self.validity.is_barred() || !self.is_news(stamp) {
            return self.ended();
        }
        if stamp.turn() == Stamp::turn_of(self.head) { self.judged(stamp) } else { Ok(None) }
    }

    /// A lane that is over, and all that may be taken was taken.
    #[cold]
    fn ended(&mut self) -> Result<Option<Place>, PollError> {
        self.wake_producer_if_asleep(0);
        match self.validity.standing().into() {
            PollError::Ending => Ok(None),
            error => Err(error),
        }
    }

    /// Skips what was overwritten, to the oldest message that the ring can still hold; whether there was anything to skip.
    #[inline]
    fn skips(&mut self, stamp: Stamp) -> bool {
        let Some(ahead) = self.overwritten_by(stamp) else { return false };
        let oldest = (u64::from(ahead) + 1).saturating_sub(self.layout.depth()).max(1);
        self.head += oldest;
        self.missed += oldest;
        self.own.writable()[HEAD_WORD].store(self.head, Ordering::Release);
        true
    }

    /// Whether a message was being replaced while it was copied; always false where producers wait. An acquire fence is between the copy
    /// and this: it pairs with the release fence in `Claim::replace`, so that a byte of the new message brings the busy stamp with it.
    #[inline]
    fn is_overwritten(&self, place: Place) -> bool {
        if self.layout.terms().policy() == Overflow::Wait {
            return false;
        }
        self.peer.words().load(self.layout.stamp_word(self.head)) != place.stamp.0
    }

    /// Takes the message at `head`: gives its place back, and wakes the producer if it waits for room.
    #[inline(always)] // as `take_plain`
    fn advance(&mut self, buffer: Option<BufferId>) {
        if let Some(id) = buffer {
            self.returns.push(&self.own, id);
        }
        self.head += 1;
        // Pairs with the acquire load in `Producer::look_at_head`.
        // SAFETY: the word of the position is one of the layout that the view was made for.
        unsafe { self.own_words.word(HEAD_WORD) }.store(self.head, Ordering::Release);
        light_fence(self.light);
        self.wake_producer_if_asleep(1);
    }

    /// Wakes a sleeping producer once so many quarters of the lane were taken since its sleep was noticed. Not for each message: a
    /// producer that wakes for one place is back asleep at once.
    #[inline]
    fn wake_producer_if_asleep(&mut self, quarters: u64) {
        // SAFETY: the word is one of the layout that the view was made for.
        let sleep = unsafe { self.peer_words.load(SLEEPING_WORD) };
        if sleep & 1 == 1 {
            self.consider_waking(sleep, quarters);
        }
    }

    #[cold]
    fn consider_waking(&mut self, sleep: u64, quarters: u64) {
        if sleep == self.woken {
            return;
        }
        if self.full_at.0 != sleep {
            self.full_at = (sleep, self.head);
        }
        if self.head - self.full_at.1 >= self.layout.depth() / 4 * quarters {
            self.woken = sleep;
            self.full_at.0 = 0;
            self.wakes += 1;
            self.home.wake(self.own.words().address(HEAD_WORD));
        }
    }

    #[inline]
    fn lap_before(&self) -> u32 {
        if self.head < self.layout.depth() { 0 } else { Stamp::turn_of(self.head - self.layout.depth()) }
    }
}

impl<H: Home> Drop for Consumer<H> {
    fn drop(&mut self) {
        self.own.writable()[CLOSED_WORD].store(1, Ordering::Release);
        light_fence(self.light);
        if self.peer.words().load(SLEEPING_WORD) & 1 == 1 {
            self.home.wake(self.own.words().address(HEAD_WORD));
        }
    }
}

/// A message where it lies. Taken, and its place given back, when dropped.
#[derive(Debug)]
pub struct Borrowed<'c, H: Home> {
    consumer: &'c mut Consumer<H>,
    place: Place,
}

impl<H: Home> Borrowed<'_, H> {
    /// Whether capabilities go beside it, which its last bytes name.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn has_gifts(&self) -> bool {
        self.place.stamp.has_gifts()
    }

    /// The message's bytes, eight-byte aligned.
    #[cfg(not(loom))]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `place` was checked to lie inside the layout that the view was made for; the producer is vouched for not to write a
        // published message before it is taken (`Region::is_vouched_for` or `trust_producer`), which happens in `drop`.
        unsafe { self.consumer.peer_words.bytes(self.place.start, self.place.bytes) }
    }
}

impl<H: Home> Drop for Borrowed<'_, H> {
    #[inline]
    fn drop(&mut self) {
        self.consumer.advance(self.place.buffer);
    }
}
