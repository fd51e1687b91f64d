//! Ports and interrupt lines, by capability.
//!
//! A port is read and written by a call that looks at the capability each time, so that a revocation takes it away at once; a bitmap in
//! the task state would be 8 KiB to copy at each switch of domains. A line interrupts whoever took it as long as its
//! ticket is live, which is looked at each time it fires.

use feuerbird_abi::{MachineCall, Status, event};
use feuerbird_capability::{ObjectKind, Range, Rights, Slot, Ticket};
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
    by: Ticket,
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
    let (capability, _) = world.kernel.claim(caller, slot, ObjectKind::IoPort, Rights::CONTROL)?;
    let width = ports::Width::from_bytes(bytes).ok_or(Status::BadArgument)?;
    if !capability.range.contains(Range::new(port, bytes)) {
        return Err(Status::BadArgument);
    }
    Ok((u16::try_from(port).map_err(|_| Status::BadArgument)?, width))
}

/// Makes a line interrupt the caller.
pub(super) fn take_line(world: &mut World, caller: DomainId, slot: u64, line: u64, mode: u64) -> Result<()> {
    let (number, by) = claim_line(world, caller, slot, line)?;
    let mode = Mode::from_bits(mode).ok_or(Status::BadArgument)?;
    let core = own(world, caller)?.core;
    let World { kernel, .. } = world;
    let lines = &kernel.machine().lines;
    let same = lines.iter().position(|it| it.is_some_and(|it| it.number == number));
    let is_free = |it: &Option<Line>| it.is_none_or(|it| !kernel.is_live(&it.by));
    let place = match same {
        Some(place) if lines[place].is_some_and(|it| it.domain != caller && kernel.is_live(&it.by)) => {
            return Err(Status::ObjectsFull);
        }
        Some(place) => place,
        None => lines.iter().position(is_free).ok_or(Status::ObjectsFull)?,
    };
    let line = Line { number, mode, domain: caller, by, has_fired: false };
    if let Some(before) = kernel.machine_mut().lines[place].replace(line) {
        io_apic::mask(before.number);
    }
    io_apic::route(number, apic::DEVICES + place as u64, mode, core::apic_id(core));
    log_control(world, caller, caller, slot, MachineCall::TakeInterrupt);
    Ok(())
}

/// Whether a line of the caller's has fired; from now on it may again.
pub(super) fn next_interrupt(world: &mut World, caller: DomainId, slot: u64, line: u64) -> Result<u64> {
    let (number, _) = claim_line(world, caller, slot, line)?;
    let core = own(world, caller)?.core;
    let kernel = &world.kernel;
    let is_it = |it: &Line| it.number == number && it.domain == caller && kernel.is_live(&it.by);
    let place = kernel.machine().lines.iter().position(|it| it.as_ref().is_some_and(is_it));
    let place = place.ok_or(Status::BadArgument)?;
    let machine = world.kernel.machine_mut();
    let Some(line) = &mut machine.lines[place] else { return Err(Status::BadArgument) };
    let has_fired = ::core::mem::take(&mut line.has_fired);
    if has_fired {
        io_apic::route(number, apic::DEVICES + place as u64, line.mode, core::apic_id(core));
    }
    Ok(has_fired.into())
}

fn claim_line(world: &World, caller: DomainId, slot: u64, line: u64) -> Result<(u32, Ticket)> {
    let slot = Slot::from_bits(slot);
    let (capability, ticket) = world.kernel.claim(caller, slot, ObjectKind::Interrupt, Rights::CONTROL)?;
    let number = u32::try_from(line).ok().filter(|line| *line < io_apic::lines());
    match number {
        Some(number) if capability.range.contains(Range::new(line, 1)) => Ok((number, ticket)),
        _ => Err(Status::BadArgument),
    }
}

/// A device's interrupt has come to this core. The line is masked until its domain asks for the next one; for ever, where the capability
/// for it is gone.
pub(super) fn interrupt(world: &mut World, vector: u64) {
    let place = (vector - apic::DEVICES) as usize;
    let Some(&Some(line)) = world.kernel.machine().lines.get(place) else { return };
    io_apic::mask(line.number);
    let is_live = world.kernel.is_live(&line.by);
    let machine = world.kernel.machine_mut();
    machine.monitor.interrupts += 1;
    machine.lines[place] = is_live.then_some(Line { has_fired: true, ..line });
    if is_live {
        machine.post_event(line.domain, event::INTERRUPT);
    }
}
