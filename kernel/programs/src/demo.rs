//! The demonstration: two domains that talk through capabilities, and a revocation in its three phases.

use feuerbird_abi::{AuditKind, AuditRecord, Call, MachineCall, Status};
use feuerbird_capability::{Slot, Trust};
use feuerbird_libos::Error;
use feuerbird_serialization::Layer;
use feuerbird_serialization::sample::{Sample, SampleMessage, SampleReader};
use zerocopy::FromBytes;

use crate::child::Image;
use crate::gate::{self, println};
use crate::pair::Pair;
use crate::ring::{self, Domain, Handle};
use crate::{attempts, memory};

/// How long a domain waits for what the first one gives it.
const PATIENCE_NS: u64 = 60_000_000_000;

/// How long two domains talk.
const TALK_NS: u64 = 400_000_000;

/// How long those who are told of a revocation may take.
pub(crate) const GRACE_NS: u64 = 200_000_000;

/// The payload of a message, in bytes.
const PAYLOAD: usize = 64;

/// The first domain: makes pairs of domains, lets them meet, takes it back; then one that does what it must not. Whether all went well.
pub(crate) fn run(image: &Image) -> bool {
    let shown =
        show(image).and_then(|()| attempts::show(image)).and_then(|is_stopped| finish().map(|()| is_stopped));
    shown.unwrap_or_else(|status| {
        println!("demo: a call was refused: {status}");
        false
    })
}

fn show(image: &Image) -> Result<(), Status> {
    let hello = gate::call(Call::Hello, &[])?;
    println!("root: trust {:#x}, {} validity words", hello.values[1], hello.values[2]);
    for (trust, grace) in [(Trust::BASE, 0), (Trust::LIBOS, 0), (Trust::USER, GRACE_NS)] {
        talk(image, trust, grace)?;
    }
    memory::release(hello.handle)
}

/// What the kernel has written down, and what is left.
fn finish() -> Result<(), Status> {
    let hello = gate::call(Call::Hello, &[])?;
    memory::release(hello.handle)?;
    audit(hello.values[3])?;
    let [frames, objects, domains, lost, switches, _] = gate::machine(MachineCall::Statistics, &[])?.values;
    println!(
        "root: {frames} frames free, {objects} memory objects, {domains} domain, {switches} switches, {lost} upcalls lost"
    );
    Ok(())
}

/// One pair of domains with this much trust, from their making to the revocation.
fn talk(image: &Image, trust: Trust, grace_ns: u64) -> Result<(), Status> {
    let pair = Pair::new(image, trust)?;
    gate::sleep(50_000_000)?;
    pair.grant()?;
    gate::sleep(TALK_NS)?;
    pair.revoke(grace_ns)
}

/// Prints how often each kind of change was written down.
fn audit(slot: u64) -> Result<(), Status> {
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

/// A granted capability. Before it comes, a guess at the slot where it lies in the first domain is refused.
fn granted(domain: &Domain, name: &str, guess: u64) -> Result<Handle, Error> {
    match domain.sender::<SampleMessage>(&domain.handle(Slot::from_bits(guess))) {
        Ok(_) => println!("{name}: bound with a capability that it was never given!"),
        Err(Error::Refused(status)) => println!("{name}: binding by a guessed slot is refused: {status}"),
        Err(error) => return Err(error),
    }
    Ok(domain.granted(PATIENCE_NS)?.0)
}

/// Sends until it may not any more; lets go as soon as it is asked to.
pub(crate) fn produce(guess: u64) {
    if let Err(error) = try_produce(guess) {
        println!("producer: came to no lane: {error}");
    }
}

fn try_produce(guess: u64) -> Result<(), Error> {
    let domain = ring::enter()?;
    domain.on_revocation(|_| println!("producer: told of the revocation (visible), lets go"));
    let mut sender = domain.sender::<SampleMessage>(&granted(&domain, "producer", guess)?)?;
    for sequence in 0.. {
        let payload = [sequence as u8; PAYLOAD];
        let digest = digest(&payload);
        let message = Sample { sequence, producer: 1, sent_at: 0, digest, payload: &payload };
        if let Err(error) = sender.send(&message) {
            println!("producer: {sequence} messages sent, then: {error}");
            return Ok(());
        }
        hear_now_and_then(sequence);
    }
    Ok(())
}

/// Receives and checks until it may not any more, and does not let go by itself.
pub(crate) fn consume(guess: u64) {
    if let Err(error) = try_consume(guess) {
        println!("consumer: came to no lane: {error}");
    }
}

fn try_consume(guess: u64) -> Result<(), Error> {
    let domain = ring::enter()?;
    domain.on_revocation(|deadline| {
        while gate::now_ns() <= deadline {
            gate::give_way()
        }
    });
    let mut receiver = domain.receiver::<SampleMessage>(&granted(&domain, "consumer", guess)?)?;
    let (mut expected, mut wrong) = (0, 0u64);
    let mut layer = None;
    let error = loop {
        let is_right = |sample: SampleReader<'_>| {
            sample.sequence() == expected && sample.digest() == digest(sample.payload())
        };
        match receiver.recv_timeout(PATIENCE_NS, is_right) {
            Ok(is_right) => {
                wrong += u64::from(!is_right);
                expected += 1;
            }
            Err(error) => break error,
        }
        if layer.is_none() {
            layer = receiver.layer();
        }
        hear_now_and_then(expected);
    };
    let layer = layer.unwrap_or(Layer::Full);
    println!("consumer: {expected} messages received ({layer}), {wrong} of them wrong, then: {error}");
    // Whoever runs the machine looks for the word that this says.
    assert!(wrong == 0, "{wrong} messages were not what was sent");
    let deadline = gate::now_ns() + 2 * GRACE_NS;
    while domain.repossessed().is_empty() && gate::now_ns() < deadline {
        gate::give_way();
        ring::hear();
    }
    if !domain.repossessed().is_empty() {
        println!("consumer: its binding was taken by force (repossession vector)");
    }
    Ok(())
}

/// The kernel's words come through a call, so not with every message.
fn hear_now_and_then(messages: u64) {
    if messages.is_multiple_of(64) {
        ring::hear();
    }
}

fn digest(payload: &[u8]) -> u64 {
    payload.iter().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}
