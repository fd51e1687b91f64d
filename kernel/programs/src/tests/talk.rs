//! Two domains that talk, and every way in which that ends.

use feuerbird_abi::monitor::Counter;
use feuerbird_abi::{Call, MachineCall, Reason, Role as Side, Status, UpcallKind};
use feuerbird_capability::{Rights, Trust};

use super::monitor::{Monitor, audit_slot};
use super::{Checked, Ground, ensure, ensure_ends, ensure_page_tables_are_right};
use crate::child::Child;
use crate::gate;
use crate::lane::{self, Ended, Lane, MESSAGE_WORDS};
use crate::role::Role;

/// What a producer does when it is told of a revocation.
const LETS_GO: u64 = 1;

const GRACE_NS: u64 = 300_000_000;

/// The producer's side, in a domain of its own: sends until it may not any more.
pub(crate) fn produce(habits: u64) {
    let slot = lane::expect(UpcallKind::Granted).expect("the test grants it").0.values[0];
    let mut lane = match Lane::bind(slot, Side::Sender) {
        // Revoked before it had met the other side whole.
        Err(Status::NoPeer | Status::NoBinding | Status::NoCapability) => return,
        bound => bound.expect("the test joins"),
    };
    for sent in 0.. {
        let message = [sent; MESSAGE_WORDS];
        loop {
            match lane.try_send(message) {
                Ok(true) => break,
                Ok(false) => gate::give_way(),
                Err(Ended::Revoked) => return,
            }
            listen(habits);
        }
    }
}

fn listen(habits: u64) {
    if let Ok(Some((upcall, _))) = gate::wait(0)
        && upcall.kind == UpcallKind::RevocationRequested as u32
        && habits & LETS_GO != 0
    {
        let _ = gate::call(Call::Acknowledge, &[upcall.sequence]);
    }
}

/// A producer and this domain as its consumer.
struct Pair {
    /// Of the endpoint, and what the producer's is derived from.
    endpoint: u64,
    granted: u64,
    producer: Child,
    lane: Lane,
}

impl Pair {
    fn meet(ground: &Ground<'_>, habits: u64) -> gate::Result<Self> {
        let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
        let rights = u64::from(Rights::all().bits());
        let granted = gate::call(Call::Derive, &[endpoint, rights, 0, 0, 0, 0])?.values[0];
        let producer = ground.run(Role::Sender, habits)?;
        producer.grant(granted, Rights::SEND, Trust::USER)?;
        let lane = Lane::bind(endpoint, Side::Receiver)?;
        Ok(Self { endpoint, granted, producer, lane })
    }

    /// Takes so many messages and checks them.
    fn receive(&mut self, from: u64, count: u64) -> Checked {
        for expected in from..from + count {
            let message = loop {
                match self.lane.try_receive() {
                    Ok(Some(message)) => break message,
                    Ok(None) => gate::give_way(),
                    Err(Ended::Revoked) => return ensure(false),
                }
            };
            ensure(message[0] == expected + 1 && message[1..].iter().all(|word| *word == expected))?;
        }
        Ok(())
    }

    /// Revokes what the producer has; what the kernel says of it.
    fn revoke(&self, deadline_ns: u64) -> gate::Result<[u64; 6]> {
        Ok(gate::call(Call::Revoke, &[self.granted, deadline_ns])?.values)
    }

    fn part(self) -> Checked {
        let Self { endpoint, granted, producer, lane } = self;
        lane.part()?;
        ensure_ends(producer)?;
        gate::call(Call::Delete, &[granted])?;
        gate::call(Call::Delete, &[endpoint])?;
        while gate::wait(0)?.is_some() {}
        Ok(())
    }
}

pub(super) fn in_order(ground: &Ground<'_>) -> Checked {
    let mut pair = Pair::meet(ground, LETS_GO)?;
    pair.receive(0, 50_000)?;
    pair.revoke(0)?;
    ensure(!pair.lane.is_valid())?;
    pair.part()
}

pub(super) fn let_go(ground: &Ground<'_>) -> Checked {
    let mut pair = Pair::meet(ground, LETS_GO)?;
    pair.receive(0, 1000)?;
    let deadline = gate::now_ns() + 100 * GRACE_NS;
    // The producer looks when it has no room: nobody takes anything now.
    let [capabilities, forced, ..] = pair.revoke(deadline)?;
    ensure(capabilities == 1 && forced == 0)?;
    ensure(!pair.lane.is_valid() && gate::now_ns() < deadline)?;
    let left = lane::expect(UpcallKind::PeerLeft)?.0;
    ensure(left.values[2] == Reason::Revoked as u64)?;
    pair.part()
}

pub(super) fn forced(ground: &Ground<'_>) -> Checked {
    let mut pair = Pair::meet(ground, 0)?;
    pair.receive(0, 1000)?;
    let deadline = gate::now_ns() + GRACE_NS;
    let [capabilities, forced, ..] = pair.revoke(deadline)?;
    ensure(capabilities == 1 && forced == 1)?;
    ensure(!pair.lane.is_valid() && gate::now_ns() >= deadline)?;
    pair.part()
}

pub(super) fn in_flight(ground: &Ground<'_>) -> Checked {
    for round in 0..20 {
        let mut pair = Pair::meet(ground, 0)?;
        pair.receive(0, 37 * round)?;
        let [capabilities, forced, ..] = pair.revoke(0)?;
        ensure(capabilities == 1 && forced == 1)?;
        // The reply came after the words had changed: nothing is taken any more, whatever is written.
        ensure(pair.lane.try_receive() == Err(Ended::Revoked))?;
        ensure_page_tables_are_right()?;
        pair.part()?;
    }
    Ok(())
}

/// The receiver reads without a call while what it reads is taken away.
pub(super) fn withdrawn(ground: &Ground<'_>) -> Checked {
    let monitor = Monitor::open(audit_slot()?)?;
    let cores = gate::machine(MachineCall::Clock, &[])?.values[2];
    let before = monitor.counter(Counter::Shootdowns);
    for _ in 0..5 {
        let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
        let rights = u64::from(Rights::all().bits());
        let granted = gate::call(Call::Derive, &[endpoint, rights, 0, 0, 0, 0])?.values[0];
        let reader = ground.run(Role::Reader, 0)?;
        reader.grant(granted, Rights::RECEIVE, Trust::USER)?;
        let mut lane = Lane::bind(endpoint, Side::Sender)?;
        ensure(lane.try_send([7; MESSAGE_WORDS]) == Ok(true))?;
        while lane.peek() == 0 && reader.is_alive() {
            gate::give_way();
        }
        ensure(reader.is_alive() && lane.is_valid())?;
        gate::call(Call::Revoke, &[granted, 0])?;
        ensure(!lane.is_valid())?;
        ensure_ends(reader)?;
        lane.part()?;
        gate::call(Call::Delete, &[granted])?;
        gate::call(Call::Delete, &[endpoint])?;
        while gate::wait(0)?.is_some() {}
    }
    // Its core had to be made to forget, and not only to be interrupted by chance. The counters are written at the end of slices.
    gate::sleep(20_000_000)?;
    ensure(cores == 1 || monitor.counter(Counter::Shootdowns) >= before + 5)
}

/// Ends when what it has mapped of the sender's, and has read before, reads as zeroes.
pub(crate) fn read_until_withdrawn() {
    let slot = lane::expect(UpcallKind::Granted).expect("the test grants it").0.values[0];
    let mut lane = Lane::bind(slot, Side::Receiver).expect("the test joins");
    // Its position says that it reads.
    while lane.try_receive() == Ok(None) {
        core::hint::spin_loop();
    }
    while lane.peek() != 0 {
        core::hint::spin_loop();
    }
    super::end_if(!lane.is_valid());
}

/// How often a flooder comes and goes: many times what a queue could hold.
const FLOOD: u64 = 1000;

/// Who binds and unbinds without end has nothing lost that its peer must hear, however long that one does not listen.
pub(super) fn flooded(ground: &Ground<'_>) -> Checked {
    let lost = || gate::machine(MachineCall::Statistics, &[]).map(|answer| answer.values[3]);
    let before = lost()?;
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let rights = u64::from(Rights::all().bits());
    let granted = gate::call(Call::Derive, &[endpoint, rights, 0, 0, 0, 0])?.values[0];
    let bound =
        gate::call_with(Call::Bind, &[granted, Side::Receiver as u64, 0], lane::CONTRACT, 0)?.values[0];
    let flooder = ground.run(Role::Flooder, 0)?;
    flooder.grant(endpoint, Rights::SEND, Trust::USER)?;
    let deadline = gate::now_ns() + super::PATIENCE_NS;
    while flooder.is_alive() && gate::now_ns() < deadline {
        gate::give_way();
    }
    gate::call(Call::Revoke, &[endpoint, 0])?;
    let (mut heard, mut is_told) = (0, false);
    while let Some((upcall, _)) = gate::wait(0)? {
        is_told |= upcall.kind == UpcallKind::Repossessed as u32 && upcall.values[0] == bound;
        heard += 1;
    }
    ensure_ends(flooder)?;
    gate::call(Call::Delete, &[endpoint])?;
    ensure(is_told && heard < 8 && lost()? == before)
}

/// Comes and goes, then ends.
pub(crate) fn flood() {
    let slot = lane::expect(UpcallKind::Granted).map_or(0, |(granted, _)| granted.values[0]);
    let come_and_go = |_| {
        let bound = gate::call_with(Call::Bind, &[slot, Side::Sender as u64, 0], lane::CONTRACT, 0)?;
        while gate::wait(0)?.is_some() {}
        gate::call(Call::Unbind, &[bound.values[0]]).map(|_| ())
    };
    super::end_if((0..FLOOD).try_for_each(come_and_go).is_ok());
}

pub(super) fn died(ground: &Ground<'_>) -> Checked {
    let mut pair = Pair::meet(ground, 0)?;
    pair.receive(0, 100)?;
    gate::call(Call::DestroyDomain, &[pair.producer.slot])?;
    ensure(!pair.lane.is_valid())?;
    let left = lane::expect(UpcallKind::PeerLeft)?.0;
    ensure(left.values[2] == Reason::Died as u64)?;
    ensure(pair.lane.peek() != 0)?;
    pair.part()
}
