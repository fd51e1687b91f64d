//! The victim and the honest child: whatever the hostile one does, honest messages arrive whole, once, and in time.

use std::{
    collections::BTreeMap,
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
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

use super::{ROLE_VARIABLE, run_queue::RunQueue};

/// The role of the honest child.
pub(super) const HONEST: &str = "cheat-honest";

/// How many messages the honest child sends.
const HONEST_MESSAGES: u64 = 3_000;

/// The honest child's number; a forged message may claim it, but not with the right digest.
const HONEST_PRODUCER: u32 = 1;

/// The largest payload.
pub(super) const PAYLOAD_BYTES: usize = 1000;

/// Nobody may hold the victim up longer than this; what it waited for a processor does not count.
const HANG: Duration = Duration::from_secs(1);

/// How long an attempt may take in all, not counting what the victim or the honest child waited for a processor.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the honest child waits for anything.
const HONEST_PATIENCE: Duration = Duration::from_secs(5);

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
    /// Without what it waited for a processor.
    longest_wait: Duration,
    /// The most that one wait over [`HANG`] had to wait for a processor.
    longest_for_processor: Duration,
}

impl Seen {
    fn count_wait(&mut self, wait: Duration, for_processor: impl FnOnce() -> Duration) {
        if wait <= HANG {
            self.longest_wait = self.longest_wait.max(wait);
            return;
        }
        let for_processor = for_processor();
        self.longest_for_processor = self.longest_for_processor.max(for_processor);
        self.longest_wait = self.longest_wait.max(wait.saturating_sub(for_processor));
    }
}

/// How the children ended; `None` where one has not.
struct Ends {
    honest: Option<ExitStatus>,
    hostile: Option<ExitStatus>,
    /// How long the honest child or the victim, whichever did longer, waited for a processor.
    for_processor: Duration,
}

/// How an attempt ended.
#[derive(Debug, PartialEq)]
enum Verdict {
    Stopped(String),
    /// No harm was done, but the attempt was not made to its end, and why.
    HeldUp(String),
    NotStopped,
}

/// Runs one attempt; what stopped it, or `None`. One that was not made to its end is made again, once, and its reason says so. Where
/// harm was done, nothing is made again: a defence that holds every other time is none.
pub(super) fn suffer(
    domain: &Domain,
    plan: &Plan,
    program: &dyn Fn() -> Command,
) -> anyhow::Result<Option<String>> {
    let mut again = String::new();
    let mut verdict = suffer_once(domain, plan, program)?;
    if let Verdict::HeldUp(why) = &verdict
        && !signal::interrupted()
    {
        again = format!("; made a second time, because at first {why}");
        verdict = suffer_once(domain, plan, program)?;
    }
    Ok(match verdict {
        Verdict::Stopped(reason) => Some(reason + &again),
        Verdict::HeldUp(why) => {
            eprintln!("cheat: {}: {why}{again}", plan.attempt);
            None
        }
        Verdict::NotStopped => None,
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
    let (mut own_queue, mut honest_queue) = (RunQueue::own(), RunQueue::of(honest.process.id()));
    let mut ends = Ends { honest: None, hostile: None, for_processor: Duration::ZERO };
    let (began, mut revoked) = (Instant::now(), false);
    while (ends.honest.is_none() || ends.hostile.is_none())
        && began.elapsed().saturating_sub(ends.for_processor) < PATIENCE
    {
        if signal::interrupted() {
            // Both children end with their handles.
            return Ok(Verdict::NotStopped);
        }
        watch(&mut receiver, &mut seen, &mut own_queue);
        ends.for_processor = own_queue.waited().max(honest_queue.waited());
        if ends.honest.is_none() {
            ends.honest = honest.wait_timeout(Duration::ZERO)?;
        }
        if ends.hostile.is_none() {
            ends.hostile = hostile.wait_timeout(Duration::ZERO)?;
        }
        if plan.role == "cheat-replay" && !revoked && seen.hostile > 0 {
            source.revoke()?;
            revoked = true;
            seen.hostile = 0;
        }
    }
    // What honest hands left in the lane.
    for _ in 0..200 {
        watch(&mut receiver, &mut seen, &mut own_queue);
    }
    // What was cut short says nothing.
    if signal::interrupted() {
        return Ok(Verdict::NotStopped);
    }
    drop(hostile);
    let mut said = String::new();
    output.read_to_string(&mut said)?;
    // Every domain that closes its gate is ended; here it was not the domain that closed it.
    if plan.role == "cheat-gate"
        && said.is_empty()
        && ends.hostile.and_then(|status| status.signal()) == Some(9)
    {
        said = "stopped: the supervisor shut its gate and ended it".into();
    }
    Ok(verdict(plan, &seen, said.trim(), &ends))
}

/// Takes what is there.
fn watch(
    receiver: &mut feuerbird::libos::Receiver<SampleMessage, feuerbird::hosted::SocketGate>,
    seen: &mut Seen,
    queue: &mut RunQueue,
) {
    for _ in 0..256 {
        let (began, before) = (Instant::now(), queue.waited());
        let result = receiver.recv_timeout(SECOND / 1000, |view| judge(&view.into(), seen));
        seen.count_wait(began.elapsed(), || queue.waited().saturating_sub(before));
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

/// The harm that was done to the victim or to the honest child, in words. No other try makes up for it.
fn harm(seen: &Seen, said: &str, ends: &Ends) -> Option<String> {
    let lost = seen.honest.iter().filter(|count| **count == 0).count();
    let twice = seen.honest.iter().filter(|count| **count > 1).count();
    let honest = match ends.honest {
        None => "hangs",
        Some(status) if status.success() => "finished",
        // It may have been the machine that kept its messages, or their taking, from it.
        Some(_) if ends.for_processor + HANG >= HONEST_PATIENCE => "had no processor in time",
        Some(_) => "failed",
    };
    // Who finished was told that everything was taken. Who could not may have something left, and that alone is no loss.
    let is_lost = lost > 0 && honest == "finished";
    let is_altered = twice > 0 || seen.wrong > 0 || seen.inconsistent > 0;
    let is_hung = seen.longest_wait > HANG || honest == "hangs" || honest == "failed";
    (is_lost || is_altered || is_hung || said.contains("NOT STOPPED")).then(|| {
        format!(
            "{lost} honest messages lost, {twice} twice, {} wrong, {} inconsistent, longest wait {:?}, the honest child {honest}, said: {said}",
            seen.wrong, seen.inconsistent, seen.longest_wait
        )
    })
}

/// Why the attempt was not made to its end, if it was not.
fn held_up(plan: &Plan, ends: &Ends) -> Option<String> {
    match (ends.honest, ends.hostile) {
        (Some(honest), _) if !honest.success() => {
            Some(format!("the honest child waited {:?} for a processor", ends.for_processor))
        }
        (_, None) => Some(format!("it was not over after {PATIENCE:?}")),
        // The gate's breaker is killed for it.
        (_, Some(hostile)) if !hostile.success() && plan.role != "cheat-gate" => {
            Some(format!("the hostile child could not go on ({hostile})"))
        }
        _ => None,
    }
}

/// What is to be said: every defence that acted, unless one did not.
fn verdict(plan: &Plan, seen: &Seen, said: &str, ends: &Ends) -> Verdict {
    if let Some(harm) = harm(seen, said, ends) {
        eprintln!("cheat: {}: {harm}", plan.attempt);
        return Verdict::NotStopped;
    }
    if let Some(why) = held_up(plan, ends) {
        return Verdict::HeldUp(why);
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
    if seen.longest_for_processor > Duration::ZERO {
        reasons.push(format!("the victim once waited {:?} for a processor", seen.longest_for_processor));
    }
    Verdict::Stopped(reasons.join("; "))
}

/// What the honest child does.
pub(super) fn be_honest() -> anyhow::Result<()> {
    let domain = feuerbird::inherited()?.context("started by the demo")?;
    let patience = HONEST_PATIENCE.as_nanos() as u64;
    let (endpoint, _) = domain.granted(patience)?;
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
    sender.finish(patience)?;
    Ok(())
}

/// FNV-1a over the bytes: to find mix-ups, not forgers.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "stopped: by the kernel";

    fn status(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn ends(honest: i32, hostile: i32, seconds_for_processor: u64) -> Ends {
        let for_processor = Duration::from_secs(seconds_for_processor);
        Ends { honest: Some(status(honest)), hostile: Some(status(hostile)), for_processor }
    }

    fn unharmed() -> Seen {
        Seen { honest: vec![1; 4], ..Seen::default() }
    }

    #[test]
    fn a_loss_behind_a_finished_sender_is_harm_however_long_anybody_waited() {
        let mut seen = unharmed();
        seen.honest[2] = 0;
        seen.count_wait(Duration::from_secs(30), || Duration::from_secs(30));
        for hostile in [0, 1] {
            assert_eq!(verdict(&PLANS[0], &seen, SAID, &ends(0, hostile, 30)), Verdict::NotStopped);
        }
    }

    #[test]
    fn a_long_wait_is_harm_unless_it_was_for_a_processor() {
        let after = |for_processor| {
            let mut seen = unharmed();
            seen.count_wait(Duration::from_secs(3), || for_processor);
            verdict(&PLANS[0], &seen, SAID, &ends(0, 0, 3))
        };
        assert_eq!(after(Duration::from_millis(1900)), Verdict::NotStopped);
        let Verdict::Stopped(reason) = after(Duration::from_millis(2500)) else {
            panic!("it was for a processor")
        };
        assert!(reason.contains("2.5s for a processor"), "{reason}");
    }

    #[test]
    fn an_honest_child_that_fails_or_hangs_is_harm_unless_it_had_no_processor() {
        let mut seen = unharmed();
        seen.honest[3] = 0;
        assert_eq!(verdict(&PLANS[0], &seen, SAID, &ends(1, 0, 3)), Verdict::NotStopped);
        let excused = verdict(&PLANS[0], &seen, SAID, &ends(1, 0, 4));
        assert!(matches!(excused, Verdict::HeldUp(_)), "{excused:?}");
        let hangs = Ends { honest: None, ..ends(0, 0, 30) };
        assert_eq!(verdict(&PLANS[0], &unharmed(), SAID, &hangs), Verdict::NotStopped);
    }

    #[test]
    fn an_attempt_that_was_not_made_to_its_end_is_no_harm_and_no_defence() {
        let still_there = Ends { hostile: None, ..ends(0, 0, 0) };
        for ends in [ends(0, 1, 0), still_there] {
            let verdict = verdict(&PLANS[0], &unharmed(), "", &ends);
            assert!(matches!(verdict, Verdict::HeldUp(_)), "{verdict:?}");
        }
    }
}
