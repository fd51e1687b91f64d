//! Ports and interrupt lines, by capability.
//!
//! A port is read and written by a call that looks at the capability each time; a bitmap in the task state would be 8 KiB to copy at each
//! switch of domains. A line interrupts whoever took it until the capability for it is taken back. Who has notice that such a
//! capability goes can bring its device to rest by it until the deadline.

use feuerbird_abi::{MachineCall, Status, event};
use feuerbird_capability::{Capability, ObjectKind, Range, Rights, Slot};
use feuerbird_exokernel::DomainId;

use crate::cpu::io_apic::{self, Mode};
use crate::cpu::{apic, core, ports};
use crate::domain::calls::{Result, log_control, own};
use crate::domain::run::World;

/// How many lines can be taken at one time: as many as there are vectors for.
pub(crate) const LINES: usize = (apic::SPURIOUS - apic::DEVICES) as usize;

/// A line that somebody has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    number: u32,
    mode: Mode,
    domain: DomainId,
    by: Slot,
    /// Fired, and masked since.
    has_fired: bool,
}

/// Reads a port, or two or four.
pub(super) fn read_port(world: &World, caller: DomainId, [slot, port, bytes]: [u64; 3]) -> Result<u64> {
    let (port, width) = check_port(world, caller, slot, port, bytes)?;
    Ok(ports::read(port, width).into())
}

/// Writes a port, or two or four.
pub(super) fn write_port(
    world: &World,
    caller: DomainId,
    [slot, port, bytes]: [u64; 3],
    value: u64,
) -> Result<()> {
    let (port, width) = check_port(world, caller, slot, port, bytes)?;
    ports::write(port, width, value as u32);
    Ok(())
}

fn check_port(
    world: &World,
    caller: DomainId,
    slot: u64,
    port: u64,
    bytes: u64,
) -> Result<(u16, ports::Width)> {
    let slot = Slot::from_bits(slot);
    let capability = world.kernel.claim_use(caller, slot, ObjectKind::IoPort, Rights::CONTROL)?;
    let width = ports::Width::from_bytes(bytes).ok_or(Status::BadArgument)?;
    if !capability.range.contains(Range::new(port, bytes)) {
        return Err(Status::BadArgument);
    }
    Ok((u16::try_from(port).map_err(|_| Status::BadArgument)?, width))
}

/// Makes a line interrupt the caller.
pub(super) fn take_line(world: &mut World, caller: DomainId, slot: u64, line: u64, mode: u64) -> Result<()> {
    let by = Slot::from_bits(slot);
    let capability = world.kernel.claim(caller, by, ObjectKind::Interrupt, Rights::CONTROL)?;
    let number = check_line(&capability, line)?;
    let mode = Mode::from_bits(mode).ok_or(Status::BadArgument)?;
    let core = own(world, caller)?.core;
    let lines = &mut world.kernel.machine_mut().lines;
    let same = lines.iter().position(|it| it.is_some_and(|it| it.number == number));
    let place = match same {
        Some(place) if lines[place].is_some_and(|it| it.domain != caller) => {
            return Err(Status::ObjectsFull);
        }
        Some(place) => place,
        None => lines.iter().position(Option::is_none).ok_or(Status::ObjectsFull)?,
    };
    lines[place] = Some(Line { number, mode, domain: caller, by, has_fired: false });
    io_apic::mask(number);
    io_apic::route(number, apic::DEVICES + place as u64, mode, core::apic_id(core));
    log_control(world, caller, caller, slot, MachineCall::TakeInterrupt);
    Ok(())
}

/// Whether a line of the caller's has fired; from now on it may again.
pub(super) fn next_interrupt(world: &mut World, caller: DomainId, slot: u64, line: u64) -> Result<u64> {
    let capability =
        world.kernel.claim_use(caller, Slot::from_bits(slot), ObjectKind::Interrupt, Rights::CONTROL)?;
    let number = check_line(&capability, line)?;
    let core = own(world, caller)?.core;
    let lines = &mut world.kernel.machine_mut().lines;
    let is_it = |it: &Option<Line>| it.is_some_and(|it| it.number == number && it.domain == caller);
    let place = lines.iter().position(is_it).ok_or(Status::BadArgument)?;
    let Some(line) = &mut lines[place] else { return Err(Status::BadArgument) };
    let has_fired = ::core::mem::take(&mut line.has_fired);
    if has_fired {
        io_apic::route(number, apic::DEVICES + place as u64, line.mode, core::apic_id(core));
    }
    Ok(has_fired.into())
}

fn check_line(capability: &Capability, line: u64) -> Result<u32> {
    let number = u32::try_from(line).ok().filter(|line| *line < io_apic::lines());
    let number = number.filter(|_| capability.range.contains(Range::new(line, 1)));
    number.ok_or(Status::BadArgument)
}

/// The lines that were taken by a capability are silent.
pub(super) fn take_back(lines: &mut [Option<Line>], by: Slot) {
    for line in lines.iter_mut() {
        if let Some(taken) = line.take_if(|line| line.by == by) {
            io_apic::mask(taken.number);
        }
    }
}

/// Lines that were taken by a capability are taken by it in its new slot.
pub(super) fn follow(lines: &mut [Option<Line>], old: Slot, new: Slot) {
    lines.iter_mut().flatten().filter(|line| line.by == old).for_each(|line| line.by = new);
}

/// A device's interrupt has come to this core. The line is masked until its domain asks for the next one.
pub(super) fn interrupt(world: &mut World, vector: u64) {
    let place = (vector - apic::DEVICES) as usize;
    let machine = world.kernel.machine_mut();
    let Some(Some(line)) = machine.lines.get_mut(place) else { return };
    io_apic::mask(line.number);
    line.has_fired = true;
    let domain = line.domain;
    machine.monitor.interrupts += 1;
    machine.post_event(domain, event::INTERRUPT);
}
