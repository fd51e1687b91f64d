//! What the kernel says unasked, and what this domain does about it.

use feuerbird_abi::{Call, Reason, Upcall, UpcallKind};
use feuerbird_capability::{Badge, ObjectKind, Rights, Slot, Trust};
use feuerbird_channel::{Ended, Validity};
use feuerbird_serialization::Layer;

use crate::{Domain, Error, Gate};

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

impl<G: Gate> Domain<G> {
    /// Acts on one upcall. A home calls this from a thread of its own, one upcall after the other, and never from
    /// within a system call.
    ///
    /// # Errors
    /// What went wrong on this side. The domain goes on; a pair that could not be joined simply has no lane.
    pub fn upcall(&self, upcall: &Upcall, handle: Option<G::Handle>) -> Result<(), Error> {
        let values = upcall.values;
        match UpcallKind::from_number(upcall.kind).ok_or(Error::Garbled)? {
            UpcallKind::Granted => self.on_granted(values),
            UpcallKind::PeerJoined => self.on_peer_joined(values, handle),
            UpcallKind::Shared => self.on_shared(values, handle),
            UpcallKind::PeerLeft => {
                let reason = Reason::from_number(values[2]).ok_or(Error::Garbled)?;
                let region = self.with_binding(values[0], |binding| binding.leave(values[1], ended(reason)));
                self.drop_regions(region.flatten());
                Ok(())
            }
            UpcallKind::RevocationRequested => self.on_revocation_requested(upcall.sequence, values),
            UpcallKind::Repossessed => {
                let taken = Repossession { binding: values[0], slot: Slot::from_bits(values[1]) };
                let regions = self.with_binding(values[0], |binding| binding.end(Ended::Revoked));
                self.drop_regions(regions.into_iter().flatten());
                self.inner.repossessed.lock().push(taken);
                Ok(())
            }
        }
    }

    fn on_granted(&self, values: [u64; 6]) -> Result<(), Error> {
        let granted = Granted {
            slot: Slot::from_bits(values[0]),
            kind: ObjectKind::from_number(values[1]).ok_or(Error::Garbled)?,
            rights: Rights::from_bits_truncate(values[2] as u32),
            trust: Trust::new(values[3] as u8).ok_or(Error::Garbled)?,
            badge: Badge(values[4]),
        };
        self.inner.granted.push(granted);
        Ok(())
    }

    fn on_peer_joined(&self, values: [u64; 6], handle: Option<G::Handle>) -> Result<(), Error> {
        let [binding, peer, trust, peer_terms, word, value] = values;
        let gate = &self.inner.gate;
        let trust = Trust::new(trust as u8).ok_or(Error::Garbled)?;
        let peer_layer = Layer::from_number(peer_terms as u8).ok_or(Error::Garbled)?;
        let validity = self.validity(word, value)?;
        let life = handle.map(|handle| gate.life(handle));
        let joined = self.with_binding(binding, |it| it.join(gate, peer, trust, peer_layer, validity, life));
        let Some(joined) = joined else { return Ok(()) };
        let (bytes, memory) = joined?;
        let region = self.call(Call::RegisterRegion, &[bytes as u64], Some(memory))?;
        let slot = Slot::from_bits(region.reply.values[0]);
        self.with_binding(binding, |it| it.remember(peer, slot));
        self.call(Call::Share, &[binding, peer, slot.to_bits()], None)?;
        Ok(())
    }

    fn on_shared(&self, values: [u64; 6], handle: Option<G::Handle>) -> Result<(), Error> {
        let [binding, peer, bytes, ..] = values;
        let gate = &self.inner.gate;
        let handle = handle.ok_or(Error::Garbled)?;
        let bytes = usize::try_from(bytes).map_err(|_| Error::PeerMemory)?;
        let theirs = gate.map_memory(handle, bytes).ok_or(Error::PeerMemory)?;
        self.with_binding(binding, |it| it.attach(gate, peer, theirs)).unwrap_or(Ok(()))
    }

    /// Visible revocation: the program may look after what it holds, then the binding is let go.
    fn on_revocation_requested(&self, sequence: u64, values: [u64; 6]) -> Result<(), Error> {
        let handler = self.inner.on_revocation.lock().clone();
        if let Some(handler) = handler {
            handler(values[2]);
        }
        let regions = self.with_binding(values[0], |binding| binding.end(Ended::Revoked));
        self.drop_regions(regions.into_iter().flatten());
        self.call(Call::Acknowledge, &[sequence], None)?;
        Ok(())
    }

    /// Deletes capabilities of lanes that ended, so that their memory counts no more.
    pub(crate) fn drop_regions(&self, slots: impl IntoIterator<Item = Slot>) {
        for slot in slots {
            // The kernel may have taken it already.
            let _ = self.call(Call::Delete, &[slot.to_bits()], None);
        }
    }

    pub(crate) fn validity(&self, word: u64, value: u64) -> Result<Validity<crate::domain::Table<G>>, Error> {
        let index = usize::try_from(word).map_err(|_| Error::Garbled)?;
        Validity::new(self.inner.table.clone(), index, value as u32).ok_or(Error::Garbled)
    }
}

fn ended(reason: Reason) -> Ended {
    match reason {
        Reason::Unbound => Ended::Unbound,
        Reason::Died => Ended::Died,
        Reason::Revoked => Ended::Revoked,
    }
}
