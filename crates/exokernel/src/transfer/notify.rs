//! Notifications: a word of bits, and one domain that may wait for them.

use feuerbird_abi::Status;
use feuerbird_capability::{Object, ObjectKind, Rights};

use super::{Standing, Uses};
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
    /// What nobody has taken: none where somebody waits.
    bits: u64,
    /// Who waits for it.
    watcher: Option<DomainId>,
}

/// What a signal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// Added its bits.
    Kept,
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
        let made = Notification { owner: caller, references: 1, bits: 0, watcher: None };
        let id = self.notifications.insert(made).ok_or(Status::ObjectsFull)?;
        let object = Object { kind: ObjectKind::Notification, id: id.0 };
        let slot = self.mint(caller, whole(object, Rights::all(), trust));
        let slot = slot.inspect_err(|_| {
            self.notifications.remove(id);
        })?;
        self.alive_mut(caller)?.charges.notifications += 1;
        self.log_minted(caller, slot);
        Ok(slot.to_bits())
    }

    /// Adds bits to a notification that nobody waits for, if the capability was looked up and nothing has ended since. `None` has
    /// changed nothing: [`notify`](Self::notify) does the rest.
    #[inline(always)]
    pub fn add_bits_at_once(&mut self, caller: DomainId, slot: u64, bits: u64) -> Option<()> {
        let ended = self.capabilities.ended();
        let known = self.transfers.parties.get(caller.index())?.known(slot, ended, Uses::NOTIFY)?;
        let found = self.notifications.get_mut(Id(known.object))?;
        if found.watcher.is_some() {
            return None;
        }
        found.bits |= masked(bits, known.badge);
        Some(())
    }

    /// Adds bits to a notification, and takes them for who waits, if the machine says that it can be gone on with here: as
    /// [`add_bits_at_once`](Self::add_bits_at_once).
    #[inline(always)]
    pub fn wake_at_once(&mut self, caller: DomainId, slot: u64, bits: u64) -> Option<(DomainId, u64)> {
        let ended = self.capabilities.ended();
        let known = self.transfers.parties.get(caller.index())?.known(slot, ended, Uses::NOTIFY)?;
        let found = self.notifications.get_mut(Id(known.object))?;
        let watcher = found.watcher?;
        let bits = masked(bits, known.badge);
        let party = self.transfers.parties.get_mut(watcher.index())?;
        if party.seen != ended || !self.machine.is_here(watcher) {
            return None;
        }
        party.standing = Standing::Apart;
        found.watcher = None;
        Some((watcher, bits))
    }

    /// Adds bits to a notification and wakes who waits for it. A badge, where there is one, is all the bits that its holder can
    /// signal.
    ///
    /// # Errors
    /// What a look-up refuses.
    pub fn notify(&mut self, caller: DomainId, slot: u64, bits: u64) -> Result<Signalled, Status> {
        let known = self.look_up(caller, slot, Uses::NOTIFY)?;
        let watcher = self.notifications.get(Id(known.object)).and_then(|it| it.watcher);
        if let Some(watcher) = watcher
            && !self.is_good(watcher)
        {
            self.give_up(watcher, Status::NoCapability);
        }
        let bits = masked(bits, known.badge);
        let found = self.notifications.get_mut(Id(known.object)).ok_or(Status::NoCapability)?;
        let Some(watcher) = found.watcher.take() else {
            found.bits |= bits;
            return Ok(Signalled::Kept);
        };
        if let Some(party) = self.transfers.party_mut(watcher) {
            party.standing = Standing::Apart;
        }
        Ok(Signalled::Woke(watcher, bits))
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
        let watcher = self.notifications.get(id).and_then(|it| it.watcher);
        if let Some(watcher) = watcher {
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
        if let Some(found) = self.notifications.get_mut(id) {
            found.watcher = Some(caller);
        }
        Ok(None)
    }

    /// Takes all bits of a notification, if there are any.
    ///
    /// # Errors
    /// What a look-up refuses.
    pub fn poll(&mut self, caller: DomainId, slot: u64) -> Result<Option<u64>, Status> {
        let known = self.look_up(caller, slot, Uses::WATCH)?;
        let found = self.notifications.get_mut(Id(known.object)).ok_or(Status::NoCapability)?;
        let bits = core::mem::take(&mut found.bits);
        Ok((bits != 0).then_some(bits))
    }

    pub(super) fn forget_watcher(&mut self, id: Id) {
        if let Some(found) = self.notifications.get_mut(id) {
            found.watcher = None;
        }
    }

    pub(super) fn is_watched_by(&self, id: Id, domain: Option<DomainId>) -> bool {
        domain.is_some() && self.notifications.get(id).is_some_and(|it| it.watcher == domain)
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
#[inline(always)]
fn masked(bits: u64, badge: u64) -> u64 {
    if badge == 0 { bits } else { bits & badge }
}
