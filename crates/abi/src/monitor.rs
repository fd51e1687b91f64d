//! What the bootable home publishes about itself for whoever may read the audit log, in pages that only it writes.
//!
//! The first page has words: how far the ring of records is, and counters. The pages behind it are the ring: an
//! [`AuditRecord`](crate::AuditRecord) has the place of its sequence number, modulo [`CAPACITY`]. The kernel writes a record's sequence
//! number last, and 0 before it changes the rest; whoever finds the number that it expects, copies the record, and finds the number
//! again, has it whole. Who is slow finds a higher number: records were lost, and it is known how many.

/// How many pages there are.
pub const PAGES: usize = 17;

/// How many records the ring has.
pub const CAPACITY: u64 = 1024;

/// Where the ring begins, in words.
pub const RING: usize = 512;

/// The word with the sequence number that the next record will have.
pub const NEXT: usize = 0;

/// The word with the time when the counters were last written: nanoseconds of the monotonic clock. That is at the end of a slice, and where a core that has nothing to do wakes.
pub const TIME: usize = 1;

/// The first word of the counters, which are in the order of [`Counter`].
pub const COUNTERS: usize = 8;

/// The first of the words that say how often each core went from one domain to another, 32 of them.
pub const SWITCHES: usize = 64;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Counter {
    /// Slices that ended.
    Slices = 0,
    /// Exceptions of domains.
    Faults = 1,
    /// Interrupts of devices.
    Interrupts = 2,
    /// Upcalls that found no room.
    LostUpcalls = 3,
    /// Domains that there are.
    Domains = 4,
    /// Memory objects that there are.
    Objects = 5,
    /// Frames that are free.
    FreeFrames = 6,
    /// Domains that were ended because they kept their core.
    Overstays = 7,
    /// Other cores that were made to forget a mapping.
    Shootdowns = 8,
}
