//! The demonstration: two domains that talk through capabilities, and a revocation in its three phases.

use feuerbird_abi::{AuditKind, AuditRecord, Call, MachineCall, Role as Side, UpcallKind};
use feuerbird_capability::{Rights, Trust};
use zerocopy::FromBytes;

use crate::child::{Child, Image};
use crate::gate::{self, Result, println};
use crate::lane::{self, Ended, Lane};
use crate::role::Role;

/// How long the two talk.
const TALK_NS: u64 = 1_000_000_000;

/// How long those who are told of a revocation may take.
const GRACE_NS: u64 = 200_000_000;

/// The first domain: makes the two, lets them meet, takes it back.
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
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let shared = derive(endpoint)?;
    let producer = Child::new(image, Trust::USER)?;
    let consumer = Child::new(image, Trust::USER)?;
    producer.start(image, Role::Producer.argument(shared))?;
    consumer.start(image, Role::Consumer.argument(shared))?;
    gate::sleep(50_000_000)?;
    println!("root: grants the producer SEND and the consumer RECEIVE on the endpoint");
    consumer.grant(shared, Rights::RECEIVE, Trust::USER)?;
    producer.grant(shared, Rights::SEND, Trust::USER)?;
    gate::sleep(TALK_NS)?;
    println!("root: revokes what it granted; its holders have {} ms", GRACE_NS / 1_000_000);
    let revoked = gate::call(Call::Revoke, &[shared, gate::now_ns() + GRACE_NS])?;
    let [capabilities, forced, ..] = revoked.values;
    println!("root: {capabilities} capabilities revoked, {forced} binding torn down by force");
    gate::sleep(50_000_000)?;
    audit(hello.values[3])?;
    let [frames, objects, domains, lost, switches, _] = gate::machine(MachineCall::Statistics, &[])?.values;
    println!(
        "root: {frames} frames free, {objects} memory objects, {domains} domains, {switches} switches, {lost} upcalls lost"
    );
    Ok(())
}

/// A capability to hand on: what is revoked below it leaves the original alone.
fn derive(slot: u64) -> Result<u64> {
    let rights = Rights::SEND | Rights::RECEIVE | Rights::GRANT | Rights::REVOKE | Rights::DERIVE;
    Ok(gate::call(Call::Derive, &[slot, rights.bits().into(), 0, 0, 0, 0])?.values[0])
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
    let refused = gate::call_with(Call::Bind, &[guess, side as u64, 0], lane::CONTRACT, 0);
    match refused {
        Ok(_) => println!("{name}: bound with a capability that it was never given!"),
        Err(status) => println!("{name}: binding by a guessed slot is refused: {status}"),
    }
    Ok(lane::expect(UpcallKind::Granted)?.0.values[0])
}

/// Sends until it may not any more; lets go as soon as it is asked to.
pub(crate) fn produce(guess: u64) {
    let slot = granted("producer", guess, Side::Sender).expect("the first domain grants it");
    let mut lane = Lane::bind(slot, Side::Sender).expect("the consumer joins");
    let mut sent = 0u64;
    loop {
        match lane.try_send([0, sent, !sent, 0, 0, 0, 0, sent.wrapping_mul(3)]) {
            Ok(true) => sent += 1,
            Ok(false) => gate::give_way(),
            Err(Ended::Revoked) => break,
        }
        if sent.is_multiple_of(64)
            && let Ok(Some((upcall, _))) = gate::wait(0)
            && upcall.kind == UpcallKind::RevocationRequested as u32
        {
            println!("producer: told of the revocation (visible), lets go");
            let _ = gate::call(Call::Acknowledge, &[upcall.sequence]);
        }
    }
    println!("producer: {sent} messages sent; the validity word has changed");
}

/// Receives until it may not any more, and does not let go by itself.
pub(crate) fn consume(guess: u64) {
    let slot = granted("consumer", guess, Side::Receiver).expect("the first domain grants it");
    let mut lane = Lane::bind(slot, Side::Receiver).expect("the producer joins");
    let (mut received, mut wrong) = (0u64, 0u64);
    loop {
        match lane.try_receive() {
            Ok(Some([_, first, second, .., last])) => {
                wrong += u64::from(first != received || second != !first || last != first.wrapping_mul(3));
                received += 1;
            }
            Ok(None) => gate::give_way(),
            Err(Ended::Revoked) => break,
        }
    }
    println!("consumer: {received} messages received, {wrong} of them wrong; the validity word has changed");
    let told = lane::expect(UpcallKind::Repossessed).expect("the kernel says what it took");
    println!("consumer: binding {:#x} taken by force (repossession vector)", told.0.values[0]);
}
