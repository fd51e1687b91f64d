//! The typed receiving endpoint: many lanes, one API.

mod deliver;

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::marker::PhantomData;

use crossbeam_queue::ArrayQueue;
use feuerbird_capability::{Slot, Trust};
use feuerbird_serialization::{Format, Layer, Message};

use crate::{
    Arriving, BatchError, Consumer, Ended, Granter, Home, PollError, ReceiverStatistics, RecvError, SLICE_NS,
    Standing, Terms, Validity, Watched,
    buffer::Buffer,
    local::LocalReceiver,
    wait::{Backoff, MAX_WATCHED},
};

pub(crate) use deliver::{Handler, Unwanted, open};
use deliver::{Wanted, account, deliver, deliver_plain, refused};

/// How many messages of one lane are taken before the next lane's turn.
const BURST: u32 = 32;

/// A lane from one sender, with the layer that its binding calls for.
#[derive(Debug)]
pub struct LaneIn<H: Home> {
    consumer: Consumer<H>,
    layer: Layer,
    /// Whether its messages are raw, and copied before they are read.
    is_plain: bool,
    format: Format,
    granter: Option<Box<dyn Granter>>,
}

impl<H: Home> LaneIn<H> {
    /// A lane whose sender this domain's binding trusts so far. Trust decides the layer; `terms` may ask for a stricter one.
    ///
    /// Raw messages are read in place where whoever mapped the sender's memory vouches for its writer (see
    /// [`Consumer::reads_in_place`]). Trust alone, which any caller can state, does not do it; all else is copied in.
    pub fn new(consumer: Consumer<H>, trust: Trust, terms: Terms) -> Self {
        let layer = Layer::for_trust(trust).stricter(terms.layer());
        let format = layer.format().with_checksum(terms.checksum());
        let is_plain = layer == Layer::Raw && !consumer.reads_in_place();
        Self { consumer, layer, is_plain, format, granter: None }
    }

    /// Lets capabilities come beside its messages, where none of these is dropped. Without, a sender that says that some do breaks
    /// the protocol.
    #[must_use]
    pub fn with_granter(self, granter: Box<dyn Granter>) -> Self {
        let granter = Some(granter).filter(|_| !self.consumer.may_miss());
        Self { granter, ..self }
    }

    /// The layer its messages travel in.
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// Whether it is over, and nothing is left to take from it.
    pub fn is_spent(&self) -> bool {
        self.consumer.is_spent()
    }

    /// Whether it is over, whatever is left to take from it.
    pub fn is_over(&self) -> bool {
        matches!(self.consumer.validity().standing(), Standing::Over(_))
    }
}

/// Receives messages of one type from any of the senders.
#[derive(Debug)]
pub struct Receiver<T, H: Home> {
    home: H,
    route: Route<T, H>,
    spins: u32,
    statistics: ReceiverStatistics,
    types: PhantomData<fn() -> T>,
}

#[derive(Debug)]
enum Route<T, H: Home> {
    Lanes(Lanes<H>),
    Local(LocalReceiver<T, H>),
}

#[derive(Debug)]
struct Lanes<H: Home> {
    binding: Validity<H::Reader>,
    arriving: Arc<Arriving<LaneIn<H>>>,
    failures: Option<Arc<ArrayQueue<PollError>>>,
    lanes: Vec<LaneIn<H>>,
    at: usize,
    burst: u32,
    /// Private memory that messages are copied into before they are checked.
    copy: Buffer,
    last: Option<PollError>,
}

impl<T: Message, H: Home> Receiver<T, H> {
    /// A receiver whose lanes arrive through `arriving` as senders join; it works while `binding` is valid.
    pub fn new(home: H, binding: Validity<H::Reader>, arriving: Arc<Arriving<LaneIn<H>>>) -> Self {
        let copy = Buffer::default();
        let failures = None;
        let lanes =
            Lanes { binding, arriving, failures, lanes: Vec::new(), at: 0, burst: 0, copy, last: None };
        Self::with_route(home, Route::Lanes(lanes))
    }

    /// Hears through `failures` of senders that joined and came to no lane: as if the lane had been and gone.
    #[must_use]
    pub fn with_failures(mut self, failures: Arc<ArrayQueue<PollError>>) -> Self {
        if let Route::Lanes(lanes) = &mut self.route {
            lanes.failures = Some(failures);
        }
        self
    }

    pub(crate) fn local(home: H, local: LocalReceiver<T, H>) -> Self {
        Self::with_route(home, Route::Local(local))
    }

    /// A second receiver of the same channel, where both sides are in one domain; `None` between domains, where every
    /// binding is a receiver of its own. It has this one's settings, and counts for itself.
    pub fn clone_local(&self) -> Option<Self> {
        let Route::Local(local) = &self.route else { return None };
        Some(Self { spins: self.spins, ..Self::local(self.home.clone(), local.clone()) })
    }

    fn with_route(home: H, route: Route<T, H>) -> Self {
        let statistics = ReceiverStatistics::default();
        Self { home, route, spins: Backoff::DEFAULT_SPINS, statistics, types: PhantomData }
    }

    /// Chooses how often to look before sleeping; 0 sleeps at once.
    pub fn set_spins(&mut self, spins: u32) {
        self.spins = spins;
    }

    /// Waits for a message and hands it to `handler`. Capabilities that come beside it are deleted: see [`recv_with`](Self::recv_with).
    ///
    /// # Errors
    /// [`RecvError`]. [`RecvError::Disconnected`] only after every sender that ever joined has gone and all that they left
    /// was taken; a receiver that nobody has joined yet waits.
    ///
    /// # Cost
    /// No system call and no allocation while messages are there that nothing comes beside.
    #[inline]
    pub fn recv<R>(&mut self, handler: impl FnOnce(T::View<'_>) -> R) -> Result<R, RecvError> {
        self.recv_timeout(u64::MAX, handler)
    }

    /// Waits for a message, but not longer than `timeout_ns` nanoseconds.
    ///
    /// # Errors
    /// [`RecvError::DeadlinePassed`], and as for [`recv`](Self::recv).
    #[inline]
    pub fn recv_timeout<R>(
        &mut self,
        timeout_ns: u64,
        handler: impl FnOnce(T::View<'_>) -> R,
    ) -> Result<R, RecvError> {
        self.wait_for(timeout_ns, &mut Unwanted(Some(handler)))
    }

    /// Waits for a message, but not longer than `timeout_ns` nanoseconds, and hands it to `handler` with the capabilities that came
    /// beside it, in the order of the places that the message knows them by. They are this domain's from then on.
    /// [`Slot::NULL`] is one that was taken back before it was looked for, or never granted.
    ///
    /// # Errors
    /// As for [`recv_timeout`](Self::recv_timeout); [`RecvError::Malformed`] where the message names more capabilities than came.
    ///
    /// # Cost
    /// As for [`recv`](Self::recv) where none come. Otherwise a call for each that came, and one more where they were not heard of yet, or
    /// where the sender says of more than it granted: then also until what the kernel said before is acted on. The timeout is for the message
    /// to come, not for that.
    #[inline]
    pub fn recv_with<R>(
        &mut self,
        timeout_ns: u64,
        handler: impl FnOnce(T::View<'_>, &[Slot]) -> R,
    ) -> Result<R, RecvError> {
        self.wait_for(timeout_ns, &mut Wanted(Some(handler)))
    }

    /// Hands a message to `handler` if one is there.
    ///
    /// # Errors
    /// [`RecvError::Empty`], and as for [`recv`](Self::recv).
    #[inline]
    pub fn try_recv<R>(&mut self, handler: impl FnOnce(T::View<'_>) -> R) -> Result<R, RecvError> {
        self.attempt(&mut Unwanted(Some(handler)))
    }

    /// Waits for a message, but not longer than `timeout_ns` nanoseconds, and hands it and those behind it, at most `most` in all, to
    /// `handler`, one after the other. Returns how many that were.
    ///
    /// # Errors
    /// [`BatchError`]: how many were received, and why the next one was not.
    pub fn recv_batch(
        &mut self,
        most: u64,
        timeout_ns: u64,
        mut handler: impl FnMut(T::View<'_>),
    ) -> Result<u64, BatchError<RecvError>> {
        self.recv_timeout(timeout_ns, &mut handler).map_err(|error| BatchError { done: 0, error })?;
        for done in 1..most {
            match self.try_recv(&mut handler) {
                Ok(()) => {}
                Err(RecvError::Empty) => return Ok(done),
                Err(error) => return Err(BatchError { done, error }),
            }
        }
        Ok(most.max(1))
    }

    /// How many senders are there.
    pub fn senders(&mut self) -> usize {
        match &mut self.route {
            Route::Local(local) => local.senders(),
            Route::Lanes(lanes) => {
                lanes.accept_all();
                lanes.lanes.len()
            }
        }
    }

    /// The strictest layer among the lanes; `None` where nobody has joined.
    pub fn layer(&mut self) -> Option<Layer> {
        match &mut self.route {
            Route::Local(_) => Some(Layer::Raw),
            Route::Lanes(lanes) => {
                lanes.accept_all();
                lanes.lanes.iter().map(LaneIn::layer).reduce(Layer::stricter)
            }
        }
    }

    /// What happened so far.
    pub fn statistics(&self) -> ReceiverStatistics {
        let mut statistics = self.statistics;
        if let Route::Lanes(lanes) = &self.route {
            lanes.lanes.iter().for_each(|lane| account(&mut statistics, &lane.consumer));
        }
        statistics
    }

    #[inline]
    fn attempt<R>(&mut self, handler: &mut impl Handler<T, R>) -> Result<R, RecvError> {
        match &mut self.route {
            Route::Local(local) => local.attempt(handler, &mut self.statistics),
            Route::Lanes(lanes) => lanes.attempt(handler, &mut self.statistics),
        }
    }

    #[inline]
    fn wait_for<R>(&mut self, timeout_ns: u64, handler: &mut impl Handler<T, R>) -> Result<R, RecvError> {
        match self.attempt(handler) {
            Err(RecvError::Empty) => self.recv_waiting(timeout_ns, handler),
            result => result,
        }
    }

    #[cold]
    fn recv_waiting<R>(&mut self, timeout_ns: u64, handler: &mut impl Handler<T, R>) -> Result<R, RecvError> {
        let deadline = self.home.now_ns().saturating_add(timeout_ns);
        let mut backoff = Backoff::new(self.spins);
        loop {
            if !backoff.spin(&self.home) {
                let now = self.home.now_ns();
                if now >= deadline {
                    return Err(RecvError::DeadlinePassed);
                }
                self.sleep((deadline - now).min(SLICE_NS));
            }
            match self.attempt(handler) {
                Err(RecvError::Empty) => {}
                result => return result,
            }
        }
    }

    fn sleep(&mut self, timeout_ns: u64) {
        self.statistics.sleeps += 1;
        match &mut self.route {
            Route::Local(local) => local.sleep(timeout_ns),
            Route::Lanes(lanes) => lanes.sleep(&self.home, timeout_ns),
        }
    }
}

impl<H: Home> Lanes<H> {
    /// The common case in one run: a raw message in its slot, in the lane whose turn it is. All else is looked at from the beginning.
    #[inline]
    fn attempt<T: Message, R>(
        &mut self,
        handler: &mut impl Handler<T, R>,
        statistics: &mut ReceiverStatistics,
    ) -> Result<R, RecvError> {
        if let Some(lane) = self.lanes.get_mut(self.at)
            && lane.is_plain
            && self.burst > 0
            && self.arriving.is_empty()
            && self.binding.is_valid()
            && let Some(result) = deliver_plain(lane, &mut self.copy, handler, statistics)
        {
            self.burst -= 1;
            return result.or_else(|error| self.refuse(error, statistics));
        }
        self.attempt_each(handler, statistics)
    }

    /// A message that is none, and perhaps the end of the lane that it came from.
    #[cold]
    fn refuse<R>(&mut self, error: RecvError, statistics: &mut ReceiverStatistics) -> Result<R, RecvError> {
        if let Err(breach) = refused::<R>(Err(error)) {
            self.remove(self.at, breach, statistics)?;
        }
        Err(error)
    }

    /// Takes a message from the lane whose turn it is, or from the next one that has any.
    #[inline(never)] // out of the way of the common case
    fn attempt_each<T: Message, R>(
        &mut self,
        handler: &mut impl Handler<T, R>,
        statistics: &mut ReceiverStatistics,
    ) -> Result<R, RecvError> {
        if !self.arriving.is_empty() {
            self.accept();
        }
        if !self.binding.is_valid() {
            self.binding_ended()?;
        }
        let mut looked = 0;
        while looked < self.lanes.len() {
            if self.at >= self.lanes.len() || self.burst == 0 {
                self.turn();
            }
            match deliver(&mut self.lanes[self.at], &mut self.copy, handler, statistics) {
                Ok(Some(result)) => {
                    self.burst -= 1;
                    return result;
                }
                // The next one's turn now, and not when a message has come.
                Ok(None) => {
                    looked += 1;
                    self.turn();
                }
                Err(error) => {
                    self.remove(self.at, error, statistics)?;
                    // Another lane stands here now, which may have been looked at already, or not.
                    looked = 0;
                }
            }
        }
        self.hear_failure(statistics)?;
        Err(self.nothing())
    }

    /// Tells of a sender that came to no lane, when nothing else is to be told.
    #[inline]
    fn hear_failure(&mut self, statistics: &mut ReceiverStatistics) -> Result<(), RecvError> {
        let Some(error) = self.failures.as_ref().and_then(|failures| failures.pop()) else { return Ok(()) };
        self.part(error, statistics)
    }

    /// The receiver's own authority: without it, nothing is taken from anybody, whatever lies in the lanes. What was sent
    /// before the kernel side went away may still be taken.
    #[cold]
    fn binding_ended(&mut self) -> Result<(), RecvError> {
        match self.binding.standing() {
            Standing::Valid | Standing::Over(Ended::Died) => Ok(()),
            Standing::Ending => Err(RecvError::Empty),
            Standing::Over(_) => {
                self.lanes.clear();
                Err(RecvError::Revoked)
            }
        }
    }

    #[inline]
    fn turn(&mut self) {
        self.at = if self.at + 1 < self.lanes.len() { self.at + 1 } else { 0 };
        self.burst = BURST;
    }

    /// Nothing anywhere: will there ever be something?
    #[inline]
    fn nothing(&mut self) -> RecvError {
        if !self.lanes.is_empty() {
            return RecvError::Empty;
        }
        match self.binding.standing() {
            Standing::Over(Ended::Revoked) => return RecvError::Revoked,
            Standing::Over(_) => return RecvError::Disconnected,
            Standing::Valid | Standing::Ending => {}
        }
        match self.last {
            Some(error) if self.arriving.is_over() => error.into(),
            _ => RecvError::Empty,
        }
    }

    /// All that are there, even while somebody else has them in hand.
    fn accept_all(&mut self) {
        while !self.arriving.is_empty() {
            self.accept();
            core::hint::spin_loop();
        }
    }

    #[cold]
    fn accept(&mut self) {
        while let Some(lane) = self.arriving.pop() {
            self.copy.grow_to(lane.consumer.message_bytes());
            self.lanes.push(lane);
        }
    }

    /// Ends a lane.
    #[cold]
    fn remove(
        &mut self,
        index: usize,
        error: PollError,
        statistics: &mut ReceiverStatistics,
    ) -> Result<(), RecvError> {
        let lane = self.lanes.swap_remove(index);
        account(statistics, &lane.consumer);
        self.part(error, statistics)
    }

    /// A sender is gone, with a lane or without. That it lied is told at once, and once.
    #[cold]
    fn part(&mut self, error: PollError, statistics: &mut ReceiverStatistics) -> Result<(), RecvError> {
        if let PollError::PeerMisbehaved(_) = error {
            statistics.misbehaved += 1;
            self.last = Some(PollError::Disconnected);
            return Err(error.into());
        }
        self.last = Some(error);
        Ok(())
    }

    fn sleep(&mut self, home: &H, timeout_ns: u64) {
        self.lanes.iter_mut().for_each(|lane| lane.consumer.begin_sleep());
        home.heavy_barrier();
        if !self.lanes.iter().any(|lane| lane.consumer.has_message()) && self.arriving.is_empty() {
            let mut words = [Watched { address: core::ptr::null(), seen: 0 }; MAX_WATCHED];
            // One that is ending may look as if it had news already.
            let lanes = self.lanes.iter().filter(|lane| !lane.consumer.validity().is_ending());
            let watched =
                words.iter_mut().zip(lanes).map(|(word, lane)| *word = lane.consumer.watched()).count();
            home.wait(&words[..watched], timeout_ns);
        }
        for lane in &mut self.lanes {
            lane.consumer.end_sleep();
            if !lane.consumer.has_message() {
                lane.consumer.check_alive();
            }
        }
    }
}
