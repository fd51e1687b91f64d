//! Events: they come in the domain's own context, when it lets them.

use feuerbird_abi::{Call, Role as Side, UpcallKind, event};
use feuerbird_capability::{Rights, Trust};

use super::{Checked, Ground, ensure, ensure_ends};
use crate::events::{self, Overtime};
use crate::gate;
use crate::lane;
use crate::role::Role;
use crate::transfer;

const SOON_NS: u64 = 3_000_000;

/// Many times what it takes, as the processor counts.
const PATIENCE: u64 = 200_000_000_000;

/// Runs without a call until an event has come so often; whether it has.
fn spin_until(event: u64, count: u64) -> bool {
    let start = gate::counter();
    while events::count(event) < count && gate::counter() - start < PATIENCE {
        core::hint::spin_loop();
    }
    events::count(event) >= count
}

pub(super) fn alarms(_: &Ground<'_>) -> Checked {
    events::start()?;
    let before = events::count(event::TIMER);
    events::enable(event::TIMER);
    for round in 1..=20 {
        events::set_alarm(gate::now_ns() + SOON_NS / 3);
        // What runs meanwhile keeps every register.
        ensure(crate::fault::sum_without_calls(200_000) == 200_000 * 200_001 / 2)?;
        ensure(spin_until(event::TIMER, before + round))?;
    }
    // It ends a wait, too.
    let start = gate::now_ns();
    events::set_alarm(start + SOON_NS);
    ensure(gate::wait(start + 20_000 * SOON_NS)?.is_none())?;
    ensure(events::count(event::TIMER) == before + 21 && gate::now_ns() < start + 20_000 * SOON_NS)?;
    // None is lost that comes before the wait begins.
    for _ in 0..50 {
        events::enable(0);
        events::set_alarm(1);
        events::wait(event::TIMER, start + 20_000 * SOON_NS);
    }
    ensure(events::count(event::TIMER) == before + 71 && gate::now_ns() < start + 20_000 * SOON_NS)?;
    Ok(events::stop()?)
}

pub(super) fn held_back(_: &Ground<'_>) -> Checked {
    events::start()?;
    let before = events::count(event::TIMER);
    events::set_alarm(gate::now_ns() + SOON_NS);
    while events::pending() & event::TIMER == 0 {
        core::hint::spin_loop();
    }
    gate::now_ns();
    ensure(events::count(event::TIMER) == before)?;
    events::enable(event::TIMER);
    gate::now_ns();
    ensure(events::count(event::TIMER) == before + 1 && events::pending() & event::TIMER == 0)?;
    events::be_quiet_below(1 << 47);
    events::set_alarm(1);
    gate::sleep(SOON_NS)?;
    ensure(events::count(event::TIMER) == before + 1 && events::pending() & event::TIMER != 0)?;
    events::start()?;
    gate::now_ns();
    ensure(events::count(event::TIMER) == before + 2)?;
    Ok(events::stop()?)
}

pub(super) fn upcalls(ground: &Ground<'_>) -> Checked {
    events::start()?;
    events::enable(event::UPCALL);
    let before = events::count(event::UPCALL);
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    gate::call_with(Call::Bind, &[endpoint, Side::Sender as u64, 0], b"contract", 0)?;
    gate::call_with(Call::Bind, &[endpoint, Side::Receiver as u64, 0], b"contract", 0)?;
    ensure(events::count(event::UPCALL) > before)?;
    lane::expect(UpcallKind::PeerJoined)?;
    events::stop()?;
    // One that makes no call hears of a grant.
    let child = ground.run(Role::Listener, 0)?;
    gate::sleep(SOON_NS)?;
    child.grant(endpoint, Rights::SEND, Trust::USER)?;
    ensure_ends(child)?;
    gate::call(Call::Delete, &[endpoint])?;
    while gate::wait(0)?.is_some() {}
    Ok(())
}

/// Runs without a call until it is told something.
pub(crate) fn listen_without_calls() {
    let is_ready = events::start();
    events::enable(event::UPCALL);
    let is_heard = is_ready.is_ok() && spin_until(event::UPCALL, 1);
    super::end_if(is_heard && matches!(gate::wait(0), Ok(Some(_))));
}

pub(super) fn slices(ground: &Ground<'_>) -> Checked {
    let others = [ground.run(Role::Idle, 0)?, ground.run(Role::Idle, 0)?];
    let polite = ground.run(Role::Sliced, 0)?;
    let rude = [ground.run(Role::Sliced, 1)?, ground.run(Role::Sliced, 2)?];
    ensure_ends(polite)?;
    rude.into_iter().try_for_each(ensure_ends)?;
    others.into_iter().try_for_each(|other| Ok(other.destroy()?))
}

/// Is told of its slices' ends, and yields in time and ends by itself after some; or does not, with or without calls, and is ended.
pub(crate) fn be_sliced(habit: u64) {
    let overtime = [Overtime::Yields, Overtime::Stays, Overtime::Signals][habit as usize % 3];
    events::set_overtime(overtime, transfer::create_notification().unwrap_or(0));
    let is_ready = events::start();
    events::enable(event::SLICE_ENDS | event::SLICE_BEGINS);
    let is_told = is_ready.is_ok() && spin_until(event::SLICE_ENDS, 30);
    super::end_if(is_told && events::count(event::SLICE_BEGINS) >= 29);
}
