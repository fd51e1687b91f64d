//! The victim and the honest child: whatever the hostile one does, honest messages arrive whole, once, and in time.

use std::{
    collections::BTreeMap,
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use feuerbird::{
    Domain, Program,
    channel::{RecvError, Terms},
    hosted::os::signal,
    libos::Authority,
    prelude::{SECOND, Trust},
    serialization::{
        Layer,
        sample::{Sample, SampleMessage, encoded_size},
    },
};

use super::ROLE_VARIABLE;

/// The role of the honest child.
pub(super) const HONEST: &str = "cheat-honest";

/// How many messages the honest child sends.
const HONEST_MESSAGES: u64 = 3_000;

/// The honest child's number; a forged message may claim it, but not with the right digest.
const HONEST_PRODUCER: u32 = 1;

/// The largest payload.
pub(super) const PAYLOAD_BYTES: usize = 1000;

/// Nobody may hold the victim up longer than this.
const HANG: Duration = Duration::from_secs(1);

/// How long an attempt may take in all, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// One attempt: what is tried, by which role, and how far its sender is trusted.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) attempt: &'static str,
    pub(super) role: &'static str,
    trust: Trust,
}

const fn plan(attempt: &'static str, role: &'static str) -> Plan {
    Plan { attempt, role, trust: Trust::USER }
}

pub(super) const PLANS: &[Plan] = &[
    plan("map the victim's memory for writing", "cheat-map"),
    plan("write to the victim's memory through its descriptor", "cheat-write"),
    plan("open the victim's memory again for writing", "cheat-reopen"),
    plan("shrink its own memory under the reader", "cheat-shrink"),
    plan("share memory that is not sealed", "cheat-unsealed"),
    plan("share less memory than the terms demand", "cheat-small"),
    plan("scribble bad and random values over every word of its pages", "cheat-scribble"),
    Plan {
        trust: Trust::LIBOS,
        ..plan("the same, trusted like a LibOS (Cap'n Proto Lite)", "cheat-scribble")
    },
    plan("forge an index: announce a message of another turn", "cheat-index"),
    plan("forge a length: announce more bytes than the terms allow", "cheat-length"),
    plan("forge a buffer number that does not exist", "cheat-buffer"),
    plan("send bytes that are no message", "cheat-garbage"),
    plan("change messages while they are read", "cheat-mutate"),
    Plan { trust: Trust::LIBOS, ..plan("the same, trusted like a LibOS (Cap'n Proto Lite)", "cheat-mutate") },
    plan("forge capability slots", "cheat-slots"),
    plan("take more rights and trust than it was granted", "cheat-escalate"),
    plan("bind with another message type", "cheat-type"),
    plan("replay a capability after it was revoked", "cheat-replay"),
    plan("break the message format of its gate", "cheat-gate"),
];

/// What the victim saw.
#[derive(Default)]
struct Seen {
    /// Honest messages, by sequence.
    honest: Vec<u8>,
    wrong: u64,
    /// Messages of the hostile one that were messages.
    hostile: u64,
    /// Messages whose bytes changed between two looks at them.
    inconsistent: u64,
    refused: BTreeMap<String, u64>,
    longest_wait: Duration,
}

/// How an attempt ended.
enum Verdict {
    Stopped(String),
    /// Somebody, or something, held the victim up.
    HeldUp,
    NotStopped,
}

/// Runs one attempt; what stopped it, or `None`. Who held the victim up, a busy machine or the hostile one, cannot be told from once:
/// then it is made again, and a machine does not do it twice.
pub(super) fn suffer(
    domain: &Domain,
    plan: &Plan,
    program: &dyn Fn() -> Command,
) -> anyhow::Result<Option<String>> {
    let verdict = match suffer_once(domain, plan, program)? {
        Verdict::HeldUp if !signal::interrupted() => suffer_once(domain, plan, program)?,
        verdict => verdict,
    };
    Ok(match verdict {
        Verdict::Stopped(reason) => Some(reason),
        Verdict::HeldUp | Verdict::NotStopped => None,
    })
}

fn suffer_once(domain: &Domain, plan: &Plan, program: &dyn Fn() -> Command) -> anyhow::Result<Verdict> {
    let largest = Layer::ALL.map(|layer| encoded_size(PAYLOAD_BYTES, layer)).into_iter().max();
    let terms = Terms::new(largest.context("there are layers")? as u32, 64)?;
    let endpoint = domain.endpoint(terms)?;
    let source = endpoint.derive(Authority::new(feuerbird::prelude::Rights::all(), Trust::KERNEL))?;
    let mut receiver = domain.receiver::<SampleMessage>(&endpoint)?;
    let start = |role: &str, from, output: Stdio| {
        let mut command = program();
        command.env(ROLE_VARIABLE, role).stdout(output);
        Program::new(command, plan.trust).spawn(domain, &[(from, Authority::send(plan.trust))])
    };
    let mut honest = start(HONEST, &endpoint, Stdio::null())?;
    let mut hostile = start(plan.role, &source, Stdio::piped())?;
    let mut output = hostile.process.process_mut().stdout.take().context("its output is a pipe")?;

    let mut seen = Seen { honest: vec![0; HONEST_MESSAGES as usize], ..Seen::default() };
    let end = Instant::now() + PATIENCE;
    let (mut honest_over, mut hostile_end, mut revoked) = (false, None, false);
    while !(honest_over && hostile_end.is_some()) && Instant::now() < end {
        if signal::interrupted() {
            // Both children end with their handles.
            return Ok(Verdict::NotStopped);
        }
        watch(&mut receiver, &mut seen);
        honest_over = honest_over || honest.wait_timeout(Duration::ZERO)?.is_some();
        if hostile_end.is_none() {
            hostile_end = hostile.wait_timeout(Duration::ZERO)?;
        }
        if plan.role == "cheat-replay" && !revoked && seen.hostile > 0 {
            source.revoke()?;
            revoked = true;
            seen.hostile = 0;
        }
    }
    // What honest hands left in the lane.
    for _ in 0..200 {
        watch(&mut receiver, &mut seen);
    }
    drop(hostile);
    let mut said = String::new();
    output.read_to_string(&mut said)?;
    // Every domain that closes its gate is ended; here it was not the domain that closed it.
    if plan.role == "cheat-gate"
        && said.is_empty()
        && hostile_end.and_then(|status| status.signal()) == Some(9)
    {
        said = "stopped: the supervisor shut its gate and ended it".into();
    }
    // Who could not go on with its attempt has not made it. The gate's breaker is killed for it.
    let failed = hostile_end.is_some_and(|status| !status.success()) && plan.role != "cheat-gate";
    Ok(verdict(plan, &seen, said.trim(), failed || hostile_end.is_none()))
}

/// Takes what is there.
fn watch(
    receiver: &mut feuerbird::libos::Receiver<SampleMessage, feuerbird::hosted::SocketGate>,
    seen: &mut Seen,
) {
    for _ in 0..256 {
        let began = Instant::now();
        let result = receiver.recv_timeout(SECOND / 1000, |view| judge(&view.into(), seen));
        seen.longest_wait = seen.longest_wait.max(began.elapsed());
        match result {
            Ok(()) => {}
            Err(error @ (RecvError::PeerMisbehaved(_) | RecvError::Malformed(_))) => {
                *seen.refused.entry(error.to_string()).or_default() += 1;
            }
            Err(_) => return,
        }
    }
}

fn judge(sample: &Sample<'_>, seen: &mut Seen) {
    let first = digest(sample.payload);
    if sample.producer == HONEST_PRODUCER && sample.digest == first {
        match seen.honest.get_mut(sample.sequence as usize) {
            Some(count) => *count = count.saturating_add(1),
            None => seen.wrong += 1,
        }
    } else {
        seen.hostile += 1;
    }
    if digest(sample.payload) != first {
        seen.inconsistent += 1;
    }
}

/// What is to be said: every defence that acted, unless one did not.
fn verdict(plan: &Plan, seen: &Seen, said: &str, hung: bool) -> Verdict {
    let lost = seen.honest.iter().filter(|count| **count == 0).count();
    let twice = seen.honest.iter().filter(|count| **count > 1).count();
    let hung = hung || seen.longest_wait > HANG;
    let harmless = lost == 0 && twice == 0 && seen.wrong == 0 && seen.inconsistent == 0;
    if !harmless || hung || said.contains("NOT STOPPED") {
        eprintln!(
            "cheat: {}: {lost} honest messages lost, {twice} twice, {} wrong, {} inconsistent, longest wait {:?}, hung: {hung}, said: {said}",
            plan.attempt, seen.wrong, seen.inconsistent, seen.longest_wait
        );
        // Who was held up may have lost honest messages by that alone.
        let is_harm = twice > 0 || seen.wrong > 0 || seen.inconsistent > 0 || said.contains("NOT STOPPED");
        return if hung && !is_harm { Verdict::HeldUp } else { Verdict::NotStopped };
    }
    let mut reasons: Vec<String> = Vec::new();
    if let Some(reason) = said.strip_prefix("stopped: ") {
        reasons.push(reason.to_owned());
    }
    let mut refused: Vec<_> = seen.refused.iter().collect();
    refused.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    reasons.extend(refused.iter().take(3).map(|(what, count)| format!("{what} ({count}x)")));
    if plan.role == "cheat-mutate" {
        reasons.insert(
            0,
            format!("copied in before it was checked: {} messages accepted, 0 inconsistent", seen.hostile),
        );
    }
    if plan.role == "cheat-replay" && seen.hostile > 0 {
        return Verdict::NotStopped;
    }
    if reasons.is_empty() {
        eprintln!("cheat: {}: no harm was done, but nothing is known to have stopped it", plan.attempt);
        return Verdict::NotStopped;
    }
    Verdict::Stopped(reasons.join("; "))
}

/// What the honest child does.
pub(super) fn be_honest() -> anyhow::Result<()> {
    let domain = feuerbird::inherited()?.context("started by the demo")?;
    let (endpoint, _) = domain.granted(5 * SECOND)?;
    let mut sender = domain.sender::<SampleMessage>(&endpoint)?;
    let mut payload = [0; PAYLOAD_BYTES];
    for sequence in 0..HONEST_MESSAGES {
        payload.fill(sequence as u8);
        let payload = &payload[..(sequence as usize * 37) % PAYLOAD_BYTES];
        let digest = digest(payload);
        let sample = Sample { sequence, producer: HONEST_PRODUCER, sent_at: 0, digest, payload };
        sender.send(&sample)?;
        // As long as most attempts take: it is there while they are made.
        if sequence % 16 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    sender.finish(5 * SECOND)?;
    Ok(())
}

/// FNV-1a over the bytes: to find mix-ups, not forgers.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
