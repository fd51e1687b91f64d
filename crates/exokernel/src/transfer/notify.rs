//! Notifications: a word of bits, and one domain that may wait for them.

use feuerbird_abi::Status;
use feuerbird_capability::{Object, ObjectKind, Rights, Slot};

use super::{Standing, Uses, Whose};
use crate::kernel::whole;
use crate::table::Id;
use crate::{DomainId, Kernel, Machine};

/// A word of signals that add up until somebody takes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification {
    /// Who created it, and pays for it.
    pub(crate) owner: DomainId,
    /// Capabilities that name it.
    pub(crate) references: u32,
}

/// What a signal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// Added its bits.
    Kept,
    /// Added its bits, of which this domain is to be told.
    Rang(DomainId),
    /// Woke this domain, which takes these bits.
    Woke(DomainId, u64),
}

impl<M: Machine> Kernel<M> {
    /// Makes a notification; the capability has all rights.
    ///
    /// # Errors
    /// [`Status::QuotaExceeded`], [`Status::ObjectsFull`], [`Status::SlotsFull`].
    pub fn create_notification(&mut self, caller: DomainId) -> Result<u64, Status> {
        let domain = self.alive(caller)?;
        let trust = domain.trust;
        if domain.charges.notifications >= self.limits.endpoints_per_domain {
            return Err(Status::QuotaExceeded);
        }
        let made = Notification { owner: caller, references: 1 };
        let id = self.notifications.insert(made).ok_or(Status::ObjectsFull)?;
        self.transfers.hang(id.index());
        let object = Object { kind: ObjectKind::Notification, id: id.0 };
        let slot = self.mint(caller, whole(object, Rights::all(), trust));
        let slot = slot.inspect_err(|_| {
            self.notifications.remove(id);
        })?;
        self.alive_mut(caller)?.charges.notifications += 1;
        self.log_minted(caller, slot);
        Ok(slot.to_bits())
    }

    /// Adds bits to a notification and wakes who waits for it. A badge, where there is one, is all the bits that its holder can
    /// signal.
    ///
    /// # Errors
    /// What a look-up refuses.
    pub fn notify(&mut self, caller: DomainId, slot: u64, bits: u64) -> Result<Signalled, Status> {
        let known = self.look_up(caller, slot, Uses::NOTIFY)?;
        let id = Id(known.object);
        if let Some(watcher) = self.watcher(id)
            && !self.is_good(watcher)
        {
            self.give_up(watcher, Status::NoCapability);
        }
        let bits = masked(bits, known.badge);
        let bell = self.transfers.bells.get_mut(id.index() as usize).ok_or(Status::NoCapability)?;
        let Some(watcher) = core::mem::replace(&mut bell.watcher, Whose::NOBODY).domain() else {
            bell.bits |= bits;
            let listener = bell.listener.domain().filter(|_| bits != 0);
            return Ok(listener
                .and_then(|it| self.heard_by(id, it))
                .map_or(Signalled::Kept, Signalled::Rang));
        };
        if let Some(party) = self.transfers.party_mut(watcher) {
            party.standing = Standing::Apart;
        }
        Ok(Signalled::Woke(watcher, bits))
    }

    /// Has the caller told when bits come and nobody waits for them, or not any more. Whether some are there already.
    ///
    /// # Errors
    /// What a look-up refuses; [`Status::Busy`] where another domain is told of them.
    pub fn listen(&mut self, caller: DomainId, slot: u64, wants: bool) -> Result<bool, Status> {
        let known = self.look_up(caller, slot, Uses::WATCH)?;
        let id = Id(known.object);
        let bell = self.transfers.bells.get(id.index() as usize).ok_or(Status::NoCapability)?;
        let other = bell.listener.domain().filter(|it| *it != caller);
        if other.and_then(|it| self.heard_by(id, it)).is_some() {
            return Err(Status::Busy);
        }
        let bell = self.transfers.bells.get_mut(id.index() as usize).ok_or(Status::NoCapability)?;
        (bell.listener, bell.ear) = if wants { (caller.into(), slot) } else { (Whose::NOBODY, 0) };
        Ok(wants && bell.bits != 0)
    }

    /// Who listens, if it still may; else nobody does from now on.
    fn heard_by(&mut self, id: Id, listener: DomainId) -> Option<DomainId> {
        let slot = Slot::from_bits(self.transfers.bells.get(id.index() as usize)?.ear);
        if self.authority(listener, slot, ObjectKind::Notification, Rights::RECEIVE).is_ok() {
            return Some(listener);
        }
        let bell = self.transfers.bells.get_mut(id.index() as usize)?;
        (bell.listener, bell.ear) = (Whose::NOBODY, 0);
        None
    }

    /// Takes all bits of a notification; `None` where there are none and the caller waits for them from now on.
    ///
    /// # Errors
    /// What a look-up refuses; [`Status::Busy`] where another domain waits for them; [`Status::Interrupted`] as for
    /// [`receive`](Self::receive).
    pub fn watch(&mut self, caller: DomainId, slot: u64) -> Result<Option<u64>, Status> {
        if let Some(bits) = self.poll(caller, slot)? {
            return Ok(Some(bits));
        }
        let known = self.look_up(caller, slot, Uses::WATCH)?;
        let id = Id(known.object);
        if let Some(watcher) = self.watcher(id) {
            if self.is_good(watcher) {
                return Err(Status::Busy);
            }
            self.give_up(watcher, Status::NoCapability);
        }
        if self.machine.has_upcalls(caller) {
            return Err(Status::Interrupted);
        }
        let party = self.transfers.party_mut(caller).ok_or(Status::DomainGone)?;
        (party.standing, party.slot) = (Standing::Watching, slot);
        (party.seen, party.object) = (known.seen, known.object);
        if let Some(bell) = self.transfers.bells.get_mut(id.index() as usize) {
            bell.watcher = caller.into();
        }
        Ok(None)
    }

    /// Takes all bits of a notification, if there are any.
    ///
    /// # Errors
    /// What a look-up refuses.
    pub fn poll(&mut self, caller: DomainId, slot: u64) -> Result<Option<u64>, Status> {
        let known = self.look_up(caller, slot, Uses::WATCH)?;
        let index = Id(known.object).index() as usize;
        let bell = self.transfers.bells.get_mut(index).ok_or(Status::NoCapability)?;
        let bits = core::mem::take(&mut bell.bits);
        Ok((bits != 0).then_some(bits))
    }

    pub(super) fn forget_watcher(&mut self, id: Id) {
        if let Some(bell) = self.transfers.bells.get_mut(id.index() as usize) {
            bell.watcher = Whose::NOBODY;
        }
    }

    pub(super) fn is_watched_by(&self, id: Id, domain: Option<DomainId>) -> bool {
        domain.is_some() && self.notifications.get(id).is_some() && self.watcher(id) == domain
    }

    fn watcher(&self, id: Id) -> Option<DomainId> {
        self.transfers.bells.get(id.index() as usize)?.watcher.domain()
    }

    /// Forgets a notification that nothing names any more.
    pub(crate) fn collect_notification(&mut self, id: Id) {
        let Some(found) = self.notifications.get_mut(id) else { return };
        found.references -= 1;
        if found.references > 0 {
            return;
        }
        let owner = found.owner;
        self.notifications.remove(id);
        if let Some(owner) = self.domains.get_mut(owner.id()) {
            owner.charges.notifications -= 1;
        }
    }
}

/// The bits that a holder with this badge can signal.
fn masked(bits: u64, badge: u64) -> u64 {
    if badge == 0 { bits } else { bits & badge }
}
