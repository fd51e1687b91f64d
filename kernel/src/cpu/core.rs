//! What a core knows of itself, found through its GS base.

use ::core::arch::asm;
use ::core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use alloc::boxed::Box;

use x86_64::VirtAddr;
use x86_64::registers::model_specific::{GsBase, KernelGsBase};

use crate::cpu::state::Registers;
use crate::domain::current::Current;

/// The most cores that are started.
pub(crate) const MAX_CORES: usize = 32;

/// One core's own; nobody else sees it. `entry` and `short` use it.
#[derive(Debug)]
#[repr(C)]
struct Own {
    /// Where the entry code keeps the domain's stack pointer for a moment.
    user_stack: u64,
    /// The upper end of the core's stack.
    kernel_stack: u64,
    number: u64,
    /// Where the core's `Current` is, once there are domains.
    current: u64,
}

/// What others may know of a core.
#[derive(Debug)]
struct Shared {
    apic_id: AtomicU32,
    is_up: AtomicBool,
}

static SHARED: [Shared; MAX_CORES] =
    [const { Shared { apic_id: AtomicU32::new(0), is_up: AtomicBool::new(false) } }; MAX_CORES];

/// Makes this processor the core of that number, with that stack.
pub(crate) fn become_core(number: usize, kernel_stack: u64) {
    let own = Box::leak(Box::new(Own { user_stack: 0, kernel_stack, number: number as u64, current: 0 }));
    GsBase::write(VirtAddr::from_ptr(own));
    KernelGsBase::write(VirtAddr::zero());
}

/// Says that this core takes part from now on.
pub(crate) fn announce(number: usize, apic_id: u32) {
    SHARED[number].apic_id.store(apic_id, Ordering::Relaxed);
    SHARED[number].is_up.store(true, Ordering::Release);
}

/// Whether a core takes part.
pub(crate) fn is_up(number: usize) -> bool {
    SHARED.get(number).is_some_and(|core| core.is_up.load(Ordering::Acquire))
}

/// How many cores take part.
pub(crate) fn count() -> usize {
    (0..MAX_CORES).filter(|number| is_up(*number)).count()
}

/// The APIC id of a core that takes part.
pub(crate) fn apic_id(number: usize) -> u32 {
    SHARED[number].apic_id.load(Ordering::Relaxed)
}

/// The number of the core that asks.
pub(crate) fn number() -> usize {
    word::<16>() as usize
}

/// Where the entry code of this core lays the registers of ring 3.
pub(crate) fn registers() -> *mut Registers {
    let place = word::<8>() as usize - size_of::<Registers>();
    ::core::ptr::with_exposed_provenance_mut(place)
}

/// Says where this core finds who runs on it, before it runs anybody.
pub(crate) fn set_current(place: *mut Current) {
    // SAFETY: as in `word`; only the short ways read it.
    unsafe { asm!("mov gs:[24], {}", in(reg) place.expose_provenance(), options(nostack, preserves_flags)) };
}

/// The upper end of this core's stack.
pub(crate) fn stack() -> u64 {
    word::<8>()
}

fn word<const OFFSET: usize>() -> u64 {
    let value;
    // SAFETY: in ring 0 the GS base is this core's `Own` (invariant 3 of `entry`), which stays for ever.
    unsafe {
        asm!("mov {}, gs:[{offset}]", out(reg) value, offset = const OFFSET,
            options(nostack, preserves_flags, readonly))
    };
    value
}
