//! Ports and interrupt lines by capability: the clock of a PC, driven from ring 3.

use feuerbird_abi::monitor::Counter;
use feuerbird_abi::{Call, MachineCall, Status, UpcallKind, event};
use feuerbird_capability::{ObjectKind, Rights, Trust};

use super::monitor::{Monitor, audit_slot};
use super::{Checked, Ground, ensure, ensure_ends, ensure_refused};
use crate::gate::{self, Result};
use crate::role::Role;
use crate::{events, lane};

/// The clock's two ports: which register, and its value.
const CLOCK: u64 = 0x70;

/// The clock's interrupt line.
pub(super) const LINE: u64 = 8;

/// Register B has a bit for periodic interrupts; register C says that there was one, and has to be read before the next.
const REGISTER_B: u64 = 0x8b;
const REGISTER_C: u64 = 0x8c;
const PERIODIC: u64 = 0x40;

/// The line interrupts when it changes, or as long as it is high.
const EDGE: u64 = 0;
const LEVEL: u64 = 1;

/// How many interrupts a driver waits for.
const TICKS: u64 = 5;

/// With `REVOKE`, so that it can be taken back from who was granted it.
const RIGHTS: u64 = Rights::CONTROL.union(Rights::GRANT).union(Rights::REVOKE).bits() as u64;

/// A driver of the clock, with what it was granted.
pub(super) struct Clock {
    pub(super) ports: u64,
    pub(super) line: u64,
}

impl Clock {
    /// Capabilities for its ports and its line, below the first domain's.
    pub(super) fn derive() -> Result<Self> {
        Ok(Self {
            ports: derive(ObjectKind::IoPort, CLOCK, 2)?,
            line: derive(ObjectKind::Interrupt, LINE, 1)?,
        })
    }

    pub(super) fn delete(self) -> Result<()> {
        gate::call(Call::Delete, &[self.ports])?;
        gate::call(Call::Delete, &[self.line]).map(|_| ())
    }

    /// Has it interrupt this domain, again and again; that is to say once, until it is asked.
    pub(super) fn start_ticking(&self) -> Result<()> {
        gate::machine(MachineCall::TakeInterrupt, &[self.line, LINE, EDGE])?;
        self.read(REGISTER_C)?;
        self.set(REGISTER_B, |bits| bits | PERIODIC)
    }

    pub(super) fn stop_ticking(&self) -> Result<()> {
        self.set(REGISTER_B, |bits| bits & !PERIODIC)
    }

    pub(super) fn is_ticking(&self) -> Result<bool> {
        Ok(self.read(REGISTER_B)? & PERIODIC != 0)
    }

    fn read(&self, register: u64) -> Result<u64> {
        write(self.ports, CLOCK, 1, register)?;
        read(self.ports, CLOCK + 1, 1)
    }

    fn set(&self, register: u64, change: impl Fn(u64) -> u64) -> Result<()> {
        let before = self.read(register)?;
        write(self.ports, CLOCK, 1, register)?;
        write(self.ports, CLOCK + 1, 1, change(before))
    }

    /// Has it tick, and counts; the mode says how the line interrupts.
    fn count_ticks(&self, mode: u64) -> Result<u64> {
        events::start()?;
        gate::machine(MachineCall::TakeInterrupt, &[self.line, LINE, mode])?;
        self.read(REGISTER_C)?;
        self.set(REGISTER_B, |bits| bits | PERIODIC)?;
        let mut ticks = 0;
        let deadline = gate::now_ns() + super::PATIENCE_NS / 4;
        while ticks < TICKS && gate::now_ns() < deadline {
            events::wait(event::INTERRUPT, deadline);
            events::enable(0);
            ticks += gate::machine(MachineCall::NextInterrupt, &[self.line, LINE])?.values[0];
            self.read(REGISTER_C)?;
        }
        self.set(REGISTER_B, |bits| bits & !PERIODIC)?;
        events::stop()?;
        Ok(ticks.min(events::count(event::INTERRUPT)))
    }
}

fn read(slot: u64, port: u64, bytes: u64) -> Result<u64> {
    Ok(gate::machine(MachineCall::ReadPort, &[slot, port, bytes])?.values[0])
}

fn write(slot: u64, port: u64, bytes: u64, value: u64) -> Result<()> {
    gate::machine(MachineCall::WritePort, &[slot, port, bytes, value]).map(|_| ())
}

fn find(kind: ObjectKind, unit: u64) -> Result<u64> {
    Ok(gate::machine(MachineCall::Find, &[kind.number(), 0, unit])?.values[0])
}

/// A capability for some units, below the first domain's.
pub(super) fn derive(kind: ObjectKind, start: u64, length: u64) -> Result<u64> {
    let all = find(kind, start)?;
    Ok(gate::call(Call::Derive, &[all, RIGHTS, 0, 0, start, length])?.values[0])
}

pub(super) fn driver(ground: &Ground<'_>) -> Checked {
    let (ports, line) = (derive(ObjectKind::IoPort, CLOCK, 2)?, derive(ObjectKind::Interrupt, LINE, 1)?);
    let driver = ground.run(Role::Driver, 0)?;
    driver.grant(ports, Rights::CONTROL, Trust::USER)?;
    driver.grant(line, Rights::CONTROL, Trust::USER)?;
    ensure_ends(driver)?;
    gate::call(Call::Delete, &[ports])?;
    gate::call(Call::Delete, &[line])?;
    Ok(())
}

/// Drives the clock, and ends if it ticks. With `habit` 1 it ends when its ports are taken away, and not before.
pub(crate) fn drive(habit: u64) {
    let granted = || lane::expect(UpcallKind::Granted).map_or(0, |(granted, _)| granted.values[0]);
    let clock = Clock { ports: granted(), line: granted() };
    let ticks = clock.count_ticks(EDGE);
    if habit == 0 {
        return super::end_if(ticks == Ok(TICKS));
    }
    // It goes on ticking, and nobody reads register C, until its ports are gone.
    let _ = clock.set(REGISTER_B, |bits| bits | PERIODIC);
    while clock.read(REGISTER_C).is_ok() {}
    let is_over = clock.read(REGISTER_C).err() == Some(Status::NoCapability);
    let line = gate::machine(MachineCall::NextInterrupt, &[clock.line, LINE]).err();
    super::end_if(ticks == Ok(TICKS) && is_over && line == Some(Status::NoCapability));
}

/// A line that stays as it is until the device is asked interrupts once until then.
pub(super) fn level(_: &Ground<'_>) -> Checked {
    let clock = Clock::derive()?;
    let monitor = Monitor::open(audit_slot()?)?;
    // The counters are written at the end of slices.
    gate::sleep(20_000_000)?;
    let before = monitor.counter(Counter::Interrupts);
    ensure(clock.count_ticks(LEVEL)? == TICKS)?;
    gate::sleep(20_000_000)?;
    // It may have ticked once more before it was told to stop.
    ensure((TICKS..=TICKS + 1).contains(&(monitor.counter(Counter::Interrupts) - before)))?;
    Ok(clock.delete()?)
}

pub(super) fn revoked(ground: &Ground<'_>) -> Checked {
    let (ports, line) = (derive(ObjectKind::IoPort, CLOCK, 2)?, derive(ObjectKind::Interrupt, LINE, 1)?);
    let driver = ground.run(Role::Driver, 1)?;
    driver.grant(ports, Rights::CONTROL, Trust::USER)?;
    driver.grant(line, Rights::CONTROL, Trust::USER)?;
    gate::sleep(400_000_000)?;
    // The line first: who has the ports can still see that it ticks, and hears nothing.
    gate::call(Call::Revoke, &[find(ObjectKind::Interrupt, 0)?, 0])?;
    gate::call(Call::Revoke, &[find(ObjectKind::IoPort, CLOCK)?, 0])?;
    ensure_ends(driver)?;
    while gate::wait(0)?.is_some() {}
    // The next holder has both, as if nobody had had them.
    let clock = Clock::derive()?;
    ensure(clock.count_ticks(EDGE)? == TICKS)?;
    Ok(clock.delete()?)
}

pub(super) fn refused(_: &Ground<'_>) -> Checked {
    let ports = derive(ObjectKind::IoPort, CLOCK, 2)?;
    let line = derive(ObjectKind::Interrupt, LINE, 1)?;
    for (port, bytes) in [
        (CLOCK - 1, 1),
        (CLOCK + 2, 1),
        (CLOCK + 1, 2),
        (CLOCK, 4),
        (CLOCK, 0),
        (CLOCK, 3),
        (CLOCK, u64::MAX),
        (u64::MAX, 1),
        (0x1_0000 + CLOCK, 1),
        (0x3f8, 1),
    ] {
        ensure_refused(read(ports, port, bytes), Status::BadArgument)?;
        ensure_refused(write(ports, port, bytes, 0), Status::BadArgument)?;
    }
    // What the kernel needs itself is nobody's.
    for port in [0x20, 0xa1, 0xf4, 0xf7, 0x3f8, 0x3ff, 0x1_0000] {
        ensure_refused(find(ObjectKind::IoPort, port), Status::NoCapability)?;
    }
    ensure_refused(read(line, CLOCK, 1), Status::WrongKind)?;
    ensure_refused(read(0, CLOCK, 1), Status::NoCapability)?;
    let take = |slot, line, mode| gate::machine(MachineCall::TakeInterrupt, &[slot, line, mode]).map(|_| ());
    ensure_refused(take(ports, LINE, 0), Status::WrongKind)?;
    for (number, mode) in [(LINE, 4), (LINE, u64::MAX), (LINE + 1, 0), (u64::MAX, 0), (1 << 32 | LINE, 0)] {
        ensure_refused(take(line, number, mode), Status::BadArgument)?;
    }
    let next = gate::machine(MachineCall::NextInterrupt, &[line, LINE]);
    ensure_refused(next, Status::BadArgument)?;
    gate::call(Call::Delete, &[ports])?;
    gate::call(Call::Delete, &[line])?;
    Ok(())
}
