//! What runs: the doors that the entry code calls, and how a core goes from one domain to the next.
//!
//! A core has the registers of one domain on its stack. While that domain is in the kernel they are its; whoever makes another
//! one current copies them to the old one's record and the new one's here.

use feuerbird_abi::{Call, Status, event};
use feuerbird_exokernel::{DomainId, Kernel};
use x86_64::PhysAddr;
use x86_64::instructions::{interrupts, nop};
use x86_64::registers::control::{Cr2, Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;

use crate::console::{Exit, exit, println};
use crate::cpu::state::Registers;
use crate::cpu::{apic, clock, core, entry, features, shootdown};
use crate::domain::lock::{self, Guard};
use crate::domain::machine::Native;
use crate::domain::resident::{Resident, State};
use crate::domain::{calls, current, devices, monitor, time_calls};

/// The exokernel over this machine.
pub(crate) struct World {
    pub(crate) kernel: Kernel<Native>,
    /// The first domain: the machine ends with it.
    pub(crate) root: DomainId,
}

/// Opens the world.
pub(crate) fn start(world: World) {
    current::publish(lock::lock().insert(world));
}

/// What a core does after it has started: runs domains, for ever.
pub(crate) extern "sysv64" fn run_core() -> ! {
    let registers = core::registers();
    let mut next = Registers::USER;
    reschedule(lock::lock(), &mut next);
    // SAFETY: this core's place for the registers of ring 3 is above this stack frame, and what is written there was made from
    // `Registers::USER` by `calls::start`, or came from ring 3 itself.
    unsafe {
        registers.write(next);
        entry::leave(registers)
    }
}

/// An interrupt or an exception.
#[unsafe(no_mangle)]
extern "sysv64" fn trap_entry(registers: &mut Registers) {
    // A domain may have set the flag that suspends SMAP; only SYSCALL clears it by itself.
    features::resume_smap();
    if matches!(registers.vector, apic::TIMER | apic::WAKE) {
        shootdown::serve();
        apic::acknowledge();
    }
    match registers.vector {
        _ if !registers.is_user() => in_kernel(registers),
        apic::DEVICES..apic::SPURIOUS => {
            let mut world = lock::lock();
            device(&mut world, registers.vector);
            resume_or_reschedule(world, registers);
        }
        apic::TIMER => {
            let mut world = lock::lock();
            if world.as_mut().is_some_and(|world| time_calls::warn(world, registers)) {
                return resume_or_reschedule(world, registers);
            }
            if let Some(world) = world.as_mut() {
                monitor::publish_counters(world);
                end_slice(world);
            }
            reschedule(world, registers);
        }
        apic::WAKE | apic::SPURIOUS => resume_or_reschedule(lock::lock(), registers),
        _ => {
            let mut world = lock::lock();
            if let Some(world) = world.as_mut() {
                handle_fault(world, registers);
            }
            resume_or_reschedule(world, registers);
        }
    }
}

/// A system call.
#[unsafe(no_mangle)]
extern "sysv64" fn syscall_entered(registers: &mut Registers) {
    let mut world = lock::lock();
    if let Some(world) = world.as_mut()
        && let Some(caller) = current(world)
    {
        let is_revocation = registers.rax == u64::from(Call::Revoke as u32);
        calls::carry_out(world, caller, registers);
        // A revocation has done its piece.
        if !is_revocation {
            work(world);
        }
    }
    resume_or_reschedule(world, registers);
}

/// The line is masked before the interrupt is acknowledged: one that interrupts by its level would come at once again.
fn device(world: &mut Option<World>, vector: u64) {
    if let Some(world) = world {
        devices::interrupt(world, vector);
    }
    apic::acknowledge();
}

/// In ring 0 a core is only interrupted where nobody is in its registers and it has given the lock back: it is idle, or between two pieces
/// of work. Anything else is a bug of the kernel.
fn in_kernel(registers: &Registers) {
    match registers.vector {
        // Who left that work has no more of the slice for it.
        apic::TIMER => {
            let mut world = lock::lock();
            let core = world.as_mut().map(|world| &mut world.kernel.machine_mut().cores[core::number()]);
            return core.into_iter().for_each(|core| core.slices.end_current());
        }
        apic::WAKE | apic::SPURIOUS => return,
        apic::DEVICES..apic::SPURIOUS => return device(&mut lock::lock(), registers.vector),
        _ => (),
    }
    let Registers { vector, error, rip, rsp, .. } = *registers;
    panic!(
        "exception {vector} in the kernel, error {error:#x}, at {rip:#x}, stack {rsp:#x}, address {:#x}",
        Cr2::read_raw()
    );
}

/// The domain in this core's registers, if it has not been ended meanwhile.
pub(crate) fn current(world: &World) -> Option<DomainId> {
    world.kernel.machine().cores[core::number()].current.domain()
}

/// The slice is over: the next one's turn.
pub(crate) fn end_slice(world: &mut World) {
    work(world);
    world.kernel.machine_mut().cores[core::number()].slices.end_current();
}

/// Does what is due.
fn work(world: &mut World) {
    if let Some(deadline) = world.kernel.next_deadline() {
        let now = clock::now_ns();
        if deadline <= now {
            world.kernel.tick(now);
        }
    }
}

/// A domain that did what it must not handles that itself, or is ended.
fn handle_fault(world: &mut World, registers: &mut Registers) {
    let Some(domain) = current(world) else { return };
    let Registers { vector, error, rip, .. } = *registers;
    let address = if vector == 14 { Cr2::read_raw() } else { 0 };
    world.kernel.machine_mut().cores[core::number()].current.count_fault();
    let resident = world.kernel.machine().resident(domain);
    if resident.is_some_and(|resident| resident.upcall_fault(registers, address)) {
        return;
    }
    let number = domain.index();
    println!(
        "kernel: domain {number} ended: exception {vector}, error {error:#x}, at {rip:#x}, address {address:#x}"
    );
    world.kernel.domain_died(domain);
}

/// Goes on with the current domain if it can, with another one otherwise.
#[inline]
fn resume_or_reschedule(mut world: Guard, registers: &mut Registers) {
    let resident = world.as_mut().and_then(current_resident);
    match resident.filter(|it| it.state == State::Ready && !it.is_put_away) {
        Some(resident) => resident.deliver_events(registers),
        None => reschedule(world, registers),
    }
}

fn current_resident(world: &mut World) -> Option<&mut Resident> {
    let domain = current(world)?;
    world.kernel.machine_mut().resident_mut(domain)
}

/// How many pieces of what calls have left to be done a core does before another domain has its turn.
const PIECES: u32 = 64;

/// Puts the current domain away and another one's registers here. Before that, and as long as there is none, does what calls have left
/// to be done, piece by piece, with interrupts taken and the lock free after each; and halts.
#[inline(never)]
fn reschedule(mut world: Guard, registers: &mut Registers) {
    let number = core::number();
    if let Some(world) = world.as_mut() {
        put_away(world, number, registers);
    }
    let mut pieces = 0u32;
    loop {
        let mut is_work_left = false;
        if let Some(world) = world.as_mut() {
            if pieces > 0 {
                work(world);
            }
            is_work_left = world.kernel.next_deadline() == Some(0);
            let is_somebodys_turn = !is_work_left || pieces >= PIECES;
            if is_somebodys_turn && let Some(next) = next_domain(world, number) {
                return take_up(world, number, next, registers);
            }
            if pieces == 0 {
                vacate(world, number);
            }
            if !is_work_left {
                world.kernel.machine_mut().cores[number].slices.rest();
            }
        }
        drop(world);
        pieces = pieces.saturating_add(1);
        if is_work_left {
            // A piece of it, then whoever wants the lock or this core.
            interrupts::enable();
            nop();
            interrupts::disable();
            world = lock::lock();
        } else {
            interrupts::enable_and_hlt();
            interrupts::disable();
            world = lock::lock();
            world.as_mut().into_iter().for_each(monitor::publish_counters);
        }
    }
}

/// Whose turn it is, if it is anybody's. Does not return where the first domain is gone.
fn next_domain(world: &mut World, number: usize) -> Option<DomainId> {
    if !world.kernel.is_alive(world.root) {
        println!("kernel: the first domain is gone");
        exit(Exit::Failure);
    }
    choose(world, number)
}

/// Nobody is in this core's registers.
fn vacate(world: &mut World, number: usize) {
    let machine = world.kernel.machine_mut();
    load_space(machine.kernel_space.root());
    let core = &mut machine.cores[number];
    core.current.clear();
    core.is_idle = true;
    if let Some(remains) = core.remains.take() {
        remains.end();
    }
}

/// Keeps the registers of the current domain in its record.
fn put_away(world: &mut World, number: usize, registers: &Registers) {
    let machine = world.kernel.machine_mut();
    let Some(domain) = machine.cores[number].current.domain() else { return };
    if let Some(resident) = machine.resident_mut(domain) {
        if !resident.is_put_away {
            resident.put_away(registers);
        }
        resident.float.save();
    }
}

/// The next domain of this core's slices that can run.
fn choose(world: &mut World, number: usize) -> Option<DomainId> {
    if let Some(domain) = world.kernel.machine_mut().cores[number].directed.take()
        && can_run(world, domain)
    {
        return Some(domain);
    }
    let mut rest = world.kernel.machine().cores[number].slices.in_turn();
    while let Some((slice, holder)) = rest.next(&world.kernel.machine().cores[number].slices) {
        if can_run(world, holder.domain) && !time_calls::pays(world, holder.domain) {
            begin_slice(world, number, slice);
            return Some(holder.domain);
        } else if let Some(server) = working_for(world, number, holder.domain) {
            begin_slice(world, number, slice);
            return Some(server);
        }
    }
    None
}

/// A slice is whole, however short the one before it was: who yields takes nothing from who comes next.
fn begin_slice(world: &mut World, number: usize, slice: u32) {
    if world.kernel.machine_mut().cores[number].slices.run(slice) {
        apic::restart_timer(1);
    }
}

/// Who works on this core for a domain that waits for a reply: the time is donated.
fn working_for(world: &mut World, number: usize, domain: DomainId) -> Option<DomainId> {
    let server = world.kernel.served_by(domain)?;
    let is_near = world.kernel.machine().resident(server)?.core == number;
    (is_near && can_run(world, server)).then_some(server)
}

/// Whether a domain has something to do, its alarm and the end of its waiting included.
fn can_run(world: &mut World, domain: DomainId) -> bool {
    let machine = world.kernel.machine_mut();
    let Some(resident) = machine.resident_mut(domain) else { return false };
    match resident.state {
        State::Ready => true,
        State::Waiting { deadline_ns } => {
            let now = clock::now_ns();
            if deadline_ns <= now {
                return machine.answer_wait(domain, deadline_ns);
            }
            resident.look_at_alarm(now);
            if resident.events & event::TIMER != 0 && resident.lets(event::TIMER) {
                machine.post_event(domain, event::TIMER);
                return true;
            }
            false
        }
        State::Transferring { .. } if resident.is_late(clock::now_ns()) => {
            world.kernel.give_up(domain, Status::TimedOut);
            true
        }
        _ => false,
    }
}

/// Makes a domain the current one.
fn take_up(world: &mut World, number: usize, domain: DomainId, registers: &mut Registers) {
    let machine = world.kernel.machine_mut();
    let Some(resident) = machine.resident_mut(domain) else { return };
    *registers = resident.registers;
    resident.is_put_away = false;
    resident.float.restore();
    let (root, place) = (resident.root, (&raw mut *resident).expose_provenance());
    resident.look_at_alarm(clock::now_ns());
    if resident.lets(event::SLICE_BEGINS) {
        resident.post(event::SLICE_BEGINS);
    }
    resident.deliver_events(registers);
    time_calls::begin(machine, number);
    let is_warned = machine.resident(domain).is_some_and(|resident| resident.is_warned);
    let core = &mut machine.cores[number];
    core.is_idle = false;
    let before = core.current.domain();
    core.current.set(domain, place, is_warned);
    core::set_current(&raw mut core.current);
    if before != Some(domain) {
        load_space(root);
    }
    if let Some(remains) = core.remains.take() {
        remains.end();
    }
}

/// Makes the processor use other tables; it forgets what it knew of the old ones.
pub(crate) fn load_space(root: u64) {
    let frame = PhysFrame::containing_address(PhysAddr::new(root));
    // SAFETY: every root has the kernel's half, in which this code, its stack and all that it uses lie.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
}
