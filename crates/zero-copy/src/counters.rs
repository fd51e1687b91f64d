//! What a pool counts.

/// What happened in a pool since it was made. Plain numbers in the owner's private memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Buffers handed out to be filled.
    pub loans: u64,
    /// Buffers published, once per reader.
    pub published: u64,
    /// Buffers taken back from readers, reclaimed ones included.
    pub released: u64,
    /// Buffers taken back from readers that will never return them.
    pub reclaimed: u64,
    /// Times that bytes were used where they lay.
    pub copies_avoided: u64,
    /// Times that bytes had to be copied.
    pub copies_made: u64,
    /// Publications refused because a reader was at its quota.
    pub quota_refusals: u64,
    /// Returns refused because they were forged, repeated or foreign.
    pub forged_returns: u64,
}

impl Counters {
    /// Adds what another pool counted.
    pub fn add(&mut self, other: &Self) {
        self.loans += other.loans;
        self.published += other.published;
        self.released += other.released;
        self.reclaimed += other.reclaimed;
        self.copies_avoided += other.copies_avoided;
        self.copies_made += other.copies_made;
        self.quota_refusals += other.quota_refusals;
        self.forged_returns += other.forged_returns;
    }

    /// The share of uses that needed no copy, 0 to 1; 1 where nothing was used yet.
    pub fn hit_rate(&self) -> f64 {
        match self.copies_avoided + self.copies_made {
            0 => 1.0,
            uses => self.copies_avoided as f64 / uses as f64,
        }
    }
}
