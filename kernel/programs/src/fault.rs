//! This domain's exceptions, handled by itself: demand paging is a policy of the LibOS, and its fault handler goes back to what was
//! interrupted without asking the kernel.
//!
//! # Invariant
//! The kernel enters at `fault_entry` on [`Stack`], which nothing else uses, and not again before the record in the gate page says that
//! the last exception is over. What was interrupted gets back every register, as if it had waited.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use feuerbird_abi::{Access, Fault, GATE_ADDRESS, GATE_FAULT, MachineCall};

use crate::gate::{self, Result};
use crate::memory::{self, PAGE};

const STACK_BYTES: usize = 16 << 10;
const PAGE_FAULT: u64 = 14;
const INVALID_OPCODE: u64 = 6;

/// Where memory appears as it is touched, and how much of it.
pub(crate) const LAZY: u64 = 0x5000_0000_0000;
pub(crate) const LAZY_PAGES: u64 = 512;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

// SAFETY: Rust never looks into it; the domain has one thread.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; STACK_BYTES]));

/// Page faults and skipped instructions so far.
static PAGED: AtomicU64 = AtomicU64::new(0);
static SKIPPED: AtomicU64 = AtomicU64::new(0);

global_asm!(
    r#"
    .global fault_entry
fault_entry:
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
    push r12
    push r13
    mov rbx, {record}
    mov rdi, [rbx + 8]
    mov rsi, [rbx + 24]
    mov rdx, [rbx + 32]
    call fault_handler
    // What it returns is where to go on. Nothing from here on can make an exception: all that it touches is mapped.
    mov fault_return[rip], rax
    mov rax, [rbx + 48]
    mov fault_return[rip + 8], rax
    push [rbx + 40]
    mov qword ptr [rbx], 0
    popfq
    // None of these changes a flag. Not IRET: QEMU 7 reads its frame as ring 0 would, which SMAP forbids.
    pop r13
    pop r12
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
    mov rsp, fault_return[rip + 8]
    jmp fault_return[rip]

    .section .bss.fault_return, "aw", @nobits
    .align 8
fault_return:
    .skip 16
    .text
"#,
    record = const GATE_ADDRESS + GATE_FAULT as u64,
);

unsafe extern "sysv64" {
    static fault_entry: u8;
}

/// Takes this domain's exceptions from now on.
pub(crate) fn start() -> Result<()> {
    let top = STACK.0.get().addr() + STACK_BYTES;
    let entry = (&raw const fault_entry).addr() as u64;
    gate::machine(MachineCall::HandleFaults, &[entry, top as u64]).map(|_| ())
}

/// Has them go anywhere.
pub(crate) fn install(entry: u64, stack: u64) {
    let _ = gate::machine(MachineCall::HandleFaults, &[entry, stack]);
}

/// Leaves them to the kernel again.
pub(crate) fn stop() -> Result<()> {
    gate::machine(MachineCall::HandleFaults, &[]).map(|_| ())
}

/// How many pages appeared, and how many instructions were skipped.
pub(crate) fn counts() -> (u64, u64) {
    (PAGED.load(Ordering::Relaxed), SKIPPED.load(Ordering::Relaxed))
}

/// Decides; returns where to go on.
#[unsafe(no_mangle)]
extern "sysv64" fn fault_handler(vector: u64, address: u64, rip: u64) -> u64 {
    match vector {
        PAGE_FAULT if (LAZY..LAZY + LAZY_PAGES * PAGE).contains(&address) => {
            PAGED.fetch_add(1, Ordering::Relaxed);
            bring(address & !(PAGE - 1)).expect("a page for what is touched");
            rip
        }
        INVALID_OPCODE => {
            SKIPPED.fetch_add(1, Ordering::Relaxed);
            rip + 2
        }
        _ => panic!("exception {vector} at {rip:#x}, address {address:#x}"),
    }
}

/// The policy: a page of its own for each that is touched.
fn bring(page: u64) -> Result<()> {
    let handle = memory::allocate(1)?;
    gate::machine(MachineCall::Map, &[handle, page, Access::Write as u64])?;
    memory::release(handle)
}

/// Takes a page away again.
pub(crate) fn drop_page(page: u64) -> Result<()> {
    gate::machine(MachineCall::Unmap, &[LAZY + page * PAGE]).map(|_| ())
}

/// Reads a word of lazy memory, then writes it.
pub(crate) fn exchange(word: u64, value: u64) -> u64 {
    let pointer =
        core::ptr::with_exposed_provenance_mut::<u64>((LAZY + word % (LAZY_PAGES * 512) * 8) as usize);
    let before;
    // SAFETY: a word of the lazy range, which nothing else uses; the instruction is repeated once the page is there.
    unsafe {
        asm!("mov {0}, [{1}]", "mov [{1}], {2}", out(reg) before, in(reg) pointer, in(reg) value, options(nostack))
    };
    before
}

/// An instruction that is none, which the handler skips.
pub(crate) fn skip() {
    // SAFETY: the handler goes on behind it with everything as it was.
    unsafe { asm!("ud2", options(nostack)) };
}

/// An instruction that is none, with every register that the handler's path touches checked afterwards; whether they were kept.
pub(crate) fn registers_survive_a_fault() -> bool {
    let wrong: u64;
    // SAFETY: the handler skips the two bytes of `ud2`; everything that is changed is named.
    unsafe {
        asm!("mov rax, 11", "mov rcx, 12", "mov rdx, 13", "mov rsi, 14", "mov rdi, 15", "mov r8, 16", "mov r9, 17",
            "mov r10, 18", "mov r11, 19", "mov r12, 20", "mov r13, 21", "mov r14, 22", "mov r15, 23", "stc", "ud2",
            "sbb rax, 10", "sub rcx, 12", "sub rdx, 13", "sub rsi, 14", "sub rdi, 15", "sub r8, 16", "sub r9, 17",
            "sub r10, 18", "sub r11, 19", "sub r12, 20", "sub r13, 21", "sub r14, 22", "sub r15, 23",
            "or rax, rcx", "or rax, rdx", "or rax, rsi", "or rax, rdi", "or rax, r8", "or rax, r9", "or rax, r10",
            "or rax, r11", "or rax, r12", "or rax, r13", "or rax, r14", "or rax, r15",
            out("rax") wrong, out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _,
            out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _);
    }
    wrong == 0
}

/// Adds up numbers in registers, without a call.
pub(crate) fn sum_without_calls(count: u64) -> u64 {
    let sum;
    // SAFETY: registers only.
    unsafe {
        asm!("2: add {0}, {1}", "dec {1}", "jnz 2b", inout(reg) 0u64 => sum, inout(reg) count => _, options(nomem, nostack));
    }
    sum
}

/// The record's layout is the kernel's; the assembly above counts on it.
const _: () = {
    assert!(core::mem::offset_of!(Fault, vector) == 8 && core::mem::offset_of!(Fault, address) == 24);
    assert!(core::mem::offset_of!(Fault, rip) == 32 && core::mem::offset_of!(Fault, rflags) == 40);
    assert!(core::mem::offset_of!(Fault, rsp) == 48);
};
