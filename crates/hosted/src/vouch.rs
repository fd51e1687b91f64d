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
            Some(UpcallKind::PeerLeft) => {
                self.lock().remove(&(binding, peer));
            }
            Some(UpcallKind::Repossessed) => self.lock().retain(|(of, _), _| *of != binding),
            _ => {}
        }
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
