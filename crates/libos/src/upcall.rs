//! What the kernel says unasked, and what this domain does about it.

use feuerbird_abi::{Call, NO_BINDING, Reason, Upcall, UpcallKind};
use feuerbird_capability::{Badge, ObjectKind, Rights, Slot, Trust};
use feuerbird_channel::{Ended, Validity};

use crate::{Domain, Error, Gate, table::Admitted};

/// A capability that another domain put into this one's space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Where it is.
    pub slot: Slot,
    /// What it names.
    pub kind: ObjectKind,
    /// What it allows.
    pub rights: Rights,
    /// How far its holder is trusted.
    pub trust: Trust,
    /// Whatever the granter wanted to be recognised by.
    pub badge: Badge,
}

/// What was taken by force, after a revocation's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repossession {
    /// The binding that was torn down, as the kernel numbers it.
    pub binding: u64,
    /// The slot it was made from.
    pub slot: Slot,
}

/// What came faster than the program looked, and had to make room: the oldest of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Grants that [`Domain::granted`] will never return. The capabilities themselves are in the space.
    pub granted: u64,
    /// What [`Domain::repossessed`] no longer tells.
    pub repossessed: u64,
}

impl<G: Gate> Domain<G> {
    /// Acts on one upcall. A home calls this from a thread of its own, one upcall after the other, and never from
    /// within a system call.
    ///
    /// # Errors
    /// What went wrong on this side. The domain goes on; a pair that could not be joined has no lane, and its endpoint says
    /// so when it is used next.
    ///
    /// # Locking
    /// Makes system calls and maps memory, all outside the table's lock; the program's revocation handler never runs here
    /// while the home has a thread for it.
    pub fn upcall(&self, upcall: &Upcall, handle: Option<G::Handle>) -> Result<(), Error> {
        self.settle();
        match UpcallKind::from_number(upcall.kind).ok_or(Error::Garbled)? {
            UpcallKind::Granted => return self.on_granted(upcall.values),
            UpcallKind::Repossessed => {
                let [binding, slot, ..] = upcall.values;
                self.inner.pocket.lock().forget(Slot::from_bits(slot));
                let taken = Repossession { binding, slot: Slot::from_bits(slot) };
                self.inner.repossessed.lock().push(taken);
                if binding == NO_BINDING {
                    self.forget_used(slot);
                    return Ok(());
                }
            }
            UpcallKind::RevocationRequested if upcall.values[0] == NO_BINDING => {
                return self.on_revocation_requested(upcall.sequence, upcall.values);
            }
            _ => {}
        }
        // Taken out of the lock's scope first: acting makes system calls, and so does dropping.
        let admitted = self.inner.table.lock().admit((*upcall, handle));
        match admitted {
            Admitted::Now((upcall, handle)) => self.on_binding(&upcall, handle),
            Admitted::Later(_removed) => Ok(()),
        }
    }

    /// Acts on an upcall about a binding, in its turn.
    pub(crate) fn on_binding(&self, upcall: &Upcall, handle: Option<G::Handle>) -> Result<(), Error> {
        let values = upcall.values;
        match UpcallKind::from_number(upcall.kind).ok_or(Error::Garbled)? {
            UpcallKind::Granted => {}
            UpcallKind::PeerJoined => self.on_peer_joined(values, handle)?,
            UpcallKind::Shared => self.on_shared(values, handle)?,
            UpcallKind::GrantedAlong => self.on_granted_along(values),
            UpcallKind::PeerLeft => {
                let reason = Reason::from_number(values[2]).ok_or(Error::Garbled)?;
                self.forget_parting(values[0], Some(values[1]));
                let left = self.with_binding(values[0], |binding| binding.leave(values[1], ended(reason)));
                self.delete_all(left.flatten().and_then(|pair| pair.region));
            }
            UpcallKind::RevocationRequested => self.on_revocation_requested(upcall.sequence, values)?,
            UpcallKind::Repossessed => {
                self.forget_parting(values[0], None);
                let remains = self.with_binding(values[0], |binding| binding.end(Ended::Revoked));
                self.delete_all(remains.iter().flat_map(|remains| remains.regions()));
            }
        }
        Ok(())
    }

    fn on_granted(&self, values: [u64; 6]) -> Result<(), Error> {
        let granted = Granted {
            slot: Slot::from_bits(values[0]),
            kind: ObjectKind::from_number(values[1]).ok_or(Error::Garbled)?,
            rights: Rights::from_bits_truncate(values[2] as u32),
            trust: Trust::new(values[3] as u8).ok_or(Error::Garbled)?,
            badge: Badge(values[4]),
        };
        self.inner.granted.lock().push(granted);
        Ok(())
    }

    /// Deletes capabilities: of lanes that ended, so that their memory counts no more, or that nobody wants.
    pub(crate) fn delete_all(&self, slots: impl IntoIterator<Item = Slot>) {
        for slot in slots {
            self.give_back(Call::Delete, [slot.to_bits(), 0]);
        }
    }

    pub(crate) fn validity(&self, word: u64, value: u64) -> Result<Validity<crate::domain::Words<G>>, Error> {
        let index = usize::try_from(word).map_err(|_| Error::Garbled)?;
        Validity::new(self.inner.words.clone(), index, value as u32).ok_or(Error::Garbled)
    }
}

fn ended(reason: Reason) -> Ended {
    match reason {
        Reason::Unbound => Ended::Unbound,
        Reason::Died => Ended::Died,
        Reason::Revoked => Ended::Revoked,
    }
}
