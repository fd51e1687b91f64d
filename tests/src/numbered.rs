//! Numbered messages, who sent how many, and who saw which: so that lost, twice and altered can be counted.

use std::{process::Command, sync::atomic::Ordering, time::Duration};

use anyhow::{Context, ensure};
use feuerbird::{
    Domain, Program,
    capability::Rights,
    channel::{RecvError, SendError},
    hosted::{Child, SocketGate, os::memory::ReaderMemory},
    libos::{Authority, Handle, SharedRegion},
    prelude::{SECOND, Trust},
    serialization::sample::{Sample, SampleMessage},
    zero_copy::{Region, WriteRegion},
};

/// The environment variable with a child's role and number.
pub const ROLE_VARIABLE: &str = "FEUERBIRD_TEST_ROLE";

/// How many producers a run may have, one after the other.
pub const PRODUCERS: usize = 128;

/// How many messages one producer may send.
pub const MESSAGES: usize = 1 << 16;

/// The largest payload: some messages travel in their slot, most in pool buffers.
pub const PAYLOAD_BYTES: usize = 2000;

/// Words of a report: a producer's published messages; buffers it lost; a consumer's altered and doubled messages.
pub const PUBLISHED: usize = 0;
/// See [`PUBLISHED`].
pub const BUFFERS_LOST: usize = 1;
/// See [`PUBLISHED`].
pub const ALTERED: usize = 2;
/// See [`PUBLISHED`].
pub const TWICE: usize = 3;
/// When a peer's end was noticed, in nanoseconds of the monotonic clock.
pub const NOTICED: usize = 4;
const MARKS: usize = 512;
const WORDS_PER_PRODUCER: usize = MESSAGES / 64;

/// A consumer's report, in bytes.
pub const CONSUMER_BYTES: usize = (MARKS + PRODUCERS * WORDS_PER_PRODUCER) * 8;

/// A child with its report.
pub struct Worker {
    /// The process and its domain.
    pub child: Child,
    /// What it writes, mapped for reading.
    pub report: ReaderMemory,
}

/// Starts a worker with its side of the endpoint, and waits for its report.
///
/// # Errors
/// Where it cannot be started, or does not report within ten seconds.
pub fn start(
    domain: &Domain,
    program: &str,
    role: &str,
    number: usize,
    endpoint: &Handle<SocketGate>,
    orders: &SharedRegion<SocketGate>,
    trust: Trust,
) -> anyhow::Result<Worker> {
    let side = if role == "consumer" { Authority::receive(Trust::KERNEL) } else { Authority::send(trust) };
    let own = domain.own();
    let grants = [
        (endpoint, side),
        (own.handle(), Authority::new(Rights::SEND, Trust::KERNEL)),
        (&orders.handle, Authority::new(Rights::MAP_READ, Trust::KERNEL)),
    ];
    // A consumer's capability says how far it trusts what comes; its domain is a user's all the same.
    let domain_trust = if role == "consumer" { Trust::KERNEL } else { trust };
    let program =
        Program::new(Command::new(program), domain_trust).env(ROLE_VARIABLE, format!("{role} {number}"));
    let child = program.spawn(domain, &grants)?;
    let (report, _) = domain.granted(10 * SECOND).context("no report came")?;
    Ok(Worker { child, report: report.map()? })
}

/// What a child of this package does.
///
/// # Errors
/// Where something happens that must not.
pub fn child(role: &str) -> anyhow::Result<()> {
    let (role, number) = role.split_once(' ').context("a role and a number")?;
    if !matches!(role, "producer" | "consumer") {
        return crate::obedient::child(role, number.parse()?);
    }
    let domain = feuerbird::inherited()?.context("started by a test")?;
    let (endpoint, _) = domain.granted(5 * SECOND)?;
    let (root, _) = domain.granted(5 * SECOND)?;
    let (orders, _) = domain.granted(5 * SECOND)?;
    let orders = orders.map()?;
    let report = domain.region(CONSUMER_BYTES)?;
    let root = feuerbird::libos::DomainHandle::new(root);
    report.handle.grant(&root, Authority::new(Rights::MAP_READ, domain.trust()))?;
    match role {
        "producer" => produce(&domain, &endpoint, &orders, &report, number.parse()?),
        "consumer" => consume(&domain, &endpoint, &report),
        other => anyhow::bail!("no such role: {other}"),
    }
}

fn put(report: &SharedRegion<SocketGate>, word: usize, value: u64) {
    report.writer.writable()[word].store(value, Ordering::Release);
}

/// Sends until the order to stop, or until all numbers are used up.
fn produce(
    domain: &Domain,
    endpoint: &Handle<SocketGate>,
    orders: &ReaderMemory,
    report: &SharedRegion<SocketGate>,
    number: u32,
) -> anyhow::Result<()> {
    let mut sender = domain.sender::<SampleMessage>(endpoint)?;
    let mut payload = [0; PAYLOAD_BYTES];
    for sequence in 0..MESSAGES as u64 {
        if orders.words().load(0) == 1 {
            break;
        }
        let bytes = length(number, sequence);
        payload[..bytes].fill(fill(number, sequence));
        let digest = digest(number, sequence, bytes);
        let sample = Sample { sequence, producer: number, sent_at: 0, digest, payload: &payload[..bytes] };
        match sender.send(&sample) {
            Ok(()) => {}
            Err(SendError::Disconnected) => {
                put(report, NOTICED, feuerbird::hosted::os::clock::now_ns());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        put(report, PUBLISHED, sequence + 1);
        if sequence % 32 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    sender.finish(20 * SECOND)?;
    put(report, BUFFERS_LOST, sender.buffers_lost());
    Ok(())
}

/// Marks what comes, until every sender is gone.
fn consume(
    domain: &Domain,
    endpoint: &Handle<SocketGate>,
    report: &SharedRegion<SocketGate>,
) -> anyhow::Result<()> {
    let mut receiver = domain.receiver::<SampleMessage>(endpoint)?;
    loop {
        match receiver.recv(|view| mark(report, &view.into())) {
            Ok(()) => {}
            Err(RecvError::Disconnected) => {
                put(report, NOTICED, feuerbird::hosted::os::clock::now_ns());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn mark(report: &SharedRegion<SocketGate>, sample: &Sample<'_>) {
    let words = report.writer.writable();
    let (number, sequence) = (sample.producer, sample.sequence);
    let good = sample.digest == digest(number, sequence, sample.payload.len())
        && sample.payload.len() == length(number, sequence)
        && sample.payload.iter().all(|byte| *byte == fill(number, sequence));
    if !good || number as usize >= PRODUCERS || sequence as usize >= MESSAGES {
        words[ALTERED].fetch_add(1, Ordering::Relaxed);
        return;
    }
    let word = &words[MARKS + number as usize * WORDS_PER_PRODUCER + sequence as usize / 64];
    let bit = 1 << (sequence % 64);
    if word.fetch_or(bit, Ordering::Release) & bit != 0 {
        words[TWICE].fetch_add(1, Ordering::Relaxed);
    }
}

/// What all consumers together saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Per producer: published and not seen.
    pub lost: u64,
    /// Seen by two consumers, or twice by one.
    pub twice: u64,
    /// Seen with other content than was sent.
    pub altered: u64,
    /// Seen although never said to be published: the one that a killed producer had no time to count.
    pub uncounted: u64,
    /// Seen at all.
    pub seen: u64,
}

/// Compares what producers say they published with what consumers marked.
///
/// # Errors
/// Where a producer's number or count is beyond the agreed.
pub fn tally(published: &[(usize, u64)], consumers: &[ReaderMemory]) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for report in consumers {
        tally.altered += report.words().load(ALTERED);
        tally.twice += report.words().load(TWICE);
    }
    for (number, count) in published {
        ensure!(*number < PRODUCERS && *count <= MESSAGES as u64, "a producer beyond the agreed");
        for word in 0..WORDS_PER_PRODUCER {
            let place = MARKS + number * WORDS_PER_PRODUCER + word;
            let marks: Vec<u64> = consumers.iter().map(|report| report.words().load(place)).collect();
            let any = marks.iter().fold(0, |any, marks| any | marks);
            let total: u32 = marks.iter().map(|marks| marks.count_ones()).sum();
            let first = word as u64 * 64;
            let expected = match count.saturating_sub(first) {
                0 => 0,
                left @ 1..64 => (1u64 << left) - 1,
                _ => u64::MAX,
            };
            tally.seen += u64::from(any.count_ones());
            tally.twice += u64::from(total - any.count_ones());
            tally.lost += u64::from((expected & !any).count_ones());
            tally.uncounted += u64::from((any & !expected).count_ones());
        }
    }
    Ok(tally)
}

fn length(number: u32, sequence: u64) -> usize {
    (sequence as usize * 613 + number as usize * 29) % PAYLOAD_BYTES
}

fn fill(number: u32, sequence: u64) -> u8 {
    (sequence as u8).wrapping_mul(31) ^ number as u8
}

fn digest(number: u32, sequence: u64, bytes: usize) -> u64 {
    (u64::from(number) << 48 ^ sequence ^ (bytes as u64) << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
