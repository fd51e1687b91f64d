//! Where things are in the address space.
//!
//! ```text
//!   0000_0000_0000_0000  nothing (null pointers)
//!   0000_0000_0040_0000  a domain's: it maps what it holds where it likes, up to USER_END
//!   ffff_8000_0000_0000  DIRECT_BASE: all memory, for the kernel's own reading and writing; never executable
//!   ffff_c000_0000_0000  STACKS_BASE: one stack for each core, with nothing below it
//!   ffff_d000_0000_0000  DEVICES_BASE: the APICs' registers
//!   ffff_ffff_8000_0000  KERNEL_BASE: the image: text executable, constants readable, data writable
//! ```

/// The size of a page and of a frame, in bytes.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// Below this no domain may map anything.
pub(crate) const USER_START: u64 = 0x1_0000;

/// The end of what a domain may map. The last page before the hole is left out, so that a return address behind a SYSCALL is
/// always canonical: a SYSRET to another one faults in ring 0 on Intel's processors.
pub(crate) const USER_END: u64 = 0x7fff_ffff_0000;

/// Where all memory is mapped.
pub(crate) const DIRECT_BASE: u64 = 0xffff_8000_0000_0000;

/// Where the cores' stacks are.
pub(crate) const STACKS_BASE: u64 = 0xffff_c000_0000_0000;

/// Where registers of devices are.
pub(crate) const DEVICES_BASE: u64 = 0xffff_d000_0000_0000;

/// Where the image is linked; `kernel.ld` says the same.
pub(crate) const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// What the boot tables map.
pub(crate) const BOOT_MAPPED_BYTES: u64 = 4 << 30;

/// The most physical memory that is used.
pub(crate) const MAX_MEMORY_BYTES: u64 = 64 << 30;

unsafe extern "C" {
    static text_start: u8;
    static rodata_start: u8;
    static data_start: u8;
    static image_end: u8;
}

/// The parts of the image, as addresses in the higher half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    pub(crate) text: u64,
    pub(crate) rodata: u64,
    pub(crate) data: u64,
    pub(crate) end: u64,
}

impl Image {
    /// Where the linker put them.
    pub(crate) fn here() -> Self {
        Self {
            text: (&raw const text_start).addr() as u64,
            rodata: (&raw const rodata_start).addr() as u64,
            data: (&raw const data_start).addr() as u64,
            end: (&raw const image_end).addr() as u64,
        }
    }

    /// The end of the image in physical memory.
    pub(crate) fn physical_end(&self) -> u64 {
        self.end - KERNEL_BASE
    }
}
