//! The monotonic clock: the time stamp counter, measured once against the PC's interval timer.

use ::core::arch::x86_64::_rdtsc;
use ::core::sync::atomic::{AtomicU64, Ordering};

use x86_64::instructions::port::Port;

/// What the interval timer counts with, in Hz.
const TIMER_HZ: u64 = 1_193_182;

/// For how long it is watched, in its ticks: about 10 ms.
const TICKS: u16 = 11_932;

/// Nanoseconds a count has, with 32 bits behind the point: a multiplication is an instruction, a division a function.
static NS_PER_COUNT: AtomicU64 = AtomicU64::new(1 << 32);

/// The counter when the kernel began.
static START: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds since [`measure`].
pub(crate) fn now_ns() -> u64 {
    let counts = counter().saturating_sub(START.load(Ordering::Relaxed));
    let rate = NS_PER_COUNT.load(Ordering::Relaxed);
    ((u128::from(counts) * u128::from(rate)) >> 32) as u64
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
    NS_PER_COUNT.store((nanoseconds << 32) / counts.max(1), Ordering::Relaxed);
    START.store(start, Ordering::Relaxed);
    counts * 1_000_000_000 / nanoseconds
}

fn counter() -> u64 {
    // SAFETY: every x86-64 processor has it, and ring 0 may always read it.
    unsafe { _rdtsc() }
}
