//! Starting the other cores: INIT, SIPI, and the way from real mode to Rust.

use ::core::arch::global_asm;
use ::core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::cpu::{apic, clock, core};
use crate::memory::layout::DIRECT_BASE;

/// The page below 1 MiB where cores start; the memory map leaves all of the first MiB to the firmware, which is done with it.
const PAGE: u64 = 0x8000;

/// How long a core may take.
pub(crate) const PATIENCE_NS: u64 = 1_000_000_000;

/// The number of the core that may come; 0: none. It is taken once: by the core that comes ([`admit`]), or by who has waited for it
/// too long. So one that comes late finds that there is no place for it any more.
static AWAITED: AtomicUsize = AtomicUsize::new(0);

global_asm!(
    r#"
    .section .rodata.start_core, "a", @progbits
    .code16
    .global start_core
start_core:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    // Addresses by hand: this runs where it was copied to.
    lgdtl (0x8000 + start_core_gdt_pointer - start_core)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x18, $(0x8000 + 1f - start_core)
    .code32
1:  movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x8ff0, %esp
    movl $boot_long_mode, %eax
    call *%eax
    lgdt boot_gdt_pointer
    ljmp $8, $(0x8000 + 2f - start_core)
    .code64
2:  xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movabsq $start_core_high, %rax
    jmpq *%rax
    .align 8
start_core_gdt:
    .quad 0
    .quad 0x00af9a000000ffff
    .quad 0x00cf92000000ffff
    .quad 0x00cf9a000000ffff
start_core_gdt_pointer:
    .word 31
    .long 0x8000 + start_core_gdt - start_core
    .global start_core_end
start_core_end:

    // Here the boot tables can be left: what follows is mapped by the kernel's own.
    .text
start_core_high:
    movq core_root(%rip), %rax
    movq %rax, %cr3
    movq core_stack(%rip), %rsp
    xorl %ebp, %ebp
    jmpq *core_entry_address(%rip)
"#,
    options(att_syntax)
);

unsafe extern "C" {
    static start_core: u8;
    static start_core_end: u8;
}

/// The upper end of the stack that the next core begins on.
#[unsafe(no_mangle)]
static core_stack: AtomicU64 = AtomicU64::new(0);

/// The physical address of the kernel's page tables.
#[unsafe(no_mangle)]
static core_root: AtomicU64 = AtomicU64::new(0);

/// Where it goes.
#[unsafe(no_mangle)]
static core_entry_address: AtomicU64 = AtomicU64::new(0);

/// Copies the code that cores start with to its place.
pub(crate) fn prepare(root: u64, entry: extern "sysv64" fn() -> !) {
    core_root.store(root, Ordering::Relaxed);
    core_entry_address.store(entry as usize as u64, Ordering::Relaxed);
    let (from, end) = (&raw const start_core, (&raw const start_core_end).addr());
    let to = ::core::ptr::with_exposed_provenance_mut::<u8>((DIRECT_BASE + PAGE) as usize);
    // SAFETY: the page is memory that nobody uses, far from the image; the code is shorter than a page.
    unsafe { ::core::ptr::copy_nonoverlapping(from, to, end - from.addr()) };
}

/// Starts one core on a stack; whether it came up within so many nanoseconds. With none, it comes too late.
pub(crate) fn start(number: usize, apic_id: u32, stack: u64, patience_ns: u64) -> bool {
    // Like the return address of a call: the ABI wants the stack off by 8 at a function's first instruction.
    core_stack.store(stack - 8, Ordering::SeqCst);
    AWAITED.store(if patience_ns > 0 { number } else { 0 }, Ordering::SeqCst);
    apic::send_init(apic_id);
    clock::wait(10_000_000);
    for _ in 0..2 {
        apic::send_startup(apic_id, (PAGE / 4096) as u8);
        clock::wait(200_000);
    }
    let end = clock::now_ns() + patience_ns;
    while !core::is_up(number) && clock::now_ns() < end {
        ::core::hint::spin_loop();
    }
    let has_come = admit().is_none() && patience_ns > 0;
    while has_come && !core::is_up(number) {
        ::core::hint::spin_loop();
    }
    has_come
}

/// The number of the core that asks, which has just come, if somebody waits for it still.
pub(crate) fn admit() -> Option<usize> {
    let number = AWAITED.swap(0, Ordering::SeqCst);
    (number != 0).then_some(number)
}
