//! The audit ring: what changed in who may do what, the newest of it.

use alloc::vec::Vec;

use feuerbird_abi::{AuditKind, AuditRecord};
use feuerbird_capability::{Capability, Object, Slot};
use zerocopy::FromZeros;

use crate::DomainId;

/// The newest audit records. When it is full the oldest is overwritten, and the gap in the numbers tells.
pub struct AuditRing {
    /// As many as there is room for; those that were not written yet have no number.
    records: Vec<AuditRecord>,
    /// The number of the next record; numbers start at 1.
    next: u64,
    /// Where that will be.
    place: usize,
}

impl AuditRing {
    /// A ring for so many records, at least one.
    pub(crate) fn new(capacity: u32) -> Self {
        Self { records: alloc::vec![AuditRecord::new_zeroed(); capacity.max(1) as usize], next: 1, place: 0 }
    }

    /// The number that the next record will get: one more than there ever were.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The number of the oldest record that is left.
    pub fn oldest_sequence(&self) -> u64 {
        self.next.saturating_sub(self.capacity()).max(1)
    }

    /// The records from this number on, the oldest first; those that were overwritten are left out.
    pub fn since(&self, first: u64) -> impl Iterator<Item = &AuditRecord> {
        let first = first.clamp(self.oldest_sequence(), self.next);
        (first..self.next).map(|sequence| &self.records[((sequence - 1) % self.capacity()) as usize])
    }

    /// How many records one turn has.
    pub(crate) fn capacity(&self) -> u64 {
        self.records.len() as u64
    }

    /// Writes an event down as the next record.
    #[inline]
    pub(crate) fn append(&mut self, time_ns: u64, event: &Event) -> AuditRecord {
        let record = AuditRecord { sequence: self.next, time_ns, ..event.0 };
        self.records[self.place] = record;
        self.next += 1;
        self.place = if self.place + 1 < self.records.len() { self.place + 1 } else { 0 };
        record
    }
}

/// What an audit record says, before it has a number and a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event(AuditRecord);

impl Event {
    /// `subject` did something to the authority of `target`; `None` is the kernel or its home.
    #[inline]
    pub(crate) fn new(kind: AuditKind, subject: Option<DomainId>, target: DomainId) -> Self {
        Self(AuditRecord {
            sequence: 0,
            time_ns: 0,
            kind: kind as u16,
            object_kind: 0,
            trust: 0,
            rights: 0,
            subject: subject.map_or(0, DomainId::to_bits),
            target: target.to_bits(),
            object: 0,
            slot: 0,
            detail: 0,
        })
    }

    /// The same about this capability in this slot, with its badge as the detail.
    #[inline]
    pub(crate) fn about(self, slot: Slot, capability: &Capability) -> Self {
        let Capability { object, rights, trust, badge, .. } = *capability;
        let (trust, rights) = (trust.level(), rights.bits());
        Self(AuditRecord { slot: slot.to_bits(), rights, trust, detail: badge.0, ..self.0 }).on(object)
    }

    /// The same about this object.
    #[inline]
    pub(crate) fn on(self, object: Object) -> Self {
        Self(AuditRecord { object_kind: object.kind as u8, object: object.id, ..self.0 })
    }

    /// The same with a detail.
    #[inline]
    pub(crate) fn with(self, detail: u64) -> Self {
        Self(AuditRecord { detail, ..self.0 })
    }

    /// A refusal: the call's number, its first argument and how it ended.
    pub(crate) fn refused(caller: DomainId, number: u32, argument: u64, status: u32) -> Self {
        let Self(record) = Self::new(AuditKind::Refused, Some(caller), caller);
        Self(AuditRecord { object: number.into(), slot: argument, detail: status.into(), ..record })
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
        let record = AuditRecord { kind: AuditKind::RefusedMore as u16, detail: self.more, ..like.0 };
        is_new.then_some(Event(record))
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
