//! Time slices by capability, and yielding to one domain.

use feuerbird_abi::{Call, MachineCall, Status, UpcallKind, event};
use feuerbird_capability::{ObjectKind, Rights, Trust};

use super::{Checked, Ground, ensure, ensure_ends, ensure_refused};
use crate::child::Child;
use crate::events::{self, Overtime};
use crate::gate::{self, Result};
use crate::lane;
use crate::role::Role;
use crate::transfer::{self, words};

/// What a capability for slices is derived with.
const RIGHTS: u64 =
    Rights::CONTROL.union(Rights::GRANT).union(Rights::DERIVE).union(Rights::REVOKE).bits() as u64;

/// A capability for some of a core's slices, below the first domain's.
pub(super) fn slices(core: u64, start: u64, length: u64) -> Result<u64> {
    let all = gate::machine(MachineCall::Find, &[ObjectKind::TimeSlice.number(), core, 0])?.values[0];
    Ok(gate::call(Call::Derive, &[all, RIGHTS, 0, 0, start, length])?.values[0])
}

fn all_of(core: u64) -> Result<u64> {
    Ok(gate::machine(MachineCall::Find, &[ObjectKind::TimeSlice.number(), core, 0])?.values[0])
}

pub(super) fn run_in(slot: u64, domain: u64) -> Result<()> {
    gate::machine(MachineCall::RunIn, &[slot, domain]).map(|_| ())
}

fn this_core() -> Result<(u64, u64)> {
    let values = gate::machine(MachineCall::Clock, &[])?.values;
    Ok((values[1], values[2]))
}

pub(super) fn by_capability(ground: &Ground<'_>) -> Checked {
    let (_, cores) = this_core()?;
    for core in 0..cores {
        let some = slices(core, 30, 4)?;
        let child = Child::new(ground.image, Trust::USER)?;
        run_in(some, child.slot)?;
        child.start(ground.image, Role::OnCore.argument(core))?;
        ensure_ends(child)?;
        gate::call(Call::Delete, &[some])?;
        // A domain that was given slices of a core goes there by itself.
        let mover = ground.run(Role::OnCore, 0x100 | core)?;
        let some = slices(core, 40, 2)?;
        mover.grant(some, Rights::CONTROL, Trust::USER)?;
        ensure_ends(mover)?;
        gate::call(Call::Delete, &[some])?;
    }
    Ok(())
}

/// Ends where it should run; or goes there first, by a capability that it is granted.
pub(crate) fn be_on_core(wanted: u64) {
    let core = wanted & 0xff;
    let is_there = || this_core().is_ok_and(|(here, _)| here == core);
    if wanted & 0x100 != 0 {
        let slot = lane::expect(UpcallKind::Granted).map_or(0, |(granted, _)| granted.values[0]);
        super::end_if(run_in(slot, 0).is_ok() && is_there());
    }
    super::end_if(is_there());
}

/// Without slices a domain does not run; with others it goes on.
pub(super) fn revoked(ground: &Ground<'_>) -> Checked {
    let (_, cores) = this_core()?;
    let core = cores - 1;
    let some = slices(core, 30, 4)?;
    let child = Child::new(ground.image, Trust::USER)?;
    run_in(some, child.slot)?;
    gate::call(Call::Revoke, &[all_of(core)?, 0])?;
    ensure_refused(run_in(some, child.slot), Status::NoCapability)?;
    child.start(ground.image, Role::Nothing.argument(0))?;
    gate::sleep(150_000_000)?;
    ensure(child.is_alive())?;
    let others = slices(core, 32, 1)?;
    run_in(others, child.slot)?;
    ensure_ends(child)?;
    gate::call(Call::Delete, &[others])?;
    while gate::wait(0)?.is_some() {}
    Ok(())
}

pub(super) fn refused(ground: &Ground<'_>) -> Checked {
    let (_, cores) = this_core()?;
    let time = ObjectKind::TimeSlice.number();
    for (kind, object) in [(time, cores), (0, 0), (99, 0), (time, u64::MAX)] {
        ensure(gate::machine(MachineCall::Find, &[kind, object, 0]).is_err())?;
    }
    let child = Child::new(ground.image, Trust::USER)?;
    let own = gate::machine(MachineCall::Find, &[ObjectKind::Audit.number(), 1])?.values[0];
    ensure_refused(run_in(own, child.slot), Status::WrongKind)?;
    ensure_refused(run_in(0, child.slot), Status::NoCapability)?;
    let some = slices(0, 30, 4)?;
    for (start, length) in [(60, 5), (64, 1), (u64::MAX, 1), (33, 2), (30, 1)] {
        ensure(slices(0, start, length).is_err())?;
    }
    ensure_refused(run_in(some, 63), Status::NoCapability)?;
    let all = all_of(0)?;
    let weak = gate::call(Call::Derive, &[all, Rights::INSPECT.bits().into(), 0, 0, 40, 1])?.values[0];
    ensure_refused(run_in(weak, child.slot), Status::MissingRight)?;
    ensure_refused(gate::machine(MachineCall::YieldTo, &[child.slot]), Status::BadArgument)?;
    ensure_refused(gate::machine(MachineCall::YieldTo, &[0]), Status::NoCapability)?;
    gate::call(Call::Delete, &[weak])?;
    gate::call(Call::Delete, &[some])?;
    Ok(child.destroy()?)
}

/// How long a slice is, and what of it who steals leaves.
const SLICE_NS: u64 = 2_000_000;
const LEFT_NS: u64 = 300_000;

/// How long two domains share a core.
const SHARED_NS: u64 = 300_000_000;

/// Who goes just before its slice is over leaves the next one a whole slice.
pub(super) fn whole(ground: &Ground<'_>) -> Checked {
    let [honest, thief] = share(ground, [HONEST, STEALS])?;
    ensure(2 * honest > thief)
}

/// Who leaves the kernel work all the time has its slices and no more: neither does that begin a new one, nor is the end of one overlooked
/// while the kernel is at it.
pub(super) fn not_renewed(ground: &Ground<'_>) -> Checked {
    let [alone, _] = share(ground, [HONEST, STEALS])?;
    let [honest, revoker] = share(ground, [HONEST, REVOKES])?;
    ensure(revoker > 0 && 2 * honest > alone)
}

/// Who is told that its slice ends, and stays, has half of the slices that another one has who goes.
pub(super) fn overstayed(ground: &Ground<'_>) -> Checked {
    let [polite, rude] = share(ground, [GOES, OVERSTAYS])?;
    ensure(rude > 0 && 2 * polite > 3 * rude)
}

/// Two domains with these habits share a core, with one slice each; what each says of itself.
fn share(ground: &Ground<'_>, habits: [u64; 2]) -> core::result::Result<[u64; 2], super::Failed> {
    let (_, cores) = this_core()?;
    let report = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let mut children = [const { None }; 2];
    let mut some = [0; 2];
    for (place, (habit, child)) in habits.into_iter().zip(&mut children).enumerate() {
        some[place] = slices(cores - 1, 30 + place as u64, 1)?;
        let child = child.insert(Child::new(ground.image, Trust::USER)?);
        run_in(some[place], child.slot)?;
        child.start(ground.image, Role::Thief.argument(habit))?;
        child.grant(report, Rights::SEND, Trust::USER)?;
    }
    let mut work = [0; 2];
    while work.contains(&0) {
        match transfer::receive(report, u64::MAX) {
            Ok(came) => work[came.words[0] as usize % 2] = came.words[1],
            Err(status) => ensure(status == Status::Interrupted)?,
        }
    }
    children.into_iter().flatten().try_for_each(ensure_ends)?;
    for slot in some.into_iter().chain([report]) {
        gate::call(Call::Delete, &[slot])?;
    }
    while gate::wait(0)?.is_some() {}
    Ok(work)
}

/// How a domain shares a core: it works as long as it may, or yields before it must; or it is told that its slice ends, and goes, or stays
/// too long.
const HONEST: u64 = 0;
const STEALS: u64 = 1;
const GOES: u64 = 2;
const OVERSTAYS: u64 = 3;
/// Or it revokes so many capabilities again and again.
const REVOKES: u64 = 5;
const BELOW: u64 = 40;

/// Says how much it did; or, where it is told of its slices, how many began.
pub(crate) fn share_core(habit: u64) {
    let slot = lane::expect(UpcallKind::Granted).map_or(0, |(granted, _)| granted.values[0]);
    let done = match habit {
        HONEST | STEALS | REVOKES => work(habit),
        _ => count_slices(if habit == GOES { Overtime::Yields } else { Overtime::Overstays }),
    };
    super::end_if(transfer::send(slot, words([habit % 2, done, 0, 0]), 0).is_ok());
}

fn count_slices(overtime: Overtime) -> u64 {
    events::set_overtime(overtime, 0);
    let is_ready = events::start();
    events::enable(event::SLICE_ENDS | event::SLICE_BEGINS);
    let start = gate::now_ns();
    while gate::now_ns() - start < SHARED_NS {
        crate::fault::sum_without_calls(2000);
    }
    is_ready.and_then(|()| events::stop()).map_or(0, |()| events::count(event::SLICE_BEGINS))
}

/// Has the kernel sweep.
fn leave_work(endpoint: u64) {
    for _ in 0..BELOW {
        let _ = gate::call(Call::Derive, &[endpoint, 0, 0, 0, 0, 0]);
    }
    let _ = gate::call(Call::Revoke, &[endpoint, 0]);
    while let Ok(Some(_)) = gate::wait(0) {}
}

fn work(habit: u64) -> u64 {
    let endpoint = gate::call(Call::CreateEndpoint, &[0]).map_or(0, |made| made.values[0]);
    let (mut work, start) = (1, gate::now_ns());
    let mut began = start;
    while gate::now_ns() - start < SHARED_NS {
        crate::fault::sum_without_calls(2000);
        work += 1;
        if habit == REVOKES {
            leave_work(endpoint);
        }
        if habit == STEALS && gate::now_ns() - began > SLICE_NS - LEFT_NS {
            gate::give_way();
            began = gate::now_ns();
        }
    }
    work
}

/// The one named runs at once, whoever else is ready.
pub(super) fn directed(ground: &Ground<'_>) -> Checked {
    let (core, _) = this_core()?;
    let some = [slices(core, 30, 1)?, slices(core, 31, 1)?];
    let busy = Child::new(ground.image, Trust::USER)?;
    run_in(some[0], busy.slot)?;
    busy.start(ground.image, Role::Idle.argument(0))?;
    let switches = || gate::machine(MachineCall::Statistics, &[]).map_or(0, |answer| answer.values[4]);
    let mut best = u64::MAX;
    for _ in 0..20 {
        let child = Child::new(ground.image, Trust::USER)?;
        run_in(some[1], child.slot)?;
        child.start(ground.image, Role::Nothing.argument(0))?;
        let before = switches();
        // It may have run already, in a slice of its own.
        let is_given = gate::machine(MachineCall::YieldTo, &[child.slot]).is_ok();
        if is_given && !child.is_alive() {
            best = best.min(switches() - before);
        }
        ensure_ends(child)?;
    }
    busy.destroy()?;
    for slot in some {
        gate::call(Call::Delete, &[slot])?;
    }
    ensure(best == 2)
}
