//! The work of a consumer: the same in a process, in a thread, and in ring 3.

use feuerbird_channel::{Home, Receiver, RecvError};
use feuerbird_serialization::sample::{Sample, SampleMessage};
use feuerbird_zero_copy::WriteRegion;

use crate::layout::{Order, State, Word, in_hand};
use crate::{Clock, Failed, Post, Report, payload};

/// How long to wait for a message before looking around.
const SLICE_NS: u64 = 4_000_000;

/// How often to look for peers.
const PAUSE_NS: u64 = 200_000;

/// Messages between two looks at what the channel has counted.
const BETWEEN_LOOKS: u64 = 128;

impl<H: Home, C: Clock> Post<H, C> {
    /// Takes and checks messages until every producer is gone; the channel will say that it has so many peers.
    ///
    /// # Errors
    /// [`Failed::Receive`], where messages can neither come nor end.
    pub fn consume(self, peers: usize, receiver: &mut Receiver<SampleMessage, H>) -> Result<(), Failed> {
        Consumer { post: self, peers, receiver }.run()
    }
}

struct Consumer<'a, H: Home, C> {
    post: Post<H, C>,
    peers: usize,
    receiver: &'a mut Receiver<SampleMessage, H>,
}

/// What a message of this run must be.
#[derive(Clone, Copy)]
struct Expected {
    producers: u32,
    share: u64,
    payload_bytes: usize,
}

impl<H: Home, C: Clock> Consumer<'_, H, C> {
    fn run(&mut self) -> Result<(), Failed> {
        let Post { orders, clock, .. } = &self.post;
        let (clock, watch) = (*clock, orders.is_set(Order::WatchPeers));
        let expected = Expected {
            producers: orders.get(Order::Producers) as u32,
            share: orders.get(Order::Share),
            payload_bytes: orders.get(Order::PayloadBytes) as usize,
        };
        self.post.wait_until(PAUSE_NS, || self.receiver.senders() >= self.peers);
        self.post.report.enter(State::Ready);
        for turn in 1u64.. {
            let report = &self.post.report;
            let taken =
                self.receiver.recv_timeout(SLICE_NS, |view| check(report, clock, expected, view.into()));
            match taken {
                // Given back, too, or copied before: nobody else gets it.
                Ok(()) => report.set(Word::InHand, 0),
                Err(RecvError::DeadlinePassed | RecvError::Empty) => self.look(),
                Err(RecvError::Disconnected) => {
                    // All of them are gone, those that were killed too.
                    if watch {
                        report.notice(&self.post.home);
                    }
                    break;
                }
                Err(RecvError::Malformed(_) | RecvError::PeerMisbehaved(_)) => report.add(Word::Refused, 1),
                Err(error) => return Err(error.into()),
            }
            if watch && self.receiver.senders() < self.peers {
                self.post.report.notice(&self.post.home);
                self.post.report.set(Word::Settled, 1);
            }
            if turn % BETWEEN_LOOKS == 0 {
                self.look();
            }
        }
        self.look();
        self.post.report.end(&self.post.home);
        Ok(())
    }

    /// Reports what the channel has counted.
    fn look(&mut self) {
        self.post.clock.hear();
        let report = &self.post.report;
        let statistics = self.receiver.statistics();
        report.set(Word::CopiesAvoided, statistics.copies_avoided);
        report.set(Word::CopiesMade, statistics.copies_made);
        if let Some(layer) = self.receiver.layer() {
            report.set(Word::Layer, u64::from(layer.to_number()) + 1);
        }
    }
}

/// Handles one message. Its mark is the last thing: a consumer that is killed before has not handled it.
#[inline]
fn check(report: &Report<impl WriteRegion>, clock: impl Clock, expected: Expected, sample: Sample<'_>) {
    let latency = clock.cycles().saturating_sub(sample.sent_at);
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
