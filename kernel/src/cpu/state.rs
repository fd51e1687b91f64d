//! What ring 3 has in its registers.

use ::core::arch::asm;

use crate::cpu::segments::{USER_CODE, USER_DATA};

/// Interrupts on, and the bit that is always 1.
const USER_FLAGS: u64 = 0x202;

/// The registers of whoever entered ring 0, as the entry code lays them on the stack; `entry` knows the offsets.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Registers {
    pub(crate) r15: u64,
    pub(crate) r14: u64,
    pub(crate) r13: u64,
    pub(crate) r12: u64,
    pub(crate) rbp: u64,
    pub(crate) rbx: u64,
    pub(crate) r11: u64,
    pub(crate) rax: u64,
    pub(crate) rcx: u64,
    /// `rdi`, `rsi`, `rdx`, `r10`, `r8`, `r9`: the six words of a system call, and of its answer.
    pub(crate) words: [u64; 6],
    pub(crate) vector: u64,
    pub(crate) error: u64,
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u64,
}

const _: () = assert!(size_of::<Registers>() == 22 * 8);

impl Registers {
    /// All zero but what ring 3 needs.
    pub(crate) const USER: Self = Self {
        r15: 0,
        r14: 0,
        r13: 0,
        r12: 0,
        rbp: 0,
        rbx: 0,
        r11: 0,
        rax: 0,
        rcx: 0,
        words: [0; 6],
        vector: 0,
        error: 0,
        rip: 0,
        cs: USER_CODE as u64,
        rflags: USER_FLAGS,
        rsp: 0,
        ss: USER_DATA as u64,
    };

    /// Whether ring 3 was interrupted.
    pub(crate) fn is_user(&self) -> bool {
        self.cs & 3 == 3
    }

    /// Writes the answer of a system call.
    pub(crate) fn answer(&mut self, status: u32, values: [u64; 6], payload: usize, handle: u64) {
        self.words = values;
        self.rax = status.into();
        self.r12 = payload as u64;
        self.r13 = handle;
    }
}

/// The x87 and SSE state. The kernel itself uses neither, so that it is only changed where domains are.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(crate) struct FloatState([u8; 512]);

impl FloatState {
    /// As after a reset: all exceptions masked, registers zero.
    pub(crate) const FRESH: Self = {
        let mut bytes = [0; 512];
        (bytes[0], bytes[1]) = (0x7f, 0x03);
        (bytes[24], bytes[25]) = (0x80, 0x1f);
        Self(bytes)
    };

    /// Keeps the processor's state here.
    pub(crate) fn save(&mut self) {
        // SAFETY: 512 aligned bytes, and nothing else of the kernel depends on that state.
        unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut self.0, options(nostack, preserves_flags)) };
    }

    /// Puts this state into the processor.
    pub(crate) fn restore(&self) {
        // SAFETY: the bytes are those of `FRESH` or of `save`, so MXCSR has no reserved bit set.
        unsafe {
            asm!("fxrstor64 [{}]", in(reg) &raw const self.0, options(nostack, preserves_flags, readonly))
        };
    }
}
