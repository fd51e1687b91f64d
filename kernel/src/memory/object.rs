//! Memory objects: what domains hold, pass on and map. Counted references to a chain of frames.
//!
//! An object is known by its first frame. So there are as many objects as there are frames, a domain can make as many as it can pay
//! frames for, and none has to be looked for.
//!
//! A page that is mapped anywhere is a reference too. It is found again by its frame, which knows its object: so page tables need no
//! list of mappings beside them, and each page can be mapped and unmapped by itself.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use feuerbird_abi::Status;
use feuerbird_exokernel::DomainId;
use spin::Once;

use crate::memory::direct::Frame;
use crate::memory::frames::{self, Chains, Wanted};
use crate::memory::layout::PAGE_BYTES;
use crate::memory::quota;

/// The largest, in pages.
pub(crate) const MAX_PAGES: u32 = 256;

/// No domain has this number.
pub(crate) const NOBODY: DomainId = DomainId::from_bits(0);

/// Nor this one: memory that the kernel itself keeps writing. It can be read, and is never executed.
pub(crate) const KERNEL: DomainId = DomainId::from_bits(u64::MAX);

/// Nor this one: memory that somebody holds who may not write it, until it goes back. It is never executed.
pub(crate) const LENT: DomainId = DomainId::from_bits(u64::MAX - 1);

/// The number that ends a list.
pub(super) const NONE: u32 = u32::MAX;

/// Written under the kernel's lock only; atomic so that the table can be a static.
struct Entry {
    /// 0: no object begins with this frame.
    references: AtomicU32,
    pages: AtomicU32,
    writer: AtomicU64,
    /// Who pays for the frames: the holder of an account.
    payer: AtomicU64,
    /// Its neighbors among those that the same account pays for.
    next: AtomicU32,
    previous: AtomicU32,
}

/// One for each frame.
static OBJECTS: Once<Vec<Entry>> = Once::new();

/// How many of them there are.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// How large the table for so many frames is, in bytes.
pub(super) fn table_bytes(frames: u64) -> u64 {
    frames * size_of::<Entry>() as u64
}

/// Makes the table. Called once.
pub(super) fn start(frames: usize) {
    let none = |_| Entry {
        references: AtomicU32::new(0),
        pages: AtomicU32::new(0),
        writer: AtomicU64::new(0),
        payer: AtomicU64::new(0),
        next: AtomicU32::new(NONE),
        previous: AtomicU32::new(NONE),
    };
    OBJECTS.call_once(|| (0..frames).map(none).collect());
}

/// A reference to a memory object. The last one that goes gives the frames back.
#[derive(Debug)]
pub(crate) struct Memory(Frame);

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
        let payer = quota::charge(domain, pages)?;
        let head = take_chain(pages, wanted, true).inspect_err(|_| quota::refund(payer, pages))?;
        Ok(Self::fill(head, pages, domain, payer))
    }

    /// A copy that nobody writes, as the memory is now, at the cost of `domain`.
    ///
    /// # Errors
    /// [`Status::QuotaExceeded`], [`Status::ObjectsFull`].
    pub(crate) fn copy_for(&self, domain: DomainId) -> Result<Self, Status> {
        let pages = self.pages();
        let payer = quota::charge(domain, pages)?;
        let head = take_chain(pages, Wanted::Any, false).inspect_err(|_| quota::refund(payer, pages))?;
        let copy = Self::fill(head, pages, NOBODY, payer);
        self.frames().zip(copy.frames()).for_each(|(from, to)| to.copy(from));
        Ok(copy)
    }

    /// Memory that the kernel writes, made of frames that it has chained while it started. Nobody pays for it.
    pub(crate) fn of_kernel(head: Frame, pages: u32) -> Self {
        Self::fill(head, pages, KERNEL, NOBODY)
    }

    fn fill(head: Frame, pages: u32, writer: DomainId, payer: DomainId) -> Self {
        frames::assign(head);
        let entry = entry(head);
        entry.pages.store(pages, Ordering::Relaxed);
        entry.writer.store(writer.to_bits(), Ordering::Relaxed);
        entry.payer.store(payer.to_bits(), Ordering::Relaxed);
        entry.references.store(1, Ordering::Relaxed);
        link(head, payer);
        COUNT.fetch_add(1, Ordering::Relaxed);
        Self(head)
    }

    /// How many pages it has, at least 1.
    pub(crate) fn pages(&self) -> u32 {
        self.entry().pages.load(Ordering::Relaxed)
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.pages()) * PAGE_BYTES
    }

    /// Who may write it, [`NOBODY`], [`LENT`] or the [`KERNEL`].
    pub(crate) fn writer(&self) -> DomainId {
        DomainId::from_bits(self.entry().writer.load(Ordering::Relaxed))
    }

    /// How many refer to it, this one included: handles, mapped pages, regions, the table of what capabilities name.
    pub(crate) fn references(&self) -> u32 {
        self.entry().references.load(Ordering::Relaxed)
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
        self.0
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

    /// Has this reference be one to other memory, if it is one to that.
    pub(crate) fn become_other(&mut self, memory: &Self, other: &Self) {
        if self.is(memory) {
            *self = other.clone();
        }
    }

    /// Counts pages of it that are mapped now.
    pub(crate) fn add_mapped(&self, pages: u32) {
        self.entry().references.fetch_add(pages, Ordering::Relaxed);
    }

    fn entry(&self) -> &'static Entry {
        entry(self.0)
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
pub(crate) struct Mapped(Frame);

impl Mapped {
    /// The object of a frame that is mapped somewhere.
    pub(crate) fn of(chains: &Chains, frame: Frame) -> Option<Self> {
        chains.object(frame).map(Self)
    }

    /// Whether it is that memory.
    pub(crate) fn is(self, memory: &Memory) -> bool {
        self.0 == memory.0
    }

    /// Who may write it, [`NOBODY`], [`LENT`] or the [`KERNEL`].
    pub(crate) fn writer(self) -> DomainId {
        DomainId::from_bits(entry(self.0).writer.load(Ordering::Relaxed))
    }

    /// Its first frame.
    pub(crate) fn first(self) -> Frame {
        self.0
    }

    /// How many pages it has.
    pub(crate) fn pages(self) -> u32 {
        entry(self.0).pages.load(Ordering::Relaxed)
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

/// The references to all of them together. Looks at every frame.
pub(crate) fn all_references() -> u64 {
    let objects = OBJECTS.get().into_iter().flatten();
    objects.map(|entry| u64::from(entry.references.load(Ordering::Relaxed))).sum()
}

/// The pages of all objects in a list, where each of them is paid for by that account.
pub(super) fn pages_in(list: &AtomicU32, payer: DomainId) -> Option<u32> {
    let mut next = list.load(Ordering::Relaxed);
    let mut pages = 0;
    while let Some(object) = frames::numbered(next) {
        let entry = entry(object);
        if entry.payer.load(Ordering::Relaxed) != payer.to_bits() {
            return None;
        }
        pages += entry.pages.load(Ordering::Relaxed);
        next = entry.next.load(Ordering::Relaxed);
    }
    Some(pages)
}

/// Makes an heir pay for all of a list of objects, which goes before those that the heir pays for already.
///
/// # Cost
/// One step for each object in the list.
pub(super) fn inherit(list: &AtomicU32, heir: DomainId) {
    let mut next = list.swap(NONE, Ordering::Relaxed);
    while let Some(object) = frames::numbered(next) {
        next = entry(object).next.load(Ordering::Relaxed);
        entry(object).payer.store(heir.to_bits(), Ordering::Relaxed);
        link(object, heir);
    }
}

/// The entry of an object that begins with a frame.
fn entry(first: Frame) -> &'static Entry {
    // There are no frames before there is this table, and none beyond it.
    &OBJECTS.get().expect("a table as long as that of the frames")[first.number() as usize]
}

/// Puts an object at the front of what an account pays for.
fn link(object: Frame, payer: DomainId) {
    let next = quota::objects(payer).map_or(NONE, |list| list.swap(object.number(), Ordering::Relaxed));
    entry(object).next.store(next, Ordering::Relaxed);
    entry(object).previous.store(NONE, Ordering::Relaxed);
    if let Some(next) = frames::numbered(next) {
        entry(next).previous.store(object.number(), Ordering::Relaxed);
    }
}

/// Takes an object out of what an account pays for.
fn unlink(object: Frame, payer: DomainId) {
    let [next, previous] =
        [&entry(object).next, &entry(object).previous].map(|it| it.swap(NONE, Ordering::Relaxed));
    if let Some(next) = frames::numbered(next) {
        entry(next).previous.store(previous, Ordering::Relaxed);
    }
    match frames::numbered(previous) {
        Some(previous) => entry(previous).next.store(next, Ordering::Relaxed),
        None => _ = quota::objects(payer).map(|list| list.store(next, Ordering::Relaxed)),
    }
}

fn let_go(object: Frame, references: u32) {
    let entry = entry(object);
    if entry.references.fetch_sub(references, Ordering::Relaxed) != references {
        return;
    }
    COUNT.fetch_sub(1, Ordering::Relaxed);
    let payer = DomainId::from_bits(entry.payer.swap(NOBODY.to_bits(), Ordering::Relaxed));
    unlink(object, payer);
    give_chain(Some(object));
    quota::refund(payer, entry.pages.load(Ordering::Relaxed));
}

/// Takes frames for an object, chained, and zeroed if it is to be; all or none.
fn take_chain(pages: u32, wanted: Wanted, is_cleared: bool) -> Result<Frame, Status> {
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
        if is_cleared {
            frame.clear();
        }
        frames::chain(frame, head);
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
