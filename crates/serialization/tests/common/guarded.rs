//! Memory with a page on either side that nobody may read: a decoder that looks beyond its bytes ends the test.
#![allow(dead_code)] // each test file uses its part

use std::ptr;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

pub(crate) const PAGE: usize = 4096;
/// Bytes between the guard pages.
pub(crate) const INSIDE: usize = 2 * PAGE;

/// Memory between two pages without any access.
pub(crate) struct Guarded {
    base: *mut u8,
}

impl Guarded {
    pub(crate) fn new() -> Self {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: no address is asked for, so that nothing else is mapped over.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), INSIDE + 2 * PAGE, access, MapFlags::PRIVATE) };
        let base = base.unwrap().cast::<u8>();
        for guard in [0, PAGE + INSIDE] {
            // SAFETY: both pages are of the mapping above, to which there is no reference yet.
            unsafe { mprotect(base.add(guard).cast(), PAGE, MprotectFlags::empty()) }.unwrap();
        }
        Self { base }
    }

    /// These bytes behind the first guard page.
    pub(crate) fn at_the_start(&mut self, bytes: &[u8]) -> &[u8] {
        self.put(0, bytes)
    }

    /// These bytes in front of the second guard page; as a message begins at a multiple of 8, up to 7 unused ones are between.
    pub(crate) fn at_the_end(&mut self, bytes: &[u8]) -> &[u8] {
        self.put(INSIDE - bytes.len().next_multiple_of(8), bytes)
    }

    /// The first guard page.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> &[u8] {
        // SAFETY: the pages between the guards are mapped as long as `self` lives, readable and writable, zero at first; no other
        // reference to them lives longer than a borrow of `self`.
        let inside = unsafe { std::slice::from_raw_parts_mut(self.base.add(PAGE), INSIDE) };
        inside[at..][..bytes.len()].copy_from_slice(bytes);
        &inside[at..][..bytes.len()]
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and nothing borrows from it any more.
        unsafe { munmap(self.base.cast(), INSIDE + 2 * PAGE) }.unwrap();
    }
}
