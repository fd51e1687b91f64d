//! The typed sending endpoint: many lanes, one API.

use alloc::sync::Arc;
use core::marker::PhantomData;

use crossbeam_queue::ArrayQueue;
use feuerbird_serialization::{Encode, Layer, Message};

use crate::{
    Arriving, BatchError, Gift, GrantError, Home, LaneOut, MAX_GIFTS, PollError, Producer, SLICE_NS,
    SendError, SenderStatistics, Validity, lanes_out::LanesOut, local::LocalSender, wait::Backoff,
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

/// Sends messages of one type; each goes to one of the receivers, in turn, among those that have room.
///
/// Messages that a receiver leaves behind when it ends go to another one: nothing is lost while a receiver is left, because
/// a receiver's position says what it took; and nothing arrives twice, but for the one message that a receiver was about to take
/// when it was revoked, or was reading in place when it ended (see [`Producer::recover`](crate::Producer::recover)).
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
    Lanes(LanesOut<H>),
    Local(LocalSender<T, H>),
}

impl<T: Message, H: Home> Sender<T, H> {
    /// A sender whose lanes arrive through `arriving` as receivers join; it works while `binding` is valid.
    pub fn new(home: H, binding: Validity<H::Reader>, arriving: Arc<Arriving<LaneOut<H>>>) -> Self {
        Self::with_route(home, Route::Lanes(LanesOut::new(binding, arriving)))
    }

    /// Hears through `failures` of receivers that joined and came to no lane: as if the lane had been and gone.
    #[must_use]
    pub fn with_failures(mut self, failures: Arc<ArrayQueue<PollError>>) -> Self {
        if let Route::Lanes(lanes) = &mut self.route {
            lanes.set_failures(failures);
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
    /// joined has gone, or has refused this sender for want of room; a sender that nobody has joined yet waits as for a full channel.
    ///
    /// # Cost
    /// No system call and no allocation while receivers keep up; one wake where the chosen receiver sleeps.
    #[inline]
    pub fn send(&mut self, message: &impl Encode<T>) -> Result<(), SendError> {
        match self.try_send(message) {
            Err(SendError::Full) if matches!(self.when_full, WhenFull::Block { .. }) => {
                let spins = self.spins;
                self.wait_to(spins, |producer| producer.has_room() != Ok(false), |it| it.try_send(message))
            }
            result => result,
        }
    }

    /// Sends one message and has capabilities granted beside it, to the receiver whose lane it takes. The message stands for them by
    /// their places in `gifts`. Waits as [`send`](Self::send) does, also while the receiver has no room for more capabilities.
    ///
    /// What was granted stays granted: a receiver that ends before it took the message has it nevertheless, and whoever takes the
    /// message then has it as well. To take it back, derive first, and revoke what was derived from.
    ///
    /// # Errors
    /// [`SendError::Ungranted`], where nothing was granted to anybody; otherwise as for [`send`](Self::send).
    ///
    /// # Cost
    /// A system call and a few allocations; while the receiver has no room for more capabilities, a call for every 4 ms of waiting. The
    /// message takes 16 bytes more.
    pub fn send_with(&mut self, message: &impl Encode<T>, gifts: &[Gift]) -> Result<(), SendError> {
        if gifts.is_empty() {
            return self.send(message);
        }
        if gifts.len() > MAX_GIFTS {
            return Err(SendError::Ungranted(GrantError::TooMany));
        }
        match self.try_send_with(message, gifts) {
            Err(SendError::Full) if matches!(self.when_full, WhenFull::Block { .. }) => {
                // Room for a message is not what is waited for, and each try may be a call: once a slice.
                self.wait_to(0, |_| false, |it| it.try_send_with(message, gifts))
            }
            result => result,
        }
    }

    fn try_send_with(&mut self, message: &impl Encode<T>, gifts: &[Gift]) -> Result<(), SendError> {
        let Route::Lanes(lanes) = &mut self.route else {
            return Err(SendError::Ungranted(GrantError::Elsewhere));
        };
        lanes.try_send_with::<T>(message, gifts, &mut self.statistics)
    }

    /// Sends one message if a lane has room now.
    ///
    /// # Errors
    /// [`SendError::Full`] where none has, or none is there yet; otherwise as for [`send`](Self::send).
    #[inline]
    pub fn try_send(&mut self, message: &impl Encode<T>) -> Result<(), SendError> {
        match &mut self.route {
            Route::Lanes(lanes) => lanes.try_send::<T>(message, &mut self.statistics),
            Route::Local(local) => {
                let bytes = local.try_send(message, &mut self.statistics)?;
                self.statistics.messages += 1;
                self.statistics.bytes += bytes as u64;
                Ok(())
            }
        }
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
    /// [`SendError::DeadlinePassed`], or [`SendError::Disconnected`] where messages are left and nobody to take them. Once, another
    /// error where a message that a receiver left behind fits the lane of nobody who is left (as `undelivered` counts), when all others
    /// were taken.
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
                lanes.accept_all();
                lanes.drop_ended(&mut self.statistics);
                lanes.lanes().len()
            }
        }
    }

    /// The strictest layer among the lanes; `None` where nobody has joined.
    pub fn layer(&mut self) -> Option<Layer> {
        match &mut self.route {
            Route::Local(_) => Some(Layer::Raw),
            Route::Lanes(lanes) => {
                lanes.accept_all();
                lanes.lanes().iter().map(LaneOut::layer).reduce(Layer::stricter)
            }
        }
    }

    /// How many messages are published and not taken.
    pub fn depth(&mut self) -> u64 {
        match &mut self.route {
            Route::Local(local) => local.depth(),
            Route::Lanes(lanes) => lanes.untaken(),
        }
    }

    /// Pool buffers that could not be taken back from lanes that ended. Anything but 0 is a bug here.
    pub fn buffers_lost(&self) -> u64 {
        match &self.route {
            Route::Local(_) => 0,
            Route::Lanes(lanes) => lanes.buffers_lost(),
        }
    }

    /// Pool buffers that receivers have now, those of messages that they have not taken included; what they returned is taken back
    /// first. Anything but 0 after [`finish`](Self::finish) is a bug here, or a receiver that keeps buffers back. Within one domain 0: buffers
    /// there have no owner.
    pub fn buffers_out(&mut self) -> u64 {
        match &mut self.route {
            Route::Local(_) => 0,
            Route::Lanes(lanes) => lanes.buffers_out(&mut self.statistics),
        }
    }

    /// What happened so far.
    pub fn statistics(&self) -> SenderStatistics {
        let mut statistics = self.statistics;
        if let Route::Lanes(lanes) = &self.route {
            lanes.account(&mut statistics);
        }
        statistics
    }

    /// Tries again until it is done, fails for another reason than want of room, or the time is over.
    #[cold]
    fn wait_to(
        &mut self,
        spins: u32,
        is_ready: impl Fn(&mut Producer<H>) -> bool,
        mut attempt: impl FnMut(&mut Self) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let WhenFull::Block { timeout_ns } = self.when_full else { return Err(SendError::Full) };
        let deadline = self.home.now_ns().saturating_add(timeout_ns);
        let mut backoff = Backoff::new(spins);
        self.statistics.waits += 1;
        loop {
            if !backoff.spin(&self.home) {
                let now = self.home.now_ns();
                if now >= deadline {
                    return Err(SendError::DeadlinePassed);
                }
                self.sleep((deadline - now).min(SLICE_NS), &is_ready);
            }
            match attempt(self) {
                Err(SendError::Full) => {}
                result => return result,
            }
        }
    }

    fn sleep(&mut self, timeout_ns: u64, is_ready: impl Fn(&mut Producer<H>) -> bool) {
        match &mut self.route {
            Route::Local(local) => local.sleep(timeout_ns),
            Route::Lanes(lanes) => {
                lanes.sleep(&self.home, timeout_ns, is_ready);
                lanes.check_alive(&mut self.statistics);
            }
        }
    }
}
