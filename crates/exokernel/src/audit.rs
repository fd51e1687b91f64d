//! The audit ring: what changed in who may do what, the newest of it.

use alloc::vec::Vec;

use feuerbird_abi::{AuditKind, AuditRecord};
use feuerbird_capability::{Capability, Object, Rights, Slot, Trust};

use crate::DomainId;

/// The newest audit records. When it is full the oldest is overwritten, and the gap in the numbers tells.
pub struct AuditRing {
    records: Vec<AuditRecord>,
    capacity: usize,
    /// The number of the next record; numbers start at 1.
    next: u64,
}

impl AuditRing {
    /// A ring for so many records, at least one.
    pub(crate) fn new(capacity: u32) -> Self {
        let capacity = capacity.max(1) as usize;
        Self { records: Vec::with_capacity(capacity), capacity, next: 1 }
    }

    /// The number that the next record will get: one more than there ever were.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The number of the oldest record that is left.
    pub fn oldest_sequence(&self) -> u64 {
        self.next - self.records.len() as u64
    }

    /// The records from this number on, the oldest first; those that were overwritten are left out.
    pub fn since(&self, first: u64) -> impl Iterator<Item = &AuditRecord> {
        let first = first.clamp(self.oldest_sequence(), self.next);
        (first..self.next).map(|sequence| &self.records[self.place(sequence)])
    }

    /// How many records one turn has.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// Writes an event down as the next record.
    pub(crate) fn append(&mut self, time_ns: u64, event: &Event) -> &AuditRecord {
        let sequence = self.next;
        self.next += 1;
        let record = event.record(sequence, time_ns);
        let place = self.place(sequence);
        if self.records.len() < self.capacity {
            self.records.push(record);
        } else {
            self.records[place] = record;
        }
        &self.records[place]
    }

    fn place(&self, sequence: u64) -> usize {
        ((sequence - 1) % self.capacity as u64) as usize
    }
}

/// What an audit record says, before it has a number and a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    kind: AuditKind,
    subject: u64,
    target: u64,
    object_kind: u8,
    object: u64,
    rights: Rights,
    trust: Trust,
    slot: Slot,
    detail: u64,
}

impl Event {
    /// `subject` did something to the authority of `target`; `None` is the kernel or its home.
    pub(crate) fn new(kind: AuditKind, subject: Option<DomainId>, target: DomainId) -> Self {
        Self {
            kind,
            subject: subject.map_or(0, DomainId::to_bits),
            target: target.to_bits(),
            object_kind: 0,
            object: 0,
            rights: Rights::empty(),
            trust: Trust::USER,
            slot: Slot::NULL,
            detail: 0,
        }
    }

    /// The same about this capability in this slot, with its badge as the detail.
    pub(crate) fn about(self, slot: Slot, capability: &Capability) -> Self {
        let Capability { object, rights, trust, badge, .. } = *capability;
        Self { slot, rights, trust, detail: badge.0, ..self }.on(object)
    }

    /// The same about this object.
    pub(crate) fn on(self, object: Object) -> Self {
        Self { object_kind: object.kind as u8, object: object.id, ..self }
    }

    /// The same with a detail.
    pub(crate) fn with(self, detail: u64) -> Self {
        Self { detail, ..self }
    }

    /// A refusal: the call's number, its first argument and how it ended.
    pub(crate) fn refused(caller: DomainId, number: u32, argument: u64, status: u32) -> Self {
        let event = Self::new(AuditKind::Refused, Some(caller), caller);
        let slot = Slot::from_bits(argument);
        Self { object: u64::from(number), slot, detail: u64::from(status), ..event }
    }

    fn record(&self, sequence: u64, time_ns: u64) -> AuditRecord {
        AuditRecord {
            sequence,
            time_ns,
            kind: self.kind as u16,
            object_kind: self.object_kind,
            trust: self.trust.level(),
            rights: self.rights.bits(),
            subject: self.subject,
            target: self.target,
            object: self.object,
            slot: self.slot.to_bits(),
            detail: self.detail,
        }
    }
}

/// How often a domain was refused in its turn of the ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refusals {
    /// The number of the record that its turn began with.
    began: u64,
    /// Written down one by one.
    written: u32,
    /// Counted only.
    more: u64,
    /// How many of these the log says.
    told: u64,
}

impl Refusals {
    /// Takes in one more refusal that would be record `next`; what to write down of it, if anything. The second part is
    /// what was left to say about the turn that is over.
    pub(crate) fn another(
        &mut self,
        refused: Event,
        next: u64,
        capacity: u64,
        limit: u32,
    ) -> (Option<Event>, Option<Event>) {
        let mut last = None;
        if next >= self.began + capacity {
            last = self.rest(refused);
            *self = Self { began: next, ..Self::default() };
        }
        if self.written < limit {
            self.written += 1;
            return (Some(refused), last);
        }
        self.more += 1;
        let is_told = self.more.is_power_of_two();
        (if is_told { self.rest(refused) } else { None }, last)
    }

    /// What the log does not say yet of the calls that were only counted; `like` says whose.
    pub(crate) fn rest(&mut self, like: Event) -> Option<Event> {
        let is_new = self.more > self.told;
        self.told = self.more;
        is_new.then_some(Event { kind: AuditKind::RefusedMore, detail: self.more, ..like })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_records_stay_and_the_gap_tells_the_loss() {
        let mut ring = AuditRing::new(4);
        for time in 0..10 {
            ring.append(time, &Event::new(AuditKind::Minted, None, DomainId(1)));
        }
        assert_eq!((ring.oldest_sequence(), ring.next_sequence()), (7, 11));
        let found: Vec<(u64, u64)> = ring.since(0).map(|record| (record.sequence, record.time_ns)).collect();
        assert_eq!(found, [(7, 6), (8, 7), (9, 8), (10, 9)]);
        assert_eq!(ring.since(10).count(), 1);
        assert_eq!(ring.since(u64::MAX).count(), 0);
    }
}
