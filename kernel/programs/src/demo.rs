//! The demonstration: two domains that talk through capabilities, and a revocation in its three phases.

use feuerbird_abi::{AuditKind, AuditRecord, Call, MachineCall, Role as Side, UpcallKind};
use feuerbird_capability::Trust;
use feuerbird_channel::{RecvError, SendError};
use feuerbird_serialization::sample::{Sample, SampleMessage, SampleReader};
use zerocopy::FromBytes;

use crate::attempts;
use crate::child::Image;
use crate::endpoint::{self, Ends, Heard};
use crate::gate::{self, Result, println};
use crate::pair::Pair;
use crate::{lane, memory};

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

fn show(image: &Image) -> Result<()> {
    let hello = gate::call(Call::Hello, &[])?;
    println!("root: trust {:#x}, {} validity words", hello.values[1], hello.values[2]);
    for (trust, grace) in [(Trust::BASE, 0), (Trust::LIBOS, 0), (Trust::USER, GRACE_NS)] {
        talk(image, trust, grace)?;
    }
    memory::release(hello.handle)
}

/// What the kernel has written down, and what is left.
fn finish() -> Result<()> {
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
fn talk(image: &Image, trust: Trust, grace_ns: u64) -> Result<()> {
    let pair = Pair::new(image, trust)?;
    gate::sleep(50_000_000)?;
    pair.grant()?;
    gate::sleep(TALK_NS)?;
    pair.revoke(grace_ns)
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
