//! Frames: which are free, on which node, and chains of those that are not.
//!
//! One entry for each frame of the machine. An entry is in one list at a time: the free list of its node, or the chain of the
//! memory object that it belongs to; taking and giving one frame is constant. Which frames are free is published: in pages that the
//! kernel keeps up to date and that domains may map for reading, as `abi::FreeMap` says, so that a LibOS can ask for a frame by name.

use alloc::vec::Vec;

use feuerbird_abi::free_map;
use feuerbird_boot::{PhysicalRange, acpi};
use spin::{Mutex, MutexGuard};

use crate::memory::direct::Frame;
use crate::memory::layout::PAGE_BYTES;
use crate::memory::map::MemoryMap;
use crate::memory::object;

/// The number that ends a list.
const NONE: u32 = u32::MAX;

/// The nodes that have a free list; memory of later ones counts as the last one's.
pub(crate) const MAX_NODES: usize = free_map::NODES;

/// How many frames a page of the published bitmap has.
const FRAMES_PER_PAGE: u32 = 8 * PAGE_BYTES as u32;

/// What is known of a frame.
#[derive(Clone, Copy, Debug)]
struct Entry {
    next: u32,
    previous: u32,
    /// The first frame of the memory object that it belongs to, if it is not free, a page table, or the kernel's.
    object: u32,
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
    /// The pages that say which frames are free: counts first, then the bitmap.
    published: Vec<Frame>,
}

/// Which frame is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Any,
    /// One of this node.
    On(usize),
    /// The one with this number.
    Named(u32),
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
static FRAMES: Mutex<Frames> = Mutex::new(Frames {
    entries: Vec::new(),
    free: [FreeList { head: NONE, count: 0 }; MAX_NODES],
    published: Vec::new(),
});

/// How large the table for so much memory is, in bytes.
pub(crate) fn table_bytes(memory_end: u64) -> u64 {
    let frames = memory_end / PAGE_BYTES + 1;
    let pages = frames / u64::from(FRAMES_PER_PAGE) + 2;
    frames * size_of::<Entry>() as u64 + pages * size_of::<Frame>() as u64 + object::table_bytes(frames)
}

/// Makes the table, with all that is left of the memory map free.
pub(crate) fn start(map: &MemoryMap, srat: Option<&[u8]>) {
    let mut frames = FRAMES.lock();
    let count = (map.end() / PAGE_BYTES) as usize;
    let absent = Entry { next: NONE, previous: NONE, object: NONE, node: 0, state: State::Absent };
    frames.entries = alloc::vec![absent; count];
    object::start(count);
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

/// Publishes which frames are free, from now on; returns the pages, as a chain.
///
/// # Panics
/// Where there are no frames for it: the kernel cannot start then.
pub(crate) fn publish() -> (Frame, u32) {
    let count = FRAMES.lock().entries.len() as u32;
    let pages = 1 + count.div_ceil(FRAMES_PER_PAGE);
    let taken = take_for_kernel(pages);
    let head = taken[0];
    let mut frames = FRAMES.lock();
    taken[0].set_word(free_map::FRAMES, count.into());
    frames.published = taken;
    frames.publish_runs();
    (0..count).for_each(|number| frames.publish(number));
    (head, pages)
}

/// Takes cleared frames while the kernel starts, for pages that it will write; they are chained.
///
/// # Panics
/// Where there are none: the kernel cannot start then.
pub(crate) fn take_for_kernel(pages: u32) -> Vec<Frame> {
    let taken: Vec<_> = (0..pages).filter_map(|_| take(Wanted::Any)).inspect(|frame| frame.clear()).collect();
    assert!(taken.len() == pages as usize, "frames for the kernel's own pages");
    taken.iter().rfold(None, |head, frame| {
        chain(*frame, head);
        Some(*frame)
    });
    taken
}

/// Takes a frame, with whatever was in it.
pub(crate) fn take(wanted: Wanted) -> Option<Frame> {
    let mut frames = FRAMES.lock();
    let number = match wanted {
        Wanted::Named(number) => number,
        Wanted::On(node) => frames.free.get(node)?.head,
        Wanted::Any => frames.free.iter().find(|list| list.count > 0)?.head,
    };
    frames.detach(number).then(|| frame(number))
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

/// Says that a chain is a memory object, which begins with its first frame.
pub(super) fn assign(head: Frame) {
    let mut frames = FRAMES.lock();
    let mut next = head.number();
    while let Some(entry) = frames.entries.get_mut(next as usize) {
        entry.object = head.number();
        next = entry.next;
    }
}

/// The frame with a number, if it has been taken and not been given back.
pub(super) fn numbered(number: u32) -> Option<Frame> {
    let frames = FRAMES.lock();
    let entry = frames.entries.get(number as usize)?;
    (entry.state == State::Used).then(|| frame(number))
}

/// The frame behind this one in its chain.
pub(crate) fn next(of: Frame) -> Option<Frame> {
    Chains::look().next(of)
}

/// The chains, to be looked at many times. Nothing can be taken or given back as long as it lives.
pub(crate) struct Chains(MutexGuard<'static, Frames>);

impl Chains {
    pub(crate) fn look() -> Self {
        Self(FRAMES.lock())
    }

    /// The frame behind this one in its chain.
    pub(crate) fn next(&self, of: Frame) -> Option<Frame> {
        let number = self.0.entries[of.number() as usize].next;
        (number != NONE).then(|| frame(number))
    }

    /// The first frame of the memory object that a frame belongs to.
    pub(crate) fn object(&self, of: Frame) -> Option<Frame> {
        let entry = self.0.entries.get(of.number() as usize)?;
        (entry.state == State::Used && entry.object != NONE).then(|| frame(entry.object))
    }
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
        self.entries[number as usize] =
            Entry { next, previous: NONE, object: NONE, state: State::Free, ..entry };
        self.publish(number);
    }

    /// Takes a frame out of its free list; whether it was in one.
    fn detach(&mut self, number: u32) -> bool {
        let Some(&Entry { next, previous, node, state, .. }) = self.entries.get(number as usize) else {
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
        self.entries[number as usize] =
            Entry { next: NONE, previous: NONE, object: NONE, node, state: State::Used };
        self.publish(number);
        true
    }

    /// Writes into the published pages whether a frame is free, and how many of its node are.
    fn publish(&self, number: u32) {
        let Some(page) = self.published.get(1 + (number / FRAMES_PER_PAGE) as usize) else { return };
        let Entry { node, state, .. } = self.entries[number as usize];
        let (word, bit) = ((number % FRAMES_PER_PAGE / 64) as usize, 1 << (number % 64));
        let others = page.word(word) & !bit;
        page.set_word(word, if state == State::Free { others | bit } else { others });
        let count = self.free[usize::from(node)].count;
        self.published[0].set_word(free_map::FREE + usize::from(node), count.into());
    }

    /// Writes down which frames are whose node's, as far as there is room.
    fn publish_runs(&self) {
        let mut place = free_map::RUNS;
        for run in self.entries.chunk_by(|one, other| one.node == other.node) {
            if place + 1 >= free_map::WORDS_BEFORE_BITMAP {
                return;
            }
            self.published[0].set_word(place, run.len() as u64);
            self.published[0].set_word(place + 1, run[0].node.into());
            place += 2;
        }
    }
}
