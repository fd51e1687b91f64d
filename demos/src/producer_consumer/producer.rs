//! The work of a producer: the same in a process of its own and in a thread.

use std::{thread, time::Duration};

use feuerbird::{
    channel::{Sender, WhenFull},
    hosted::{LinuxHome, os::clock},
    prelude::{SECOND, SendError},
};
use feuerbird_serialization::sample::SampleMessage;

use crate::{
    layout::{Order, State, Word},
    message::Numbered,
    report::{Orders, Report},
};

/// How long to wait before the orders are looked at again.
const SLICE_NS: u64 = SECOND / 20;

/// Messages between two looks at what the channel has counted.
const BETWEEN_LOOKS: u64 = 128;

pub(crate) struct Producer<'a> {
    pub(crate) index: u32,
    /// How many peers the channel will say it has.
    pub(crate) peers: usize,
    pub(crate) orders: Orders<'a>,
    pub(crate) report: Report,
    pub(crate) sender: &'a mut Sender<SampleMessage, LinuxHome>,
}

impl Producer<'_> {
    /// Sends until the share is sent or the order to stop comes; then waits until all is taken.
    pub(crate) fn run(&mut self) -> anyhow::Result<()> {
        self.sender.set_when_full(WhenFull::Block { timeout_ns: SLICE_NS });
        self.await_start();
        let watch = self.orders.is_set(Order::WatchPeers);
        let payload_bytes = self.orders.get(Order::PayloadBytes) as usize;
        for sequence in 0..self.orders.get(Order::Share) {
            if sequence % BETWEEN_LOOKS == 0 {
                self.look();
            }
            if self.orders.is_set(Order::Stop) || !self.send(sequence, payload_bytes)? {
                break;
            }
            self.report.set(Word::Messages, sequence + 1);
            if watch {
                self.watch();
            }
        }
        let finished = self.finish();
        self.look();
        if finished.is_ok() {
            // All was taken, so all buffers must be back; before that, some are out for good reason.
            let lost = self.sender.buffers_lost() + self.sender.buffers_out();
            self.report.set(Word::BuffersLost, lost);
            self.report.set(Word::BuffersReturned, self.sender.statistics().pool.released);
        }
        self.report.set(Word::EndedNs, clock::now_ns());
        self.report.set(Word::Settled, 1);
        self.report.enter(State::Done);
        finished
    }

    /// Finds the consumers, says so, and waits for the start.
    fn await_start(&mut self) {
        while self.sender.receivers() < self.peers && !self.orders.is_set(Order::Stop) {
            thread::sleep(Duration::from_micros(200));
        }
        self.report.enter(State::Ready);
        while !self.orders.is_set(Order::Go) && !self.orders.is_set(Order::Stop) {
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Sends one message; whether it was sent before the order to stop came.
    fn send(&mut self, sequence: u64, payload_bytes: usize) -> anyhow::Result<bool> {
        let message = Numbered { producer: self.index, sequence, payload_bytes };
        loop {
            match self.sender.send(&message) {
                Ok(()) => return Ok(true),
                Err(SendError::DeadlinePassed) if self.orders.is_set(Order::Stop) => return Ok(false),
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
        let noticed_before = self.report.has_noticed();
        self.report.notice();
        if noticed_before {
            self.report.set(Word::Settled, 1);
        }
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        loop {
            let result = self.sender.finish(SLICE_NS);
            if self.sender.receivers() < self.peers {
                self.report.notice();
            }
            match result {
                Err(SendError::DeadlinePassed) => self.look(),
                result => return Ok(result?),
            }
        }
    }

    /// Reports what the channel has counted.
    fn look(&mut self) {
        let statistics = self.sender.statistics();
        self.report.set(Word::Depth, self.sender.depth());
        self.report.set(Word::CopiesAvoided, statistics.pool.copies_avoided);
        self.report.set(Word::CopiesMade, statistics.pool.copies_made);
        self.report.set(Word::BuffersLost, self.sender.buffers_lost());
        self.report.set(Word::Undelivered, statistics.undelivered);
        self.report.set(Word::Refused, statistics.misbehaved);
        if let Some(layer) = self.sender.layer() {
            self.report.set(Word::Layer, u64::from(layer.to_number()) + 1);
        }
    }
}
