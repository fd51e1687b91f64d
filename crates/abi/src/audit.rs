//! The audit record: what a kernel writes down about every change of authority.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::RECORD_BYTES;

/// One entry of the audit log, as [`Call::ReadAudit`](crate::Call::ReadAudit) returns it.
///
/// A field that its kind says nothing about is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AuditRecord {
    /// Counts all records from 1; a gap is a loss.
    pub sequence: u64,
    /// When it happened, in nanoseconds of the home's monotonic clock.
    pub time_ns: u64,
    /// An [`AuditKind`].
    pub kind: u16,
    /// The kind of the object, as the `capability` crate numbers them.
    pub object_kind: u8,
    /// The trust of the capability.
    pub trust: u8,
    /// The rights of the capability.
    pub rights: u32,
    /// The domain that acted; 0 for the kernel or its home.
    pub subject: u64,
    /// The domain whose authority changed.
    pub target: u64,
    /// Which object.
    pub object: u64,
    /// The slot in the target's space, or the subject's where its [`AuditKind`] says so.
    pub slot: u64,
    /// As the [`AuditKind`] says.
    pub detail: u64,
}

/// What an audit record says, and what its detail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum AuditKind {
    /// A capability was made together with its object. The detail is its badge.
    Minted = 1,
    /// A capability was derived within a space. The detail is its badge.
    Derived = 2,
    /// A capability was copied within a space. The detail is its badge.
    Copied = 3,
    /// A capability changed its slot. The detail is the old slot.
    Moved = 4,
    /// A capability was derived into another domain's space. The detail is its badge.
    Granted = 5,
    /// The holder deleted a capability. The detail is its badge.
    Deleted = 6,
    /// Everything derived from `slot` became unusable. The detail is the deadline for what still hangs on it.
    RevocationBegan = 7,
    /// One of the capabilities that a revocation ended. The detail is its badge.
    Revoked = 8,
    /// A binding was made through `slot`. The detail is the binding.
    Bound = 9,
    /// A binding ended. The detail is the binding.
    Unbound = 10,
    /// A domain was handed a region's memory, by its own capability. The detail is the number of bytes.
    Mapped = 11,
    /// The subject let the target map a region. The detail is the number of bytes.
    Shared = 12,
    /// A domain was made; its first capabilities follow. The object is the domain.
    DomainCreated = 13,
    /// A domain ended, with every capability and binding it had. The object is the domain; the detail is 1 if another
    /// domain destroyed it and 0 if it died.
    DomainEnded = 14,
    /// A system call was refused. The object is the number of the call, the slot its first argument, the detail the
    /// [`Status`](crate::Status).
    Refused = 15,
    /// The subject was refused more calls than are written down one by one within one turn of the log. The detail is how
    /// many more so far; the object is the number of the newest, the slot its first argument.
    RefusedMore = 16,
    /// The subject used its authority in a call of the machine's: it filled or started the target, gave it frames or slices, or took an
    /// interrupt line. The capability is the subject's, in `slot`; the detail is the number of the call.
    Controlled = 17,
    /// What the target still used by a revoked capability that had been in `slot` is no longer its. The detail is 1 where it was taken by
    /// force, and 0 where the target let go of it in time, or ended.
    GivenUp = 18,
}

impl AuditKind {
    /// Every kind, in the order of its number, which starts at 1.
    pub const ALL: [Self; 18] = [
        Self::Minted,
        Self::Derived,
        Self::Copied,
        Self::Moved,
        Self::Granted,
        Self::Deleted,
        Self::RevocationBegan,
        Self::Revoked,
        Self::Bound,
        Self::Unbound,
        Self::Mapped,
        Self::Shared,
        Self::DomainCreated,
        Self::DomainEnded,
        Self::Refused,
        Self::RefusedMore,
        Self::Controlled,
        Self::GivenUp,
    ];

    /// The kind with this number, if there is one.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

const _: () = {
    assert!(size_of::<AuditRecord>() == RECORD_BYTES);
    let mut index = 0;
    while index < AuditKind::ALL.len() {
        assert!(AuditKind::ALL[index] as usize == index + 1);
        index += 1;
    }
};
