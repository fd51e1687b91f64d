//! `feuerbird-libos` in ring 3: typed channels in each layer, and how they end.

use alloc::vec::Vec;

use feuerbird_abi::{Call, Status};
use feuerbird_capability::{Rights, Trust};
use feuerbird_channel::{RecvError, SendError, Terms, WhenFull};
use feuerbird_libos::{Authority, Error};
use feuerbird_serialization::Plain;
use feuerbird_serialization::sample::{Sample, SampleMessage, SampleReader};

use super::{Checked, Ground, end_if, ensure, ensure_ends, scribble};
use crate::child::Child;
use crate::gate;
use crate::proof;
use crate::ring::{self, Domain};
use crate::role::Role;

pub(super) const LAYERS: [Trust; 3] = [Trust::BASE, Trust::LIBOS, Trust::USER];

/// What a domain in this role does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Habit {
    Flood,
    Drain,
    BindAnotherType,
    Introduce,
    Follow,
    ScribbleSending,
    ScribbleReceiving,
    SendMarked,
    SendAnyway,
    Endure,
}

type Way = fn(&Domain) -> Result<bool, Error>;

/// In the order of the habits.
const WAYS: [(Habit, Way); 10] = [
    (Habit::Flood, flood),
    (Habit::Drain, drain),
    (Habit::BindAnotherType, bind_another_type),
    (Habit::Introduce, introduce),
    (Habit::Follow, follow),
    (Habit::ScribbleSending, scribble::scribble_sending),
    (Habit::ScribbleReceiving, scribble::scribble_receiving),
    (Habit::SendMarked, scribble::send_marked),
    (Habit::SendAnyway, scribble::send_anyway),
    (Habit::Endure, scribble::endure),
];

/// How long a domain waits for what it was given before it began, which may be gone when it looks.
pub(super) const GRANTED_NS: u64 = 200_000_000;

pub(super) const PATIENCE_NS: u64 = 60_000_000_000;

/// A domain of these tests, by its habit. Ends where it found what it should.
pub(crate) fn talk_typed(habit: u64) {
    let (habit, way) = WAYS[habit as usize % WAYS.len()];
    let ended = ring::enter().and_then(|domain| way(&domain));
    // Where the revocation was first, there is nothing to be had, or to bind by.
    let came_late = matches!(ended, Err(Error::DeadlinePassed | Error::Refused(Status::NoCapability)));
    end_if(ended == Ok(true) || came_late && matches!(habit, Habit::Flood | Habit::Drain));
}

/// Sends until it is revoked.
fn flood(domain: &Domain) -> Result<bool, Error> {
    let mut sender = domain.sender::<SampleMessage>(&domain.granted(GRANTED_NS)?.0)?;
    sender.set_when_full(WhenFull::Block { timeout_ns: PATIENCE_NS });
    for sequence in 0.. {
        let message = Sample { sequence, producer: 0, sent_at: 0, digest: !sequence, payload: &[7; 24] };
        match sender.send(&message) {
            Ok(()) => {}
            // A peer may have gone a step before, without a lane.
            Err(error) => return Ok(matches!(error, SendError::Revoked | SendError::Disconnected)),
        }
    }
    Ok(false)
}

/// Receives all in order, until it is revoked.
fn drain(domain: &Domain) -> Result<bool, Error> {
    let mut receiver = domain.receiver::<SampleMessage>(&domain.granted(GRANTED_NS)?.0)?;
    for expected in 0.. {
        let is_right = |sample: SampleReader<'_>| {
            sample.sequence() == expected && sample.digest() == !expected && sample.payload() == [7; 24]
        };
        match receiver.recv_timeout(PATIENCE_NS, is_right) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => return Ok(matches!(error, RecvError::Revoked | RecvError::Disconnected)),
        }
    }
    Ok(false)
}

/// Sends the way to itself beside a message, and hears by it.
fn introduce(domain: &Domain) -> Result<bool, Error> {
    let mut sender = domain.sender::<Plain<u32>>(&domain.granted(GRANTED_NS)?.0)?;
    let (own, _) = domain.granted(GRANTED_NS)?;
    let mut answers = domain.receiver::<Plain<u32>>(&own)?;
    for number in 0..10 {
        sender.set_when_full(WhenFull::Block { timeout_ns: PATIENCE_NS });
        let sent = sender.send_with(&number, &[(&own, Authority::send(Trust::USER))]);
        if sent != Ok(()) || answers.recv_timeout(PATIENCE_NS, |answer| answer) != Ok(number + 1) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Answers each message by what came beside it.
fn follow(domain: &Domain) -> Result<bool, Error> {
    let mut receiver = domain.receiver::<Plain<u32>>(&domain.granted(GRANTED_NS)?.0)?;
    let mut ways = Vec::new();
    for _ in 0..10 {
        let taken = receiver.recv_with(PATIENCE_NS, |number, handles| (number, handles.first().cloned()));
        let Ok((number, Some(way))) = taken else { return Ok(false) };
        let mut sender = domain.sender::<Plain<u32>>(&way)?;
        if sender.send(&(number + 1)) != Ok(()) || sender.finish(PATIENCE_NS) != Ok(()) {
            return Ok(false);
        }
        // Without any, the other side would be told that it is alone.
        ways.push(sender);
    }
    Ok(true)
}

/// The endpoint carries samples: anything else is told what differs.
fn bind_another_type(domain: &Domain) -> Result<bool, Error> {
    let (endpoint, _) = domain.granted(GRANTED_NS)?;
    let refused = domain.sender::<Plain<u64>>(&endpoint);
    Ok(matches!(refused, Err(Error::TypeMismatch(_))))
}

pub(super) fn layers(ground: &Ground<'_>) -> Checked {
    LAYERS.into_iter().try_for_each(|trust| ensure(proof::holds(ground.image, trust)))
}

/// An endpoint, and what the domains of a test get derived from.
pub(super) fn endpoint(trust: Trust) -> gate::Result<[u64; 2]> {
    let terms = Terms::new(256, 64).expect("small terms are good ones");
    let endpoint = gate::call(Call::CreateEndpoint, &[terms.to_bits()])?.values[0];
    let all = u64::from(Rights::all().bits());
    Ok([endpoint, gate::call(Call::Derive, &[endpoint, all, trust.level().into(), 0, 0, 0])?.values[0]])
}

pub(super) fn delete(slots: [u64; 2]) -> Checked {
    slots.into_iter().try_for_each(|slot| gate::call(Call::Delete, &[slot]).map(|_| ()))?;
    Ok(())
}

/// A domain that has what it is to bind by before it runs: on a machine that is busy it would wait for that in vain.
pub(super) fn start(
    ground: &Ground<'_>,
    habit: Habit,
    trust: Trust,
    granted: &[(u64, Rights)],
) -> gate::Result<Child> {
    let child = Child::new(ground.image, trust)?;
    granted.iter().try_for_each(|&(slot, rights)| child.grant(slot, rights, trust).map(drop))?;
    child.start(ground.image, Role::Typed.argument(habit as u64))?;
    Ok(child)
}

pub(super) fn in_flight(ground: &Ground<'_>) -> Checked {
    for round in 0..4 {
        for trust in LAYERS {
            let slots = endpoint(trust)?;
            let [_, shared] = slots;
            let from = start(ground, Habit::Flood, trust, &[(shared, Rights::SEND)])?;
            let to = start(ground, Habit::Drain, trust, &[(shared, Rights::RECEIVE)])?;
            // Before they meet, while they do, and long after.
            gate::sleep(round * 15_000_000)?;
            gate::call(Call::Revoke, &[shared, 0])?;
            ensure_ends(from)?;
            ensure_ends(to)?;
            delete(slots)?;
        }
    }
    Ok(())
}

pub(super) fn beside(ground: &Ground<'_>) -> Checked {
    for trust in LAYERS {
        let ([first, to_follow], [second, to_hear]) = (endpoint(trust)?, endpoint(trust)?);
        let all = Rights::SEND | Rights::RECEIVE | Rights::GRANT;
        let from = start(ground, Habit::Introduce, trust, &[(to_follow, Rights::SEND), (to_hear, all)])?;
        let to = start(ground, Habit::Follow, trust, &[(to_follow, Rights::RECEIVE)])?;
        ensure_ends(from)?;
        ensure_ends(to)?;
        delete([first, to_follow])?;
        delete([second, to_hear])?;
    }
    Ok(())
}

pub(super) fn mismatch(ground: &Ground<'_>) -> Checked {
    let slots = endpoint(Trust::USER)?;
    let [_, shared] = slots;
    let first = start(ground, Habit::Drain, Trust::USER, &[(shared, Rights::RECEIVE)])?;
    gate::sleep(20_000_000)?;
    let second = start(ground, Habit::BindAnotherType, Trust::USER, &[(shared, Rights::SEND)])?;
    ensure_ends(second)?;
    gate::call(Call::Revoke, &[shared, 0])?;
    ensure_ends(first)?;
    delete(slots)
}
