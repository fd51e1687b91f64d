//! The system calls.

/// The system calls. A number once given is never given another meaning.
///
/// `slot` is an index with its generation in the caller's own capability space, as `Slot::to_bits` writes it; a slot
/// that names nothing is [`Status::NoCapability`](crate::Status::NoCapability) for every call. Rights, trust and kinds
/// are the numbers of the `capability` crate. Times are nanoseconds of the home's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Call {
    /// Does nothing. Returns nothing: measures the way in and out. On the bootable kernel not even what has come meanwhile is delivered.
    Null = 0,
    /// `(slot)` -> `(kind, rights, trust, badge, start, length)`. Needs `INSPECT`.
    Inspect = 1,
    /// `(slot, rights, trust, badge, start, length)` -> `(new slot)`. The new capability is a child: never more rights,
    /// never higher trust, a range inside the parent's (length 0: the parent's whole range). Needs `DERIVE`.
    Derive = 2,
    /// `(slot)` -> `(new slot)`. A copy with the same authority, a sibling in the derivation tree. Needs `DERIVE`.
    Copy = 3,
    /// `(slot)` -> `(new slot)`. The old slot is empty afterwards.
    Move = 4,
    /// `(slot, domain slot, rights, trust, badge)` -> `(slot in the other domain's space)`. Derives into the space of the
    /// domain that `domain slot` names, which gets [`UpcallKind::Granted`](crate::UpcallKind::Granted). Needs `GRANT` on
    /// `slot` and `SEND` on `domain slot`.
    Grant = 5,
    /// `(slot)`. Empties the slot. Children live on under the deleted one's parent.
    Delete = 6,
    /// `(slot, deadline)` -> `(capabilities revoked, bindings and uses taken by force)`. Everything derived from `slot` is
    /// revoked; `slot` itself stays. Holders of bindings, and of frames, regions, slices, ports and interrupt lines that they use, are told
    /// and have until `deadline` (absolute; 0: no time at all) to let go of what they have begun; they can begin nothing more. The reply
    /// comes when the last one has let go or was made to. Needs `REVOKE`.
    Revoke = 7,
    /// `(terms)` -> `(slot)`. A new endpoint; the capability has all rights. `terms` is an opaque word for its users,
    /// handed to everyone who binds.
    CreateEndpoint = 8,
    /// `(bytes)` + one memory handle -> `(slot)`. The memory must be of that size and writable by the caller only, for
    /// ever: the home checks it and refuses otherwise. The capability has map-read and no map-write.
    RegisterRegion = 9,
    /// `(slot)` -> `(bytes)` + one memory handle, which can be mapped for reading. Needs `MAP_READ` on
    /// the whole of the region: the handle cannot be narrower than the memory.
    MapRegion = 10,
    /// `(slot, role, terms)` + contract as payload -> `(binding, trust, endpoint's terms, validity word, its value)`.
    /// `role` is a [`Role`]; needs `SEND` or `RECEIVE`. The first binding fixes the endpoint's contract; a later one that
    /// differs gets [`Status::ContractMismatch`](crate::Status::ContractMismatch) and the endpoint's contract as payload.
    /// The contract has at most [`CONTRACT_BYTES`](crate::CONTRACT_BYTES). `terms` is an opaque word that the peers of this
    /// binding will see. The validity word is the binding's own: it changes when the binding ends.
    Bind = 11,
    /// `(binding, peer, region slot)`. Lets one peer of a binding map a region for reading; the peer gets
    /// [`UpcallKind::Shared`](crate::UpcallKind::Shared). Needs `MAP_READ` on the whole of a region that the caller itself
    /// registered. Once for each peer: then it is [`Status::AlreadyShared`](crate::Status::AlreadyShared).
    Share = 12,
    /// `(binding)`. Ends a binding; its peers get [`UpcallKind::PeerLeft`](crate::UpcallKind::PeerLeft).
    Unbind = 13,
    /// `(upcall sequence)`. Says that the caller has acted on an upcall that waits for it, which is
    /// [`UpcallKind::RevocationRequested`](crate::UpcallKind::RevocationRequested): the binding, or the use, ends now.
    Acknowledge = 14,
    /// `(trust)` -> `(domain slot)`, and in the home on Linux one handle: the new domain's end of its gate, for its program to enter
    /// by. The capability has all rights; on the bootable kernel those with `CONTROL` on it fill and start the domain.
    CreateDomain = 15,
    /// `(slot, first sequence)` -> `(next sequence, records lost before the first returned, records)` +
    /// [`AuditRecord`](crate::AuditRecord)s as payload. Needs `INSPECT` on an audit capability.
    ReadAudit = 16,
    /// `(domain slot)`. Ends a domain by force and takes back all it held. Needs `REVOKE`.
    DestroyDomain = 17,
    /// `()` -> `(own domain's slot, trust, validity words, slot of the audit log)` + one memory handle: the validity words,
    /// for reading. The first call a domain makes. The last slot is 0 for all but the first domain.
    Hello = 18,
    /// `(binding, peer)`. Ends one pair of a binding, and not the binding: the peer gets
    /// [`UpcallKind::PeerLeft`](crate::UpcallKind::PeerLeft), as if the caller had unbound. For a peer that the caller has no room for.
    Part = 19,
    /// `(binding, peer, token)` + one to [`GRANTS_ALONG`](crate::GRANTS_ALONG) [`Along`](crate::Along) as payload. Derives the
    /// caller's capabilities into the space of a peer's domain, all or none; that domain gets
    /// [`UpcallKind::GrantedAlong`](crate::UpcallKind::GrantedAlong) for each, before this call returns. `token` is an opaque word that
    /// says which message they go beside. For senders only; needs `GRANT` on each. So many may lie where they came for each pair,
    /// and for each domain as many as the kernel sets: beyond, it is [`Status::QuotaExceeded`](crate::Status::QuotaExceeded) until the
    /// receiver has [moved](Self::Move) some that it keeps, or deleted some. So senders, however many and whether they stay or not, cannot fill a
    /// domain's space.
    GrantAlong = 20,
}

/// Which way a binding faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Role {
    /// Messages leave through this binding.
    Sender = 0,
    /// Messages arrive through this binding.
    Receiver = 1,
}

impl Call {
    /// Every call, in the order of its number.
    pub const ALL: [Self; 21] = [
        Self::Null,
        Self::Inspect,
        Self::Derive,
        Self::Copy,
        Self::Move,
        Self::Grant,
        Self::Delete,
        Self::Revoke,
        Self::CreateEndpoint,
        Self::RegisterRegion,
        Self::MapRegion,
        Self::Bind,
        Self::Share,
        Self::Unbind,
        Self::Acknowledge,
        Self::CreateDomain,
        Self::ReadAudit,
        Self::DestroyDomain,
        Self::Hello,
        Self::Part,
        Self::GrantAlong,
    ];

    /// The call with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

impl Role {
    /// The role with this number, if there is one.
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Sender),
            1 => Some(Self::Receiver),
            _ => None,
        }
    }

    /// The other side's role.
    pub fn opposite(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

const _: () = {
    let mut number = 0;
    while number < Call::ALL.len() {
        assert!(Call::ALL[number] as usize == number);
        number += 1;
    }
};
