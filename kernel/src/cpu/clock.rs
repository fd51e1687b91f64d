//! The monotonic clock: the time stamp counter, measured once against the PC's interval timer.

use ::core::arch::x86_64::_rdtsc;
use ::core::sync::atomic::{AtomicU64, Ordering};

use x86_64::instructions::port::Port;

/// What the interval timer counts with, in Hz.
const TIMER_HZ: u64 = 1_193_182;

/// For how long it is watched, in its ticks: about 10 ms.
const TICKS: u16 = 11_932;

/// Counts a nanosecond has, with 32 bits behind the point.
static COUNTS_PER_NS: AtomicU64 = AtomicU64::new(1 << 32);

/// The counter when the kernel began.
static START: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds since [`measure`].
pub(crate) fn now_ns() -> u64 {
    let counts = counter().saturating_sub(START.load(Ordering::Relaxed));
    let rate = COUNTS_PER_NS.load(Ordering::Relaxed);
    ((u128::from(counts) << 32) / u128::from(rate)) as u64
}

/// Waits for at least so many nanoseconds.
pub(crate) fn wait(nanoseconds: u64) {
    let end = now_ns() + nanoseconds;
    while now_ns() < end {
        ::core::hint::spin_loop();
    }
}

/// Watches the interval timer's channel 2, which nobody uses; returns the counter's frequency in Hz.
pub(crate) fn measure() -> u64 {
    let mut gate = Port::<u8>::new(0x61);
    let mut mode = Port::<u8>::new(0x43);
    let mut channel = Port::<u8>::new(0x42);
    let start;
    // SAFETY: these ports are the interval timer's and its gate's; only this function uses them, once.
    unsafe {
        let before = gate.read();
        gate.write(before & !2 | 1);
        mode.write(0b1011_0000);
        let [low, high] = TICKS.to_le_bytes();
        channel.write(low);
        channel.write(high);
        start = counter();
        while gate.read() & 0x20 == 0 {
            ::core::hint::spin_loop();
        }
    }
    let counts = counter() - start;
    let nanoseconds = u64::from(TICKS) * 1_000_000_000 / TIMER_HZ;
    COUNTS_PER_NS
        .store(((u128::from(counts) << 32) / u128::from(nanoseconds)).max(1) as u64, Ordering::Relaxed);
    START.store(start, Ordering::Relaxed);
    counts * 1_000_000_000 / nanoseconds
}

fn counter() -> u64 {
    // SAFETY: every x86-64 processor has it, and ring 0 may always read it.
    unsafe { _rdtsc() }
}
