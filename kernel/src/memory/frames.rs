//! Frames: which are free, on which node, and chains of those that are not.
//!
//! One entry for each frame of the machine. An entry is in one list at a time: the free list of its node, or the chain of the
//! memory object that it belongs to; taking and giving one frame is constant.

use alloc::vec::Vec;

use feuerbird_boot::{PhysicalRange, acpi};
use spin::Mutex;

use crate::memory::direct::Frame;
use crate::memory::layout::PAGE_BYTES;
use crate::memory::map::MemoryMap;

/// The number that ends a list.
const NONE: u32 = u32::MAX;

/// The nodes that have a free list; memory of later ones counts as the last one's.
pub(crate) const MAX_NODES: usize = 8;

/// What is known of a frame.
#[derive(Clone, Copy, Debug)]
struct Entry {
    next: u32,
    previous: u32,
    node: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No memory, or memory that is never handed out.
    Absent,
    Free,
    Used,
}

/// All frames.
#[derive(Debug)]
pub(crate) struct Frames {
    entries: Vec<Entry>,
    free: [FreeList; MAX_NODES],
}

#[derive(Clone, Copy, Debug)]
struct FreeList {
    head: u32,
    count: u32,
}

/// The machine's frames.
///
/// # Locking
/// The innermost lock: taken for one frame at a time, and nothing else is taken under it.
static FRAMES: Mutex<Frames> =
    Mutex::new(Frames { entries: Vec::new(), free: [FreeList { head: NONE, count: 0 }; MAX_NODES] });

/// How large the table for so much memory is, in bytes.
pub(crate) fn table_bytes(memory_end: u64) -> u64 {
    (memory_end / PAGE_BYTES + 1) * size_of::<Entry>() as u64
}

/// Makes the table, with all that is left of the memory map free.
pub(crate) fn start(map: &MemoryMap, srat: Option<&[u8]>) {
    let mut frames = FRAMES.lock();
    let count = (map.end() / PAGE_BYTES) as usize;
    frames.entries = alloc::vec![Entry { next: NONE, previous: NONE, node: 0, state: State::Absent }; count];
    if let Some(srat) = srat {
        // A table that is not in order leaves frames on node 0.
        let _ = acpi::memory_nodes(srat, |range, node| frames.set_node(range, node));
    }
    for range in map.ranges() {
        for number in range.start() / PAGE_BYTES..range.end() / PAGE_BYTES {
            frames.release(number as u32);
        }
    }
}

/// Takes a frame, of a node if one is named, with whatever was in it.
pub(crate) fn take(node: Option<usize>) -> Option<Frame> {
    let mut frames = FRAMES.lock();
    let node = match node {
        Some(node) => node,
        None => (0..MAX_NODES).find(|node| frames.free[*node].count > 0)?,
    };
    let number = frames.free.get(node)?.head;
    frames.detach(number).then(|| frame(number))
}

/// Takes that very frame, if it is free.
#[expect(dead_code, reason = "an allocation by physical name has no system call yet")]
pub(crate) fn take_named(number: u32) -> Option<Frame> {
    FRAMES.lock().detach(number).then(|| frame(number))
}

/// Gives back a frame that was taken and is in no chain.
pub(crate) fn give(frame: Frame) {
    FRAMES.lock().release(frame.number());
}

/// Puts a used frame before the head of a chain; it is the new head.
pub(crate) fn chain(frame: Frame, head: Option<Frame>) {
    let mut frames = FRAMES.lock();
    frames.entries[frame.number() as usize].next = head.map_or(NONE, Frame::number);
}

/// The frame behind this one in its chain.
pub(crate) fn next(of: Frame) -> Option<Frame> {
    let number = FRAMES.lock().entries[of.number() as usize].next;
    (number != NONE).then(|| frame(number))
}

/// How many frames of a node are free.
pub(crate) fn free_on(node: usize) -> u32 {
    FRAMES.lock().free.get(node).map_or(0, |list| list.count)
}

/// How many frames are free.
pub(crate) fn free() -> u32 {
    FRAMES.lock().free.iter().map(|list| list.count).sum()
}

/// Only for numbers that were in a free list or a chain.
fn frame(number: u32) -> Frame {
    // SAFETY: an entry becomes free only from the memory map, which leaves out the image, the heap and the modules, and lies in
    // the direct map; chains have frames that were taken from the free lists.
    unsafe { Frame::new(number) }
}

impl Frames {
    fn set_node(&mut self, range: PhysicalRange, node: u16) {
        let numbers = (range.start() / PAGE_BYTES) as usize..range.end().div_ceil(PAGE_BYTES) as usize;
        let end = numbers.end.min(self.entries.len());
        let node = usize::from(node).min(MAX_NODES - 1) as u8;
        if let Some(entries) = self.entries.get_mut(numbers.start..end) {
            entries.iter_mut().for_each(|entry| entry.node = node);
        }
    }

    /// Puts a frame into its node's free list.
    fn release(&mut self, number: u32) {
        let entry = self.entries[number as usize];
        assert!(entry.state != State::Free, "frame {number} was given back twice");
        let list = &mut self.free[usize::from(entry.node)];
        let next = core::mem::replace(&mut list.head, number);
        list.count += 1;
        if next != NONE {
            self.entries[next as usize].previous = number;
        }
        self.entries[number as usize] = Entry { next, previous: NONE, state: State::Free, ..entry };
    }

    /// Takes a frame out of its free list; whether it was in one.
    fn detach(&mut self, number: u32) -> bool {
        let Some(&Entry { next, previous, node, state }) = self.entries.get(number as usize) else {
            return false;
        };
        if state != State::Free {
            return false;
        }
        let list = &mut self.free[usize::from(node)];
        list.count -= 1;
        match previous {
            NONE => list.head = next,
            previous => self.entries[previous as usize].next = next,
        }
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        self.entries[number as usize] = Entry { next: NONE, previous: NONE, node, state: State::Used };
        true
    }
}
