//! Time to let go of what a revoked capability was used for: each holder is told, may save itself, and has nothing after the deadline.

use feuerbird_abi::{Access, Call, MachineCall, NO_BINDING, Status, Upcall, UpcallKind};
use feuerbird_capability::{ObjectKind, Rights, Trust};

use super::devices::{Clock, LINE};
use super::space::{set_word, word};
use super::time::{run_in, slices};
use super::transfers::{cores, granted};
use super::{Checked, Ground, ensure, ensure_ends, ensure_page_tables_are_right};
use crate::gate::{self, Result};
use crate::memory::{self, Mapping, PAGE};
use crate::role::Role;
use crate::transfer::{self, words};
use crate::{child::Child, lane};

/// What a holder does when it is told: it lets go, or does not.
const LETS_GO: u64 = 0;
const KEEPS: u64 = 1;

/// Where a holder maps what it is granted.
const PLACE: u64 = 0x3000_0000_0000;

/// What it writes before, and then to save itself.
const BEFORE: u64 = 1;
const SAVED: u64 = 2;

/// The time that holders are given, and one that is never over.
const GRACE_NS: u64 = 300_000_000;
const LONG_NS: u64 = 50_000_000_000;

/// Longer than a domain waits for its slice.
const STOPPED_NS: u64 = 100_000_000;

/// What a holder of pages has, and what slices are derived with.
const PAGES: Rights = Rights::MAP_READ.union(Rights::MAP_WRITE);
const SLICES: u64 = Rights::CONTROL.union(Rights::GRANT).union(Rights::REVOKE).bits() as u64;

/// A holder, and the endpoint by which it says that it uses what it was granted.
struct Holder {
    child: Child,
    report: u64,
}

impl Holder {
    fn new(ground: &Ground<'_>, kind: ObjectKind, habit: u64) -> Result<Self> {
        let report = gate::call(Call::CreateEndpoint, &[0])?.values[0];
        let child = ground.run(Role::Noticed, kind.number() << 8 | habit)?;
        child.grant(report, Rights::SEND, Trust::USER)?;
        Ok(Self { child, report })
    }

    fn wait_until_it_uses(&self) -> Result<()> {
        while let Err(status) = transfer::receive(self.report, gate::now_ns() + super::PATIENCE_NS) {
            if status != Status::Interrupted {
                return Err(status);
            }
            while gate::wait(0)?.is_some() {}
        }
        Ok(())
    }

    fn ensure_ends(self) -> Checked {
        ensure_ends(self.child)?;
        gate::call(Call::Delete, &[self.report])?;
        while gate::wait(0)?.is_some() {}
        Ok(())
    }
}

/// Revokes what a holder has, who is given time; it is answered when the holder has let go, or by force at the deadline.
fn revoke(slot: u64, habit: u64) -> Checked {
    let deadline = gate::now_ns() + if habit == KEEPS { GRACE_NS } else { LONG_NS };
    let [capabilities, forced, ..] = gate::call(Call::Revoke, &[slot, deadline])?.values;
    ensure(capabilities == 1 && forced == u64::from(habit == KEEPS))?;
    ensure((gate::now_ns() >= deadline) == (habit == KEEPS))
}

/// What it wrote when it was told is there afterwards; what it wrote later is not.
pub(super) fn of_pages(ground: &Ground<'_>) -> Checked {
    for habit in [LETS_GO, KEEPS] {
        let holder = Holder::new(ground, ObjectKind::Frame, habit)?;
        let pages = memory::allocate(1)?;
        holder.child.grant(pages, PAGES, Trust::USER)?;
        holder.wait_until_it_uses()?;
        revoke(pages, habit)?;
        ensure_page_tables_are_right()?;
        ensure(Mapping::new(pages, 1, Access::Read)?.load(0) == SAVED)?;
        holder.ensure_ends()?;
        memory::release(pages)?;
    }
    Ok(())
}

pub(super) fn of_a_region(ground: &Ground<'_>) -> Checked {
    for habit in [LETS_GO, KEEPS] {
        let holder = Holder::new(ground, ObjectKind::Region, habit)?;
        let handle = memory::allocate(1)?;
        Mapping::new(handle, 1, Access::Write)?.store(0, BEFORE);
        let region = gate::call_with(Call::RegisterRegion, &[PAGE], &[], handle)?.values[0];
        holder.child.grant(region, Rights::MAP_READ, Trust::USER)?;
        holder.wait_until_it_uses()?;
        revoke(region, habit)?;
        holder.ensure_ends()?;
        gate::call(Call::Delete, &[region])?;
        memory::release(handle)?;
    }
    Ok(())
}

/// Who loses its slices runs until the deadline, and then not until it gets others.
pub(super) fn of_slices(ground: &Ground<'_>) -> Checked {
    let core = cores()? - 1;
    for habit in [LETS_GO, KEEPS] {
        let holder = Holder::new(ground, ObjectKind::TimeSlice, habit)?;
        let some = slices(core, 30, 4)?;
        let below = gate::call(Call::Derive, &[some, SLICES, 0, 0, 0, 0])?.values[0];
        // Its own, to run in by; what it would go on in else is lent.
        holder.child.grant(below, Rights::CONTROL, Trust::USER)?;
        holder.wait_until_it_uses()?;
        let deadline = gate::now_ns() + if habit == KEEPS { GRACE_NS } else { LONG_NS };
        let [_, forced, ..] = gate::call(Call::Revoke, &[below, deadline])?.values;
        ensure(forced == u64::from(habit == KEEPS) && (gate::now_ns() >= deadline) == (habit == KEEPS))?;
        gate::sleep(2 * STOPPED_NS)?;
        ensure(holder.child.is_alive())?;
        let others = slices(core, 40, 1)?;
        run_in(others, holder.child.slot)?;
        holder.ensure_ends()?;
        for slot in [below, some, others] {
            gate::call(Call::Delete, &[slot])?;
        }
    }
    Ok(())
}

/// A driver brings its device to rest by ports and a line that it loses.
pub(super) fn of_devices(ground: &Ground<'_>) -> Checked {
    for habit in [LETS_GO, KEEPS] {
        let clock = Clock::derive()?;
        let holder = Holder::new(ground, ObjectKind::IoPort, habit)?;
        holder.child.grant(clock.ports, Rights::CONTROL, Trust::USER)?;
        holder.child.grant(clock.line, Rights::CONTROL, Trust::USER)?;
        holder.wait_until_it_uses()?;
        revoke(clock.line, habit)?;
        ensure(clock.is_ticking()?)?;
        revoke(clock.ports, habit)?;
        ensure(!clock.is_ticking()?)?;
        holder.ensure_ends()?;
        clock.delete()?;
    }
    Ok(())
}

/// A holder of a kind, with a habit; ends if all is as it should be.
pub(crate) fn be_noticed(own: u64) {
    let habit = own & 0xff;
    let is_right = match ObjectKind::from_number(own >> 8) {
        Some(ObjectKind::Frame) => hold_pages(habit),
        Some(ObjectKind::Region) => hold_region(habit),
        Some(ObjectKind::TimeSlice) => hold_slices(habit),
        _ => hold_devices(habit),
    };
    super::end_if(is_right == Ok(true));
}

fn say_in_use(report: u64) -> Result<()> {
    transfer::send(report, words([0; 4]), 0)
}

/// Waits until it is told that a capability goes; whether all of that is right.
fn be_told(slot: u64, kind: ObjectKind) -> Result<(Upcall, bool)> {
    let (upcall, _) = lane::expect(UpcallKind::RevocationRequested)?;
    let [binding, peer, deadline, told, of_kind, _] = upcall.values;
    let is_named = (told, of_kind) == (slot, kind.number());
    let is_right = is_named && [binding, peer] == [NO_BINDING; 2] && deadline > gate::now_ns();
    // The capability itself is gone.
    let is_gone = gate::call(Call::Inspect, &[slot]).err() == Some(Status::NoCapability);
    Ok((upcall, is_right && is_gone))
}

/// Lets go, or waits for the deadline and looks for what it is told then.
fn lose(upcall: &Upcall, habit: u64) -> Result<bool> {
    if habit == LETS_GO {
        gate::call(Call::Acknowledge, &[upcall.sequence])?;
        let again = gate::call(Call::Acknowledge, &[upcall.sequence]);
        return Ok(again.err() == Some(Status::BadArgument));
    }
    let taken = lane::expect(UpcallKind::Repossessed)?.0.values;
    let is_right = taken[..3] == [NO_BINDING, upcall.values[3], upcall.values[4]];
    Ok(is_right && gate::now_ns() >= upcall.values[2])
}

fn hold_pages(habit: u64) -> Result<bool> {
    let (report, pages) = (granted()?, granted()?);
    let map = |address| gate::machine(MachineCall::Map, &[pages, address, Access::Write as u64]);
    map(PLACE)?;
    set_word(PLACE, BEFORE);
    say_in_use(report)?;
    let (upcall, is_told) = be_told(pages, ObjectKind::Frame)?;
    let is_closed = map(PLACE + PAGE).err() == Some(Status::NoCapability);
    let was_there = word(PLACE) == BEFORE;
    set_word(PLACE, SAVED);
    let is_lost = lose(&upcall, habit)?;
    Ok(is_told && is_closed && was_there && is_lost && word(PLACE) == 0)
}

fn hold_region(habit: u64) -> Result<bool> {
    let (report, region) = (granted()?, granted()?);
    let mapping = Mapping::new(gate::call(Call::MapRegion, &[region])?.handle, 1, Access::Read)?;
    say_in_use(report)?;
    let (upcall, is_told) = be_told(region, ObjectKind::Region)?;
    let is_closed = gate::call(Call::MapRegion, &[region]).err() == Some(Status::NoCapability);
    let was_there = mapping.load(0) == BEFORE;
    let is_lost = lose(&upcall, habit)?;
    Ok(is_told && is_closed && was_there && is_lost && mapping.load(0) == 0)
}

/// It looks at the clock all the time, so that it sees when it did not run.
fn hold_slices(habit: u64) -> Result<bool> {
    let (report, some) = (granted()?, granted()?);
    run_in(some, 0)?;
    say_in_use(report)?;
    let (upcall, is_told) = be_told(some, ObjectKind::TimeSlice)?;
    let is_closed = run_in(some, 0).err() == Some(Status::NoCapability);
    let (told, deadline) = (gate::now_ns(), upcall.values[2]);
    if habit == LETS_GO {
        gate::call(Call::Acknowledge, &[upcall.sequence])?;
    }
    let mut last = told;
    let resumed = loop {
        let now = gate::now_ns();
        if now - last > STOPPED_NS {
            break now;
        }
        last = now;
    };
    let is_in_time = match habit {
        LETS_GO => last < deadline && resumed < deadline,
        _ => last - told > GRACE_NS / 2 && resumed > deadline && lose(&upcall, habit)?,
    };
    Ok(is_told && is_closed && is_in_time)
}

/// It has its device tick until it is told, and stops it by what it is about to lose.
fn hold_devices(habit: u64) -> Result<bool> {
    let report = granted()?;
    let clock = Clock { ports: granted()?, line: granted()? };
    clock.start_ticking()?;
    say_in_use(report)?;
    let (upcall, line_is_told) = be_told(clock.line, ObjectKind::Interrupt)?;
    let fired = || gate::machine(MachineCall::NextInterrupt, &[clock.line, LINE]).map(|it| it.values[0]);
    let taken = gate::machine(MachineCall::TakeInterrupt, &[clock.line, LINE, 0]);
    let line_is_closed = taken.err() == Some(Status::NoCapability);
    while fired()? == 0 {
        clock.is_ticking()?;
    }
    let line_is_lost = lose(&upcall, habit)? && fired() == Err(Status::NoCapability);
    let (upcall, is_told) = be_told(clock.ports, ObjectKind::IoPort)?;
    clock.stop_ticking()?;
    let is_lost = lose(&upcall, habit)? && clock.is_ticking().err() == Some(Status::NoCapability);
    Ok(line_is_told && line_is_closed && line_is_lost && is_told && is_lost)
}
