//! The way from QEMU's PVH entry, in 32-bit protected mode, to Rust in the higher half.
//!
//! The tables made here map the first 4 GiB three times: as they are (for the instructions that turn paging on), at
//! [`DIRECT_BASE`](crate::memory::layout::DIRECT_BASE) and, the first GiB, at the kernel's own addresses. They are replaced
//! as soon as frames can be had, and are used once more by each core that starts.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .align 4
    .long 4, 8, 18          // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .section .boot.tables, "aw", @progbits
    .align 4096
    .global boot_pml4
boot_pml4:
    .quad boot_pdpt_low + 3
    .fill 255, 8, 0
    .quad boot_pdpt_low + 3
    .fill 254, 8, 0
    .quad boot_pdpt_high + 3
boot_pdpt_low:
    .quad boot_directories + 0x0003
    .quad boot_directories + 0x1003
    .quad boot_directories + 0x2003
    .quad boot_directories + 0x3003
    .fill 508, 8, 0
boot_pdpt_high:
    .fill 510, 8, 0
    .quad boot_directories + 3
    .quad 0
boot_directories:
    .set page, 0
    .rept 2048
    .quad page * 0x200000 + 0x83
    .set page, page + 1
    .endr

    .section .boot.text, "awx", @progbits
    .align 8
    .global boot_gdt_pointer
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff    // 64-bit code
    .quad 0x00cf92000000ffff    // data
    .quad 0x00cf9a000000ffff    // 32-bit code, for starting cores
boot_gdt_pointer:
    .word boot_gdt_pointer - boot_gdt - 1
    .long boot_gdt

    .code32
    .global pvh_entry
pvh_entry:
    cli
    cld
    movl %ebx, %edi             // the start info
    call boot_long_mode
    lgdt boot_gdt_pointer
    ljmp $8, $1f
    .code64
1:  xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movabsq $boot_stack_top, %rsp
    xorl %ebp, %ebp
    movl %edi, %edi
    movabsq $kernel_entry, %rax
    callq *%rax
2:  hlt
    jmp 2b

    // Turns on PAE, long mode, NX, write protection and paging. Clobbers eax, ecx, edx.
    .code32
    .global boot_long_mode
boot_long_mode:
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx      // EFER
    rdmsr
    orl $0x900, %eax            // LME, NXE
    wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax       // PG, WP, PE
    movl %eax, %cr0
    ret

    .code64
    .section .bss.boot_stack, "aw", @nobits
    .align 16
boot_stack:
    .skip 65536
boot_stack_top:
    .text
"#,
    options(att_syntax)
);
