//! What senders and receivers count, in private memory, for anyone who asks them.

use feuerbird_zero_copy::Counters;

use crate::{Home, Producer};

/// What a sender did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderStatistics {
    /// Messages published.
    pub messages: u64,
    /// Encoded bytes published.
    pub bytes: u64,
    /// Messages that the oldest-first policy overwrote before anybody took them.
    pub dropped: u64,
    /// Messages that a peer left behind when it ended, published again to another.
    pub redelivered: u64,
    /// Messages that a peer left behind and that nobody was there to take.
    pub undelivered: u64,
    /// Times a full channel made the sender wait.
    pub waits: u64,
    /// System calls made to wake a sleeper.
    pub wakes: u64,
    /// Peers that broke the protocol.
    pub misbehaved: u64,
    /// What the lanes' pools counted. A message written in its slot counts as a loan that needed no copy; one written aside and copied
    /// in, as where the oldest is dropped and where a small one goes through a queue within one domain, as a copy.
    pub pool: Counters,
}

impl SenderStatistics {
    /// Adds what an ending or living lane counted.
    pub(crate) fn account<H: Home>(&mut self, producer: &Producer<H>) {
        self.dropped += producer.dropped();
        self.wakes += producer.wakes();
        match producer.pool_counters() {
            Some(pool) => self.pool.add(&pool),
            None if producer.copies_in() => self.count_copied(producer.published()),
            None => self.count_in_place(producer.published()),
        }
    }

    /// Counts messages that were written where they are read.
    #[inline]
    pub(crate) fn count_in_place(&mut self, messages: u64) {
        self.pool.loans += messages;
        self.pool.published += messages;
        self.pool.copies_avoided += messages;
    }

    /// Counts messages that were written somewhere else first.
    #[inline]
    pub(crate) fn count_copied(&mut self, messages: u64) {
        self.pool.published += messages;
        self.pool.copies_made += messages;
    }
}

/// What a receiver did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStatistics {
    /// Messages handed to the program.
    pub messages: u64,
    /// Encoded bytes of these.
    pub bytes: u64,
    /// Messages read where they lay.
    pub copies_avoided: u64,
    /// Messages copied in before they were checked.
    pub copies_made: u64,
    /// Messages that were overwritten before they were taken.
    pub missed: u64,
    /// Messages refused because their bytes were not what the layer demands.
    pub malformed: u64,
    /// Times there was nothing and the receiver slept.
    pub sleeps: u64,
    /// System calls made to wake a sleeper.
    pub wakes: u64,
    /// Peers that broke the protocol.
    pub misbehaved: u64,
}
