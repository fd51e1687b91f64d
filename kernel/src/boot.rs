//! From the first instruction to the first domain.

mod pvh;

use ::core::sync::atomic::{AtomicU64, Ordering};

use feuerbird_abi::Status;
use feuerbird_boot::Physical;
use feuerbird_boot::acpi::{Madt, Root};
use feuerbird_boot::pvh::StartInfo;
use feuerbird_capability::{Badge, Capability, Object, ObjectKind, Range, Rights, Trust};
use feuerbird_exokernel::{DomainId, Kernel, Limits};
use feuerbird_numa::Topology;
use spin::Once;
use x86_64::instructions::{hlt, interrupts};

use crate::console::{print, println};
use crate::cpu::features::Features;
use crate::cpu::{apic, clock, core, entry, io_apic, ports, segments, start};
use crate::domain::machine::Native;
use crate::domain::run::{self, World};
use crate::domain::{load, slices};
use crate::memory::direct::{self, Firmware};
use crate::memory::layout::BOOT_MAPPED_BYTES;
use crate::memory::map::MemoryMap;
use crate::memory::paging::{self, KernelSpace};
use crate::memory::{frames, heap};

/// The kernel's tables: a few megabytes, which never grow.
const LIMITS: Limits = Limits {
    slots_per_domain: 256,
    memory_objects: (256 + Limits::SMALL.notices_per_domain) * Limits::SMALL.domains,
    along_per_domain: 64,
    endpoints_per_domain: 32,
    regions_per_domain: 64,
    region_bytes_per_domain: 64 << 20,
    peers_per_binding: 32,
    audit_records: 1024,
    // Nothing interrupts a call: what it does for others on the side is as little as can be.
    steps_per_call: 2,
    ..Limits::SMALL
};

/// What the heap has beside the table of frames.
const HEAP_BYTES: u64 = 24 << 20;

/// Pages of a core's stack.
const STACK_PAGES: u64 = 16;

/// Below the registers of ring 3, which are at the top of a core's stack.
const BELOW_REGISTERS: u64 = 256;

/// How long a slice is.
const SLICE_NS: u64 = 2_000_000;

/// What the other cores need to know to start.
#[derive(Clone, Copy, Debug)]
struct Plan {
    features: Features,
    timer_ticks: u32,
}

static PLAN: Once<Plan> = Once::new();

/// The stack of the core that is being started.
static NEXT_STACK: AtomicU64 = AtomicU64::new(0);

/// What ACPI says that is used.
struct Machine<'a> {
    madt: Option<Madt<'a>>,
    srat: Option<&'a [u8]>,
    slit: Option<&'a [u8]>,
}

/// Rust's first function, on the boot stack, with the boot tables.
#[unsafe(no_mangle)]
extern "sysv64" fn kernel_entry(start_info: u64) -> ! {
    println!("FeuerBird exokernel {}", env!("CARGO_PKG_VERSION"));
    // SAFETY: what the loader and ACPI left is in no range of the memory map that is used.
    let firmware = unsafe { Firmware::new() };
    let info = StartInfo::read(&firmware, start_info).expect("a PVH loader leaves its start info in order");
    let hz = clock::measure();
    let map = start_heap(&info);
    let machine = read_acpi(&firmware, &info);
    let kernel_space = start_paging(&map, machine.srat);
    let plan = start_processor(&kernel_space, &machine, hz);
    let patience_ns = if has_word(&info, "late-cores") { 0 } else { start::PATIENCE_NS };
    start_other_cores(&kernel_space, &machine, patience_ns);
    report(&map, &machine, plan);
    start_world(kernel_space, &firmware, &info);
    println!("boot: {} KiB of the heap left, and closed; {} frames free", heap::seal() >> 10, frames::free());
    apic::start_timer(plan.timer_ticks);
    let first = if has_word(&info, "overflow-stack") { break_stack } else { run::run_core };
    entry::continue_on(core::stack() - BELOW_REGISTERS, first)
}

/// Whether the loader's command line has a word.
fn has_word(info: &StartInfo<'_>, wanted: &str) -> bool {
    info.command_line().split(' ').any(|word| word == wanted)
}

/// For a test: what lies below a core's stack must be nothing, and the double fault that follows a panic that says so.
extern "sysv64" fn break_stack() -> ! {
    fn deeper(depth: u64) -> u64 {
        ::core::hint::black_box(if depth == 0 { 0 } else { deeper(depth - 1) + 1 })
    }
    panic!("a stack of {} frames did not overflow", deeper(u64::MAX))
}

/// Finds memory, and takes what the heap needs of it.
fn start_heap(info: &StartInfo<'_>) -> MemoryMap {
    let mut map = MemoryMap::new(info);
    let wanted = HEAP_BYTES + frames::table_bytes(map.end());
    let heap = map.take(wanted).expect("memory for the kernel's tables");
    // SAFETY: it is memory that the loader lists, apart from image and modules, below the end of the boot tables; the map
    // does not have it any more.
    unsafe { heap::start(heap) };
    map
}

/// Reads the tables; a machine without them has one core.
fn read_acpi<'a>(firmware: &'a Firmware, info: &StartInfo<'_>) -> Machine<'a> {
    let root = info.rsdp().map(|rsdp| Root::read(firmware, rsdp));
    let root = match root {
        Some(Ok(root)) => Some(root),
        Some(Err(error)) => {
            println!("boot: the ACPI tables are not in order: {error:?}");
            None
        }
        None => None,
    };
    let table = |signature| root.as_ref().and_then(|root| root.table(signature));
    Machine {
        madt: table(*b"APIC").and_then(|madt| Madt::parse(madt).ok()),
        srat: table(*b"SRAT"),
        slit: table(*b"SLIT"),
    }
}

/// Makes all other memory frames, and leaves the boot tables for ones where nothing can be both written and executed.
fn start_paging(map: &MemoryMap, srat: Option<&[u8]>) -> KernelSpace {
    let reachable = paging::direct_map_bytes(map);
    frames::start(map, srat);
    let space = KernelSpace::new(reachable.max(BOOT_MAPPED_BYTES));
    run::load_space(space.root());
    direct::set_mapped_bytes(reachable.max(BOOT_MAPPED_BYTES));
    space
}

/// Makes this processor core 0.
fn start_processor(space: &KernelSpace, machine: &Machine<'_>, hz: u64) -> Plan {
    let features = Features::detect();
    apic::map(space, machine.madt.as_ref().map_or(0xfee0_0000, Madt::local_apic));
    silence_old_interrupts();
    if let Some((registers, 0)) = machine.madt.as_ref().and_then(|madt| madt.io_apics().next()) {
        io_apic::start(space, registers);
    }
    become_core(features, 0, space.map_stack(0, STACK_PAGES));
    let timer_ticks = apic::measure_timer(SLICE_NS);
    println!("boot: time stamp counter {} MHz, {features}", hz / 1_000_000);
    *PLAN.call_once(|| Plan { features, timer_ticks })
}

/// What every core does to itself.
fn become_core(features: Features, number: usize, stack: u64) {
    features.enable();
    core::become_core(number, stack);
    segments::load(stack);
    entry::enable_syscall();
    apic::enable();
    core::announce(number, apic::id());
}

/// The interrupt controllers of before the APIC are told to keep quiet.
fn silence_old_interrupts() {
    for port in [0x21u16, 0xa1] {
        // SAFETY: the mask registers of the two controllers, which nothing else uses.
        unsafe { x86_64::instructions::port::Port::<u8>::new(port).write(0xff) };
    }
}

/// Wakes the others one by one; a core that does not come is left out.
fn start_other_cores(space: &KernelSpace, machine: &Machine<'_>, patience_ns: u64) {
    start::prepare(space.root(), core_entry);
    let own = core::apic_id(0);
    let others = machine.madt.iter().flat_map(Madt::processors).filter(|id| *id != own && *id < 255);
    for (number, apic_id) in (1..core::MAX_CORES).zip(others) {
        let stack = space.map_stack(number as u64, STACK_PAGES);
        NEXT_STACK.store(stack, Ordering::SeqCst);
        if !start::start(number, apic_id, stack - BELOW_REGISTERS, patience_ns) {
            println!("boot: the core with APIC id {apic_id} did not start");
            return;
        }
    }
}

/// The first function of every other core, on its own stack, with the kernel's tables. One for which nobody has waited has no place
/// in any table, and stops.
extern "sysv64" fn core_entry() -> ! {
    let plan = *PLAN.wait();
    let Some(number) = start::admit() else { stop() };
    become_core(plan.features, number, NEXT_STACK.load(Ordering::SeqCst));
    apic::start_timer(plan.timer_ticks);
    run::run_core()
}

fn stop() -> ! {
    loop {
        interrupts::disable();
        hlt();
    }
}

/// Prints the machine.
fn report(map: &MemoryMap, machine: &Machine<'_>, plan: Plan) {
    let megabytes = map.ranges().map(|range| range.bytes()).sum::<u64>() >> 20;
    println!(
        "boot: {} cores, {megabytes} MiB of memory, slices of {} timer ticks",
        core::count(),
        plan.timer_ticks
    );
    let Some(srat) = machine.srat else {
        println!("boot: one NUMA node (no SRAT)");
        return;
    };
    match feuerbird_numa::acpi::topology(srat, machine.slit) {
        Ok(topology) => report_nodes(&topology),
        Err(malformed) => println!("boot: the NUMA topology is not in order: {malformed}"),
    }
}

fn report_nodes(topology: &Topology) {
    for (id, node) in topology.nodes() {
        let index = usize::from(id.index());
        print(format_args!(
            "boot: node {index}: {} MiB, {} frames free, cores",
            node.memory_bytes >> 20,
            frames::free_on(index)
        ));
        node.cpus.iter().for_each(|cpu| print(format_args!(" {cpu}")));
        print(format_args!(", distances"));
        topology.nodes().for_each(|(other, _)| print(format_args!(" {}", topology.distance(id, other))));
        println!("");
    }
}

/// Gives the first domain capabilities for all that there is one of: it hands them down.
fn give_machine(kernel: &mut Kernel<Native>, root: DomainId) -> Result<(), Status> {
    let rights = Rights::CONTROL | Rights::DERIVE | Rights::GRANT | Rights::REVOKE | Rights::INSPECT;
    let mut give = |kind, id, start, end| {
        let (object, range) = (Object { kind, id }, Range::new(start, end - start));
        let capability = Capability { object, rights, trust: Trust::KERNEL, badge: Badge::NONE, range };
        kernel.mint_for(root, capability).map(|_| ())
    };
    for core in 0..core::count() as u64 {
        give(ObjectKind::TimeSlice, core, 0, slices::COUNT.into())?;
    }
    if io_apic::lines() > 0 {
        give(ObjectKind::Interrupt, 0, 0, io_apic::lines().into())?;
    }
    let mut start = 0;
    for (taken, end) in ports::KERNELS {
        give(ObjectKind::IoPort, 0, start, taken)?;
        start = end;
    }
    give(ObjectKind::IoPort, 0, start, ports::COUNT)
}

/// Makes the exokernel and its first domain.
fn start_world(kernel_space: KernelSpace, firmware: &Firmware, info: &StartInfo<'_>) {
    let machine = Native::new(kernel_space, &LIMITS, core::count());
    let mut kernel = Kernel::new(machine, LIMITS);
    let root = kernel.boot_domain(Trust::KERNEL).expect("an empty kernel has room for a domain");
    let module = info.modules().next().expect("the loader brings the first domain's program as a module");
    let file = firmware.bytes(module.start(), module.bytes() as usize).expect("modules are memory");
    // The roles of a first domain, and whether it goes on as a shell; `kernel/programs/src/role.rs` says the same.
    let role = [("test", 1), ("paths", 11), ("producer-consumer", 13), ("attempts", 16), ("policies", 60)]
        .into_iter()
        .find(|(word, _)| has_word(info, word))
        .map_or(0, |it| it.1);
    let argument = role | u64::from(has_word(info, "shell")) << 8;
    kernel.machine_mut().settle_first(root).expect("an empty machine has room for a domain");
    load::load(kernel.machine_mut(), root, file, argument).expect("the first domain's program can be loaded");
    println!("boot: the first domain's program has {} bytes", file.len());
    give_machine(&mut kernel, root).expect("an empty space has room for the machine");
    run::start(World { kernel, root });
}
