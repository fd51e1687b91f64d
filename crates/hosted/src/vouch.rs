//! Which memory was written by the trusted base, by what the supervisor said, and by nothing else.
//!
//! Reading in place is sound only where the writer keeps the loan discipline. Trust that a caller states is no proof of it,
//! so the gate listens to what the kernel tells about peers, and marks their memory itself when it is mapped.

use std::{
    collections::HashMap,
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use feuerbird_abi::{Upcall, UpcallKind};
use rustix::fs::fstat;

/// The least trust of the trusted base: that of the Raw layer.
const TRUSTED_BASE: u64 = 0xe;

/// Device and inode of a memory object.
type Identity = (u64, u64);

/// The peers of the trusted base, by binding and number, with the memory that each shared and nobody mapped yet.
#[derive(Debug, Default)]
pub(crate) struct Vouched(Mutex<HashMap<(u64, u64), Option<Identity>>>);

impl Vouched {
    /// Hears an upcall of the supervisor's.
    pub(crate) fn hear(&self, upcall: &Upcall, handle: Option<BorrowedFd<'_>>) {
        let [binding, peer, trust, ..] = upcall.values;
        match UpcallKind::from_number(upcall.kind) {
            Some(UpcallKind::PeerJoined) if trust >= TRUSTED_BASE => {
                self.lock().insert((binding, peer), None);
            }
            Some(UpcallKind::Shared) => {
                if let Some(memory) = self.lock().get_mut(&(binding, peer)) {
                    *memory = handle.and_then(identity);
                }
            }
            Some(UpcallKind::PeerLeft) => self.forget_peer(binding, peer),
            Some(UpcallKind::Repossessed) => self.forget(binding),
            _ => {}
        }
    }

    /// A binding has ended.
    pub(crate) fn forget(&self, binding: u64) {
        self.lock().retain(|(of, _), _| *of != binding);
    }

    /// A pair has ended.
    pub(crate) fn forget_peer(&self, binding: u64, peer: u64) {
        self.lock().remove(&(binding, peer));
    }

    /// Whether memory is that of a peer of the trusted base. Once per memory.
    pub(crate) fn take(&self, handle: impl AsFd) -> bool {
        let wanted = identity(handle.as_fd());
        let mut peers = self.lock();
        let found = peers.values_mut().find(|memory| memory.is_some() && **memory == wanted);
        found.is_some_and(|memory| memory.take().is_some())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u64, u64), Option<Identity>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(handle: BorrowedFd<'_>) -> Option<Identity> {
    fstat(handle).ok().map(|status| (status.st_dev, status.st_ino))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::os::memory::WriterMemory;

    fn hear(vouched: &Vouched, kind: UpcallKind, values: &[u64], memory: Option<BorrowedFd<'_>>) {
        vouched.hear(&Upcall::new(kind, 0, values), memory);
    }

    #[test]
    fn memory_is_vouched_for_once_and_only_where_the_peer_is_of_the_trusted_base() {
        let vouched = Vouched::default();
        let memory = || WriterMemory::create("vouched", 4096).unwrap().1;
        let (trusted, user, other) = (memory(), memory(), memory());
        hear(&vouched, UpcallKind::PeerJoined, &[1, 1, 0xe], None);
        hear(&vouched, UpcallKind::PeerJoined, &[1, 2, 0xd], None);
        hear(&vouched, UpcallKind::Shared, &[1, 1, 4096], Some(trusted.as_fd()));
        hear(&vouched, UpcallKind::Shared, &[1, 2, 4096], Some(user.as_fd()));
        hear(&vouched, UpcallKind::Shared, &[1, 3, 4096], Some(other.as_fd()));
        assert_eq!(
            [&user, &other, &trusted, &trusted].map(|it| vouched.take(it)),
            [false, false, true, false]
        );
    }

    #[test]
    fn nothing_is_kept_of_peers_that_left_and_bindings_that_ended() {
        let ends: [fn(&Vouched); 3] = [
            |vouched| hear(vouched, UpcallKind::PeerLeft, &[1, 1, 1], None),
            |vouched| hear(vouched, UpcallKind::Repossessed, &[1, 9], None),
            |vouched| vouched.forget(1),
        ];
        for end in ends {
            let vouched = Vouched::default();
            let memory = WriterMemory::create("vouched", 4096).unwrap().1;
            hear(&vouched, UpcallKind::PeerJoined, &[1, 1, 0xf], None);
            hear(&vouched, UpcallKind::PeerJoined, &[2, 1, 0xf], None);
            hear(&vouched, UpcallKind::Shared, &[1, 1, 4096], Some(memory.as_fd()));
            end(&vouched);
            assert!(!vouched.take(&memory));
            assert_eq!(vouched.lock().len(), 1, "the other binding's");
        }
    }
}
