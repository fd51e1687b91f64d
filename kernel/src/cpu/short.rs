//! The short ways: transfers and notifications that need nothing but the records of two domains of this core, without the stack;
//! and exceptions on their way to a handler, with three words of it.
//!
//! Each does what the exokernel says in [`feuerbird_exokernel::records`], and only where everything that it relies on was looked up
//! and nothing has ended since; where no capability goes along, no deadline is asked for, and nothing has come for whoever goes on.
//! Otherwise nothing has been changed, and all goes the long way, through `entry`.
//!
//! The message's words never leave the registers `r12` to `r15`. What else a domain that waits keeps is `rip`, `rsp`, the flags,
//! `rbx` and `rbp`, which are in its record.
//!
//! # Invariants
//! 1. Those of [`current`](crate::domain::current): what a core that is not barred points to exists.
//! 2. Interrupts are off, and nothing here makes an exception: every address is one of the kernel's tables, of a record, or of a gate page
//!    in the direct map. So it does not matter that `rsp` is ring 3's; the exceptions that can come between have stacks of their own.
//! 3. Ring 3 gets back no register that is not its own, not sent to it and not named here: the rest is cleared.
//!
//! # Registers
//! `r10` is the core's `Current`, `r9` the record of who is here, `r8` its party; `r11`, `rbx` and `rbp` are those of who comes: the record,
//! the party and the number.

use ::core::arch::global_asm;
use ::core::mem::offset_of;

use feuerbird_abi::{Events, Fault, GATE_EVENTS, GATE_MESSAGE, MESSAGE_WORDS, MachineCall, REGISTER_WORDS};
use feuerbird_exokernel::records;

use crate::cpu::state::Registers;
use crate::domain::current::{Tables, place};
use crate::domain::resident::{FaultHandler, Resident, State};

global_asm!(
    r#"
    .macro LOCK taken
        lock bts dword ptr [rip + world_lock], 0
        jc \taken
        mov r10, gs:[24]
        cmp byte ptr [r10 + {is_barred}], 0
        jne \taken\()_unlock
    .endm

    // What waits, or is lost on the way.
    .macro KEEP
        mov r9, [r10 + {resident}]
        mov [r9 + {rip}], rcx
        mov [r9 + {rflags}], r11
        mov [r9 + {rsp}], rsp
        mov [r9 + {rbx}], rbx
        mov [r9 + {rbp}], rbp
    .endm

    // Finds the capability in rdi, for a use: then r8 + rax * 8 is what is known of it.
    .macro LOOK_UP use, ended, none
        mov r8, [r10 + {party}]
        mov eax, edi
        and eax, {known_entries} - 1
        lea rax, [rax + rax * 4]
        cmp [r8 + rax * 8 + {known_slot}], rdi
        jne \none
        mov \ended, [rip + short_tables + {t_ended}]
        mov \ended, [\ended]
        cmp [r8 + rax * 8 + {known_seen}], \ended
        jne \none
        test byte ptr [r8 + rax * 8 + {known_uses}], \use
        jz \none
    .endm

    // From the record in r9 to the one in r11.
    .macro SWITCH becomes
        mov dword ptr [r9 + {state}], \becomes
        .if \becomes == {ready}
            mov qword ptr [r9 + {rax}], 0
            mov qword ptr [r9 + {rsi}], 0
        .else
            mov qword ptr [r9 + {deadline}], -1
        .endif
        mov byte ptr [r9 + {is_put_away}], 1
        fxsave64 [r9 + {float}]
        mov dword ptr [r11 + {state}], {ready}
        mov byte ptr [r11 + {is_put_away}], 0
        fxrstor64 [r11 + {float}]
        mov [r10 + {domain}], rbp
        mov [r10 + {party}], rbx
        mov [r10 + {resident}], r11
        inc qword ptr [r10 + {switches}]
        mov rcx, [r11 + {root}]
        mov cr3, rcx
    .endm

    // To the record in r11, which stands where a call of its own left it.
    .macro GO
        mov rcx, [r11 + {rip}]
        mov rbx, [r11 + {rbx}]
        mov rbp, [r11 + {rbp}]
        mov rsp, [r11 + {rsp}]
        mov r11, [r11 + {rflags}]
        mov dword ptr [rip + world_lock], 0
        xor eax, eax
        xor r8d, r8d
        xor r9d, r9d
        xor r10d, r10d
        swapgs
        sysretq
    .endm

    // The message's words beyond those in registers go from gate page to gate page.
    .macro GO_WITH_WORDS
        cmp rdx, {register_words}
        ja 8f
    7:  GO
    8:  mov r8, rdi
        mov rax, rsi
        mov rsi, [r9 + {gate_message}]
        mov rdi, [r11 + {gate_message}]
        lea rcx, [rdx - {register_words}]
        rep movsq
        mov rdi, r8
        mov rsi, rax
        jmp 7b
    .endm

    // The ways back to the long way. `rsi` is no argument of those that have no token, and was a pointer.
    .macro LONG label, number, unused
    \label\()_undo:
        .ifnb \unused
            xor esi, esi
        .endif
        mov r10, gs:[24]
        mov r9, [r10 + {resident}]
        mov rcx, [r9 + {rip}]
        mov r11, [r9 + {rflags}]
        mov rbx, [r9 + {rbx}]
        mov rbp, [r9 + {rbp}]
    \label\()_unlock:
        mov dword ptr [rip + world_lock], 0
    \label:
        xor r8d, r8d
        xor r9d, r9d
        xor r10d, r10d
        mov eax, \number
        jmp long_way
    .endm

    // Who waits for a message at the point of the capability, and can go on here: rsi is the point.
    .macro RECEIVER none
        mov esi, [r8 + rax * 8 + {known_object}]
        imul rsi, rsi, {point_bytes}
        add rsi, [rip + short_tables + {t_points}]
        mov ebx, [rsi + {point_receiver}]
        cmp ebx, -1
        je \none
        imul r11, rbx, {resident_bytes}
        add r11, [rip + short_tables + {t_residents}]
        imul rbx, rbx, {party_bytes}
        add rbx, [rip + short_tables + {t_parties}]
        cmp [rbx + {seen}], rcx
        jne \none
        CAN_GO_ON rbp, \none
        mov rbp, [rbx + {id}]
    .endm

    // The record in r11 is this core's, and no event has come that its domain lets through.
    .macro CAN_GO_ON scratch, none
        mov \scratch, gs:[16]
        cmp [r11 + {core}], \scratch
        jne \none
        cmp qword ptr [r11 + {events}], 0
        je 6f
        cmp qword ptr [r11 + {handler_entry}], 0
        je 6f
        mov \scratch, [r11 + {gate_message}]
        mov \scratch, [\scratch + {enabled}]
        test [r11 + {events}], \scratch
        jnz \none
    6:
    .endm

    // Not where a capability goes along, a deadline is asked for, or the message is too long.
    .macro PLAIN otherwise
        mov rax, r8
        or rax, r9
        jnz \otherwise\()_asked
        cmp rdx, {message_words}
        ja \otherwise\()_asked
    .endm

    // `MachineCall::Call`.
    .align 16
    .global short_call
short_call:
    PLAIN call
    LOCK call_long
    KEEP
    LOOK_UP {use_send}, rcx, call_long_undo
    RECEIVER call_long_undo
    mov [r8 + {server}], rbp
    mov [r8 + {slot}], rdi
    mov [r8 + {seen}], rcx
    mov byte ptr [r8 + {standing}], {awaiting}
    mov dword ptr [rsi + {point_receiver}], -1
    mov byte ptr [rbx + {standing}], {apart}
    mov rdi, [r8 + rax * 8 + {known_badge}]
    mov rsi, [r8 + {token}]
    add rsi, {token_step}
    mov [r8 + {token}], rsi
    SWITCH {transferring}
    GO_WITH_WORDS
    LONG call_long, {call}, token
call_asked:
    mov eax, {call}
    jmp long_way

    // `MachineCall::ReplyAndReceive`.
    .align 16
    .global short_reply
short_reply:
    PLAIN reply
    LOCK reply_long
    KEEP
    LOOK_UP {use_receive}, rcx, reply_long_undo
    cmp byte ptr [r9 + {is_told}], 0
    jne reply_long_undo
    mov rax, [r8 + rax * 8 + {known_object}]
    mov ebp, eax
    imul rbp, rbp, {point_bytes}
    add rbp, [rip + short_tables + {t_points}]
    // Nobody waits and nobody queues: two words at once.
    cmp qword ptr [rbp + {point_receiver}], -1
    jne reply_long_undo
    movzx ebx, si
    cmp rbx, [rip + short_tables + {t_parties_len}]
    jae reply_long_undo
    imul r11, rbx, {resident_bytes}
    add r11, [rip + short_tables + {t_residents}]
    imul rbx, rbx, {party_bytes}
    add rbx, [rip + short_tables + {t_parties}]
    cmp byte ptr [rbx + {standing}], {awaiting}
    jne reply_long_undo
    cmp [rbx + {token}], rsi
    jne reply_long_undo
    cmp [rbx + {seen}], rcx
    jne reply_long_undo
    mov r10, [r8 + {id}]
    cmp [rbx + {server}], r10
    jne reply_long_undo
    CAN_GO_ON r10, reply_long_undo
    mov r10, gs:[24]
    mov byte ptr [rbx + {standing}], {apart}
    mov byte ptr [r8 + {standing}], {receiving}
    mov [r8 + {slot}], rdi
    mov [r8 + {seen}], rcx
    mov [r8 + {object}], rax
    mov rcx, [r8 + {id}]
    mov [rbp + {point_server}], rcx
    mov [rbp + {point_receiver}], ecx
    mov rbp, [rbx + {id}]
    xor edi, edi
    xor esi, esi
    SWITCH {transferring}
    GO_WITH_WORDS
    LONG reply_long, {reply}
reply_asked:
    mov eax, {reply}
    jmp long_way

    // `MachineCall::Send`.
    .align 16
    .global short_send
short_send:
    PLAIN send
    LOCK send_long
    KEEP
    LOOK_UP {use_send}, rcx, send_long_undo
    RECEIVER send_long_undo
    mov dword ptr [rsi + {point_receiver}], -1
    mov byte ptr [rbx + {standing}], {apart}
    mov rdi, [r8 + rax * 8 + {known_badge}]
    xor esi, esi
    SWITCH {ready}
    GO_WITH_WORDS
    LONG send_long, {send}, token
send_asked:
    mov eax, {send}
    jmp long_way

    // `MachineCall::Notify` where nobody waits: nothing is kept, because nothing is lost.
    .align 16
    .global short_notify
short_notify:
    test rdx, rdx
    jnz short_signal
    LOCK notify_long
    LOOK_UP {use_notify}, r9, notify_long_unlock
    mov r9d, [r8 + rax * 8 + {known_object}]
    imul r9, r9, {bell_bytes}
    add r9, [rip + short_tables + {t_bells}]
    cmp qword ptr [r9 + {bell_watcher}], 0
    jne notify_long_unlock
    cmp qword ptr [r9 + {bell_listener}], 0
    jne notify_long_unlock
    mov r10, [r8 + rax * 8 + {known_badge}]
    test r10, r10
    cmovz r10, rsi
    and r10, rsi
    or [r9 + {bell_bits}], r10
    mov dword ptr [rip + world_lock], 0
    xor eax, eax
    xor edi, edi
    xor esi, esi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    swapgs
    sysretq

    // `MachineCall::Notify` that gives the slice to whom it wakes.
    .align 16
short_signal:
    LOCK notify_long
    KEEP
    LOOK_UP {use_notify}, rcx, notify_long_undo
    mov ebx, [r8 + rax * 8 + {known_object}]
    imul rbx, rbx, {bell_bytes}
    add rbx, [rip + short_tables + {t_bells}]
    mov rbp, [rbx + {bell_watcher}]
    test rbp, rbp
    jz notify_long_undo
    mov r11d, ebp
    imul r11, r11, {party_bytes}
    add r11, [rip + short_tables + {t_parties}]
    cmp [r11 + {seen}], rcx
    jne notify_long_undo
    mov rcx, r11
    mov r11d, ebp
    imul r11, r11, {resident_bytes}
    add r11, [rip + short_tables + {t_residents}]
    CAN_GO_ON r10, notify_long_undo
    mov r10, gs:[24]
    mov byte ptr [rcx + {standing}], {apart}
    mov qword ptr [rbx + {bell_watcher}], 0
    mov rbx, rcx
    mov rdi, [r8 + rax * 8 + {known_badge}]
    test rdi, rdi
    cmovz rdi, rsi
    and rdi, rsi
    xor esi, esi
    xor edx, edx
    SWITCH {ready}
    xor r12d, r12d
    xor r13d, r13d
    xor r14d, r14d
    xor r15d, r15d
    GO
    LONG notify_long, {notify}

    // An exception of ring 3's, with swapgs done. On the stack: vector, error, rip, cs, rflags, rsp, ss. To its handler, if it has
    // one that is not at work.
    .align 16
    .global short_fault
short_fault:
    push r10
    push rbx
    push rax
    LOCK fault_long
    mov rbx, [r10 + {resident}]
    cmp qword ptr [rbx + {handler_entry}], 0
    je fault_long_unlock
    mov rax, [rbx + {gate_fault}]
    cmp qword ptr [rax], 0
    jne fault_long_unlock
    inc qword ptr [r10 + {faults}]
    mov qword ptr [rax], 1
    mov r10, [rsp + 24]
    mov [rax + 8], r10
    mov r10, [rsp + 32]
    mov [rax + 16], r10
    xor r10d, r10d
    cmp dword ptr [rsp + 24], 14
    jne 1f
    mov r10, cr2
1:  mov [rax + 24], r10
    mov r10, [rsp + 40]
    mov [rax + 32], r10
    mov r10, [rsp + 56]
    mov [rax + 40], r10
    mov r10, [rsp + 64]
    mov [rax + 48], r10
    mov r10, [rbx + {handler_entry}]
    mov [rsp + 40], r10
    mov qword ptr [rsp + 56], {user_flags}
    mov r10, [rbx + {handler_stack}]
    mov [rsp + 64], r10
    mov dword ptr [rip + world_lock], 0
    pop rax
    pop rbx
    pop r10
    add rsp, 16
    swapgs
    iretq
fault_long_unlock:
    mov dword ptr [rip + world_lock], 0
fault_long:
    pop rax
    pop rbx
    pop r10
    jmp trap_from_user
"#,
    is_barred = const place::IS_BARRED,
    domain = const place::DOMAIN,
    party = const place::PARTY,
    resident = const place::RESIDENT,
    switches = const place::SWITCHES,
    faults = const place::FAULTS,
    t_residents = const offset_of!(Tables, residents),
    t_parties = const offset_of!(Tables, parties),
    t_parties_len = const offset_of!(Tables, parties_len),
    t_points = const offset_of!(Tables, points),
    t_bells = const offset_of!(Tables, bells),
    t_ended = const offset_of!(Tables, ended),
    resident_bytes = const size_of::<Option<Resident>>(),
    rip = const register(offset_of!(Registers, rip)),
    rsp = const register(offset_of!(Registers, rsp)),
    rflags = const register(offset_of!(Registers, rflags)),
    rax = const register(offset_of!(Registers, rax)),
    rsi = const register(offset_of!(Registers, words) + size_of::<u64>()),
    rbx = const register(offset_of!(Registers, rbx)),
    rbp = const register(offset_of!(Registers, rbp)),
    float = const offset_of!(Resident, float),
    state = const offset_of!(Resident, state),
    deadline = const offset_of!(Resident, state) + State::DEADLINE,
    ready = const State::READY,
    transferring = const State::TRANSFERRING,
    is_put_away = const offset_of!(Resident, is_put_away),
    root = const offset_of!(Resident, root),
    core = const offset_of!(Resident, core),
    events = const offset_of!(Resident, events),
    enabled = const GATE_EVENTS as isize + offset_of!(Events, enabled) as isize - GATE_MESSAGE as isize,
    is_told = const offset_of!(Resident, is_told),
    gate_message = const offset_of!(Resident, gate_message),
    gate_fault = const offset_of!(Resident, gate_fault),
    handler_entry = const offset_of!(Resident, fault_handler) + offset_of!(FaultHandler, entry),
    handler_stack = const offset_of!(Resident, fault_handler) + offset_of!(FaultHandler, stack),
    user_flags = const Registers::USER.rflags,
    id = const records::PARTY_ID,
    token = const records::PARTY_TOKEN,
    server = const records::PARTY_SERVER,
    slot = const records::PARTY_SLOT,
    seen = const records::PARTY_SEEN,
    object = const records::PARTY_OBJECT,
    standing = const records::PARTY_STANDING,
    party_bytes = const records::PARTY_BYTES,
    known_entries = const records::KNOWN_ENTRIES,
    known_slot = const records::PARTY_KNOWN + records::KNOWN_SLOT,
    known_seen = const records::PARTY_KNOWN + records::KNOWN_SEEN,
    known_object = const records::PARTY_KNOWN + records::KNOWN_OBJECT,
    known_badge = const records::PARTY_KNOWN + records::KNOWN_BADGE,
    known_uses = const records::PARTY_KNOWN + records::KNOWN_USES,
    point_bytes = const records::POINT_BYTES,
    point_receiver = const records::POINT_RECEIVER,
    point_server = const records::POINT_SERVER,
    bell_bytes = const records::BELL_BYTES,
    bell_bits = const records::BELL_BITS,
    bell_watcher = const records::BELL_WATCHER,
    bell_listener = const records::BELL_LISTENER,
    token_step = const records::TOKEN_STEP,
    use_send = const records::USE_SEND,
    use_receive = const records::USE_RECEIVE,
    use_notify = const records::USE_NOTIFY,
    apart = const records::APART,
    receiving = const records::RECEIVING,
    awaiting = const records::AWAITING,
    call = const MachineCall::Call as u32,
    reply = const MachineCall::ReplyAndReceive as u32,
    send = const MachineCall::Send as u32,
    notify = const MachineCall::Notify as u32,
    message_words = const MESSAGE_WORDS,
    register_words = const REGISTER_WORDS,
);

const fn register(offset: usize) -> usize {
    offset_of!(Resident, registers) + offset
}

/// What the assembly above counts on beside the names.
const _: () = {
    assert!(records::KNOWN_BYTES == 5 * 8, "an entry is found by two multiplications");
    assert!(records::TOKEN_STEP == 1 << 16 && records::NO_INDEX == u32::MAX);
    assert!(offset_of!(Fault, is_handling) == 0 && offset_of!(Fault, vector) == 8);
    assert!(offset_of!(Fault, error) == 16 && offset_of!(Fault, address) == 24);
    assert!(offset_of!(Fault, rip) == 32 && offset_of!(Fault, rflags) == 40 && offset_of!(Fault, rsp) == 48);
};
