//! What a capability names, and what a derivation may ask for.

use crate::{Badge, Error, Rights, Trust};

/// What sort of object a capability names. The numbers are part of the boundary between domain and kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ObjectKind {
    /// A protection domain with its capability space.
    Domain = 1,
    /// A meeting point of senders and receivers.
    Endpoint = 2,
    /// A word of signal bits.
    Notification = 3,
    /// Memory shared by many readers; the range is in bytes.
    Region = 4,
    /// Physical memory; the range is in frames. Exclusive.
    Frame = 5,
    /// Time on a processor; the range is in slices. Exclusive.
    TimeSlice = 6,
    /// Ports of the machine; the range is in ports. Exclusive.
    IoPort = 7,
    /// Interrupt lines; the range is in vectors. Exclusive.
    Interrupt = 8,
    /// The audit log.
    Audit = 9,
    /// A processor: control over what runs on it.
    Processor = 10,
}

impl ObjectKind {
    /// Every kind, in the order of its number, which starts at 1.
    pub const ALL: [Self; 10] = [
        Self::Domain,
        Self::Endpoint,
        Self::Notification,
        Self::Region,
        Self::Frame,
        Self::TimeSlice,
        Self::IoPort,
        Self::Interrupt,
        Self::Audit,
        Self::Processor,
    ];

    /// The kind with this number, if there is one.
    pub fn from_number(number: u64) -> Option<Self> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::ALL.get(index).copied()
    }

    /// The kind's number.
    pub const fn number(self) -> u64 {
        self as u64
    }

    /// Whether no two siblings of this kind may share a part of the range.
    ///
    /// Deriving from an exclusive capability splits it, so copies are refused and children are disjoint. For the other
    /// kinds children only have to lie inside their parent: two readers of one region may see the same bytes.
    pub const fn is_exclusive(self) -> bool {
        matches!(self, Self::Frame | Self::TimeSlice | Self::IoPort | Self::Interrupt)
    }
}

const _: () = {
    let mut index = 0;
    while index < ObjectKind::ALL.len() {
        assert!(ObjectKind::ALL[index] as usize == index + 1);
        index += 1;
    }
};

/// One object of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Which one; the kernel never gives a number twice.
    pub id: u64,
}

/// A part of an object, in the unit of its kind. `start + length` must not exceed `u64::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Range {
    /// The first unit.
    pub start: u64,
    /// How many units; 0 for objects without parts.
    pub length: u64,
}

impl Range {
    /// No part at all: for objects without parts.
    pub const EMPTY: Self = Self { start: 0, length: 0 };

    /// The `length` units from `start`.
    pub const fn new(start: u64, length: u64) -> Self {
        Self { start, length }
    }

    /// The unit after the last, unless that overflows.
    pub const fn end(self) -> Option<u64> {
        self.start.checked_add(self.length)
    }

    /// Whether `inner` lies inside. A range that overflows contains nothing and lies inside nothing.
    pub const fn contains(self, inner: Self) -> bool {
        match (self.end(), inner.end()) {
            (Some(end), Some(inner_end)) => self.start <= inner.start && inner_end <= end,
            _ => false,
        }
    }

    /// Whether the two have a unit in common.
    pub const fn overlaps(self, other: Self) -> bool {
        match (self.end(), other.end()) {
            (Some(end), Some(other_end)) => {
                let start = if self.start > other.start { self.start } else { other.start };
                let end = if end < other_end { end } else { other_end };
                start < end
            }
            _ => false,
        }
    }
}

/// The authority that one slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capability {
    /// What it names.
    pub object: Object,
    /// What the holder may do.
    pub rights: Rights,
    /// How far the holder is trusted.
    pub trust: Trust,
    /// What the object's owner sees of the holder.
    pub badge: Badge,
    /// Which part of the object.
    pub range: Range,
}

impl Capability {
    /// The capability that `derivation` makes of this one.
    ///
    /// # Errors
    /// [`Error::MoreRights`], [`Error::HigherTrust`], [`Error::AlreadyBadged`], [`Error::OutsideRange`] when it asks for
    /// more than this one has, [`Error::EmptyRange`] for no units of an exclusive kind.
    #[inline]
    pub fn derive(&self, derivation: &Derivation) -> Result<Self, Error> {
        if !self.rights.contains(derivation.rights) {
            return Err(Error::MoreRights);
        }
        if derivation.trust > self.trust {
            return Err(Error::HigherTrust);
        }
        let badge = derivation.badge.filter(|badge| badge.is_some()).unwrap_or(self.badge);
        if self.badge.is_some() && badge != self.badge {
            return Err(Error::AlreadyBadged);
        }
        let range = derivation.range.unwrap_or(self.range);
        if !self.range.contains(range) {
            return Err(Error::OutsideRange);
        }
        if self.object.kind.is_exclusive() && range.length == 0 {
            return Err(Error::EmptyRange);
        }
        Ok(Self { object: self.object, rights: derivation.rights, trust: derivation.trust, badge, range })
    }
}

/// What a derived capability shall be: never more than its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// Its rights, a subset of the parent's. See [`Derivation::masking`] for "at most these".
    pub rights: Rights,
    /// Its trust, not above the parent's.
    pub trust: Trust,
    /// Its badge. `None` or [`Badge::NONE`]: the parent's.
    pub badge: Option<Badge>,
    /// Its range, inside the parent's. `None`: the parent's.
    pub range: Option<Range>,
}

impl Derivation {
    /// Exactly these rights and this trust, with the parent's badge and range.
    pub const fn new(rights: Rights, trust: Trust) -> Self {
        Self { rights, trust, badge: None, range: None }
    }

    /// All that `parent` is.
    pub const fn all_of(parent: &Capability) -> Self {
        Self::new(parent.rights, parent.trust)
    }

    /// What `parent` has of these rights and of this trust; never an escalation.
    pub fn masking(parent: &Capability, rights: Rights, trust: Trust) -> Self {
        Self::new(parent.rights & rights, parent.trust.min(trust))
    }

    /// The same with this badge.
    #[must_use]
    pub const fn with_badge(self, badge: Badge) -> Self {
        Self { badge: Some(badge), ..self }
    }

    /// The same with this range.
    #[must_use]
    pub const fn with_range(self, range: Range) -> Self {
        Self { range: Some(range), ..self }
    }
}
