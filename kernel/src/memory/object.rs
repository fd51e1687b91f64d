//! Memory objects: what domains hold, pass on and map. Counted references to a chain of frames.
//!
//! A page that is mapped anywhere is a reference too. It is found again by its frame, which knows its object: so page tables need no
//! list of mappings beside them, and each page can be mapped and unmapped by itself.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use feuerbird_abi::Status;
use feuerbird_exokernel::DomainId;

use crate::memory::direct::Frame;
use crate::memory::frames::{self, Chains, Wanted};
use crate::memory::layout::PAGE_BYTES;
use crate::memory::quota;

/// How many memory objects there can be.
pub(crate) const MAX_OBJECTS: usize = 4096;

/// The largest, in pages.
pub(crate) const MAX_PAGES: u32 = 256;

/// No domain has this number.
pub(crate) const NOBODY: DomainId = DomainId::from_bits(0);

/// Nor this one: memory that the kernel itself keeps writing. It can be read, and is never executed.
pub(crate) const KERNEL: DomainId = DomainId::from_bits(u64::MAX);

/// Written under the kernel's lock only; atomic so that the table can be a static.
struct Entry {
    /// 0: free.
    references: AtomicU32,
    first: AtomicU32,
    pages: AtomicU32,
    writer: AtomicU64,
    /// Who pays for the frames: the holder of an account.
    payer: AtomicU64,
}

static OBJECTS: [Entry; MAX_OBJECTS] = [const {
    Entry {
        references: AtomicU32::new(0),
        first: AtomicU32::new(0),
        pages: AtomicU32::new(0),
        writer: AtomicU64::new(0),
        payer: AtomicU64::new(0),
    }
}; MAX_OBJECTS];

/// How many of them there are.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A reference to a memory object. The last one that goes gives the frames back.
#[derive(Debug)]
pub(crate) struct Memory(u16);

impl Memory {
    /// Zeroed memory of that many pages at the cost of `domain`, which may write it, and nobody else. Named frames follow one
    /// another.
    ///
    /// # Errors
    /// [`Status::BadArgument`] for another number of pages, [`Status::QuotaExceeded`], [`Status::ObjectsFull`].
    pub(crate) fn new(domain: DomainId, pages: u32, wanted: Wanted) -> Result<Self, Status> {
        if !(1..=MAX_PAGES).contains(&pages) {
            return Err(Status::BadArgument);
        }
        let place = free_place()?;
        let payer = quota::charge(domain, pages)?;
        let head = take_chain(pages, wanted, place as u16).inspect_err(|_| quota::refund(payer, pages))?;
        Ok(Self::fill(place, (head, pages), domain, payer))
    }

    /// Memory that the kernel writes, made of frames that it has chained while it started. Nobody pays for it.
    ///
    /// # Errors
    /// [`Status::ObjectsFull`].
    pub(crate) fn of_kernel(head: Frame, pages: u32) -> Result<Self, Status> {
        let place = free_place()?;
        core::iter::successors(Some(head), |frame| frames::next(*frame))
            .for_each(|frame| frames::assign(frame, place as u16));
        Ok(Self::fill(place, (head, pages), KERNEL, NOBODY))
    }

    fn fill(place: usize, (head, pages): (Frame, u32), writer: DomainId, payer: DomainId) -> Self {
        let entry = &OBJECTS[place];
        entry.first.store(head.number(), Ordering::Relaxed);
        entry.pages.store(pages, Ordering::Relaxed);
        entry.writer.store(writer.to_bits(), Ordering::Relaxed);
        entry.payer.store(payer.to_bits(), Ordering::Relaxed);
        entry.references.store(1, Ordering::Relaxed);
        COUNT.fetch_add(1, Ordering::Relaxed);
        Self(place as u16)
    }

    /// How many pages it has, at least 1.
    pub(crate) fn pages(&self) -> u32 {
        self.entry().pages.load(Ordering::Relaxed)
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.pages()) * PAGE_BYTES
    }

    /// Who may write it, [`NOBODY`] or the [`KERNEL`].
    pub(crate) fn writer(&self) -> DomainId {
        DomainId::from_bits(self.entry().writer.load(Ordering::Relaxed))
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

    /// Its frame of that index.
    pub(crate) fn frame(&self, index: u32) -> Option<Frame> {
        if index >= self.pages() {
            return None;
        }
        let chains = Chains::look();
        (0..index).try_fold(self.first(), |frame, _| chains.next(frame))
    }

    /// Whether it is the same memory.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Counts pages of it that are mapped now.
    pub(crate) fn add_mapped(&self, pages: u32) {
        self.entry().references.fetch_add(pages, Ordering::Relaxed);
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
        let_go(self.0, 1);
    }
}

/// The memory object that a mapped frame belongs to, as one who looks at many sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapped(u16);

impl Mapped {
    /// The object of a frame that is mapped somewhere.
    pub(crate) fn of(chains: &Chains, frame: Frame) -> Option<Self> {
        chains.object(frame).map(Self)
    }

    /// Whether it is that memory.
    pub(crate) fn is(self, memory: &Memory) -> bool {
        self.0 == memory.0
    }

    /// Who may write it, [`NOBODY`] or the [`KERNEL`].
    pub(crate) fn writer(self) -> DomainId {
        DomainId::from_bits(OBJECTS[usize::from(self.0)].writer.load(Ordering::Relaxed))
    }

    /// Its first frame.
    pub(crate) fn first(self) -> Frame {
        // SAFETY: as in `Memory::first`; it has a page that is mapped, so it is there.
        unsafe { Frame::new(OBJECTS[usize::from(self.0)].first.load(Ordering::Relaxed)) }
    }

    /// How many pages it has.
    pub(crate) fn pages(self) -> u32 {
        OBJECTS[usize::from(self.0)].pages.load(Ordering::Relaxed)
    }

    /// So many of its pages are mapped no more. The last reference gives the frames back: no [`Chains`] are looked at.
    pub(crate) fn subtract(self, pages: u32) {
        let_go(self.0, pages);
    }
}

/// How many memory objects there are.
pub(crate) fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}

/// Makes an heir pay for whatever `payer` still pays for. Looks at all objects.
pub(crate) fn inherit(payer: DomainId, heir: DomainId) {
    let is_his = |entry: &&Entry| entry.payer.load(Ordering::Relaxed) == payer.to_bits();
    OBJECTS.iter().filter(is_his).for_each(|entry| entry.payer.store(heir.to_bits(), Ordering::Relaxed));
}

fn let_go(object: u16, references: u32) {
    let entry = &OBJECTS[usize::from(object)];
    if entry.references.fetch_sub(references, Ordering::Relaxed) != references {
        return;
    }
    COUNT.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: as in `first`.
    give_chain(Some(unsafe { Frame::new(entry.first.load(Ordering::Relaxed)) }));
    let payer = entry.payer.swap(NOBODY.to_bits(), Ordering::Relaxed);
    quota::refund(DomainId::from_bits(payer), entry.pages.load(Ordering::Relaxed));
}

fn free_place() -> Result<usize, Status> {
    let is_free = |entry: &Entry| entry.references.load(Ordering::Relaxed) == 0;
    OBJECTS.iter().position(is_free).ok_or(Status::ObjectsFull)
}

/// Takes frames for an object, zeroed and chained; all or none.
fn take_chain(pages: u32, wanted: Wanted, object: u16) -> Result<Frame, Status> {
    let mut head = None;
    for page in (0..pages).rev() {
        let wanted = match wanted {
            Wanted::Named(first) => Wanted::Named(first.checked_add(page).ok_or(Status::BadArgument)?),
            other => other,
        };
        let Some(frame) = frames::take(wanted) else {
            give_chain(head);
            return Err(Status::ObjectsFull);
        };
        frame.clear();
        frames::chain(frame, head);
        frames::assign(frame, object);
        head = Some(frame);
    }
    head.ok_or(Status::BadArgument)
}

fn give_chain(head: Option<Frame>) {
    let mut next = head;
    while let Some(frame) = next {
        next = frames::next(frame);
        frames::give(frame);
    }
}
