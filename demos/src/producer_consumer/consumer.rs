//! The work of a consumer: the same in a process of its own and in a thread.

use std::{thread, time::Duration};

use feuerbird::{
    channel::Receiver,
    hosted::{LinuxHome, os::clock},
    prelude::RecvError,
};
use feuerbird_serialization::sample::{Sample, SampleMessage};

use crate::{
    layout::{Order, State, Word},
    payload,
    report::{Orders, Report},
};

/// How long to wait for a message before looking around.
const SLICE_NS: u64 = 4_000_000;

/// Messages between two looks at what the channel has counted.
const BETWEEN_LOOKS: u64 = 128;

pub(crate) struct Consumer<'a> {
    /// How many peers the channel will say it has.
    pub(crate) peers: usize,
    pub(crate) orders: Orders<'a>,
    pub(crate) report: Report,
    pub(crate) receiver: &'a mut Receiver<SampleMessage, LinuxHome>,
}

/// What a message of this run must be.
#[derive(Clone, Copy)]
struct Expected {
    producers: u32,
    share: u64,
    payload_bytes: usize,
}

impl Consumer<'_> {
    /// Takes and checks messages until every producer is gone.
    pub(crate) fn run(&mut self) -> anyhow::Result<()> {
        let watch = self.orders.is_set(Order::WatchPeers);
        let expected = Expected {
            producers: self.orders.get(Order::Producers) as u32,
            share: self.orders.get(Order::Share),
            payload_bytes: self.orders.get(Order::PayloadBytes) as usize,
        };
        while self.receiver.senders() < self.peers && !self.orders.is_set(Order::Stop) {
            thread::sleep(Duration::from_micros(200));
        }
        self.report.enter(State::Ready);
        for turn in 1u64.. {
            let report = &self.report;
            match self.receiver.recv_timeout(SLICE_NS, |view| check(report, expected, view.into())) {
                // Given back, too, or copied before: nobody else gets it.
                Ok(()) => self.report.set(Word::InHand, 0),
                Err(RecvError::DeadlinePassed | RecvError::Empty) => self.look(),
                Err(RecvError::Disconnected) => {
                    // All of them are gone, those that were killed too.
                    if watch {
                        self.report.notice();
                    }
                    break;
                }
                Err(RecvError::Malformed(_) | RecvError::PeerMisbehaved(_)) => {
                    self.report.add(Word::Refused, 1)
                }
                Err(error) => return Err(error.into()),
            }
            if watch && self.receiver.senders() < self.peers {
                self.report.notice();
                self.report.set(Word::Settled, 1);
            }
            if turn % BETWEEN_LOOKS == 0 {
                self.look();
            }
        }
        self.look();
        self.report.set(Word::EndedNs, clock::now_ns());
        self.report.set(Word::Settled, 1);
        self.report.enter(State::Done);
        Ok(())
    }

    /// Reports what the channel has counted.
    fn look(&mut self) {
        let statistics = self.receiver.statistics();
        self.report.set(Word::CopiesAvoided, statistics.copies_avoided);
        self.report.set(Word::CopiesMade, statistics.copies_made);
        if let Some(layer) = self.receiver.layer() {
            self.report.set(Word::Layer, u64::from(layer.to_number()) + 1);
        }
    }
}

/// Handles one message. Its mark is the last thing: a consumer that is killed before has not handled it.
#[inline]
fn check(report: &Report, expected: Expected, sample: Sample<'_>) {
    let latency = clock::cycles().saturating_sub(sample.sent_at);
    report.set(Word::InHand, in_hand(sample.producer, sample.sequence));
    let is_known = sample.producer < expected.producers
        && sample.sequence < expected.share
        && sample.payload.len() == expected.payload_bytes;
    if !is_known || !payload::is_intact(sample.producer, sample.sequence, sample.payload, sample.digest) {
        return report.add(Word::Altered, 1);
    }
    report.time(latency);
    report.add(Word::Messages, 1);
    if !report.mark(sample.producer as usize, sample.sequence) {
        report.add(Word::Twice, 1);
    }
}

/// A message as [`Word::InHand`] names it.
pub(crate) fn in_hand(producer: u32, sequence: u64) -> u64 {
    u64::from(producer) << 40 | sequence.wrapping_add(1)
}
