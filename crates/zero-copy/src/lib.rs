//! Shared regions with one writer, and pools of buffers that are loaned, published, borrowed and released.
//!
//! What it is: the memory under a channel. What it is not: a channel (no order, no waking, no types), and not a
//! system-call layer (a home makes the memory; this crate only describes and divides it).
//!
//! The two types to meet first: [`Region`], memory that somebody else may be writing at this very moment, and [`Pool`],
//! which divides the memory that *we* write into buffers and knows, in private memory, who holds which.
//!
//! ```text
//!   owner                                     reader
//!   loan ──> fill ──> publish ── id ────────> borrow (or copy out)
//!    ^                                          │
//!    └── free list <── release <── ReturnRing <─┘      the ring lies in memory that only the reader writes
//! ```
//!
//! # Invariants
//! 1. A page has one writer. [`WriteRegion`] is the type of "we are the writer"; there is at most one per memory.
//! 2. Nothing read from a [`Region`] is believed: reads are copies of words or bytes, checked afterwards.
//! 3. Who holds which buffer is known from the owner's private memory alone. A reader that forges, repeats or withholds
//!    a return harms its own quota and nothing else.
//!
//! # Example
//! ```
//! use feuerbird_zero_copy::{heap_region, Pool, PoolLayout, ReaderId, Region, SizeClass};
//!
//! let layout = PoolLayout::new(0, &[SizeClass::new(256, 8)])?;
//! // Sound because this program reads what it published, on one thread.
//! let (writer, reader_view) = unsafe { heap_region(layout.end()) };
//! let mut pool = Pool::new(writer, layout, 8)?;
//! let reader: ReaderId = pool.add_reader().expect("a fresh pool has room for a reader");
//!
//! let mut loan = pool.loan(5)?;
//! loan.bytes_mut().copy_from_slice(b"hello");
//! let id = loan.publish(reader)?;
//!
//! let mut copy = [0; 5];
//! reader_view.copy_out(pool.layout().offset(id).expect("published"), &mut copy);
//! assert_eq!(&copy, b"hello");
//! pool.release(reader, id)?;
//! assert_eq!(pool.in_flight(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

mod counters;
mod error;
mod heap;
pub mod layout;
mod pool;
mod region;
mod returns;
pub mod sync;

pub use counters::Counters;
pub use error::{LayoutError, LoanError, ReleaseError};
pub use heap::{HeapReader, HeapWriter, heap_region};
pub use layout::{BufferId, MAX_CLASSES, PoolLayout, SizeClass};
pub use pool::{Kept, Loan, Pool, ReaderId};
pub use region::{Region, Words, WriteRegion};
pub use returns::{ReturnReader, ReturnWriter};
