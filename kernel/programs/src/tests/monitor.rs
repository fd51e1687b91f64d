//! What the kernel publishes: the audit log and counters, without a call.

use feuerbird_abi::monitor::{CAPACITY, COUNTERS, Counter, NEXT, RING, SWITCHES, TIME};
use feuerbird_abi::{Access, AuditKind, Call, MachineCall, Status};
use feuerbird_capability::Trust;

use super::{Checked, Ground, ensure, ensure_ends, ensure_refused};
use crate::child::Child;
use crate::gate::{self, Result};
use crate::memory::{self, Mapping};
use crate::role::Role;

/// Words of a record: its number, its time, then its kind in the lowest 16 bits.
const WORDS: usize = 8;

pub(super) struct Monitor(Mapping);

impl Monitor {
    pub(super) fn open(slot: u64) -> Result<Self> {
        let answer = gate::machine(MachineCall::Monitor, &[slot])?;
        let mapping = Mapping::new(answer.handle, answer.values[0], Access::Read);
        memory::release(answer.handle)?;
        Ok(Self(mapping?))
    }

    pub(super) fn counter(&self, counter: Counter) -> u64 {
        self.0.load(COUNTERS + counter as usize)
    }

    /// A record, if it is there and does not change meanwhile.
    fn record(&self, sequence: u64) -> Option<[u64; WORDS]> {
        let place = RING + (sequence - 1) as usize % CAPACITY as usize * WORDS;
        let record = core::array::from_fn(|word| self.0.load(place + word));
        (record[0] == sequence && self.0.load(place) == sequence).then_some(record)
    }
}

pub(super) fn audit_slot() -> Result<u64> {
    let hello = gate::call(Call::Hello, &[])?;
    memory::release(hello.handle)?;
    Ok(hello.values[3])
}

/// How many exceptions of domains there were until a moment ago.
pub(super) fn faults() -> Result<u64> {
    // They are written at the end of slices.
    gate::sleep(20_000_000)?;
    Ok(Monitor::open(audit_slot()?)?.counter(Counter::Faults))
}

pub(super) fn records(_: &Ground<'_>) -> Checked {
    let monitor = Monitor::open(audit_slot()?)?;
    let before = monitor.0.load(NEXT);
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    gate::call(Call::Delete, &[endpoint])?;
    ensure_refused(gate::call(Call::Delete, &[endpoint]), Status::NoCapability)?;
    let next = monitor.0.load(NEXT);
    // What a test before left to be swept is written down between them; of refusals, the first ones of a domain are.
    ensure(next >= before + 2 && next < before + CAPACITY / 2)?;
    let mut kinds = [AuditKind::Minted, AuditKind::Deleted, AuditKind::Refused].into_iter().peekable();
    for sequence in before..next {
        let record = monitor.record(sequence).ok_or(Status::BadArgument)?;
        kinds.next_if(|kind| record[2] & 0xffff == *kind as u64);
    }
    ensure(kinds.next().is_none_or(|kind| kind == AuditKind::Refused))?;
    // The same records as those that are asked for.
    let answer = gate::call(Call::ReadAudit, &[audit_slot()?, before])?;
    let mut bytes = [0; feuerbird_abi::PAYLOAD_BYTES];
    gate::payload(&answer, &mut bytes);
    let word = |index: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[8 * index + byte]));
    ensure(monitor.record(before) == Some(core::array::from_fn(word)))?;
    ensure(monitor.record(next + CAPACITY / 2).is_none() && monitor.record(next + CAPACITY).is_none())
}

/// What a domain was refused by this machine's own calls is in the log, each with its number and how it ended.
pub(super) fn refusals(ground: &Ground<'_>) -> Checked {
    let monitor = Monitor::open(audit_slot()?)?;
    let before = monitor.0.load(NEXT);
    ensure_ends(ground.run(Role::Refused, 0)?)?;
    let mut expected = REFUSED.into_iter().peekable();
    for record in (before..monitor.0.load(NEXT)).filter_map(|sequence| monitor.record(sequence)) {
        let [_, _, kind, _, _, call, _, status] = record;
        if kind & 0xffff == AuditKind::Refused as u64 {
            expected.next_if(|(refused, why)| (call, status) == (*refused as u64, *why as u64));
        }
    }
    ensure(expected.next().is_none())
}

/// What was done to a domain by authority to control it is in the log.
pub(super) fn control(ground: &Ground<'_>) -> Checked {
    let monitor = Monitor::open(audit_slot()?)?;
    let before = monitor.0.load(NEXT);
    let child = Child::new(ground.image, Trust::USER)?;
    let slot = child.slot;
    gate::machine(MachineCall::HandDown, &[slot, 64])?;
    child.start(ground.image, Role::Idle.argument(0))?;
    let done = |call: MachineCall| {
        let records = (before..monitor.0.load(NEXT)).filter_map(|sequence| monitor.record(sequence));
        let is_it = |it: &[u64; WORDS]| {
            (it[2] & 0xffff, it[6], it[7]) == (AuditKind::Controlled as u64, slot, call as u64)
        };
        records.filter(is_it).count()
    };
    ensure(done(MachineCall::HandDown) == 1 && done(MachineCall::Start) == 1)?;
    ensure(done(MachineCall::Place) > 1 && done(MachineCall::RunIn) == 0)?;
    Ok(child.destroy()?)
}

/// Calls that nobody may make with nothing in their registers, or only who has authority, and how they are refused.
const REFUSED: [(MachineCall, Status); 9] = [
    (MachineCall::Monitor, Status::NoCapability),
    (MachineCall::ReadPort, Status::NoCapability),
    (MachineCall::TakeInterrupt, Status::NoCapability),
    (MachineCall::RunIn, Status::NoCapability),
    (MachineCall::YieldTo, Status::NoCapability),
    (MachineCall::FrameNames, Status::NoHandle),
    (MachineCall::HandDown, Status::NoCapability),
    (MachineCall::AllocateNamed, Status::BadArgument),
    (MachineCall::PowerOff, Status::MissingRight),
];

/// Makes them, and ends.
pub(crate) fn be_refused() {
    super::end_if(REFUSED.iter().all(|(call, status)| gate::machine(*call, &[]).err() == Some(*status)));
}

pub(super) fn counters(ground: &Ground<'_>) -> Checked {
    let monitor = Monitor::open(audit_slot()?)?;
    // They are written at the end of slices.
    gate::sleep(20_000_000)?;
    let (faults, time) = (monitor.counter(Counter::Faults), monitor.0.load(TIME));
    let switches: u64 = (0..32).map(|core| monitor.0.load(SWITCHES + core)).sum();
    ensure_ends(ground.run(Role::Attacker, 0)?)?;
    gate::sleep(20_000_000)?;
    ensure(monitor.counter(Counter::Faults) == faults + 1 && monitor.0.load(TIME) > time)?;
    ensure((0..32).map(|core| monitor.0.load(SWITCHES + core)).sum::<u64>() > switches)?;
    ensure(monitor.counter(Counter::Slices) > 0 && monitor.counter(Counter::LostUpcalls) == 0)?;
    let [frames, objects, domains] = super::held();
    let published = [Counter::FreeFrames, Counter::Objects, Counter::Domains].map(|it| monitor.counter(it));
    ensure(published == [frames, objects, domains])
}

pub(super) fn refused(_: &Ground<'_>) -> Checked {
    let open = |slot| gate::machine(MachineCall::Monitor, &[slot]).map(|_| ());
    let hello = gate::call(Call::Hello, &[])?;
    memory::release(hello.handle)?;
    let [own, _, _, audit, ..] = hello.values;
    ensure_refused(open(own), Status::WrongKind)?;
    ensure_refused(open(0), Status::NoCapability)?;
    let weak = gate::call(Call::Derive, &[audit, 0, 0, 0, 0, 0])?.values[0];
    ensure_refused(open(weak), Status::MissingRight)?;
    gate::call(Call::Delete, &[weak])?;
    let answer = gate::machine(MachineCall::Monitor, &[audit])?;
    for (access, status) in [(Access::Write, Status::MissingRight), (Access::Execute, Status::NotSealed)] {
        ensure_refused(Mapping::new(answer.handle, answer.values[0], access), status)?;
    }
    Ok(memory::release(answer.handle)?)
}
