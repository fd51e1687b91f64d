//! What a worker works with, whichever its role.

use feuerbird_channel::Home;

use crate::{Order, Orders, Report};

/// A worker's orders, its report, and where it runs.
#[derive(Debug)]
pub struct Post<H: Home, C> {
    /// What the root wants.
    pub orders: Orders<H::Reader>,
    /// What the root is told.
    pub report: Report<H::Writer>,
    /// Where this is.
    pub home: H,
    /// What latencies are measured with.
    pub clock: C,
}

impl<H: Home, C> Post<H, C> {
    pub(crate) fn is_stopped(&self) -> bool {
        self.orders.is_set(Order::Stop)
    }

    /// Waits until something is so, or the order to stop comes; looks so often.
    pub(crate) fn wait_until(&self, pause_ns: u64, mut is_so: impl FnMut() -> bool) {
        while !is_so() && !self.is_stopped() {
            self.home.wait(&[], pause_ns);
        }
    }
}
