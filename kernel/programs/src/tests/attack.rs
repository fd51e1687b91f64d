//! What a domain must not do: each attack either ends the domain that tries it, or does it no good.

use core::arch::asm;

use crate::gate;

/// How many attacks there are.
pub(crate) const ATTACKS: u64 = 63;

const KERNEL_TEXT: usize = 0xffff_ffff_8010_2000;
const ALL_MEMORY: usize = 0xffff_8000_0000_0000;

/// Tries one attack. Comes back only from those that are no good; from any other, the domain waits to be found alive.
pub(crate) fn attack(number: u64) {
    // SAFETY: none of it is; that is the point. Whatever happens, happens to this domain, which is only there for that.
    unsafe {
        match number {
            0 => write(0),
            1 => write(8),
            2 => read(KERNEL_TEXT),
            3 => write(KERNEL_TEXT),
            4 => read(ALL_MEMORY),
            5 => write(ALL_MEMORY + 0x20_0000),
            6 => read(0xffff_d000_0000_0000),
            7 => read(0x8000_0000_0000),
            8 => write(attack as *const () as usize),
            9 => jump(KERNEL_TEXT),
            10 => jump(0x8000_0000_0000),
            11 => jump(0xdead_0000_0000_0000),
            12 => execute_stack(),
            13 => asm!("cli"),
            14 => asm!("hlt"),
            15 => asm!("in al, dx", in("dx") 0x3f8u16, out("al") _),
            16 => asm!("out dx, al", in("dx") 0xf4u16, in("al") 0u8),
            17 => asm!("rdmsr", in("ecx") 0xc000_0080u32, out("eax") _, out("edx") _),
            18 => asm!("wrmsr", in("ecx") 0xc000_0082u32, in("eax") 0, in("edx") 0),
            19 => asm!("mov {}, cr3", out(reg) _),
            20 => asm!("mov cr3, {}", in(reg) 0u64),
            21 => asm!("lgdt [{}]", in(reg) KERNEL_TEXT),
            22 => asm!("swapgs"),
            23 => asm!("iretq"),
            24 => asm!("sysretq"),
            25 => asm!("invlpg [{}]", in(reg) 0u64),
            26 => asm!("int 0x20"),
            27 => asm!("int 0x80"),
            28 => asm!("int3"),
            29 => asm!("ud2"),
            30 => asm!("div {0:e}", in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _),
            31 => overflow_stack(),
            // Single step: the debug exception comes with the next instruction, on its own stack.
            32 => asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop", "nop"),
            33 => super::space::write_protected(),
            34 => super::space::read_unmapped(),
            35 => asm!("sti"),
            36 => asm!("clts"),
            37 => asm!("invd"),
            38 => asm!("wbinvd"),
            39 => asm!("lidt [{}]", in(reg) KERNEL_TEXT),
            40 => asm!("ltr {0:x}", in(reg) 0x28),
            41 => asm!("lldt {0:x}", in(reg) 0),
            42 => asm!("mov {}, dr7", out(reg) _),
            43 => asm!("mov dr7, {}", in(reg) 0x401u64),
            44 => asm!("mov cr0, {}", in(reg) 0u64),
            45 => asm!("mov cr4, {}", in(reg) 0u64),
            46 => asm!("mov {}, cr8", out(reg) _),
            47 => asm!("wrmsr", in("ecx") 0xc000_0101u32, in("eax") 0, in("edx") 0),
            48 => asm!("int 2"),
            49 => asm!("int 8"),
            50 => asm!("int 0x22"),
            // Into ring 0 by a far return, and by the frame of an interrupt.
            51 => asm!("push 8", "lea rax, [rip]", "push rax", "retfq", out("rax") _),
            52 => {
                asm!("push 0x10", "push rsp", "pushfq", "push 8", "lea rax, [rip]", "push rax", "iretq", out("rax") _)
            }
            53 => asm!("mov ss, {0:x}", in(reg) 0x10),
            54 => asm!("mov ds, {0:x}", in(reg) 8),
            // Permission for ports cannot be had by flags.
            55 => asm!("pushfq", "or qword ptr [rsp], 0x3000", "popfq", "in al, 0x70", out("al") _),
            56 => asm!("out dx, eax", in("dx") 0xcf8u16, in("eax") 0x8000_0000u32),
            57 => asm!("insb", in("dx") 0x70u16, inout("rdi") 0x1000u64 => _),
            58 => asm!("rdpmc", in("ecx") 0, out("eax") _, out("edx") _),
            // The trap flag goes into the kernel with a call.
            59 => asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "syscall", inout("rax") 0u64 => _,
                inout("r12") 0u64 => _, inout("r13") 0u64 => _, out("rcx") _, out("r11") _),
            // Of the old unit for floating point; the emulator knows none of the new one's.
            60 => asm!("push 0", "fldcw [rsp]", "fldz", "fldz", "fdivp", "fwait"),
            61 => asm!("sysenter"),
            _ => return call_with_strange_flags_and_stack(),
        }
    }
    loop {
        let _ = gate::wait(u64::MAX);
    }
}

/// The kernel must not use what it finds in `rsp`, nor keep the flags.
fn call_with_strange_flags_and_stack() {
    for stack in [0, 1, KERNEL_TEXT, ALL_MEMORY, usize::MAX, 0x8000_0000_0000] {
        // SAFETY: the null call, with a stack pointer that is put back, and flags that the kernel clears for itself:
        // direction, nesting, alignment check.
        unsafe {
            asm!("mov {kept}, rsp", "pushfq", "or qword ptr [rsp], 0x44400", "popfq", "mov rsp, {stack}", "syscall",
                "mov rsp, {kept}", "push 2", "popfq",
                kept = out(reg) _, stack = in(reg) stack, inout("rax") 0u64 => _,
                out("rdi") _, out("rsi") _, out("rdx") _, out("r10") _, out("r8") _, out("r9") _,
                inout("r12") 0u64 => _, inout("r13") 0u64 => _, out("rcx") _, out("r11") _);
        }
    }
}

unsafe fn read(address: usize) {
    // SAFETY: as in `attack`.
    unsafe { asm!("mov {0}, [{0}]", inout(reg) address => _) }
}

unsafe fn write(address: usize) {
    // SAFETY: as in `attack`.
    unsafe { asm!("mov byte ptr [{}], 0", in(reg) address) }
}

unsafe fn jump(address: usize) {
    // SAFETY: as in `attack`.
    unsafe { asm!("jmp {}", in(reg) address) }
}

/// Runs a `ret` that lies on the stack.
unsafe fn execute_stack() {
    let code = [0xc3u8; 16];
    // SAFETY: as in `attack`.
    unsafe { asm!("call {}", in(reg) code.as_ptr()) }
}

unsafe fn overflow_stack() {
    // SAFETY: as in `attack`.
    unsafe { asm!("2: push 0", "jmp 2b") }
}
