//! Demand paging: more pages than frames, brought when they are touched, kept in a store when their frame is needed.
//!
//! The store is more memory of this domain's: it stands for a disk, which this LibOS has no driver for, and costs what copying costs. What
//! is counted is what a disk would have to do.
//!
//! # Invariants
//! 1. A page is in the frame that `frame_of` says, or in its place in the store: never in neither, and where it is in both and the frame
//!    is not dirty, they are the same.
//! 2. A page can be written only while its frame is marked as dirty: it is mapped for reading at first, and the first write is a fault.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use feuerbird_abi::{Access, EditAction, Status};

use crate::gate::{HandleNumber, Result};
use crate::memory::{self, Edits, FAULTING, FaultingWords, Mapping, PAGE};
use crate::os;
use crate::os::replacement::{Choice, Replacement, Resident};

/// Where the pages lie, and the most of them.
const START: u64 = FAULTING.start;
const MOST_PAGES: u32 = 1024;

/// The most pages of one memory object.
const OBJECT_PAGES: u32 = 256;

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Page faults, of all kinds.
    pub(crate) faults: u64,
    /// Pages brought from the store.
    pub(crate) brought: u64,
    /// Pages written to the store.
    pub(crate) written_back: u64,
    /// Pages given up.
    pub(crate) evicted: u64,
    /// Pages that were touched while they were suspected.
    pub(crate) second_chances: u64,
}

/// The pages of this domain, and the frames that they share.
pub(super) struct Pager {
    /// The frames are one memory object's pages; this domain has them all mapped, beside where their pages appear.
    handle: HandleNumber,
    window: Mapping,
    /// What is in each; those beyond its end are empty.
    frames: Vec<Resident>,
    frame_of: Vec<Option<usize>>,
    store: Vec<Mapping>,
    policy: Box<dyn Replacement>,
    working_set: Range<u32>,
    brought: u64,
    counts: Counts,
}

/// All pages, all zero at first. They go when this is dropped.
#[derive(Debug)]
pub(crate) struct Paged(());

impl Paged {
    /// So many pages, in so many frames. A domain has one of these at a time.
    ///
    /// # Errors
    /// [`Status::BadArgument`] for sizes that cannot be; [`Status::ObjectsFull`] where there is one; or as the calls.
    pub(crate) fn new(pages: u32, frames: u32) -> Result<Self> {
        if !(1..=MOST_PAGES).contains(&pages) || !(1..=OBJECT_PAGES).contains(&frames) {
            return Err(Status::BadArgument);
        }
        os::with(|os| {
            let policy = os.replacement.take().ok_or(Status::ObjectsFull)?;
            os.pager = Some(Pager::new(pages, frames, policy)?);
            Ok(Self(()))
        })
    }
}

/// The words of some pages, for a thread that works on them. They can be touched as long as there are [`Paged`] ones.
pub(crate) fn words(pages: &Range<u32>) -> FaultingWords {
    FaultingWords::new(place(pages.start), pages.len() as u64)
}

impl Drop for Paged {
    fn drop(&mut self) {
        os::with(|os| os.replacement = os.pager.take().map(Pager::end));
    }
}

/// What the pager did so far.
pub(crate) fn counts() -> Counts {
    os::with(|os| os.pager.as_ref().map(|pager| pager.counts).unwrap_or_default())
}

fn own(pages: u32) -> Result<(HandleNumber, Mapping)> {
    let handle = memory::allocate(pages.into())?;
    let mapping = Mapping::new(handle, pages.into(), Access::Write);
    mapping.map(|mapping| (handle, mapping)).or_else(|status| memory::release(handle).and(Err(status)))
}

impl Pager {
    fn new(pages: u32, frames: u32, policy: Box<dyn Replacement>) -> Result<Self> {
        let mut store = Vec::with_capacity(pages.div_ceil(OBJECT_PAGES) as usize);
        for first in (0..pages).step_by(OBJECT_PAGES as usize) {
            let (handle, mapping) = own((pages - first).min(OBJECT_PAGES))?;
            // It stays as long as it is mapped.
            memory::release(handle)?;
            store.push(mapping);
        }
        let (handle, window) = own(frames)?;
        let frame_of = vec![None; pages as usize];
        // The handler does not allocate.
        let frames = Vec::with_capacity(frames as usize);
        let counts = Counts::default();
        Ok(Self { handle, window, frames, frame_of, store, policy, working_set: 0..0, brought: 0, counts })
    }

    /// Gives everything back but the policy.
    fn end(self) -> Box<dyn Replacement> {
        let mut edits = Edits::new();
        let all = edits.change(EditAction::Unmap, START, self.frame_of.len() as u16);
        // The kernel takes it back with the domain at the latest.
        let _ = all.and_then(|()| edits.make()).and_then(|()| memory::release(self.handle));
        self.policy
    }

    /// The pages of the thread that runs, for the policy to know.
    pub(super) fn set_working_set(&mut self, pages: Range<u32>) {
        self.working_set = pages;
    }

    /// Brings what was touched, or lets it be written; whether it is one of these pages.
    pub(super) fn fault(&mut self, address: u64, is_write: bool) -> bool {
        let Some(page) = address.checked_sub(START).map(|offset| offset / PAGE) else { return false };
        let Some(frame) = self.frame_of.get(page as usize).copied() else { return false };
        let page = page as u32;
        self.counts.faults += 1;
        let mut edits = Edits::new();
        let done = match frame {
            Some(frame) => self.touch(frame, is_write, &mut edits),
            None => self.bring(page, is_write, &mut edits),
        };
        done.and_then(|()| edits.make())
            .expect("the tables of these pages are there, and the memory is this domain's");
        true
    }

    /// A page that is in a frame, and was suspected or not written yet.
    fn touch(&mut self, index: usize, is_write: bool, edits: &mut Edits) -> Result<()> {
        let frame = &mut self.frames[index];
        frame.is_dirty |= is_write;
        if frame.is_mapped {
            return edits.change(EditAction::ProtectWrite, place(frame.page), 1);
        }
        frame.is_mapped = true;
        self.counts.second_chances += 1;
        let (page, access) = (frame.page, access(frame.is_dirty));
        edits.map((self.handle, index as u32), place(page), access)
    }

    /// A page that is in the store.
    fn bring(&mut self, page: u32, is_write: bool, edits: &mut Edits) -> Result<()> {
        let index = match self.frames.len() {
            free if free < self.frames.capacity() => free,
            _ => self.empty_one(edits)?,
        };
        let (store, place_in_store) = self.stored(page);
        self.window.copy_page(index, store, place_in_store);
        self.brought += 1;
        self.counts.brought += 1;
        let resident = Resident { page, is_mapped: true, is_dirty: is_write, since: self.brought };
        match self.frames.get_mut(index) {
            Some(frame) => *frame = resident,
            None => self.frames.push(resident),
        }
        self.frame_of[page as usize] = Some(index);
        edits.map((self.handle, index as u32), place(page), access(is_write))
    }

    /// Gives up the page that the policy chooses; returns its frame. Nobody can write the page while it is copied: this is the handler.
    fn empty_one(&mut self, edits: &mut Edits) -> Result<usize> {
        let index = self.choose(edits)?;
        let Resident { page, is_mapped, is_dirty, .. } = self.frames[index];
        if is_dirty {
            let (store, place_in_store) = self.stored(page);
            store.copy_page(place_in_store, &self.window, index);
            self.counts.written_back += 1;
        }
        self.counts.evicted += 1;
        self.frame_of[page as usize] = None;
        match is_mapped {
            true => edits.change(EditAction::Unmap, place(page), 1).map(|()| index),
            false => Ok(index),
        }
    }

    /// Asks the policy. One that suspects on and on is not asked for ever.
    fn choose(&mut self, edits: &mut Edits) -> Result<usize> {
        for _ in 0..2 * self.frames.len() {
            match self.policy.choose(&self.frames, &self.working_set) {
                Choice::Evict(index) => return Ok(index),
                Choice::Suspect(index) => {
                    let frame = &mut self.frames[index];
                    if core::mem::take(&mut frame.is_mapped) {
                        edits.change(EditAction::Unmap, place(frame.page), 1)?;
                    }
                }
            }
        }
        Ok(0)
    }

    /// Where a page is kept.
    fn stored(&self, page: u32) -> (&Mapping, usize) {
        (&self.store[(page / OBJECT_PAGES) as usize], (page % OBJECT_PAGES) as usize)
    }
}

fn place(page: u32) -> u64 {
    START + u64::from(page) * PAGE
}

fn access(is_dirty: bool) -> Access {
    if is_dirty { Access::Write } else { Access::Read }
}
