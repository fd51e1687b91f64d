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
    /// What the lanes' pools counted; messages that travel in their slot count as loans that needed no copy.
    pub pool: Counters,
}

impl SenderStatistics {
    /// Adds what an ending or living lane counted.
    pub(crate) fn account<H: Home>(&mut self, producer: &Producer<H>) {
        self.dropped += producer.dropped();
        self.wakes += producer.wakes();
        match producer.pool_counters() {
            Some(pool) => self.pool.add(&pool),
            None => {
                self.pool.loans += producer.published();
                self.pool.published += producer.published();
                self.pool.copies_avoided += producer.published();
            }
        }
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
