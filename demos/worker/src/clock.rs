//! The one thing that a worker needs and its channel's home does not have.

/// What latencies are measured with.
pub trait Clock: Copy {
    /// Counts steadily, and alike for all workers; how fast, the root finds out.
    ///
    /// # Cost
    /// Paid twice for each message, so a few instructions.
    fn cycles(self) -> u64;
}
