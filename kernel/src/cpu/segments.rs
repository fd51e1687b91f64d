//! Segments, the task state, and the interrupt descriptor table.

use alloc::boxed::Box;

use spin::Once;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::registers::segmentation::SegmentSelector;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;
use x86_64::{PrivilegeLevel, VirtAddr};

use crate::cpu::entry;

/// Ring 3's selectors, as SYSRET makes them: it adds 8 and 16 to the base in STAR.
pub(crate) const USER_DATA: u16 = 0x1b;
pub(crate) const USER_CODE: u16 = 0x23;
const KERNEL_CODE: u16 = 0x08;
/// What STAR says for SYSCALL and for SYSRET.
pub(crate) const STAR: u64 = (KERNEL_CODE as u64) << 32 | 0x13 << 48;

/// A stack for each of the exceptions that can come at any moment: debug, NMI, double fault, machine check.
const EMERGENCY_STACK_BYTES: usize = 8192;
const EMERGENCY_STACKS: usize = 4;

/// How many vectors there are stubs for.
pub(crate) const VECTORS: usize = 48;

/// An entry of the interrupt descriptor table: Intel SDM volume 3, section 6.14.1.
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    low: u64,
    high: u64,
}

impl Gate {
    /// An interrupt gate, which turns interrupts off, for ring 0 only: a domain's `int` is a general protection fault.
    fn new(handler: u64, stack: u64) -> Self {
        let low = handler & 0xffff
            | u64::from(KERNEL_CODE) << 16
            | stack << 32
            | 0x8e << 40
            | (handler >> 16 & 0xffff) << 48;
        Self { low, high: handler >> 32 }
    }
}

static GATES: Once<[Gate; VECTORS]> = Once::new();

/// Loads this core's tables, made on the heap; `stack` is where it enters ring 0.
pub(crate) fn load(stack: u64) {
    let mut tss = Box::new(TaskStateSegment::new());
    tss.privilege_stack_table[0] = VirtAddr::new(stack);
    // The structure is packed: its fields are written, not borrowed.
    for place in 0..EMERGENCY_STACKS {
        let stack = Box::leak(Box::new([0u128; EMERGENCY_STACK_BYTES / 16]));
        let mut stacks = tss.interrupt_stack_table;
        stacks[place] = VirtAddr::from_ptr(stack.as_ptr_range().end);
        tss.interrupt_stack_table = stacks;
    }
    let mut gdt = Box::new(GlobalDescriptorTable::new());
    let code = gdt.append(Descriptor::kernel_code_segment());
    let data = gdt.append(Descriptor::kernel_data_segment());
    gdt.append(Descriptor::user_data_segment());
    gdt.append(Descriptor::user_code_segment());
    let task = gdt.append(Descriptor::tss_segment(Box::leak(tss)));
    let gdt: &'static GlobalDescriptorTable = Box::leak(gdt);
    gdt.load();
    // SAFETY: the selectors are those of the table just loaded, which stays for ever; 64-bit code and flat data as before.
    unsafe {
        CS::set_reg(code);
        SS::set_reg(data);
        DS::set_reg(SegmentSelector::new(0, PrivilegeLevel::Ring0));
        ES::set_reg(SegmentSelector::new(0, PrivilegeLevel::Ring0));
        load_tss(task);
    }
    load_gates();
}

fn load_gates() {
    let gates = GATES.call_once(|| {
        let gate = |vector| Gate::new(entry::stub(vector), emergency_stack(vector));
        ::core::array::from_fn(gate)
    });
    let pointer =
        DescriptorTablePointer { limit: (size_of_val(gates) - 1) as u16, base: VirtAddr::from_ptr(gates) };
    // SAFETY: a static table whose gates lead to the stubs of `entry`, which keep what they interrupt.
    unsafe { lidt(&pointer) };
}

/// The number of a vector's own stack in the task state; 0 is none.
fn emergency_stack(vector: usize) -> u64 {
    match vector {
        1 => 1,
        2 => 2,
        8 => 3,
        18 => 4,
        _ => 0,
    }
}
