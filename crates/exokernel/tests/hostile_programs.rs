//! Random programs of several hostile domains: nothing panics or hangs, nobody reaches what is not theirs, and the
//! audit log says exactly who holds what.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod oracle;
mod random;

use feuerbird_abi::Call;
use oracle::Oracle;

/// Calls of one run. All seeds together are well over 100,000.
const STEPS: u32 = 20_000;

fn run(seed: u64, steps_per_call: u32) -> ([u32; Call::ALL.len()], [u32; 7]) {
    let mut oracle = Oracle::new(seed, steps_per_call);
    for step in 0..STEPS {
        oracle.step();
        if step % 8 == 0 {
            oracle.check();
        }
    }
    oracle.finish()
}

/// A program in which little happens proves little.
fn run_all(seeds: core::ops::RangeInclusive<u64>, steps_per_call: u32) {
    let (mut calls, mut upcalls) = ([0; Call::ALL.len()], [0; 7]);
    for seed in seeds {
        let (accepted, made) = run(seed, steps_per_call);
        calls.iter_mut().zip(accepted).for_each(|(sum, count)| *sum += count);
        upcalls.iter_mut().zip(made).for_each(|(sum, count)| *sum += count);
    }
    assert!(calls.iter().all(|&count| count >= 20), "accepted: {calls:?}");
    assert!(upcalls.iter().all(|&count| count >= 40), "upcalls: {upcalls:?}");
}

#[test]
fn with_much_work_done_at_once() {
    run_all(1..=4, 512);
}

#[test]
fn with_work_left_over_from_call_to_call() {
    run_all(5..=8, 1);
}
