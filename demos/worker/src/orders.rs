//! The orders, as the root writes them and as workers read them.

use core::sync::atomic::Ordering;

use feuerbird_zero_copy::{Region, WriteRegion};

use crate::layout::{Order, VERSION};

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// How many there are.
    pub producers: u32,
    /// How many there are.
    pub consumers: u32,
    /// The most messages that one producer sends.
    pub share: u64,
    /// Bytes of payload in each message.
    pub payload_bytes: u32,
    /// Whether workers say when a peer is gone.
    pub watches_peers: bool,
    /// Whether workers run on one processor each.
    pub pins: bool,
}

/// The root's own orders, which it alone writes.
#[derive(Debug)]
pub struct Command<W>(W);

impl<W: WriteRegion> Command<W> {
    /// Orders for one run, in fresh memory of [`ORDERS_BYTES`](crate::ORDERS_BYTES).
    pub fn new(memory: W, run: &Run) -> Self {
        let command = Self(memory);
        command.set(Order::Producers, run.producers.into());
        command.set(Order::Consumers, run.consumers.into());
        command.set(Order::Share, run.share);
        command.set(Order::PayloadBytes, run.payload_bytes.into());
        command.set(Order::WatchPeers, run.watches_peers.into());
        command.set(Order::Pin, run.pins.into());
        command.set(Order::Version, VERSION);
        command
    }

    /// Has producers begin.
    pub fn go(&self) {
        self.set(Order::Go, 1);
    }

    /// Has them send nothing more.
    pub fn stop(&self) {
        self.set(Order::Stop, 1);
    }

    fn set(&self, order: Order, value: u64) {
        self.0.writable()[order as usize].store(value, Ordering::Release);
    }
}

/// The orders, as a worker reads them.
#[derive(Debug)]
pub struct Orders<R>(R);

impl<R: Region> Orders<R> {
    /// The orders in this memory; `None` where they are those of another version of this program.
    pub fn new(memory: R) -> Option<Self> {
        let orders = Self(memory);
        (orders.get(Order::Version) == VERSION).then_some(orders)
    }

    /// One of them.
    #[inline]
    pub fn get(&self, order: Order) -> u64 {
        self.0.words().load(order as usize)
    }

    /// Whether one of them is given.
    #[inline]
    pub fn is_set(&self, order: Order) -> bool {
        self.get(order) != 0
    }
}
