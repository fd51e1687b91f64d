//! What the processor has, and turning on what protects the kernel.

use ::core::arch::asm;
use ::core::arch::x86_64::__cpuid_count;
use ::core::sync::atomic::{AtomicBool, Ordering};

use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{Efer, EferFlags};

/// The features that are used where they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    /// Supervisor code cannot run in user pages.
    pub(crate) smep: bool,
    /// Supervisor code cannot touch user pages.
    pub(crate) smap: bool,
    /// Ring 3 cannot ask where the descriptor tables are.
    pub(crate) umip: bool,
    /// Translations can be kept across switches of the address space.
    pub(crate) global_pages: bool,
}

impl Features {
    /// Asks the processor.
    pub(crate) fn detect() -> Self {
        let highest = __cpuid_count(0, 0).eax;
        let basic = __cpuid_count(1, 0);
        let (ebx, ecx) = match highest >= 7 {
            true => (__cpuid_count(7, 0).ebx, __cpuid_count(7, 0).ecx),
            false => (0, 0),
        };
        let has = |register: u32, bit: u32| register >> bit & 1 == 1;
        Self { smep: has(ebx, 7), smap: has(ebx, 20), umip: has(ecx, 2), global_pages: has(basic.edx, 13) }
    }

    /// Turns them on, with what every x86-64 processor has: write protection in ring 0, SSE for ring 3, SYSCALL.
    pub(crate) fn enable(self) {
        let mut cr4 = Cr4::read() | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
        cr4.remove(Cr4Flags::TIMESTAMP_DISABLE | Cr4Flags::FSGSBASE);
        cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, self.smep);
        cr4.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, self.smap);
        cr4.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, self.umip);
        cr4.set(Cr4Flags::PAGE_GLOBAL, self.global_pages);
        let mut cr0 =
            Cr0::read() | Cr0Flags::WRITE_PROTECT | Cr0Flags::MONITOR_COPROCESSOR | Cr0Flags::NUMERIC_ERROR;
        cr0.remove(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED);
        let efer = Efer::read() | EferFlags::SYSTEM_CALL_EXTENSIONS | EferFlags::NO_EXECUTE_ENABLE;
        // SAFETY: the kernel runs at addresses of ring 0 only, and touches no user page by its user address, so that none of
        // the protections is against itself.
        unsafe {
            Cr0::write(cr0);
            Cr4::write(cr4);
            Efer::write(efer);
        }
        HAS_SMAP.store(self.smap, Ordering::Relaxed);
    }
}

/// Whether this machine has SMAP; asked at every interrupt, and `cpuid` is slow under a hypervisor.
static HAS_SMAP: AtomicBool = AtomicBool::new(false);

/// Makes SMAP work again, where whoever was interrupted had suspended it.
pub(crate) fn resume_smap() {
    if HAS_SMAP.load(Ordering::Relaxed) {
        // SAFETY: the processor has the instruction, which changes one flag that this kernel never sets.
        unsafe { asm!("clac", options(nomem, nostack)) };
    }
}

impl ::core::fmt::Display for Features {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        let names =
            [("SMEP", self.smep), ("SMAP", self.smap), ("UMIP", self.umip), ("PGE", self.global_pages)];
        for (name, is_there) in names {
            write!(formatter, "{}{name} ", if is_there { "+" } else { "-" })?;
        }
        Ok(())
    }
}
