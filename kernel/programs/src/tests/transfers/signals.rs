//! Signals: they add up, wake who waits, and come as events to who listens.

use feuerbird_abi::{Call, Status, event};
use feuerbird_capability::{Rights, Trust};

use super::{A_WHILE_NS, ECHO, SIGNAL, Service, WATCH, cores, give_slices_back, placed, soon};
use crate::events;
use crate::gate;
use crate::role::Role;
use crate::tests::{Checked, Ground, ensure, ensure_ends, ensure_refused};
use crate::transfer::{self, Outgoing, words};

pub(in crate::tests) fn signals(ground: &Ground<'_>) -> Checked {
    let report = Service::new()?;
    let bell = transfer::create_notification()?;
    transfer::notify(bell, 1)?;
    transfer::notify(bell, 4)?;
    ensure(transfer::watch(bell, 0)? == 5 && transfer::watch(bell, 0)? == 0)?;
    ensure_refused(transfer::watch(bell, soon(A_WHILE_NS)), Status::TimedOut)?;
    for core in 0..cores()? {
        for habit in 0..3 {
            let child = placed(ground, Some(core))?;
            child.start(ground.image, Role::Caller.argument(WATCH))?;
            child.grant(bell, Rights::RECEIVE, Trust::USER)?;
            child.grant(report.below, Rights::SEND, Trust::USER)?;
            report.ready()?;
            // It must watch when this domain finds that it does, also where the host has little time for its core.
            gate::sleep(if habit == 2 { 10 * A_WHILE_NS } else { A_WHILE_NS })?;
            let expected = match habit {
                0 => transfer::notify(bell, 8).map(|()| Ok(8))?,
                1 => transfer::notify_and_yield(bell, 16).map(|()| Ok(16))?,
                _ => {
                    ensure_refused(transfer::watch(bell, soon(A_WHILE_NS)), Status::Busy)?;
                    gate::call(Call::Revoke, &[bell, 0])?;
                    Err(Status::NoCapability)
                }
            };
            ensure(report.report()? == expected)?;
            ensure_ends(child)?;
        }
        ensure(transfer::watch(bell, 0)? == 0)?;
    }
    gate::call(Call::Delete, &[bell])?;
    report.end()?;
    Ok(give_slices_back()?)
}

/// Signals come as events, from every core, where nobody waits for them.
pub(in crate::tests) fn rings(ground: &Ground<'_>) -> Checked {
    events::start()?;
    events::enable(event::NOTIFICATION);
    let rung = || events::count(event::NOTIFICATION);
    let bell = transfer::create_notification()?;
    transfer::notify(bell, 1)?;
    let before = rung();
    transfer::listen(bell, true)?;
    ensure(rung() == before + 1)?;
    transfer::notify(bell, 2)?;
    ensure(rung() == before + 2 && transfer::watch(bell, 0)? == 3)?;
    let service = Service::new()?;
    let rights = (Rights::SEND | Rights::GRANT).bits().into();
    let mine = gate::call(Call::Derive, &[bell, rights, 0, 0, 0, 0])?.values[0];
    for core in 0..cores()? {
        let server = service.server(ground, Some(core), 0)?;
        while transfer::call(service.below, words([ECHO, 0, 0, 0]), 0).is_err() {
            gate::give_way();
        }
        let before = rung();
        for round in 1..=20 {
            let out = Outgoing { capability: mine, ..words([SIGNAL, 4, 0, 0]) };
            ensure(transfer::call(service.below, out, 0)?.words[0] == 0)?;
            ensure(rung() == before + round && transfer::watch(bell, 0)? == 4)?;
        }
        server.destroy()?;
    }
    let before = rung();
    transfer::listen(bell, false)?;
    transfer::notify(bell, 8)?;
    ensure(rung() == before && transfer::watch(bell, 0)? == 8)?;
    gate::call(Call::Revoke, &[bell, 0])?;
    gate::call(Call::Delete, &[bell])?;
    service.end()?;
    events::stop()?;
    Ok(give_slices_back()?)
}
