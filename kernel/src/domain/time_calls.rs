//! Time: who runs in which slices, by capability; yielding to one domain; the end of a slice, announced.

use feuerbird_abi::{MachineCall, Status, event};
use feuerbird_capability::{ObjectKind, Rights, Slot};
use feuerbird_exokernel::DomainId;

use crate::console::println;
use crate::cpu::state::Registers;
use crate::cpu::{apic, core};
use crate::domain::calls::{self, Result, log_control, named, own};
use crate::domain::machine::Native;
use crate::domain::resident::State;
use crate::domain::run::{self, World};
use crate::domain::slices;

/// What part of a slice a domain has after it was told that its slice is over.
const OVERTIME_PARTS: u32 = 10;

/// How often in a row a domain may not give up its core in that time.
const MAX_OVERSTAYS: u32 = 8;

/// Has a domain run in the slices of a capability.
pub(super) fn run_in(world: &mut World, caller: DomainId, registers: &mut Registers) {
    let [slices, target, ..] = registers.words;
    match assign(world, caller, slices, target) {
        Ok(is_moving) => {
            registers.answer(Status::Ok as u32, [0; 6], 0, 0);
            // Its registers wait for the other core.
            if is_moving && let Some(resident) = world.kernel.machine_mut().resident_mut(caller) {
                resident.put_away(registers);
            }
        }
        Err(status) => calls::refuse(world, caller, registers, status),
    }
}

/// Whether the caller itself leaves its core.
fn assign(world: &mut World, caller: DomainId, slices: u64, target: u64) -> Result<bool> {
    let slot = Slot::from_bits(slices);
    let capability = world.kernel.claim(caller, slot, ObjectKind::TimeSlice, Rights::CONTROL)?;
    let domain = match target {
        0 => caller,
        slot => named(world, caller, slot, Rights::CONTROL)?,
    };
    let core = usize::try_from(capability.object.id).map_err(|_| Status::BadArgument)?;
    let range = capability.range;
    let end = range.end().and_then(|end| u32::try_from(end).ok()).filter(|end| *end <= slices::COUNT);
    let slices = range.start as u32..end.ok_or(Status::BadArgument)?;
    let machine = world.kernel.machine_mut();
    let before = machine.resident(domain).ok_or(Status::DomainGone)?.core;
    if before != core {
        if domain != caller && machine.cores[before].current.domain() == Some(domain) {
            return Err(Status::BadArgument);
        }
        machine.cores[before].slices.take_back(domain);
        if let Some(resident) = machine.resident_mut(domain) {
            resident.core = core;
        }
    }
    let slices_there = &mut machine.cores.get_mut(core).ok_or(Status::BadArgument)?.slices;
    slices_there.take_back_lent(domain);
    slices_there.assign(slices, domain, slot);
    machine.wake(core);
    log_control(world, caller, domain, slot.to_bits(), MachineCall::RunIn);
    Ok(before != core && domain == caller)
}

/// Gives the rest of the slice to another domain.
pub(super) fn yield_to(world: &mut World, caller: DomainId, registers: &mut Registers) {
    let number = core::number();
    let target = named(world, caller, registers.words[0], Rights::YIELD).and_then(|domain| {
        let resident = own(world, domain)?;
        let can = resident.core == number && resident.state == State::Ready && domain != caller;
        if can { Ok(domain) } else { Err(Status::BadArgument) }
    });
    match target {
        Ok(domain) => {
            registers.answer(Status::Ok as u32, [0; 6], 0, 0);
            let machine = world.kernel.machine_mut();
            machine.cores[number].directed = Some(domain);
            if let Some(resident) = machine.resident_mut(caller) {
                resident.put_away(registers);
            }
        }
        Err(status) => calls::refuse(world, caller, registers, status),
    }
}

/// The timer says that this core's slice is over. Whether its domain goes on for a little, because it wanted to be told and can be. One
/// that was told and is still there loses its next slice, and in the end is ended.
pub(super) fn warn(world: &mut World, registers: &Registers) -> bool {
    let number = core::number();
    let Some(domain) = run::current(world) else { return false };
    let machine = world.kernel.machine_mut();
    machine.cores[number].is_forced = true;
    let Some(resident) = machine.resident_mut(domain) else { return false };
    if resident.is_warned {
        resident.owes += 1;
        resident.overstays += 1;
        if resident.overstays >= MAX_OVERSTAYS {
            machine.monitor.overstays += 1;
            println!("kernel: domain {} ended: it kept its core too often", domain.index());
            world.kernel.domain_died(domain);
        }
        return false;
    }
    if resident.is_put_away
        || !resident.lets(event::SLICE_ENDS)
        || !resident.can_take_events_at(registers.rip)
    {
        return false;
    }
    resident.is_warned = true;
    resident.post(event::SLICE_ENDS);
    let core = &mut machine.cores[number];
    core.current.set_overtime(true);
    core.is_forced = false;
    apic::restart_timer(OVERTIME_PARTS);
    true
}

/// A domain is about to run. The one before, unless it was made to go, went in time.
pub(super) fn begin(machine: &mut Native, number: usize) {
    let core = &mut machine.cores[number];
    let is_forced = ::core::mem::take(&mut core.is_forced);
    if core.current.is_overtime() {
        core.current.set_overtime(false);
        apic::restart_timer(1);
    }
    if !is_forced && let Some(before) = core.current.domain().and_then(|before| machine.resident_mut(before))
    {
        (before.is_warned, before.overstays) = (false, 0);
    }
}

/// Whether a domain passes over this slice of its, because it overstayed one before.
pub(super) fn pays(world: &mut World, domain: DomainId) -> bool {
    let Some(resident) = world.kernel.machine_mut().resident_mut(domain) else { return false };
    let owes = resident.owes > 0;
    resident.owes = resident.owes.saturating_sub(1);
    owes
}
