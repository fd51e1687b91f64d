//! Making other cores forget what was mapped, before the caller goes on.
//!
//! # Why it ends
//! A core that is asked is in ring 3 or halts, where the interrupt comes at once; or it waits for the kernel's lock, where it looks
//! ([`serve`]) at each turn; or it is about to leave ring 0, where the interrupt comes right after. Nobody else holds a lock for
//! long with interrupts off, and who asks holds the kernel's lock, so that no two ask at once.

use ::core::sync::atomic::{AtomicBool, Ordering};

use x86_64::instructions::tlb;

use crate::cpu::{apic, core};

/// For each core whether it is asked. The asking core sets it after the tables have changed; the asked one clears it after it has
/// forgotten (release; `ask` acquires).
static ASKED: [AtomicBool; core::MAX_CORES] = [const { AtomicBool::new(false) }; core::MAX_CORES];

/// Makes a core forget what it knew of the page tables that it uses.
pub(crate) fn ask(number: usize) {
    if number == core::number() {
        return tlb::flush_all();
    }
    ASKED[number].store(true, Ordering::SeqCst);
    apic::wake(core::apic_id(number));
    while ASKED[number].load(Ordering::Acquire) {
        ::core::hint::spin_loop();
    }
}

/// Does what this core is asked to.
pub(crate) fn serve() {
    let asked = &ASKED[core::number()];
    if asked.load(Ordering::Relaxed) {
        tlb::flush_all();
        asked.store(false, Ordering::Release);
    }
}
