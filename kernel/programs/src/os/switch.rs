//! From one thread to another, and from what disturbs one to the handler and back: all registers, in a few instructions, without a call.
//!
//! # Invariants
//! 1. `os_current` points to the [`Context`] of the thread that runs. The contexts of all others have everything that those go on with.
//! 2. The kernel enters at `os_entry` on [`HandlerStack`], which nothing else uses, and not again before the record in the gate page
//!    says that the exception is over. From then on until the last jump the addresses are quiet ones, so that no event comes either; no
//!    exception does, because only statics are touched.
//! 3. Who switches by itself has held back all events before, so that `os_return` is used by one at a time. What the next thread had
//!    let come is let come again with the other things it gets back.
//!
//! The kernel keeps x87 and SSE registers for each domain and not for its threads: they are here, as `FXSAVE` lays them out, which is
//! all that the kernel lets ring 3 use.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;

use feuerbird_abi::{Events, Fault, GATE_ADDRESS, GATE_EVENTS, GATE_FAULT, MachineCall};

use crate::events;
use crate::gate::{self, Result};
use crate::os::threads::{Stack, THREADS, ThreadId};

const STACK_BYTES: usize = 16 << 10;

/// A thread that does not run.
#[derive(Debug)]
#[repr(C, align(16))]
struct Context {
    float: [u8; 512],
    registers: [u64; 15],
    rip: u64,
    rflags: u64,
    rsp: u64,
    /// The events that may come while it runs.
    enabled: u64,
}

/// What a thread begins with: only the bit of the flags that is always 1, all floating point exceptions masked, and the events that end its
/// turn.
const FRESH: Context = {
    let mut float = [0; 512];
    (float[0], float[1]) = (0x7f, 0x03);
    (float[24], float[25]) = (0x80, 0x1f);
    Context { float, registers: [0; 15], rip: 0, rflags: 0x202, rsp: 0, enabled: super::ENDS_TURN }
};

#[repr(C, align(16))]
struct HandlerStack(UnsafeCell<[u8; STACK_BYTES]>);

// SAFETY: Rust never looks into it; by invariant 2 one handler is on it at a time.
unsafe impl Sync for HandlerStack {}

static HANDLER_STACK: HandlerStack = HandlerStack(UnsafeCell::new([0; STACK_BYTES]));

struct Contexts([UnsafeCell<Context>; THREADS]);

// SAFETY: a domain runs on one core at a time, and by the invariants a context is changed by whoever leaves that thread, or by `prepare`
// while it does not run.
unsafe impl Sync for Contexts {}

static CONTEXTS: Contexts = Contexts([const { UnsafeCell::new(FRESH) }; THREADS]);

/// What happened to the thread that ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upcall {
    /// The processor's number, or [`EVENT_VECTOR`](feuerbird_abi::EVENT_VECTOR).
    pub(crate) vector: u64,
    /// The error code, or the events.
    pub(crate) error: u64,
    pub(crate) address: u64,
    pub(crate) rip: u64,
}

global_asm!(
    r#"
    .global os_entry
os_entry:
    push rax
    mov rax, os_current[rip]
    fxsave64 [rax]
    mov [rax + {registers} + 8], rcx
    pop rcx
    mov [rax + {registers}], rcx
    mov [rax + {registers} + 16], rdx
    mov [rax + {registers} + 24], rsi
    mov [rax + {registers} + 32], rdi
    mov [rax + {registers} + 40], r8
    mov [rax + {registers} + 48], r9
    mov [rax + {registers} + 56], r10
    mov [rax + {registers} + 64], r11
    mov [rax + {registers} + 72], rbx
    mov [rax + {registers} + 80], rbp
    mov [rax + {registers} + 88], r12
    mov [rax + {registers} + 96], r13
    mov [rax + {registers} + 104], r14
    mov [rax + {registers} + 112], r15
    mov rbx, {record}
    mov rdx, [rbx + 48]
    mov [rax + {rsp}], rdx
    mov rdx, [rbx + 40]
    mov [rax + {rflags}], rdx
    mov rdx, [rbx + {enabled_in_page}]
    mov [rax + {enabled}], rdx
    mov rcx, [rbx + 32]
    mov [rax + {rip}], rcx
    mov rdi, [rbx + 8]
    mov rsi, [rbx + 16]
    mov rdx, [rbx + 24]
    call os_upcall
    jmp os_resume

    // From the context in rdi to the one in rsi; rdx is what of the events the first one lets come when it goes on. What the calling
    // convention gives away is not kept.
    .global os_switch
os_switch:
    mov [rdi + {registers} + 72], rbx
    mov [rdi + {registers} + 80], rbp
    mov [rdi + {registers} + 88], r12
    mov [rdi + {registers} + 96], r13
    mov [rdi + {registers} + 104], r14
    mov [rdi + {registers} + 112], r15
    mov rax, [rsp]
    mov [rdi + {rip}], rax
    lea rax, [rsp + 8]
    mov [rdi + {rsp}], rax
    pushfq
    pop [rdi + {rflags}]
    fxsave64 [rdi]
    mov [rdi + {enabled}], rdx
    mov rax, rsi

    // Goes on with the context in rax.
os_resume:
    mov os_current[rip], rax
    fxrstor64 [rax]
    mov rcx, [rax + {rip}]
    mov os_return[rip], rcx
    push [rax + {rflags}]
    mov rdx, [rax + {enabled}]
    mov rcx, {record}
    .global os_quiet_start
os_quiet_start:
    mov [rcx + {enabled_in_page}], rdx
    mov qword ptr [rcx], 0
    popfq
    // None of these changes a flag. Not IRET: QEMU 7 reads its frame as ring 0 would, which SMAP forbids.
    mov rcx, [rax + {registers} + 8]
    mov rdx, [rax + {registers} + 16]
    mov rsi, [rax + {registers} + 24]
    mov rdi, [rax + {registers} + 32]
    mov r8, [rax + {registers} + 40]
    mov r9, [rax + {registers} + 48]
    mov r10, [rax + {registers} + 56]
    mov r11, [rax + {registers} + 64]
    mov rbx, [rax + {registers} + 72]
    mov rbp, [rax + {registers} + 80]
    mov r12, [rax + {registers} + 88]
    mov r13, [rax + {registers} + 96]
    mov r14, [rax + {registers} + 104]
    mov r15, [rax + {registers} + 112]
    mov rsp, [rax + {rsp}]
    mov rax, [rax + {registers}]
    jmp os_return[rip]
    .global os_quiet_end
os_quiet_end:

    .global os_current
    .section .bss.os_switch, "aw", @nobits
    .align 8
os_current:
    .skip 8
os_return:
    .skip 8
    .text
"#,
    record = const GATE_ADDRESS + GATE_FAULT as u64,
    enabled_in_page = const GATE_EVENTS - GATE_FAULT + offset_of!(Events, enabled),
    registers = const offset_of!(Context, registers),
    rip = const offset_of!(Context, rip),
    rflags = const offset_of!(Context, rflags),
    rsp = const offset_of!(Context, rsp),
    enabled = const offset_of!(Context, enabled),
);

unsafe extern "sysv64" {
    static os_entry: u8;
    static os_quiet_start: u8;
    static os_quiet_end: u8;
    static mut os_current: *mut Context;
    fn os_switch(from: *mut Context, to: *mut Context, enabled: u64);
}

#[unsafe(no_mangle)]
extern "sysv64" fn os_upcall(vector: u64, error: u64, address: u64, rip: u64) -> *mut Context {
    context(super::upcall(&Upcall { vector, error, address, rip }))
}

/// Takes this domain's exceptions and events from now on, as those of its first thread, which runs.
pub(super) fn start() -> Result<()> {
    let address = |label: *const u8| label.addr() as u64;
    // SAFETY: no handler runs yet, and this domain has one thread.
    unsafe { os_current = context(ThreadId::FIRST) };
    events::set_quiet(address(&raw const os_quiet_start)..address(&raw const os_quiet_end));
    let top = HANDLER_STACK.0.get().addr() + STACK_BYTES;
    gate::machine(MachineCall::HandleFaults, &[address(&raw const os_entry), top as u64]).map(|_| ())
}

/// Has a thread that does not run begin at a function, on a stack of its own.
///
/// # Panics
/// Where it runs.
pub(super) fn prepare(thread: ThreadId, entry: extern "sysv64" fn() -> !, stack: &Stack) {
    let place = context(thread);
    // As after a call: the function finds the stack 8 bytes off a multiple of 16.
    let fresh = Context { rip: entry as usize as u64, rsp: stack.top() - 8, ..FRESH };
    // SAFETY: (1) by invariant 1 nobody uses the context of a thread that does not run; (2) what it goes on with is a function that
    // never returns, on memory that is this thread's alone as long as the `Stack` lives, which its thread's slot keeps.
    unsafe {
        assert!(place != os_current, "a thread that runs does not begin");
        place.write(fresh);
    }
}

/// Goes on with another thread. Returns when somebody goes on with this one, with those events let come that `enabled` says.
///
/// All events are held back by the caller, who has nothing locked.
pub(super) fn to(from: ThreadId, next: ThreadId, enabled: u64) {
    // SAFETY: (1) by invariant 1 the next one's context is complete, because it does not run; (2) this one's is written before anything
    // else can be, as its caller saw it: the calling convention gives away the registers that are not kept.
    unsafe {
        assert!(context(from) == os_current && from != next, "from the thread that runs to another one");
        os_switch(context(from), context(next), enabled);
    }
}

fn context(thread: ThreadId) -> *mut Context {
    CONTEXTS.0[thread.index()].get()
}

/// The record's layout is the kernel's; the assembly above counts on it.
const _: () = {
    assert!(offset_of!(Fault, is_handling) == 0 && offset_of!(Fault, vector) == 8);
    assert!(offset_of!(Fault, error) == 16 && offset_of!(Fault, address) == 24);
    assert!(offset_of!(Fault, rip) == 32 && offset_of!(Fault, rflags) == 40 && offset_of!(Fault, rsp) == 48);
};
