//! The vector registers: this program is built without them, so what is put there stays there, unless the kernel loses it.

use core::arch::asm;

use crate::gate;

/// How often they are looked at.
const ROUNDS: u32 = 4000;

/// Keeps a pattern in all 16 registers and ends, or waits for ever where one has changed.
pub(crate) fn keep_patterns(seed: u64) {
    let pattern = pattern(seed);
    load(&pattern);
    for round in 0..ROUNDS {
        match round % 8 {
            0 => gate::give_way(),
            1 => _ = gate::now_ns(),
            // Long enough for the timer to come by, now and then.
            _ => (0..2000).for_each(|count| _ = core::hint::black_box(count)),
        }
        if store() != pattern {
            loop {
                let _ = gate::wait(u64::MAX);
            }
        }
    }
}

/// What all registers together hold.
pub(super) fn pattern(seed: u64) -> [u64; 32] {
    core::array::from_fn(|word| (seed << 32 | word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

pub(super) fn load(pattern: &[u64; 32]) {
    // SAFETY: reads 256 bytes of the pattern into registers that nothing else in this program uses.
    unsafe {
        asm!("movups xmm0, [{0}]", "movups xmm1, [{0} + 16]", "movups xmm2, [{0} + 32]", "movups xmm3, [{0} + 48]",
            "movups xmm4, [{0} + 64]", "movups xmm5, [{0} + 80]", "movups xmm6, [{0} + 96]", "movups xmm7, [{0} + 112]",
            "movups xmm8, [{0} + 128]", "movups xmm9, [{0} + 144]", "movups xmm10, [{0} + 160]",
            "movups xmm11, [{0} + 176]", "movups xmm12, [{0} + 192]", "movups xmm13, [{0} + 208]",
            "movups xmm14, [{0} + 224]", "movups xmm15, [{0} + 240]", in(reg) pattern.as_ptr());
    }
}

pub(super) fn store() -> [u64; 32] {
    let mut found = [0; 32];
    // SAFETY: writes 256 bytes to `found`.
    unsafe {
        asm!("movups [{0}], xmm0", "movups [{0} + 16], xmm1", "movups [{0} + 32], xmm2", "movups [{0} + 48], xmm3",
            "movups [{0} + 64], xmm4", "movups [{0} + 80], xmm5", "movups [{0} + 96], xmm6", "movups [{0} + 112], xmm7",
            "movups [{0} + 128], xmm8", "movups [{0} + 144], xmm9", "movups [{0} + 160], xmm10",
            "movups [{0} + 176], xmm11", "movups [{0} + 192], xmm12", "movups [{0} + 208], xmm13",
            "movups [{0} + 224], xmm14", "movups [{0} + 240], xmm15", in(reg) found.as_mut_ptr());
    }
    found
}
