//! The controller of the devices' interrupt lines: which processor each goes to, with which vector, or to none.
//!
//! Only the first one is used; its registers are behind two words (Intel 82093AA, section 3).

use ::core::sync::atomic::{AtomicU32, Ordering};

use crate::memory::layout::DEVICES_BASE;
use crate::memory::paging::KernelSpace;

/// Behind the local APIC's page.
const BASE: u64 = DEVICES_BASE + 0x1000;

const SELECT: usize = 0;
const WINDOW: usize = 0x10;
const VERSION: u32 = 1;
const ROUTES: u32 = 0x10;

const MASKED: u32 = 1 << 16;

/// How many lines there are; 0 where there is no controller.
static LINES: AtomicU32 = AtomicU32::new(0);

/// Whether a line is high while it interrupts, or low; and whether it interrupts when it changes, or as long as it is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(u32);

impl Mode {
    /// Bit 0: as long as it is so. Bit 1: low. `None` for any other bit.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        (bits < 4).then_some(Self((bits as u32 & 1) << 15 | (bits as u32 >> 1) << 13))
    }
}

/// Maps the registers, and masks all lines.
pub(crate) fn start(kernel: &KernelSpace, physical: u64) {
    kernel.map_device(BASE, physical);
    let lines = (read(VERSION) >> 16 & 0xff) + 1;
    LINES.store(lines, Ordering::Relaxed);
    (0..lines).for_each(mask);
}

/// How many lines there are.
pub(crate) fn lines() -> u32 {
    LINES.load(Ordering::Relaxed)
}

/// Has a line that there is interrupt a processor.
pub(crate) fn route(line: u32, vector: u64, mode: Mode, apic_id: u32) {
    write(ROUTES + 2 * line + 1, apic_id << 24);
    write(ROUTES + 2 * line, vector as u32 & 0xff | mode.0);
}

/// Has a line that there is interrupt nobody.
pub(crate) fn mask(line: u32) {
    write(ROUTES + 2 * line, MASKED);
}

fn register(offset: usize) -> *mut u32 {
    ::core::ptr::with_exposed_provenance_mut(BASE as usize + offset)
}

fn read(number: u32) -> u32 {
    // SAFETY: `start` has mapped the page; these are its two words. Whoever is here holds the kernel's lock, or the machine starts.
    unsafe {
        register(SELECT).write_volatile(number);
        register(WINDOW).read_volatile()
    }
}

fn write(number: u32, value: u32) {
    // SAFETY: as in `read`; only `LINES` lines are written.
    unsafe {
        register(SELECT).write_volatile(number);
        register(WINDOW).write_volatile(value);
    }
}
