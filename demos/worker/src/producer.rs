//! The work of a producer: the same in a process, in a thread, and in ring 3.

use feuerbird_channel::{Home, SendError, Sender, WhenFull};
use feuerbird_serialization::sample::SampleMessage;

use crate::layout::{Order, State, Word};
use crate::message::Numbered;
use crate::{Clock, Failed, Post};

/// How long to wait before the orders are looked at again.
const SLICE_NS: u64 = 50_000_000;

/// How often to look for peers, and for the order to begin.
const PAUSE_NS: u64 = 200_000;
const START_PAUSE_NS: u64 = 100_000;

/// Messages between two looks at what the channel has counted.
const BETWEEN_LOOKS: u64 = 128;

impl<H: Home, C: Clock> Post<H, C> {
    /// Sends, as the producer of this index, until the share is sent or the order to stop comes; then waits until all is taken. The
    /// channel will say that it has so many peers.
    ///
    /// # Errors
    /// [`Failed::Send`], where a message cannot be sent or nobody is left to take it.
    pub fn produce(
        self,
        index: u32,
        peers: usize,
        sender: &mut Sender<SampleMessage, H>,
    ) -> Result<(), Failed> {
        Producer { post: self, index, peers, sender }.run()
    }
}

struct Producer<'a, H: Home, C> {
    post: Post<H, C>,
    index: u32,
    peers: usize,
    sender: &'a mut Sender<SampleMessage, H>,
}

impl<H: Home, C: Clock> Producer<'_, H, C> {
    fn run(&mut self) -> Result<(), Failed> {
        self.sender.set_when_full(WhenFull::Block { timeout_ns: SLICE_NS });
        self.await_start();
        let watch = self.post.orders.is_set(Order::WatchPeers);
        let payload_bytes = self.post.orders.get(Order::PayloadBytes) as usize;
        for sequence in 0..self.post.orders.get(Order::Share) {
            if sequence % BETWEEN_LOOKS == 0 {
                self.look();
            }
            if self.post.is_stopped() || !self.send(sequence, payload_bytes)? {
                break;
            }
            self.post.report.set(Word::Messages, sequence + 1);
            if watch {
                self.watch();
            }
        }
        let finished = self.finish();
        self.look();
        let report = &self.post.report;
        if finished.is_ok() {
            // All was taken, so all buffers must be back; before that, some are out for good reason.
            let lost = self.sender.buffers_lost() + self.sender.buffers_out();
            report.set(Word::BuffersLost, lost);
            report.set(Word::BuffersReturned, self.sender.statistics().pool.released);
        }
        report.end(&self.post.home);
        finished
    }

    /// Finds the consumers, says so, and waits for the start.
    fn await_start(&mut self) {
        self.post.wait_until(PAUSE_NS, || self.sender.receivers() >= self.peers);
        self.post.report.enter(State::Ready);
        self.post.wait_until(START_PAUSE_NS, || self.post.orders.is_set(Order::Go));
    }

    /// Sends one message; whether it was sent before the order to stop came.
    #[inline]
    fn send(&mut self, sequence: u64, payload_bytes: usize) -> Result<bool, Failed> {
        let message = Numbered { producer: self.index, sequence, payload_bytes, clock: self.post.clock };
        loop {
            match self.sender.send(&message) {
                Ok(()) => return Ok(true),
                Err(SendError::DeadlinePassed) if self.post.is_stopped() => return Ok(false),
                Err(SendError::DeadlinePassed) => self.look(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says when a consumer is gone; and that what it left is with others, once another message could be sent after it:
    /// the channel sends what was left behind first.
    #[inline]
    fn watch(&mut self) {
        if self.sender.receivers() < self.peers {
            self.settle();
        }
    }

    #[cold]
    fn settle(&mut self) {
        let report = &self.post.report;
        let noticed_before = report.has_noticed();
        report.notice(&self.post.home);
        if noticed_before {
            report.set(Word::Settled, 1);
        }
    }

    fn finish(&mut self) -> Result<(), Failed> {
        loop {
            let result = self.sender.finish(SLICE_NS);
            if self.sender.receivers() < self.peers {
                self.post.report.notice(&self.post.home);
            }
            match result {
                Err(SendError::DeadlinePassed) => self.look(),
                result => return Ok(result?),
            }
        }
    }

    /// Reports what the channel has counted.
    fn look(&mut self) {
        self.post.clock.hear();
        let report = &self.post.report;
        let statistics = self.sender.statistics();
        report.set(Word::Depth, self.sender.depth());
        report.set(Word::CopiesAvoided, statistics.pool.copies_avoided);
        report.set(Word::CopiesMade, statistics.pool.copies_made);
        report.set(Word::BuffersLost, self.sender.buffers_lost());
        report.set(Word::Undelivered, statistics.undelivered);
        report.set(Word::Refused, statistics.misbehaved);
        if let Some(layer) = self.sender.layer() {
            report.set(Word::Layer, u64::from(layer.to_number()) + 1);
        }
    }
}
