//! Threads: each keeps what it has in registers, gets its turn, and is waited for.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{Checked, ensure, ensure_refused, leaves_nothing};
use crate::gate;
use crate::os::threads::{self, Ended, THREADS};
use crate::os::{self, Policies};
use feuerbird_abi::Status;

const WORKERS: u64 = 8;

/// Threads that compute in all registers, and are preempted as it comes, get what one alone would get.
pub(super) fn registers() -> Checked {
    os::start(Policies::ordinary())?;
    leaves_nothing(|| {
        let before = threads::counts();
        let mut working = [const { None }; WORKERS as usize];
        for (seed, thread) in (1..).zip(&mut working) {
            *thread = Some(threads::spawn(compute, seed, 0..0)?);
        }
        for (seed, thread) in (1..).zip(working) {
            let (ended, _) = thread.map_or((Ended::StackOverflow, 0), threads::Joinable::join);
            ensure(ended == Ended::With(harmonic(seed, STEPS) << 1 | 1))?;
        }
        ensure(threads::counts().preempted >= before.preempted + PREEMPTIONS)
    })
}

/// The same with short computations between which each gives way, for a while or until news have ended many turns.
pub(super) fn registers_in_storm() -> Checked {
    os::start(Policies::ordinary())?;
    let mut working = [const { None }; WORKERS as usize];
    for (seed, thread) in (1..).zip(&mut working) {
        *thread = Some(threads::spawn(hurry, seed, 0..0)?);
    }
    for thread in working.into_iter().flatten() {
        ensure(thread.join().0 == Ended::With(1))?;
    }
    ensure(threads::counts().preempted >= WORKERS)
}

fn hurry(seed: u64) -> u64 {
    const NEWS: u64 = 1500;
    let (start, expected) = (gate::counter(), harmonic(seed, 30));
    let mut are_right = true;
    while threads::counts().preempted < NEWS && gate::counter() - start < PATIENCE / 6 {
        are_right &= harmonic(seed, 30) == expected && patterns_stay(seed);
        (0..20).for_each(|_| threads::yield_now());
    }
    u64::from(are_right)
}

/// How many additions make one result: long enough to be preempted in it.
const STEPS: u64 = 50_000;

/// Preemptions that the threads go on for together, and many times the processor's ticks that this takes.
const PREEMPTIONS: u64 = 10 * WORKERS;
const PATIENCE: u64 = 60_000_000_000;

/// Until it has been preempted a few times: the sum in doubles, and whether all that was compared with something stayed what it was.
fn compute(seed: u64) -> u64 {
    let (start, before) = (gate::counter(), threads::counts().preempted);
    let (mut are_right, expected) = (true, harmonic(seed, STEPS));
    while threads::counts().preempted - before < PREEMPTIONS && gate::counter() - start < PATIENCE {
        are_right &= harmonic(seed, STEPS) == expected && patterns_stay(seed);
        threads::yield_now();
    }
    expected << 1 | u64::from(are_right)
}

/// The bits of a sum of fractions, in an SSE register and again in the x87's, if both are the same; otherwise 0.
fn harmonic(seed: u64, steps: u64) -> u64 {
    let (sse, x87): (u64, u64);
    let mut place = 0u64;
    // SAFETY: registers that nothing else in this program uses, and one word.
    unsafe {
        asm!("cvtsi2sd xmm1, {seed}", "xorpd xmm2, xmm2", "mov {one}, 1", "cvtsi2sd xmm3, {one}",
            "2:", "movapd xmm4, xmm3", "divsd xmm4, xmm1", "addsd xmm2, xmm4", "addsd xmm1, xmm3", "dec {steps}", "jnz 2b",
            "movq {sum}, xmm2",
            seed = in(reg) seed, one = out(reg) _, steps = inout(reg) steps => _, sum = out(reg) sse);
        asm!("fninit", "push 0x27f", "fldcw [rsp]", "fldz", "mov qword ptr [{place}], {seed}", "fild qword ptr [{place}]",
            "2:", "fld1", "fdiv st(0), st(1)", "faddp st(2), st(0)", "fld1", "faddp st(1), st(0)", "dec {steps}", "jnz 2b",
            "fstp st(0)", "fstp qword ptr [{place}]", "fninit", "add rsp, 8",
            place = in(reg) &raw mut place, seed = in(reg) seed, steps = inout(reg) steps => _);
        x87 = (&raw const place).read_volatile();
    }
    if sse == x87 { sse } else { 0 }
}

/// Whether all sixteen vector registers and all general ones but the stack's keep what was put there, for some thousand instructions.
fn patterns_stay(seed: u64) -> bool {
    let changed: u64;
    // SAFETY: all that is changed is named or, as for vector registers, used by nobody else; `rbx` and `rbp` are put back.
    unsafe {
        asm!("push rbx", "push rbp",
            "mov rax, rdi", "mov rcx, rdi", "mov rdx, rdi", "mov rsi, rdi", "mov rbx, rdi", "mov rbp, rdi",
            "mov r8, rdi", "mov r9, rdi", "mov r10, rdi", "mov r11, rdi", "mov r12, rdi", "mov r13, rdi", "mov r14, rdi",
            "movq xmm0, rdi", "movq xmm1, rdi", "movq xmm2, rdi", "movq xmm3, rdi", "movq xmm4, rdi", "movq xmm5, rdi",
            "movq xmm6, rdi", "movq xmm7, rdi", "movq xmm8, rdi", "movq xmm9, rdi", "movq xmm10, rdi", "movq xmm11, rdi",
            "movq xmm12, rdi", "movq xmm13, rdi", "movq xmm14, rdi", "movq xmm15, rdi", "stc",
            "mov r15d, 50000", "2:", "dec r15", "jnz 2b",
            // The carry that DEC leaves alone, first.
            "sbb r15, -1",
            "xor rax, rdi", "or r15, rax", "xor rcx, rdi", "or r15, rcx", "xor rdx, rdi", "or r15, rdx",
            "xor rsi, rdi", "or r15, rsi", "xor rbx, rdi", "or r15, rbx", "xor rbp, rdi", "or r15, rbp",
            "xor r8, rdi", "or r15, r8", "xor r9, rdi", "or r15, r9", "xor r10, rdi", "or r15, r10",
            "xor r11, rdi", "or r15, r11", "xor r12, rdi", "or r15, r12", "xor r13, rdi", "or r15, r13",
            "xor r14, rdi", "or r15, r14",
            "pxor xmm1, xmm0", "pxor xmm2, xmm0", "pxor xmm3, xmm0", "pxor xmm4, xmm0", "pxor xmm5, xmm0",
            "pxor xmm6, xmm0", "pxor xmm7, xmm0", "pxor xmm8, xmm0", "pxor xmm9, xmm0", "pxor xmm10, xmm0",
            "pxor xmm11, xmm0", "pxor xmm12, xmm0", "pxor xmm13, xmm0", "pxor xmm14, xmm0", "pxor xmm15, xmm0",
            "por xmm1, xmm2", "por xmm1, xmm3", "por xmm1, xmm4", "por xmm1, xmm5", "por xmm1, xmm6", "por xmm1, xmm7",
            "por xmm1, xmm8", "por xmm1, xmm9", "por xmm1, xmm10", "por xmm1, xmm11", "por xmm1, xmm12", "por xmm1, xmm13",
            "por xmm1, xmm14", "por xmm1, xmm15", "movq rax, xmm1", "or r15, rax", "movq rax, xmm0", "xor rax, rdi",
            "or r15, rax", "pop rbp", "pop rbx",
            in("rdi") seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), out("rax") _, out("rcx") _, out("rdx") _, out("rsi") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") changed);
    }
    changed == 0
}

static PROGRESS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
static IS_OVER: AtomicU64 = AtomicU64::new(0);

/// Threads that never yield get the same number of turns, and come about as far.
pub(super) fn fairness() -> Checked {
    os::start(Policies::ordinary())?;
    let mut spinning = [const { None }; PROGRESS.len()];
    for (number, thread) in (0..).zip(&mut spinning) {
        *thread = Some(threads::spawn(spin, number, 0..0)?);
    }
    // It looks once in each of its own turns.
    let watch = threads::spawn(
        |turns| {
            (0..turns).for_each(|_| threads::yield_now());
            IS_OVER.store(1, Ordering::Relaxed);
            0
        },
        40,
        0..0,
    )?;
    ensure(watch.join().0 == Ended::With(0))?;
    let mut least_turns = u64::MAX;
    let mut most_turns = 0;
    for thread in spinning.into_iter().flatten() {
        let (ended, turns) = thread.join();
        ensure(ended == Ended::With(0))?;
        (least_turns, most_turns) = (least_turns.min(turns), most_turns.max(turns));
    }
    let came = PROGRESS.each_ref().map(|progress| progress.load(Ordering::Relaxed));
    let (least, most) = came.iter().fold((u64::MAX, 0), |(least, most), it| (least.min(*it), most.max(*it)));
    ensure(least_turns >= 38 && most_turns <= least_turns + 1)?;
    ensure(least > 0 && most < 4 * least)
}

fn spin(number: u64) -> u64 {
    while IS_OVER.load(Ordering::Relaxed) == 0 {
        PROGRESS[number as usize].fetch_add(1, Ordering::Relaxed);
    }
    0
}

/// Who joins gets what the thread's function returned, whenever it ended; and threads can join others.
pub(super) fn joins() -> Checked {
    os::start(Policies::for_scans())?;
    leaves_nothing(|| {
        let mut all = [const { None }; THREADS - 1];
        for (number, thread) in (0..).zip(&mut all) {
            *thread = Some(threads::spawn(|number| number * number, number, 0..0)?);
        }
        ensure_refused(threads::spawn(|_| 0, 0, 0..0), Status::ObjectsFull)?;
        // Some have ended before they are joined.
        threads::yield_now();
        for (number, thread) in (0u64..).zip(all.into_iter().flatten()) {
            ensure(thread.join().0 == Ended::With(number * number))?;
        }
        let nested = threads::spawn(
            |depth| match threads::spawn(|depth| depth + 1, depth, 0..0) {
                Ok(below) => u64::from(below.join().0 == Ended::With(depth + 1)),
                Err(_) => 0,
            },
            5,
            0..0,
        )?;
        ensure(nested.join().0 == Ended::With(1))?;
        let before = threads::counts();
        threads::yield_now();
        ensure(threads::counts() == before)
    })
}

/// A thread that goes beyond its stack ends, and nothing else does.
pub(super) fn overflow() -> Checked {
    os::start(Policies::ordinary())?;
    leaves_nothing(|| {
        let deep = threads::spawn(deeper, u64::MAX, 0..0)?;
        let shallow = threads::spawn(deeper, 10, 0..0)?;
        ensure(deep.join().0 == Ended::StackOverflow)?;
        ensure(shallow.join().0 == Ended::With(10))
    })
}

fn deeper(depth: u64) -> u64 {
    core::hint::black_box(if depth == 0 { 0 } else { deeper(depth - 1) + 1 })
}
