//! Events of this domain: a handler that counts them, and goes back to what was interrupted without a call.
//!
//! # Invariant
//! As in [`fault`](crate::fault), whose place this handler takes: the kernel enters at `event_entry` on [`Stack`] and not again before
//! the record says that the last event is over; from there on until the last jump the addresses are quiet ones.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use feuerbird_abi::{EVENT_VECTOR, Events, GATE_ADDRESS, GATE_EVENTS, GATE_FAULT, MachineCall, event};

use crate::gate::{self, Result};

const STACK_BYTES: usize = 16 << 10;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

// SAFETY: Rust never looks into it; the domain has one thread.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; STACK_BYTES]));

/// How often each event has come, by its bit.
static COUNTS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

/// What the handler does when it is told that the slice ends: it [gives the core up](Overtime::Yields), or something else.
static OVERTIME: AtomicU64 = AtomicU64::new(Overtime::Yields as u64);

/// A notification for [`Overtime::Signals`].
static BELL: AtomicU64 = AtomicU64::new(0);

/// How long [`Overtime::Overstays`]: longer than the kernel waits.
const OVERSTAY_NS: u64 = 1_000_000;

/// What a domain does that is told that its slice ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Overtime {
    /// It gives up its core.
    Yields = 0,
    /// It stays for ever, and makes no call.
    Stays = 1,
    /// It stays for ever, and signals where nobody waits: calls that change nothing about who runs.
    Signals = 2,
    /// It stays for too long, and then gives up its core.
    Overstays = 3,
}

global_asm!(
    r#"
    .global event_entry
event_entry:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov rbx, {record}
    mov rdi, [rbx + 8]
    mov rsi, [rbx + 16]
    call event_handler
    mov rax, [rbx + 32]
    mov event_return[rip], rax
    mov rax, [rbx + 48]
    mov event_return[rip + 8], rax
    push [rbx + 40]
event_quiet_start:
    mov qword ptr [rbx], 0
    popfq
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    mov rsp, event_return[rip + 8]
    jmp event_return[rip]
    // Waits until the time in rdi, with the events in rsi let through from here on; rdx is where that is written. One that comes
    // between the store and the call waits for the call, which then does not block.
    .global event_wait
event_wait:
    push r12
    push r13
    mov eax, {wait}
    xor r12d, r12d
    xor r13d, r13d
    mov [rdx], rsi
    syscall
event_quiet_end:
    pop r13
    pop r12
    ret

    .global event_quiet_start
    .global event_quiet_end
    .section .bss.event_return, "aw", @nobits
    .align 8
event_return:
    .skip 16
    .text
"#,
    record = const GATE_ADDRESS + GATE_FAULT as u64,
    wait = const MachineCall::Wait as u32,
);

unsafe extern "sysv64" {
    static event_entry: u8;
    static event_quiet_start: u8;
    static event_quiet_end: u8;
    fn event_wait(deadline_ns: u64, events: u64, enabled: *const AtomicU64);
}

#[unsafe(no_mangle)]
extern "sysv64" fn event_handler(vector: u64, events: u64) {
    assert!(vector == EVENT_VECTOR, "exception {vector} where only events are expected");
    for (bit, count) in COUNTS.iter().enumerate() {
        count.fetch_add(events >> bit & 1, Ordering::Relaxed);
    }
    if events & event::SLICE_ENDS != 0 {
        let overtime = OVERTIME.load(Ordering::Relaxed);
        let start = gate::now_ns();
        loop {
            if overtime == Overtime::Yields as u64
                || overtime == Overtime::Overstays as u64 && gate::now_ns() - start > OVERSTAY_NS
            {
                gate::raw(MachineCall::Yield as u64, [0; 6], 0, 0);
                return;
            }
            if overtime == Overtime::Signals as u64 {
                gate::raw(MachineCall::Notify as u64, [BELL.load(Ordering::Relaxed), 1, 0, 0, 0, 0], 0, 0);
            }
        }
    }
}

/// Takes this domain's events from now on, as soon as they are [enabled](enable).
pub(crate) fn start() -> Result<()> {
    let top = STACK.0.get().addr() + STACK_BYTES;
    let address = |label: *const u8| label.addr() as u64;
    set_quiet(address(&raw const event_quiet_start)..address(&raw const event_quiet_end));
    let entry = address(&raw const event_entry);
    gate::machine(MachineCall::HandleFaults, &[entry, top as u64]).map(|_| ())
}

/// Takes no events any more.
pub(crate) fn stop() -> Result<()> {
    enable(0);
    set_alarm(0);
    gate::machine(MachineCall::HandleFaults, &[]).map(|_| ())
}

/// Lets these come, and holds the others back.
pub(crate) fn enable(events: u64) {
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
    word(offset_of!(Events, enabled)).store(events, Ordering::Relaxed);
}

/// Holds all back; returns what came until now, to be [enabled](enable) again.
pub(crate) fn hold() -> u64 {
    // Two steps: an event that comes between them leaves the word as it was.
    let enabled = word(offset_of!(Events, enabled));
    let before = enabled.load(Ordering::Relaxed);
    enabled.store(0, Ordering::Relaxed);
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
    before
}

/// Sleeps until one of these has come, or the time has; they are let through from then on.
pub(crate) fn wait(events: u64, deadline_ns: u64) {
    // SAFETY: the call changes nothing but registers that the calling convention gives away, and the page of the gate.
    unsafe { event_wait(deadline_ns, events, word(offset_of!(Events, enabled))) }
}

/// Wants [`event::TIMER`] at a time.
pub(crate) fn set_alarm(time_ns: u64) {
    word(offset_of!(Events, alarm_ns)).store(time_ns, Ordering::Relaxed);
}

/// What has come and waits.
pub(crate) fn pending() -> u64 {
    word(offset_of!(Events, pending)).load(Ordering::Relaxed)
}

/// Makes all addresses below this quiet ones; the handler's way back is one.
pub(crate) fn be_quiet_below(end: u64) {
    set_quiet(0..end);
}

/// Makes these addresses the quiet ones.
pub(crate) fn set_quiet(addresses: Range<u64>) {
    word(offset_of!(Events, quiet_start)).store(addresses.start, Ordering::Relaxed);
    word(offset_of!(Events, quiet_end)).store(addresses.end, Ordering::Relaxed);
}

/// Does this when the slice ends, with this notification where one is needed.
pub(crate) fn set_overtime(overtime: Overtime, bell: u64) {
    BELL.store(bell, Ordering::Relaxed);
    OVERTIME.store(overtime as u64, Ordering::Relaxed);
}

/// How often an event has come.
pub(crate) fn count(event: u64) -> u64 {
    COUNTS[event.trailing_zeros() as usize % COUNTS.len()].load(Ordering::Relaxed)
}

fn word(offset: usize) -> &'static AtomicU64 {
    let pointer =
        core::ptr::with_exposed_provenance::<AtomicU64>(GATE_ADDRESS as usize + GATE_EVENTS + offset);
    // SAFETY: an aligned word of the gate page, which is mapped as long as the domain lives; the kernel is the only other who uses it.
    unsafe { &*pointer }
}
