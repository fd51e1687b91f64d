//! Copy-on-write buffers: a snapshot has the same frames as what it is of, and a page is copied when one of the two first writes it.
//!
//! # Invariants
//! 1. `owners` counts, for each frame of the pool, the buffers that have it. One that nobody has is free.
//! 2. A page can be written only while its buffer is its frame's one owner; where there are several, all have it mapped for reading.

use alloc::vec;
use alloc::vec::Vec;

use feuerbird_abi::{Access, EditAction, Status};

use crate::gate::{HandleNumber, Result};
use crate::memory::{self, Edits, FAULTING, FaultingWords, Mapping, PAGE};
use crate::os;

/// How many buffers there can be, and how many pages each has room for.
const BUFFERS: usize = 8;
const MOST_PAGES: u64 = 256;

/// Where they lie, one after the other.
const START: u64 = FAULTING.start + (1 << 32);

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Pages that a snapshot took without a copy.
    pub(crate) shared: u64,
    /// Pages that were copied, because they were written.
    pub(crate) copied: u64,
    /// Frames that are nobody's.
    pub(crate) free: u64,
}

/// The frames, and who has them.
pub(super) struct Pool {
    /// The frames are one memory object's pages; this domain has them all mapped, beside where they appear in buffers.
    handle: HandleNumber,
    window: Mapping,
    owners: Vec<u32>,
    /// The frames of each buffer; none where there is no buffer.
    buffers: [Vec<u32>; BUFFERS],
    counts: Counts,
}

/// A buffer. Its frames go back when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    number: usize,
    words: FaultingWords,
}

/// Has frames ready for buffers, so many.
///
/// # Errors
/// As the calls.
pub(crate) fn start(frames: u32) -> Result<()> {
    let handle = memory::allocate(frames.into())?;
    let window = Mapping::new(handle, frames.into(), Access::Write)?;
    let owners = vec![0; frames as usize];
    // Neither the handler allocates, nor what comes again and again: this LibOS's heap only grows.
    let buffers = core::array::from_fn(|_| Vec::with_capacity(MOST_PAGES as usize));
    let counts = Counts { free: frames.into(), ..Counts::default() };
    os::with(|os| os.pool = Some(Pool { handle, window, owners, buffers, counts }));
    Ok(())
}

/// Gives the frames back. There are no buffers any more.
///
/// # Errors
/// As the calls.
pub(crate) fn stop() -> Result<()> {
    let pool = os::with(|os| os.pool.take());
    pool.map_or(Ok(()), |pool| memory::release(pool.handle))
}

/// What the pool did so far.
pub(crate) fn counts() -> Counts {
    os::with(|os| os.pool.as_ref().map(|pool| pool.counts).unwrap_or_default())
}

fn with_pool<T>(work: impl FnOnce(&mut Pool) -> Result<T>) -> Result<T> {
    os::with(|os| os.pool.as_mut().ok_or(Status::ObjectsFull).and_then(work))
}

impl Buffer {
    /// A buffer of so many pages, with whatever in them.
    ///
    /// # Errors
    /// [`Status::ObjectsFull`] where there are not so many frames, or too many buffers.
    pub(crate) fn new(pages: u64) -> Result<Self> {
        with_pool(|pool| pool.make(pages)).map(|number| Self::of(number, pages))
    }

    /// The same content, from now on apart.
    ///
    /// # Errors
    /// [`Status::ObjectsFull`] where there are too many buffers.
    ///
    /// # Cost
    /// No copy: an edit of page tables for each page here and there. What is copied later may find no frame free, which ends the thread
    /// that writes: memory is promised that may never be needed.
    pub(crate) fn snapshot(&self) -> Result<Self> {
        with_pool(|pool| pool.share(self.number)).map(|(number, pages)| Self::of(number, pages))
    }

    fn of(number: usize, pages: u64) -> Self {
        Self { number, words: words(number, pages) }
    }

    /// Its words.
    pub(crate) fn words(&self) -> FaultingWords {
        self.words
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // What is not unmapped now goes with the domain.
        let _ = with_pool(|pool| pool.give_back(self.number));
    }
}

impl Pool {
    fn make(&mut self, pages: u64) -> Result<usize> {
        let number = self.free_number()?;
        if pages == 0 || pages > MOST_PAGES || pages > self.counts.free {
            return Err(Status::ObjectsFull);
        }
        let mut edits = Edits::new();
        for page in 0..pages {
            let frame = self.take().ok_or(Status::ObjectsFull)?;
            self.buffers[number].push(frame);
            edits.map((self.handle, frame), place(number, page), Access::Write)?;
        }
        edits.make().map(|()| number)
    }

    fn share(&mut self, of: usize) -> Result<(usize, u64)> {
        let number = self.free_number()?;
        let mut edits = Edits::new();
        let pages = self.buffers[of].len() as u64;
        edits.change(EditAction::ProtectRead, place(of, 0), pages as u16)?;
        for page in 0..pages {
            let frame = self.buffers[of][page as usize];
            self.buffers[number].push(frame);
            self.owners[frame as usize] += 1;
            edits.map((self.handle, frame), place(number, page), Access::Read)?;
        }
        self.counts.shared += pages;
        edits.make().map(|()| (number, pages))
    }

    fn give_back(&mut self, number: usize) -> Result<()> {
        let pages = self.buffers[number].len() as u16;
        while let Some(frame) = self.buffers[number].pop() {
            self.let_go(frame);
        }
        let mut edits = Edits::new();
        edits.change(EditAction::Unmap, place(number, 0), pages)?;
        edits.make()
    }

    /// Lets a page be written that could only be read; whether it is a buffer's, and there was a frame.
    pub(super) fn fault(&mut self, address: u64, is_write: bool) -> bool {
        let found = self.find(address).filter(|_| is_write);
        found.is_some_and(|(frame, number, page)| self.own(frame, number, page).is_ok())
    }

    /// Whether this is an address in a buffer.
    pub(super) fn has(&self, address: u64) -> bool {
        self.find(address).is_some()
    }

    /// The frame at an address, the buffer that it is in, and which of its pages that is.
    fn find(&self, address: u64) -> Option<(u32, usize, u64)> {
        let page = address.checked_sub(START)? / PAGE;
        let (number, page) = ((page / MOST_PAGES) as usize, page % MOST_PAGES);
        let frame = *self.buffers.get(number)?.get(page as usize)?;
        Some((frame, number, page))
    }

    /// Makes a buffer the one owner of the frame that it has for a page: of a copy, where others have it too.
    fn own(&mut self, frame: u32, number: usize, page: u64) -> Result<()> {
        let mut edits = Edits::new();
        let address = place(number, page);
        if self.owners[frame as usize] == 1 {
            edits.change(EditAction::ProtectWrite, address, 1)?;
            return edits.make();
        }
        let copy = self.take().ok_or(Status::ObjectsFull)?;
        self.window.copy_page(copy as usize, &self.window, frame as usize);
        self.let_go(frame);
        self.buffers[number][page as usize] = copy;
        self.counts.copied += 1;
        edits.change(EditAction::Unmap, address, 1)?;
        edits.map((self.handle, copy), address, Access::Write)?;
        edits.make()
    }

    fn free_number(&self) -> Result<usize> {
        self.buffers.iter().position(Vec::is_empty).ok_or(Status::ObjectsFull)
    }

    /// A frame that is nobody's, for one owner.
    fn take(&mut self) -> Option<u32> {
        let frame = self.owners.iter().position(|owners| *owners == 0)?;
        self.owners[frame] = 1;
        self.counts.free -= 1;
        Some(frame as u32)
    }

    fn let_go(&mut self, frame: u32) {
        let owners = &mut self.owners[frame as usize];
        *owners -= 1;
        self.counts.free += u64::from(*owners == 0);
    }
}

/// The words of a buffer by its number, for a thread that works on it: buffers get the lowest number that is free.
pub(crate) fn words(number: usize, pages: u64) -> FaultingWords {
    FaultingWords::new(place(number, 0), pages)
}

fn place(number: usize, page: u64) -> u64 {
    START + (number as u64 * MOST_PAGES + page) * PAGE
}
