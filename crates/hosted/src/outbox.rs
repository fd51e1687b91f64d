//! What a domain has not taken yet: the supervisor waits for nobody, so that it waits here.
//!
//! # The rule
//! Nobody is ended because of what others do. What a domain's socket does not take waits in its outbox, with its
//! descriptor, until it does. The outbox is bounded by what the domain may own, whatever others do to it:
//!
//! * An upcall that another one undoes goes when that one comes, and what nobody has heard of is not taken back: a
//!   capability that is granted and revoked, or a peer that joins and leaves, while the domain does not listen, leaves
//!   nothing behind. What a peer sent before it left is still to be had, though: where the domain has heard of the peer, its
//!   memory stays announced. So there is at most one upcall waiting for each capability, and three for each pair that the
//!   domain can have, or has heard of. Who floods another runs into that one's quotas, which refuse the flooder.
//! * Of its replies at most [`MAX_REPLIES`] wait: until then it is served, after that it is not before it has read some. What it asks
//!   meanwhile is still taken out of its socket, because descriptors in there count against others; so many such requests that no
//!   honest program has them end it.

use std::{collections::VecDeque, os::fd::AsFd};

use feuerbird_abi::{Class, RECORD_BYTES, Upcall};
use feuerbird_libos::annul;
use zerocopy::FromBytes;

use crate::{
    machine::Descriptor,
    os::socket::{SendError, Socket},
};

/// Replies that may wait. Each thread of a program waits for one reply at a time.
const MAX_REPLIES: usize = 256;

/// A message on its way to a domain.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) record: [u8; RECORD_BYTES],
    pub(crate) payload: Box<[u8]>,
    pub(crate) handle: Option<Descriptor>,
}

/// The messages that a domain's socket did not take.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Parcel>,
    replies: usize,
    /// Linux has no room for descriptors on their way or for buffers; nothing tells when it has again.
    is_stalled: bool,
}

/// The domain has closed its socket, or broken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Outbox {
    /// Sends a message behind those that wait, or lets it wait.
    pub(crate) fn send(&mut self, gate: &Socket, parcel: Parcel) -> Result<(), Gone> {
        self.flush(gate)?;
        if !self.waiting.is_empty() || !self.try_send(gate, &parcel)? {
            self.push(parcel);
        }
        Ok(())
    }

    /// Sends what the socket takes of what waits.
    pub(crate) fn flush(&mut self, gate: &Socket) -> Result<(), Gone> {
        while let Some(parcel) = self.waiting.pop_front() {
            if !self.try_send(gate, &parcel)? {
                self.waiting.push_front(parcel);
                return Ok(());
            }
            self.replies -= usize::from(!parcel.is_upcall());
        }
        Ok(())
    }

    /// Whether the domain's requests are taken: not while too many replies wait for it to read them.
    pub(crate) fn may_ask(&self) -> bool {
        self.replies < MAX_REPLIES
    }

    /// Whether the socket will tell when it takes more.
    pub(crate) fn waits_for_room(&self) -> bool {
        !self.waiting.is_empty() && !self.is_stalled
    }

    /// Whether there is something to send of which nothing tells when it can be.
    pub(crate) fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    fn push(&mut self, parcel: Parcel) {
        let Some(upcall) = parcel.upcall() else {
            self.replies += 1;
            return self.waiting.push_back(parcel);
        };
        let newer = annul(&mut self.waiting, &upcall, Parcel::upcall).newer;
        self.waiting.extend(newer.map(|newer| Parcel { record: zerocopy::transmute!(newer), ..parcel }));
    }

    /// Whether the socket took it.
    fn try_send(&mut self, gate: &Socket, parcel: &Parcel) -> Result<bool, Gone> {
        let handles: Vec<_> = parcel.handle.iter().map(|handle| handle.as_fd()).collect();
        self.is_stalled = false;
        match gate.try_send(&parcel.record, &parcel.payload, &handles) {
            Ok(()) => Ok(true),
            Err(SendError::Full) => Ok(false),
            Err(SendError::TooManyInFlight | SendError::NoMemory) => {
                self.is_stalled = true;
                Ok(false)
            }
            Err(SendError::Closed | SendError::Os(_)) => Err(Gone),
            Err(SendError::PayloadTooLong | SendError::TooManyDescriptors) => {
                unreachable!("answers fit the message format")
            }
        }
    }
}

impl Parcel {
    fn is_upcall(&self) -> bool {
        self.upcall().is_some()
    }

    fn upcall(&self) -> Option<Upcall> {
        Upcall::read_from_bytes(&self.record).ok().filter(|upcall| upcall.class == Class::Upcall as u32)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use UpcallKind::{Granted, PeerJoined, PeerLeft, Repossessed, RevocationRequested, Shared};
    use feuerbird_abi::{NO_BINDING, Reason, UpcallKind};

    /// What is left of a queue of upcalls that came one after the other.
    fn left(upcalls: &[(UpcallKind, &[u64])]) -> Vec<(u32, u64)> {
        let mut outbox = Outbox::default();
        for (kind, values) in upcalls {
            let upcall = Upcall::new(*kind, 0, values);
            let record = zerocopy::transmute!(upcall);
            outbox.push(Parcel { record, payload: Box::default(), handle: None });
        }
        let left = outbox.waiting.iter().map(|parcel| parcel.upcall().unwrap());
        left.map(|upcall| (upcall.kind, upcall.values[0])).collect()
    }

    #[test]
    fn what_comes_and_goes_unheard_leaves_nothing() {
        assert_eq!(left(&[(Granted, &[7]), (Repossessed, &[NO_BINDING, 7])]), []);
    }

    #[test]
    fn peers_that_come_and_go_unheard_are_told_as_one_that_is_gone() {
        let mut outbox = Outbox::default();
        let mut tell = |kind, values: &[u64]| {
            let record = zerocopy::transmute!(Upcall::new(kind, 0, values));
            outbox.push(Parcel { record, payload: Box::default(), handle: None });
        };
        for peer in 2..100 {
            tell(PeerJoined, &[1, peer]);
            tell(PeerJoined, &[2, peer]);
            tell(Shared, &[1, peer, 4096]);
            tell(PeerLeft, &[1, peer, Reason::Died as u64]);
            tell(PeerLeft, &[2, peer, Reason::Revoked as u64]);
        }
        tell(PeerLeft, &[1, 1, Reason::Unbound as u64]);
        let left: Vec<_> = outbox.waiting.iter().filter_map(Parcel::upcall).collect();
        assert!(left.iter().all(|upcall| upcall.kind == PeerLeft as u32));
        let values: Vec<_> = left.iter().map(|upcall| [0, 1, 2].map(|index| upcall.values[index])).collect();
        let unheard_of = |binding, reason| [binding, u64::MAX, reason as u64];
        let heard_of = [1, 1, Reason::Unbound as u64];
        assert_eq!(values, [unheard_of(1, Reason::Died), unheard_of(2, Reason::Revoked), heard_of]);
    }

    #[test]
    fn what_was_heard_of_before_is_taken_back_aloud() {
        assert_eq!(left(&[(Repossessed, &[NO_BINDING, 7])]), [(6, NO_BINDING)]);
        let revoked = Reason::Revoked as u64;
        assert_eq!(left(&[(Shared, &[1, 2, 4096]), (PeerLeft, &[1, 2, revoked])]), [(4, 1)]);
        let of_one_binding: [(UpcallKind, &[u64]); 5] = [
            (PeerJoined, &[1, 2]),
            (PeerLeft, &[1, 3]),
            (RevocationRequested, &[1, NO_BINDING]),
            (Granted, &[7]),
            (Repossessed, &[1, 7]),
        ];
        assert_eq!(left(&of_one_binding), [(6, 1)]);
    }

    #[test]
    fn time_that_is_over_unheard_of_is_not_told_and_other_s_is() {
        let request = |slot| (RevocationRequested, [NO_BINDING, NO_BINDING, 1000, slot]);
        let [(kind, first), (_, second)] = [request(7), request(8)];
        let taken: (UpcallKind, &[u64]) = (Repossessed, &[NO_BINDING, 7]);
        assert_eq!(left(&[(kind, &first), (kind, &second), taken]), [(5, NO_BINDING), (6, NO_BINDING)]);
    }

    #[test]
    fn what_a_peer_sent_before_it_left_is_still_to_be_had() {
        for reason in [Reason::Unbound, Reason::Died] {
            let reason = reason as u64;
            assert_eq!(left(&[(Shared, &[1, 2, 4096]), (PeerLeft, &[1, 2, reason])]), [(3, 1), (4, 1)]);
            assert_eq!(
                left(&[(PeerJoined, &[1, 2]), (Shared, &[1, 2, 4096]), (PeerLeft, &[1, 2, reason])]),
                [(4, 1)]
            );
        }
    }

    #[test]
    fn what_is_about_others_stays() {
        let apart: [(UpcallKind, &[u64]); 6] = [
            (Granted, &[8]),
            (PeerJoined, &[1, 3]),
            (PeerJoined, &[2, 2]),
            (PeerLeft, &[1, 2]),
            (Repossessed, &[NO_BINDING, 9]),
            (Repossessed, &[3, 1]),
        ];
        assert_eq!(left(&apart).len(), 6);
    }
}
