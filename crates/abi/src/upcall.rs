//! What the kernel says unasked.

use crate::Upcall;

/// In place of a peer's number: peers that their domain never heard of.
pub const UNHEARD_OF: u64 = u64::MAX;

/// In place of a binding's number: none.
pub const NO_BINDING: u64 = u64::MAX;

/// What an upcall says, and what its six values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum UpcallKind {
    /// `(slot, kind, rights, trust, badge)`: another domain put a capability into this one's space.
    Granted = 1,
    /// `(binding, peer, trust, peer's terms, validity word, its value)` + one handle: somebody bound the other side of an
    /// endpoint. `trust` is the lower of the two capabilities' trust: what a receiver may put in this sender. The pair is
    /// valid as long as the validity word has that value. The handle tells when the peer's domain has ended (on Linux
    /// a pidfd). Both sides get this, each with its own binding, peer number and word.
    PeerJoined = 2,
    /// `(binding, peer, bytes)` + one memory handle: the peer lets this side map memory that only the peer writes.
    Shared = 3,
    /// `(binding, peer, reason)`: a [`Reason`]. The pair's validity word has already changed. `peer` is [`UNHEARD_OF`] for
    /// one or more that came and left before this domain heard of them, or were refused for want of room.
    PeerLeft = 4,
    /// `(binding, peer, deadline, slot, kind, object)`: the capability behind a binding was revoked; the binding works until the deadline or
    /// until this upcall is acknowledged, whichever is first. `peer` is all ones where the whole binding goes. `binding` is all ones for a
    /// capability for frames, a region, slices, ports or interrupt lines, which was in `slot`: what was begun by it goes on as long, which
    /// is to say what is mapped, who runs, and the use of ports and of lines that were taken; nothing is begun by it any more.
    RevocationRequested = 5,
    /// `(binding, slot, kind, object)`: taken by force; the repossession vector, one upcall each. `binding` is all ones
    /// for a revoked capability that no binding was made with.
    Repossessed = 6,
    /// `(binding, peer, token, place, slot, kind)`: a peer put a capability into this domain's space, beside the message with that token
    /// and as the one that the message knows by that place, from 0.
    GrantedAlong = 7,
}

/// What a newer upcall leaves of an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// All.
    Not,
    /// The older one need not be heard any more.
    InPart,
    /// The older one is of use only to who has heard of the peer: it may have sent something and left.
    Memory,
    /// Neither of them needs to be heard.
    Wholly,
}

/// Why a peer left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Reason {
    /// It ended the binding itself.
    Unbound = 1,
    /// Its domain ended.
    Died = 2,
    /// The authority behind one of the two bindings was revoked.
    Revoked = 3,
}

impl UpcallKind {
    /// The kind with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Granted,
            2 => Self::PeerJoined,
            3 => Self::Shared,
            4 => Self::PeerLeft,
            5 => Self::RevocationRequested,
            6 => Self::Repossessed,
            7 => Self::GrantedAlong,
            _ => return None,
        })
    }
}

impl Reason {
    /// The reason with this number, if there is one.
    pub fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Unbound,
            2 => Self::Died,
            3 => Self::Revoked,
            _ => return None,
        })
    }
}

impl Upcall {
    /// The slot of the capability that it says was granted.
    fn granted(&self) -> Option<u64> {
        match UpcallKind::from_number(self.kind)? {
            UpcallKind::Granted => Some(self.values[0]),
            UpcallKind::GrantedAlong => Some(self.values[4]),
            _ => None,
        }
    }

    /// What this one leaves of an older one that its domain has not heard. Whoever keeps upcalls that wait leaves out what is undone,
    /// and so keeps at most two for each capability that the domain can have, three for each that it can have notice of at one time, two for
    /// each binding and three for each peer, however many come.
    pub fn undoes(&self, older: &Self) -> Undone {
        use UpcallKind::{
            Granted, GrantedAlong, PeerJoined, PeerLeft, Repossessed, RevocationRequested, Shared,
        };
        let kinds = (UpcallKind::from_number(self.kind), UpcallKind::from_number(older.kind));
        let (Some(newer_kind), Some(older_kind)) = kinds else { return Undone::Not };
        let is_same_binding = self.values[0] == older.values[0];
        match (newer_kind, older_kind) {
            (PeerLeft, PeerLeft) if self.values[..2] == older.values[..2] => Undone::InPart,
            (PeerLeft, PeerJoined) if self.values[..2] == older.values[..2] => Undone::Wholly,
            (PeerLeft, Shared) if self.values[..2] == older.values[..2] => {
                let is_revoked = self.values[2] == Reason::Revoked as u64;
                if is_revoked { Undone::InPart } else { Undone::Memory }
            }
            (Repossessed, RevocationRequested) if self.values[0] == NO_BINDING => {
                let is_same_slot = is_same_binding && self.values[1] == older.values[3];
                if is_same_slot { Undone::InPart } else { Undone::Not }
            }
            (Repossessed, PeerJoined | Shared | PeerLeft | RevocationRequested) if is_same_binding => {
                Undone::InPart
            }
            (Repossessed, Granted | GrantedAlong) if Some(self.values[1]) == older.granted() => {
                if self.values[0] == NO_BINDING { Undone::Wholly } else { Undone::InPart }
            }
            _ => Undone::Not,
        }
    }
}
