//! Memory objects: what domains hold, pass on and map. Counted references to a chain of frames.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use feuerbird_exokernel::DomainId;

use crate::memory::direct::Frame;
use crate::memory::frames;
use crate::memory::layout::PAGE_BYTES;

/// How many memory objects there can be.
pub(crate) const MAX_OBJECTS: usize = 4096;

/// The largest, in pages.
pub(crate) const MAX_PAGES: u32 = 256;

/// No domain has this number.
pub(crate) const NOBODY: DomainId = DomainId::from_bits(0);

/// Written under the kernel's lock only; atomic so that the table can be a static.
struct Entry {
    /// 0: free.
    references: AtomicU32,
    first: AtomicU32,
    pages: AtomicU32,
    writer: AtomicU64,
}

static OBJECTS: [Entry; MAX_OBJECTS] = [const {
    Entry {
        references: AtomicU32::new(0),
        first: AtomicU32::new(0),
        pages: AtomicU32::new(0),
        writer: AtomicU64::new(0),
    }
}; MAX_OBJECTS];

/// A reference to a memory object. The last one that goes gives the frames back.
#[derive(Debug)]
pub(crate) struct Memory(u16);

impl Memory {
    /// Zeroed memory of that many pages, on a node if one is named, that `writer` may write and nobody else; `None` where
    /// there is no room for it.
    pub(crate) fn new(writer: DomainId, pages: u32, node: Option<usize>) -> Option<Self> {
        if !(1..=MAX_PAGES).contains(&pages) {
            return None;
        }
        let place = OBJECTS.iter().position(|entry| entry.references.load(Ordering::Relaxed) == 0)?;
        let mut head = None;
        for _ in 0..pages {
            let Some(frame) = frames::take(node) else {
                give_chain(head);
                return None;
            };
            frame.clear();
            frames::chain(frame, head);
            head = Some(frame);
        }
        let entry = &OBJECTS[place];
        entry.first.store(head.map_or(0, Frame::number), Ordering::Relaxed);
        entry.pages.store(pages, Ordering::Relaxed);
        entry.writer.store(writer.to_bits(), Ordering::Relaxed);
        entry.references.store(1, Ordering::Relaxed);
        Some(Self(place as u16))
    }

    /// How many pages it has, at least 1.
    pub(crate) fn pages(&self) -> u32 {
        self.entry().pages.load(Ordering::Relaxed)
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.pages()) * PAGE_BYTES
    }

    /// Who may write it.
    pub(crate) fn is_writer(&self, domain: DomainId) -> bool {
        self.entry().writer.load(Ordering::Relaxed) == domain.to_bits()
    }

    /// Whether nobody may write it, ever again.
    pub(crate) fn is_sealed(&self) -> bool {
        self.is_writer(NOBODY)
    }

    /// Whether nothing else refers to it: no handle, no mapping, no region.
    pub(crate) fn is_only_reference(&self) -> bool {
        self.entry().references.load(Ordering::Relaxed) == 1
    }

    /// Makes another domain the one writer. Nobody has it mapped for writing, or relies on who the writer is.
    pub(crate) fn set_writer(&self, writer: DomainId) {
        self.entry().writer.store(writer.to_bits(), Ordering::Relaxed);
    }

    /// Copies bytes into it from `offset` on, as far as there is room.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let (mut offset, mut rest) = (offset, bytes);
        for frame in self.frames() {
            let page = PAGE_BYTES as usize;
            if offset < page {
                let (now, later) = rest.split_at(rest.len().min(page - offset));
                frame.write(offset, now);
                rest = later;
            }
            offset = offset.saturating_sub(page);
        }
    }

    /// Its frames in order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame> + use<> {
        core::iter::successors(Some(self.first()), |frame| frames::next(*frame))
    }

    /// Its first frame.
    pub(crate) fn first(&self) -> Frame {
        // SAFETY: it was taken for this object and is given back with it.
        unsafe { Frame::new(self.entry().first.load(Ordering::Relaxed)) }
    }

    fn entry(&self) -> &'static Entry {
        &OBJECTS[usize::from(self.0)]
    }
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        self.entry().references.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.entry().references.fetch_sub(1, Ordering::Relaxed) == 1 {
            give_chain(Some(self.first()));
        }
    }
}

/// How many memory objects there are.
pub(crate) fn count() -> usize {
    OBJECTS.iter().filter(|entry| entry.references.load(Ordering::Relaxed) > 0).count()
}

fn give_chain(head: Option<Frame>) {
    let mut next = head;
    while let Some(frame) = next {
        next = frames::next(frame);
        frames::give(frame);
    }
}
