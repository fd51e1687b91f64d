//! The ways into ring 0 and back, in assembly. [`short`](crate::cpu::short) has those of them that need no more.
//!
//! # Invariants
//! 1. Ring 0 runs with interrupts off, except where an idle core halts. So whatever comes in ring 0 is an exception (a bug), an
//!    interrupt of an idle core, or one of the four that have stacks of their own.
//! 2. Whoever comes from ring 3, but for the short ways, finds its registers at the top of the core's stack, and leaves from there: there is one frame of
//!    ring 3 on a core, and one kernel stack, whichever domain runs.
//! 3. In ring 0 the GS base is the core's; `swapgs` is executed exactly where the privilege level changes, but for the null call, which
//!    uses nothing of the core's and leaves as it came. The four exceptions
//!    that can come between the entry and its `swapgs` look at the code segment, and touch GS only when they came from ring 3.
//! 4. Registers go back as they are in the frame: nothing of the kernel's is left in one, because all of them are in it.

use ::core::arch::global_asm;

use feuerbird_abi::MachineCall;
use x86_64::VirtAddr;
use x86_64::registers::model_specific::{LStar, Msr, SFMask};
use x86_64::registers::rflags::RFlags;

use crate::cpu::segments::STAR;
use crate::cpu::state::Registers;

global_asm!(
    r#"
    .macro SAVE
        push r9
        push r8
        push r10
        push rdx
        push rsi
        push rdi
        push rcx
        push rax
        push r11
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        cld
        mov rdi, rsp
        xor ebp, ebp
    .endm

    .macro RESTORE
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        pop r11
        pop rax
        pop rcx
        pop rdi
        pop rsi
        pop rdx
        pop r10
        pop r8
        pop r9
    .endm

    // One stub for each vector, 16 bytes apart. Some exceptions come with an error code; the others get a 0.
    .align 16
    .global trap_stubs
trap_stubs:
    .set vector, 0
    .rept {vectors}
        .align 16
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
            push 0
        .endif
        push vector
        .if vector == 1 || vector == 2 || vector == 8 || vector == 18
            jmp trap_anytime
        .else
            jmp trap_common
        .endif
        .set vector, vector + 1
    .endr

    // On the stack: vector, error, rip, cs, rflags, rsp, ss.
    .align 16
trap_common:
    test byte ptr [rsp + 24], 3
    jz 2f
    swapgs
    cmp dword ptr [rsp], 32
    jb short_fault
    .global trap_from_user
trap_from_user:
    SAVE
    call trap_entry
leave_to_user:
    RESTORE
    cmp dword ptr [rsp], 0x100
    jne 1f
    mov rcx, [rsp + 16]
    mov r11, [rsp + 32]
    mov rsp, [rsp + 40]
    swapgs
    sysretq
1:  add rsp, 16
    swapgs
    iretq
2:  SAVE
    call trap_entry
    RESTORE
    add rsp, 16
    iretq

    // On a stack of their own. From ring 3 the frame is moved to the core's stack, and all goes on as with any other trap.
trap_anytime:
    test byte ptr [rsp + 24], 3
    jz 3f
    cmp dword ptr [rsp], 2
    je 4f
    swapgs
    push rax
    push rbx
    mov rax, gs:[8]
    .set word, 0
    .rept 7
        mov rbx, [rsp + 64 - 8 * word]
        mov [rax - 8 - 8 * word], rbx
        .set word, word + 1
    .endr
    mov rbx, [rsp]
    sub rax, 56
    xchg rax, [rsp + 8]
    mov rsp, [rsp + 8]
    jmp trap_from_user
    // In ring 0: NMIs are nobody's, a debug exception can only be a domain's that was late; the others are the end.
3:  cmp dword ptr [rsp], 2
    jbe 4f
    SAVE
    call trap_entry
    ud2
4:  add rsp, 16
    iretq

    // SYSCALL: rcx has the return address, r11 the flags, and the stack is still the domain's.
    .align 16
    .global syscall_entry
    .global long_way
syscall_entry:
    test rax, rax
    jz short_null
not_null:
    swapgs
    cmp rax, {call}
    je short_call
    cmp rax, {reply}
    je short_reply
    cmp rax, {notify}
    je short_notify
    cmp rax, {send}
    je short_send
long_way:
    mov gs:[0], rsp
    mov rsp, gs:[8]
    push {user_data}
    push qword ptr gs:[0]
    push r11
    push {user_code}
    push rcx
    push 0
    push 0x100
    SAVE
    call syscall_entered
    jmp leave_to_user

    // Nothing to do, unless something came along that is to be refused. Nothing of the kernel's is touched.
short_null:
    mov rax, r12
    or rax, r13
    mov eax, 0
    jnz not_null
    xor edi, edi
    xor esi, esi
    xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    sysretq

    // Goes to ring 3 for the first time: rdi has the frame, at the top of the core's stack.
    .global enter_user
enter_user:
    mov rsp, rdi
    jmp leave_to_user

    // Goes on with rsi on the stack that rdi is the top of.
    .global continue_on_stack
continue_on_stack:
    mov rsp, rdi
    xor ebp, ebp
    call rsi
    ud2
"#,
    vectors = const super::segments::VECTORS,
    user_data = const super::segments::USER_DATA,
    user_code = const super::segments::USER_CODE,
    call = const MachineCall::Call as u32,
    reply = const MachineCall::ReplyAndReceive as u32,
    send = const MachineCall::Send as u32,
    notify = const MachineCall::Notify as u32,
);

unsafe extern "sysv64" {
    static trap_stubs: u8;
    static syscall_entry: u8;
    fn continue_on_stack(stack: u64, next: extern "sysv64" fn() -> !) -> !;
    fn enter_user(registers: *const Registers) -> !;
}

/// Where the stub of a vector is.
pub(crate) fn stub(vector: usize) -> u64 {
    (&raw const trap_stubs).addr() as u64 + vector as u64 * 16
}

/// Makes this core enter at `syscall_entry` on SYSCALL, with interrupts, direction, trap, alignment and nesting off.
pub(crate) fn enable_syscall() {
    LStar::write(VirtAddr::new((&raw const syscall_entry).addr() as u64));
    SFMask::write(RFlags::from_bits_truncate(0x0004_7700));
    // SAFETY: the selectors are those of `segments`.
    unsafe { Msr::new(0xc000_0081).write(STAR) };
}

/// Leaves this stack for another one, for ever.
pub(crate) fn continue_on(stack: u64, next: extern "sysv64" fn() -> !) -> ! {
    // SAFETY: `stack` is the upper end of a mapped stack of this core's own; what is on the old one is never needed again.
    unsafe { continue_on_stack(stack, next) }
}

/// Goes to ring 3 with the registers at the top of this core's stack.
///
/// # Safety
/// `registers` points to the place where the entry code lays them on this core, and they are ring 3's: its selectors, interrupts
/// on, a canonical address to go to.
pub(crate) unsafe fn leave(registers: *const Registers) -> ! {
    // SAFETY: promised by the caller.
    unsafe { enter_user(registers) }
}
