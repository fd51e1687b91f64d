//! The local APIC, through its registers in memory: timer, interrupts between cores. The x2APIC is not used.

use ::core::sync::atomic::{AtomicU32, Ordering};

use crate::cpu::clock;
use crate::memory::layout::DEVICES_BASE;
use crate::memory::paging::KernelSpace;

/// The timer's vector.
pub(crate) const TIMER: u64 = 32;
/// The vector that only wakes, or makes a core look at what it runs.
pub(crate) const WAKE: u64 = 33;
/// The vectors of devices, from here on.
pub(crate) const DEVICES: u64 = 34;
/// What the APIC sends when it has changed its mind; not to be acknowledged.
pub(crate) const SPURIOUS: u64 = 47;

const ID: usize = 0x20;
const END_OF_INTERRUPT: usize = 0xb0;
const SPURIOUS_VECTOR: usize = 0xf0;
const COMMAND_LOW: usize = 0x300;
const COMMAND_HIGH: usize = 0x310;
const TIMER_VECTOR: usize = 0x320;
const TIMER_START: usize = 0x380;
const TIMER_NOW: usize = 0x390;
const TIMER_DIVIDER: usize = 0x3e0;

const PERIODIC: u32 = 1 << 17;
const BUSY: u32 = 1 << 12;
const INIT: u32 = 0x4500;
const STARTUP: u32 = 0x4600;

/// Maps the registers; the same address is each core's own APIC.
pub(crate) fn map(kernel: &KernelSpace, physical: u64) {
    kernel.map_device(DEVICES_BASE, physical);
}

/// Turns this core's APIC on.
pub(crate) fn enable() {
    write(SPURIOUS_VECTOR, 0x100 | SPURIOUS as u32);
    write(TIMER_DIVIDER, 0b1011);
}

/// This core's id.
pub(crate) fn id() -> u32 {
    read(ID) >> 24
}

/// Says that an interrupt was taken.
pub(crate) fn acknowledge() {
    write(END_OF_INTERRUPT, 0);
}

/// How many timer ticks there are in so many nanoseconds, measured.
pub(crate) fn measure_timer(nanoseconds: u64) -> u32 {
    let start = clock::now_ns();
    write(TIMER_START, u32::MAX);
    clock::wait(nanoseconds);
    let ticks = u64::from(u32::MAX - read(TIMER_NOW));
    // An emulator may have been away meanwhile.
    let elapsed = (clock::now_ns() - start).max(1);
    write(TIMER_START, 0);
    u32::try_from(ticks * nanoseconds / elapsed).unwrap_or(u32::MAX).max(1)
}

/// How long a slice is, in ticks of the timer.
static SLICE_TICKS: AtomicU32 = AtomicU32::new(0);

/// Makes the timer interrupt this core every so many ticks, which are a slice.
pub(crate) fn start_timer(ticks: u32) {
    SLICE_TICKS.store(ticks, Ordering::Relaxed);
    write(TIMER_VECTOR, PERIODIC | TIMER as u32);
    write(TIMER_START, ticks);
}

/// Begins a slice, or a part of one: the next interrupt comes after that.
pub(crate) fn restart_timer(parts: u32) {
    write(TIMER_START, (SLICE_TICKS.load(Ordering::Relaxed) / parts.max(1)).max(1));
}

/// Wakes another core.
pub(crate) fn wake(apic_id: u32) {
    send(apic_id, 0x4000 | WAKE as u32);
}

/// Resets another core: Intel SDM volume 3, section 9.4.4.
pub(crate) fn send_init(apic_id: u32) {
    send(apic_id, INIT);
}

/// Starts a core that was reset, in real mode at that page.
pub(crate) fn send_startup(apic_id: u32, page: u8) {
    send(apic_id, STARTUP | u32::from(page));
}

fn send(apic_id: u32, command: u32) {
    while read(COMMAND_LOW) & BUSY != 0 {
        ::core::hint::spin_loop();
    }
    write(COMMAND_HIGH, apic_id << 24);
    write(COMMAND_LOW, command);
}

fn register(offset: usize) -> *mut u32 {
    ::core::ptr::with_exposed_provenance_mut(DEVICES_BASE as usize + offset)
}

fn read(offset: usize) -> u32 {
    // SAFETY: `map` has mapped the page of registers, and the offsets are those of registers of 32 bits.
    unsafe { register(offset).read_volatile() }
}

fn write(offset: usize, value: u32) {
    // SAFETY: as in `read`; what is written is meant for that register.
    unsafe { register(offset).write_volatile(value) }
}
