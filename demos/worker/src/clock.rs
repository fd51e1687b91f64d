//! What a worker needs and its channel's home does not have.

/// What latencies are measured with, and when the kernel is heard.
pub trait Clock: Copy {
    /// Counts steadily, and alike for all workers; how fast, the root finds out.
    ///
    /// # Cost
    /// Paid twice for each message, so a few instructions.
    fn cycles(self) -> u64;

    /// Hears what the kernel has said, in homes where nobody does beside the program. Called now and then: who never waits would not
    /// learn why a peer is gone, and so neither go on without it nor send on what it left.
    fn hear(self) {}
}
