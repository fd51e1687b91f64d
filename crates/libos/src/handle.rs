//! Handles on capabilities of this domain's own space.

use feuerbird_abi::Call;
use feuerbird_capability::{Badge, ObjectKind, Range, Rights, Slot, Trust};
use feuerbird_channel::Home;

use crate::{Domain, Error, Gate};

/// One capability of this domain. Dropping the handle leaves the capability where it is; see [`delete`](Self::delete).
pub struct Handle<G: Gate> {
    pub(crate) domain: Domain<G>,
    pub(crate) slot: Slot,
}

impl<G: Gate> Clone for Handle<G> {
    fn clone(&self) -> Self {
        Self { domain: self.domain.clone(), slot: self.slot }
    }
}

/// Less authority than a parent has: what a derivation or a grant passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority {
    /// What the holder may do.
    pub rights: Rights,
    /// How far the holder is trusted.
    pub trust: Trust,
    /// What the holder's operations are recognised by.
    pub badge: Badge,
    /// Which part of the object; empty for all of the parent's.
    pub range: Range,
}

impl Authority {
    /// These rights and this trust, without a badge, over all of the parent's range.
    pub fn new(rights: Rights, trust: Trust) -> Self {
        Self { rights, trust, badge: Badge::NONE, range: Range::EMPTY }
    }

    /// The right to send.
    pub fn send(trust: Trust) -> Self {
        Self::new(Rights::SEND, trust)
    }

    /// The right to receive.
    pub fn receive(trust: Trust) -> Self {
        Self::new(Rights::RECEIVE, trust)
    }

    /// The same with a badge.
    #[must_use]
    pub fn badge(self, badge: u64) -> Self {
        Self { badge: Badge(badge), ..self }
    }
}

/// What a capability is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The kind of object.
    pub kind: ObjectKind,
    /// Rights.
    pub rights: Rights,
    /// Trust.
    pub trust: Trust,
    /// Badge.
    pub badge: Badge,
    /// Range.
    pub range: Range,
}

/// What a revocation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// How many capabilities became unusable and were swept so far.
    pub capabilities: u64,
    /// How many bindings were torn down by force, because their holder did not let go in time.
    pub forced: u64,
}

impl<G: Gate> Handle<G> {
    /// The slot in this domain's space.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Makes a child with less authority, in this domain's own space.
    ///
    /// # Errors
    /// [`Error::Refused`]: a right is missing, more was asked for than is there, or the tree is too deep.
    pub fn derive(&self, authority: Authority) -> Result<Self, Error> {
        let arguments = [
            self.slot.to_bits(),
            u64::from(authority.rights.bits()),
            u64::from(authority.trust.level()),
            authority.badge.0,
            authority.range.start,
            authority.range.length,
        ];
        let answer = self.domain.call(Call::Derive, &arguments, None)?;
        Ok(self.domain.handle(Slot::from_bits(answer.reply.values[0])))
    }

    /// Makes a child in another domain's space. Returns its slot there.
    ///
    /// # Errors
    /// [`Error::Refused`], as for [`derive`](Self::derive), or where the right to grant is missing.
    pub fn grant(&self, to: &DomainHandle<G>, authority: Authority) -> Result<Slot, Error> {
        let arguments = [
            self.slot.to_bits(),
            to.0.slot.to_bits(),
            u64::from(authority.rights.bits()),
            u64::from(authority.trust.level()),
            authority.badge.0,
        ];
        let answer = self.domain.call(Call::Grant, &arguments, None)?;
        Ok(Slot::from_bits(answer.reply.values[0]))
    }

    /// Makes a sibling with the same authority.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn copy(&self) -> Result<Self, Error> {
        let answer = self.domain.call(Call::Copy, &[self.slot.to_bits()], None)?;
        Ok(self.domain.handle(Slot::from_bits(answer.reply.values[0])))
    }

    /// Says what the capability is.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn inspect(&self) -> Result<Inspection, Error> {
        let [kind, rights, trust, badge, start, length] =
            self.domain.call(Call::Inspect, &[self.slot.to_bits()], None)?.reply.values;
        Ok(Inspection {
            kind: ObjectKind::from_number(kind).ok_or(Error::Garbled)?,
            rights: Rights::from_bits_truncate(rights as u32),
            trust: Trust::new(trust as u8).ok_or(Error::Garbled)?,
            badge: Badge(badge),
            range: Range::new(start, length),
        })
    }

    /// Revokes everything derived from this capability, at once and by force. When it returns, nothing of that works any
    /// more, in any domain.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn revoke(&self) -> Result<Revoked, Error> {
        self.revoke_by(0)
    }

    /// Revokes everything derived from this capability. Holders of bindings are told and have `grace_ns` nanoseconds to
    /// let go, then it is done by force. Returns when the last binding is gone.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn revoke_within(&self, grace_ns: u64) -> Result<Revoked, Error> {
        let now = self.domain.gate().home().now_ns();
        self.revoke_by(now.saturating_add(grace_ns).max(1))
    }

    /// Deletes this capability. Its children live on.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn delete(self) -> Result<(), Error> {
        self.domain.call(Call::Delete, &[self.slot.to_bits()], None)?;
        Ok(())
    }

    /// Maps the region that this capability names, for reading.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::OutOfMemory`], or [`Error::PeerMemory`] where the memory is not what it should be.
    pub fn map(&self) -> Result<<G::Home as Home>::Reader, Error> {
        let answer = self.domain.call(Call::MapRegion, &[self.slot.to_bits()], None)?;
        let bytes = usize::try_from(answer.reply.values[0]).map_err(|_| Error::Garbled)?;
        let handle = answer.handle.ok_or(Error::Garbled)?;
        Ok(self.domain.gate().map_memory(handle, bytes)?)
    }

    fn revoke_by(&self, deadline: u64) -> Result<Revoked, Error> {
        let answer = self.domain.call(Call::Revoke, &[self.slot.to_bits(), deadline], None)?;
        let [capabilities, forced, ..] = answer.reply.values;
        Ok(Revoked { capabilities, forced })
    }
}

/// A capability that names a domain.
pub struct DomainHandle<G: Gate>(pub(crate) Handle<G>);

impl<G: Gate> DomainHandle<G> {
    /// Reads a handle as naming a domain; the kernel refuses later where it does not.
    pub fn new(handle: Handle<G>) -> Self {
        Self(handle)
    }

    /// The capability.
    pub fn handle(&self) -> &Handle<G> {
        &self.0
    }

    /// Ends the domain by force and takes back all it held.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn destroy(&self) -> Result<(), Error> {
        self.0.domain.call(Call::DestroyDomain, &[self.0.slot.to_bits()], None)?;
        Ok(())
    }
}

/// Memory that this domain writes, with the capability to share it for reading.
pub struct SharedRegion<G: Gate> {
    /// The memory.
    pub writer: <G::Home as Home>::Writer,
    /// Its capability.
    pub handle: Handle<G>,
}
