//! The typed sending endpoint: many lanes, one API.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::marker::PhantomData;

use crossbeam_queue::{ArrayQueue, SegQueue};
use feuerbird_capability::Trust;
use feuerbird_serialization::{Encode, Format, Layer, Message, Stable};

use crate::{
    BatchError, ClaimError, Ended, Home, PollError, Producer, SLICE_NS, SendError, SenderStatistics,
    Standing, Terms, Validity, Watched,
    buffer::Buffer,
    local::LocalSender,
    wait::{Backoff, MAX_WATCHED},
};

/// What [`Sender::send`] does when every lane is full. Lanes that drop their oldest are never full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Waits, but not longer than this many nanoseconds.
    Block {
        /// The longest wait.
        timeout_ns: u64,
    },
    /// Returns [`SendError::Full`] at once; the message is still the caller's.
    Return,
}

/// A lane to one receiver, with the layer that its binding calls for.
#[derive(Debug)]
pub struct LaneOut<H: Home> {
    producer: Producer<H>,
    layer: Layer,
    format: Format,
}

impl<H: Home> LaneOut<H> {
    /// A lane whose receiver's binding trusts this domain so far. Trust decides the layer; `terms` may ask for a stricter one.
    pub fn new(producer: Producer<H>, trust: Trust, terms: Terms) -> Self {
        let layer = Layer::for_trust(trust).stricter(terms.layer());
        Self { producer, layer, format: layer.format().with_checksum(terms.checksum()) }
    }

    /// The layer its messages travel in.
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// Whether it is over. What was sent on it is the endpoint's to recover.
    pub fn is_spent(&self) -> bool {
        matches!(self.producer.validity().standing(), Standing::Over(_))
    }
}

/// Sends messages of one type; each goes to one of the receivers, in turn, among those that have room.
///
/// Messages that a receiver leaves behind when it ends go to another one: nothing is lost while a receiver is left, because
/// a receiver's position says what it took; and nothing arrives twice, but for the one message that a receiver was about to take
/// when it was revoked, or was reading in place when it ended (see [`Producer::recover`]).
#[derive(Debug)]
pub struct Sender<T, H: Home> {
    home: H,
    route: Route<T, H>,
    when_full: WhenFull,
    spins: u32,
    statistics: SenderStatistics,
    types: PhantomData<fn(T)>,
}

#[derive(Debug)]
enum Route<T, H: Home> {
    Lanes(Lanes<H>),
    Local(LocalSender<T, H>),
}

#[derive(Debug)]
struct Lanes<H: Home> {
    binding: Validity<H::Reader>,
    arriving: Arc<SegQueue<LaneOut<H>>>,
    failures: Option<Arc<ArrayQueue<PollError>>>,
    lanes: Vec<LaneOut<H>>,
    next: usize,
    /// Encoded messages that ended lanes left behind, oldest first.
    backlog: VecDeque<(Format, Vec<u8>)>,
    /// Why the last lane went, once there was one.
    last: Option<PollError>,
    buffers_lost: u64,
}

impl<T: Message, H: Home> Sender<T, H> {
    /// A sender whose lanes arrive through `arriving` as receivers join; it works while `binding` is valid.
    pub fn new(home: H, binding: Validity<H::Reader>, arriving: Arc<SegQueue<LaneOut<H>>>) -> Self {
        let lanes = Lanes {
            binding,
            arriving,
            failures: None,
            lanes: Vec::new(),
            next: 0,
            backlog: VecDeque::new(),
            last: None,
            buffers_lost: 0,
        };
        Self::with_route(home, Route::Lanes(lanes))
    }

    /// Hears through `failures` of receivers that joined and came to no lane: as if the lane had been and gone.
    #[must_use]
    pub fn with_failures(mut self, failures: Arc<ArrayQueue<PollError>>) -> Self {
        if let Route::Lanes(lanes) = &mut self.route {
            lanes.failures = Some(failures);
        }
        self
    }

    pub(crate) fn local(home: H, local: LocalSender<T, H>) -> Self {
        Self::with_route(home, Route::Local(local))
    }

    /// A second sender to the same channel, where both sides are in one domain; `None` between domains, where every
    /// binding is a sender of its own. It has this one's settings, and counts for itself.
    pub fn clone_local(&self) -> Option<Self> {
        let Route::Local(local) = &self.route else { return None };
        let clone = Self::local(self.home.clone(), local.clone());
        Some(Self { when_full: self.when_full, spins: self.spins, ..clone })
    }

    fn with_route(home: H, route: Route<T, H>) -> Self {
        Self {
            home,
            route,
            when_full: WhenFull::Block { timeout_ns: u64::MAX },
            spins: Backoff::DEFAULT_SPINS,
            statistics: SenderStatistics::default(),
            types: PhantomData,
        }
    }

    /// Chooses what happens when every lane is full. At first: wait as long as a receiver lives.
    pub fn set_when_full(&mut self, policy: WhenFull) {
        self.when_full = policy;
    }

    /// Chooses how often to look before sleeping; 0 sleeps at once.
    pub fn set_spins(&mut self, spins: u32) {
        self.spins = spins;
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`SendError`]; the message is still the caller's. [`SendError::Disconnected`] only after every receiver that ever
    /// joined has gone; a sender that nobody has joined yet waits as for a full channel.
    ///
    /// # Cost
    /// No system call and no allocation while receivers keep up; one wake where the chosen receiver sleeps.
    #[inline]
    pub fn send(&mut self, message: &impl Encode<T>) -> Result<(), SendError> {
        match self.try_send(message) {
            Err(SendError::Full) if matches!(self.when_full, WhenFull::Block { .. }) => {
                self.send_waiting(message)
            }
            result => result,
        }
    }

    /// Sends one message if a lane has room now.
    ///
    /// # Errors
    /// [`SendError::Full`] where none has, or none is there yet; otherwise as for [`send`](Self::send).
    #[inline]
    pub fn try_send(&mut self, message: &impl Encode<T>) -> Result<(), SendError> {
        let bytes = match &mut self.route {
            Route::Local(local) => local.try_send(message)?,
            Route::Lanes(lanes) => lanes.try_send::<T>(message, &mut self.statistics)?,
        };
        self.statistics.messages += 1;
        self.statistics.bytes += bytes as u64;
        Ok(())
    }

    /// Sends messages of an iterator, all to one receiver as long as it has room, and announces up to 32 of them at once: a
    /// receiver that polls then does not take lines away that are still being written. Returns how many were sent.
    ///
    /// Waits for room as [`send`](Self::send) does. What was sent may not be seen before the batch ends or 32 messages are together: an
    /// iterator that waits for an answer to an earlier message of the same batch waits for ever.
    ///
    /// # Errors
    /// [`BatchError`]: how many were sent, and why the next one was not. That one was taken out of the iterator.
    ///
    /// # Cost
    /// As for [`send`](Self::send), with one look at whether the receiver sleeps for each announcement.
    pub fn send_batch<M: Encode<T>>(
        &mut self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<u64, BatchError<SendError>> {
        let mut sent = 0;
        let mut messages = messages.into_iter();
        let mut left = None;
        loop {
            if let Route::Lanes(lanes) = &mut self.route {
                let count = lanes.send_some::<T, M>(&mut left, &mut messages, &mut self.statistics);
                sent += count;
            }
            let Some(message) = left.take().or_else(|| messages.next()) else { return Ok(sent) };
            self.send(&message).map_err(|error| BatchError { done: sent, error })?;
            sent += 1;
        }
    }

    /// Waits until everything sent was taken, giving what dead receivers left to living ones.
    ///
    /// # Errors
    /// [`SendError::DeadlinePassed`], or [`SendError::Disconnected`] where messages are left and nobody to take them.
    pub fn finish(&mut self, timeout_ns: u64) -> Result<(), SendError> {
        let deadline = self.home.now_ns().saturating_add(timeout_ns);
        let mut backoff = Backoff::new(self.spins);
        loop {
            match &mut self.route {
                Route::Local(local) => {
                    if local.is_drained() {
                        return Ok(());
                    }
                    if local.is_left_alone() {
                        // Its last receiver may have taken the last message between the two looks.
                        return if local.is_drained() { Ok(()) } else { Err(SendError::Disconnected) };
                    }
                }
                Route::Lanes(lanes) => {
                    if lanes.is_drained::<T>(&mut self.statistics)? {
                        return Ok(());
                    }
                }
            }
            if self.home.now_ns() >= deadline {
                return Err(SendError::DeadlinePassed);
            }
            if backoff.spin(&self.home) {
                continue;
            }
            // Nobody wakes a sender that waits for the last message to be taken: a look every tenth of a slice.
            self.home.wait(&[], SLICE_NS / 10);
            if let Route::Lanes(lanes) = &mut self.route {
                lanes.check_alive(&mut self.statistics);
            }
        }
    }

    /// How many receivers are there.
    pub fn receivers(&mut self) -> usize {
        match &mut self.route {
            Route::Local(local) => local.receivers(),
            Route::Lanes(lanes) => {
                lanes.accept();
                lanes.drop_ended(&mut self.statistics);
                lanes.lanes.len()
            }
        }
    }

    /// The strictest layer among the lanes; `None` where nobody has joined.
    pub fn layer(&mut self) -> Option<Layer> {
        match &mut self.route {
            Route::Local(_) => Some(Layer::Raw),
            Route::Lanes(lanes) => {
                lanes.accept();
                lanes.lanes.iter().map(LaneOut::layer).reduce(Layer::stricter)
            }
        }
    }

    /// How many messages are published and not taken.
    pub fn depth(&mut self) -> u64 {
        match &mut self.route {
            Route::Local(local) => local.depth(),
            Route::Lanes(lanes) => {
                lanes.lanes.iter_mut().map(|lane| lane.producer.untaken().unwrap_or(0)).sum()
            }
        }
    }

    /// Pool buffers that could not be taken back from lanes that ended. Anything but 0 is a bug here.
    pub fn buffers_lost(&self) -> u64 {
        match &self.route {
            Route::Local(_) => 0,
            Route::Lanes(lanes) => lanes.buffers_lost,
        }
    }

    /// What happened so far.
    pub fn statistics(&self) -> SenderStatistics {
        let mut statistics = self.statistics;
        if let Route::Lanes(lanes) = &self.route {
            lanes.lanes.iter().for_each(|lane| statistics.account(&lane.producer));
        }
        statistics
    }

    #[cold]
    fn send_waiting(&mut self, message: &impl Encode<T>) -> Result<(), SendError> {
        let WhenFull::Block { timeout_ns } = self.when_full else { return Err(SendError::Full) };
        let deadline = self.home.now_ns().saturating_add(timeout_ns);
        let mut backoff = Backoff::new(self.spins);
        self.statistics.waits += 1;
        loop {
            if !backoff.spin(&self.home) {
                let now = self.home.now_ns();
                if now >= deadline {
                    return Err(SendError::DeadlinePassed);
                }
                self.sleep((deadline - now).min(SLICE_NS));
            }
            match self.try_send(message) {
                Err(SendError::Full) => {}
                result => return result,
            }
        }
    }

    fn sleep(&mut self, timeout_ns: u64) {
        match &mut self.route {
            Route::Local(local) => local.sleep(timeout_ns),
            Route::Lanes(lanes) => {
                lanes.sleep(&self.home, timeout_ns);
                lanes.check_alive(&mut self.statistics);
            }
        }
    }
}

impl<H: Home> Lanes<H> {
    #[inline]
    fn try_send<T: Message>(
        &mut self,
        message: &impl Encode<T>,
        statistics: &mut SenderStatistics,
    ) -> Result<usize, SendError> {
        if !self.arriving.is_empty() {
            self.accept();
        }
        if !self.backlog.is_empty() {
            self.flush::<T>(statistics)?;
        }
        let mut tried = 0;
        while tried < self.lanes.len() {
            let index = if self.next < self.lanes.len() { self.next } else { 0 };
            self.next = index + 1;
            match publish::<T, H>(&mut self.lanes[index], message, Announce::Now) {
                Ok(bytes) => return Ok(bytes),
                Err(Refusal::Full) => tried += 1,
                Err(Refusal::Ended(error)) => {
                    self.remove(index, error, statistics);
                    if !self.backlog.is_empty() {
                        self.flush::<T>(statistics)?;
                    }
                }
                Err(Refusal::Caller(error)) => return Err(error),
            }
        }
        Err(self.no_room())
    }

    /// Nobody took it: is somebody left who could?
    #[cold]
    fn no_room(&mut self) -> SendError {
        match self.binding.standing() {
            Standing::Over(Ended::Revoked) => return SendError::Revoked,
            Standing::Over(_) => return SendError::Disconnected,
            Standing::Valid | Standing::Ending => {}
        }
        if let Some(error) = self.failures.as_ref().and_then(|failures| failures.pop()) {
            self.last = Some(error);
        }
        match self.last {
            Some(error) if self.lanes.is_empty() && self.arriving.is_empty() => error.into(),
            _ => SendError::Full,
        }
    }

    #[cold]
    fn accept(&mut self) {
        while let Some(lane) = self.arriving.pop() {
            self.lanes.push(lane);
        }
    }

    /// Sends messages to the lane whose turn it is until it is full or there are no more; one for which it had no room is left. What
    /// goes wrong shows when that one is sent alone.
    fn send_some<T: Message, M: Encode<T>>(
        &mut self,
        left: &mut Option<M>,
        messages: &mut impl Iterator<Item = M>,
        statistics: &mut SenderStatistics,
    ) -> u64 {
        if !self.arriving.is_empty() || !self.backlog.is_empty() || self.lanes.is_empty() {
            return 0;
        }
        let index = if self.next < self.lanes.len() { self.next } else { 0 };
        self.next = index + 1;
        let announcing = Announcing(&mut self.lanes[index]);
        let mut sent = 0;
        for message in messages {
            let Ok(bytes) = publish::<T, H>(announcing.0, &message, Announce::Later) else {
                *left = Some(message);
                break;
            };
            sent += 1;
            statistics.messages += 1;
            statistics.bytes += bytes as u64;
        }
        sent
    }

    /// Ends a lane: what its receiver left goes to the backlog, its buffers come back.
    #[cold]
    fn remove(&mut self, index: usize, error: PollError, statistics: &mut SenderStatistics) {
        let mut lane = self.lanes.swap_remove(index);
        // Whyever the receiver went: what it had not taken goes to another one.
        let format = lane.format;
        lane.producer.recover(|bytes| self.backlog.push_back((format, bytes.to_vec())));
        self.buffers_lost += u64::from(lane.producer.reclaim());
        statistics.account(&lane.producer);
        statistics.misbehaved += u64::from(matches!(error, PollError::PeerMisbehaved(_)));
        self.last = Some(error);
    }

    /// Publishes the backlog to whoever has room.
    #[cold]
    fn flush<T: Message>(&mut self, statistics: &mut SenderStatistics) -> Result<(), SendError> {
        while let Some((format, bytes)) = self.backlog.pop_front() {
            if !self.place::<T>(format, &bytes, statistics) {
                self.backlog.push_front((format, bytes));
                return Err(self.no_room());
            }
        }
        Ok(())
    }

    /// Publishes one message again: whether it is off our hands. One that no lane can ever carry is, too.
    fn place<T: Message>(&mut self, format: Format, bytes: &[u8], statistics: &mut SenderStatistics) -> bool {
        let mut index = 0;
        while index < self.lanes.len() {
            match republish::<T, H>(&mut self.lanes[index], format, bytes) {
                Ok(_) => {
                    statistics.redelivered += 1;
                    return true;
                }
                Err(Refusal::Full) => index += 1,
                Err(Refusal::Ended(error)) => self.remove(index, error, statistics),
                Err(Refusal::Caller(_)) => {
                    statistics.undelivered += 1;
                    return true;
                }
            }
        }
        false
    }

    fn is_drained<T: Message>(&mut self, statistics: &mut SenderStatistics) -> Result<bool, SendError> {
        self.accept();
        match self.flush::<T>(statistics) {
            Ok(()) => {}
            Err(SendError::Full) => return Ok(false),
            Err(error) => {
                statistics.undelivered = self.backlog.len() as u64;
                return Err(error);
            }
        }
        let mut index = 0;
        while index < self.lanes.len() {
            match self.lanes[index].producer.untaken() {
                Ok(0) => index += 1,
                Ok(_) => return Ok(false),
                Err(error) => self.remove(index, error, statistics),
            }
        }
        Ok(self.backlog.is_empty())
    }

    /// Looks whether peers still live, and ends the lanes of those that do not.
    fn check_alive(&mut self, statistics: &mut SenderStatistics) {
        self.keep_if(statistics, Producer::check_alive);
    }

    /// Ends the lanes that the kernel or their receiver has ended, without a system call.
    fn drop_ended(&mut self, statistics: &mut SenderStatistics) {
        self.keep_if(statistics, |producer| producer.check_open());
    }

    fn keep_if(
        &mut self,
        statistics: &mut SenderStatistics,
        mut check: impl FnMut(&mut Producer<H>) -> Result<(), PollError>,
    ) {
        let mut index = 0;
        while index < self.lanes.len() {
            match check(&mut self.lanes[index].producer) {
                Ok(()) | Err(PollError::Ending) => index += 1,
                Err(error) => self.remove(index, error, statistics),
            }
        }
    }

    fn sleep(&mut self, home: &H, timeout_ns: u64) {
        self.lanes.iter_mut().for_each(|lane| lane.producer.begin_sleep());
        home.heavy_barrier();
        // A lane that is ending takes nothing, and why is told soon: no reason to stay awake.
        // One that has ended is something to look at, full or not.
        let ready = |lane: &mut LaneOut<H>| match lane.producer.check_open() {
            Ok(()) => lane.producer.has_room() != Ok(false),
            Err(error) => error != PollError::Ending,
        };
        if !self.lanes.iter_mut().any(ready) && self.arriving.is_empty() {
            let mut words = [Watched { address: core::ptr::null(), seen: 0 }; MAX_WATCHED];
            let watched =
                words.iter_mut().zip(&self.lanes).map(|(word, lane)| *word = lane.producer.watched()).count();
            home.wait(&words[..watched], timeout_ns);
        }
        self.lanes.iter_mut().for_each(|lane| lane.producer.end_sleep());
    }
}

/// Announces what a batch has put off, also where the caller's iterator panics.
struct Announcing<'l, H: Home>(&'l mut LaneOut<H>);

impl<H: Home> Drop for Announcing<'_, H> {
    fn drop(&mut self) {
        self.0.producer.announce_deferred();
    }
}

/// When a message is announced to its receiver.
#[derive(Clone, Copy)]
enum Announce {
    Now,
    /// With others, by [`Producer::announce_deferred`].
    Later,
}

enum Refusal {
    Full,
    Ended(PollError),
    Caller(SendError),
}

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        match error {
            // Not usable, and why is not known yet: passed over, like a full one.
            ClaimError::Full | ClaimError::Ended(PollError::Ending) => Self::Full,
            ClaimError::Ended(error) => Self::Ended(error),
            ClaimError::TooLarge => Self::Caller(SendError::TooLarge),
        }
    }
}

/// Encodes a message in place, in the lane's own layer.
#[cfg(not(loom))]
#[inline]
fn publish<T: Message, H: Home>(
    lane: &mut LaneOut<H>,
    message: &impl Encode<T>,
    announce: Announce,
) -> Result<usize, Refusal> {
    let mut claim = lane.producer.claim(message.encoded_bound(lane.format))?;
    let bytes = message
        .encode(lane.format, claim.bytes_mut())
        .map_err(|error| Refusal::Caller(SendError::Unencodable(error)))?;
    match announce {
        Announce::Now => claim.publish(bytes),
        Announce::Later => claim.defer(bytes),
    }
    .map_err(ClaimError::Ended)?;
    Ok(bytes)
}

#[cfg(loom)]
fn publish<T: Message, H: Home>(
    lane: &mut LaneOut<H>,
    message: &impl Encode<T>,
    announce: Announce,
) -> Result<usize, Refusal> {
    let bound = message.encoded_bound(lane.format);
    let claim = lane.producer.claim(bound)?;
    let mut buffer = Buffer::with_capacity(bound);
    let bytes = message
        .encode(lane.format, &mut buffer.bytes_mut()[..bound])
        .map_err(|error| Refusal::Caller(SendError::Unencodable(error)))?;
    let _ = announce;
    claim.publish_copy(&buffer.bytes()[..bytes]).map_err(ClaimError::Ended)?;
    Ok(bytes)
}

/// Publishes encoded bytes again, translated where the lane speaks another layer.
fn republish<T: Message, H: Home>(
    lane: &mut LaneOut<H>,
    format: Format,
    bytes: &[u8],
) -> Result<usize, Refusal> {
    if lane.format == format {
        lane.producer.claim(bytes.len())?.publish_copy(bytes).map_err(ClaimError::Ended)?;
        return Ok(bytes.len());
    }
    let mut aligned = Buffer::with_capacity(bytes.len());
    aligned.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
    match Stable::new(&aligned.bytes()[..bytes.len()]).and_then(|bytes| T::decode(bytes, format)) {
        Ok(message) => publish::<T, H>(lane, &message, Announce::Now),
        Err(_) => Err(Refusal::Caller(SendError::TooLarge)),
    }
}
