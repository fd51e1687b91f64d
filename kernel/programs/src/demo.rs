//! The demonstration: two domains that talk through capabilities, and a revocation in its three phases.

use feuerbird_abi::{AuditKind, AuditRecord, Call, MachineCall, Role as Side, UpcallKind};
use feuerbird_capability::{Rights, Trust};
use feuerbird_channel::{RecvError, SendError, Terms};
use feuerbird_serialization::sample::{Sample, SampleMessage, SampleReader};
use zerocopy::FromBytes;

use crate::child::{Child, Image};
use crate::endpoint::{self, Ends, Heard};
use crate::gate::{self, Result, println};
use crate::lane;
use crate::role::Role;

/// How long two domains talk.
const TALK_NS: u64 = 400_000_000;

/// How long those who are told of a revocation may take.
const GRACE_NS: u64 = 200_000_000;

/// The payload of a message, in bytes.
const PAYLOAD: usize = 64;

/// The first domain: makes pairs of domains, lets them meet, takes it back.
pub(crate) fn run(image: &Image) {
    if let Err(status) = show(image) {
        println!("demo: a call was refused: {status}");
        gate::power_off(1);
    }
    gate::power_off(0)
}

fn show(image: &Image) -> Result<()> {
    let hello = gate::call(Call::Hello, &[])?;
    println!("root: trust {:#x}, {} validity words", hello.values[1], hello.values[2]);
    for (trust, grace) in [(Trust::BASE, 0), (Trust::LIBOS, 0), (Trust::USER, GRACE_NS)] {
        talk(image, trust, grace)?;
    }
    audit(hello.values[3])?;
    let [frames, objects, domains, lost, switches, _] = gate::machine(MachineCall::Statistics, &[])?.values;
    println!(
        "root: {frames} frames free, {objects} memory objects, {domains} domain, {switches} switches, {lost} upcalls lost"
    );
    Ok(())
}

/// One pair of domains with this much trust, from their making to the revocation.
fn talk(image: &Image, trust: Trust, grace_ns: u64) -> Result<()> {
    let terms = Terms::new(256, 64).expect("small terms are good ones");
    let endpoint = gate::call(Call::CreateEndpoint, &[terms.to_bits()])?.values[0];
    let shared = derive(endpoint, trust)?;
    let producer = Child::new(image, trust)?;
    let consumer = Child::new(image, trust)?;
    producer.start(image, Role::Producer.argument(shared))?;
    consumer.start(image, Role::Consumer.argument(shared))?;
    gate::sleep(50_000_000)?;
    println!("root: grants one domain SEND and another RECEIVE, with trust {:#x}", trust.level());
    consumer.grant(shared, Rights::RECEIVE, trust)?;
    producer.grant(shared, Rights::SEND, trust)?;
    gate::sleep(TALK_NS)?;
    println!("root: revokes both; their holders have {} ms", grace_ns / 1_000_000);
    let deadline = if grace_ns > 0 { gate::now_ns() + grace_ns } else { 0 };
    let [capabilities, forced, ..] = gate::call(Call::Revoke, &[shared, deadline])?.values;
    println!("root: {capabilities} capabilities revoked, {forced} bindings torn down by force");
    while producer.is_alive() || consumer.is_alive() {
        gate::sleep(1_000_000)?;
    }
    producer.forget()?;
    consumer.forget()
}

/// A capability to hand on: what is revoked below it leaves the original alone.
fn derive(slot: u64, trust: Trust) -> Result<u64> {
    let rights = Rights::SEND | Rights::RECEIVE | Rights::GRANT | Rights::REVOKE | Rights::DERIVE;
    let arguments = [slot, rights.bits().into(), trust.level().into(), 0, 0, 0];
    Ok(gate::call(Call::Derive, &arguments)?.values[0])
}

/// Prints how often each kind of change was written down.
fn audit(slot: u64) -> Result<()> {
    let mut counts = [0; 32];
    let mut next = 1;
    loop {
        let answer = gate::call(Call::ReadAudit, &[slot, next])?;
        let mut bytes = [0; feuerbird_abi::PAYLOAD_BYTES];
        let length = gate::payload(&answer, &mut bytes);
        for record in bytes[..length].chunks_exact(size_of::<AuditRecord>()) {
            let kind = AuditRecord::read_from_bytes(record).map_or(0, |record| record.kind);
            counts[usize::from(kind) % counts.len()] += 1;
        }
        if length == 0 {
            break;
        }
        next = answer.values[0];
    }
    let of = |kind: AuditKind| counts[kind as usize];
    println!(
        "root: the audit log has {} records: {} granted, {} bound, {} shared, {} revoked, {} refused",
        next - 1,
        of(AuditKind::Granted),
        of(AuditKind::Bound),
        of(AuditKind::Shared),
        of(AuditKind::Revoked),
        of(AuditKind::Refused),
    );
    Ok(())
}

/// The slot of a granted capability. Before it comes, a guess at the slot where it lies in the first domain is refused.
fn granted(name: &str, guess: u64, side: Side) -> Result<u64> {
    let refused = gate::call_with(Call::Bind, &[guess, side as u64, 0], b"anything", 0);
    match refused {
        Ok(_) => println!("{name}: bound with a capability that it was never given!"),
        Err(status) => println!("{name}: binding by a guessed slot is refused: {status}"),
    }
    Ok(lane::expect(UpcallKind::Granted)?.0.values[0])
}

/// Sends until it may not any more; lets go as soon as it is asked to.
pub(crate) fn produce(guess: u64) {
    let met = granted("producer", guess, Side::Sender).and_then(endpoint::sender::<SampleMessage>);
    let (mut sender, ends) = match met {
        Ok(met) => met,
        Err(status) => return println!("producer: came to no lane: {status}"),
    };
    let (mut sequence, mut is_idle) = (0, false);
    loop {
        let payload = [sequence as u8; PAYLOAD];
        let digest = digest(&payload);
        match sender.try_send(&Sample { sequence, producer: 1, sent_at: 0, digest, payload: &payload }) {
            Ok(()) => sequence += 1,
            Err(SendError::Full) => is_idle = true,
            Err(error) => {
                println!("producer: {sequence} messages sent, then: {error}");
                return;
            }
        }
        if let Heard::Asked { upcall } = look_now_and_then(&ends, sequence, &mut is_idle) {
            println!("producer: told of the revocation (visible), lets go");
            ends.let_go(upcall);
        }
    }
}

/// Receives and checks until it may not any more, and does not let go by itself.
pub(crate) fn consume(guess: u64) {
    let met = granted("consumer", guess, Side::Receiver).and_then(endpoint::receiver::<SampleMessage>);
    let (mut receiver, ends) = match met {
        Ok(met) => met,
        Err(status) => return println!("consumer: came to no lane: {status}"),
    };
    let layer = receiver.layer().expect("a lane is there");
    let (mut expected, mut wrong) = (0, 0u64);
    let (mut is_taken, mut is_idle) = (false, false);
    let error = loop {
        let is_right = |sample: SampleReader<'_>| {
            sample.sequence() == expected && sample.digest() == digest(sample.payload())
        };
        match receiver.try_recv(is_right) {
            Ok(is_right) => {
                wrong += u64::from(!is_right);
                expected += 1;
            }
            Err(RecvError::Empty) => is_idle = true,
            Err(error) => break error,
        }
        is_taken |= look_now_and_then(&ends, expected, &mut is_idle) == Heard::Taken;
    };
    println!("consumer: {expected} messages received ({layer}), {wrong} of them wrong, then: {error}");
    let deadline = gate::now_ns() + 2 * GRACE_NS;
    while !is_taken && gate::now_ns() < deadline {
        is_taken = ends.hear(deadline) == Heard::Taken;
    }
    if is_taken {
        println!("consumer: its binding was taken by force (repossession vector)");
    }
}

/// The kernel's words come through a call, so not with every message; who has nothing to do lets others run.
fn look_now_and_then(ends: &Ends, messages: u64, is_idle: &mut bool) -> Heard {
    if core::mem::take(is_idle) {
        gate::give_way();
    } else if !messages.is_multiple_of(64) {
        return Heard::Nothing;
    }
    ends.hear(0)
}

fn digest(payload: &[u8]) -> u64 {
    payload.iter().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}
