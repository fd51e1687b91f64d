//! What a domain was told and has not heard yet.

use alloc::boxed::Box;

use feuerbird_abi::Upcall;

use crate::domain::resident::Handle;
use crate::memory::object::Memory;

/// How many upcalls wait for one domain.
const CAPACITY: usize = 256;

type Waiting = Option<(Upcall, Option<Handle>)>;

/// A queue of fixed size. When it is full, what comes is lost and counted: the gap in the upcalls' numbers tells the domain.
pub(crate) struct Upcalls {
    ring: Box<[Waiting]>,
    first: usize,
    length: usize,
    lost: u64,
}

impl Upcalls {
    /// An empty queue, on the heap.
    pub(crate) fn new() -> Self {
        Self { ring: (0..CAPACITY).map(|_| None).collect(), first: 0, length: 0, lost: 0 }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.ring.iter_mut().for_each(|place| *place = None);
        (self.first, self.length) = (0, 0);
    }

    pub(crate) fn push(&mut self, upcall: Upcall, handle: Option<Handle>) {
        if self.length == CAPACITY {
            self.lost += 1;
            return;
        }
        self.ring[(self.first + self.length) % CAPACITY] = Some((upcall, handle));
        self.length += 1;
    }

    /// Has every handle for memory be one for other memory.
    pub(crate) fn replace(&mut self, memory: &Memory, other: &Memory) {
        let handles = self.ring.iter_mut().flatten().filter_map(|(_, handle)| handle.as_mut());
        handles.for_each(|handle| handle.replace(memory, other));
    }

    /// Whether a handle for that memory waits.
    pub(crate) fn has(&self, memory: &Memory) -> bool {
        let mut handles = self.ring.iter().flatten().filter_map(|(_, handle)| handle.as_ref());
        handles.any(|handle| handle.is_for(memory))
    }

    /// The oldest one.
    pub(crate) fn pop(&mut self) -> Option<(Upcall, Option<Handle>)> {
        let upcall = self.ring[self.first].take()?;
        self.first = (self.first + 1) % CAPACITY;
        self.length -= 1;
        Some(upcall)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many found no room, of all domains that had this queue.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}
