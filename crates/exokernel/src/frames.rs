//! Memory of one domain at a time: capabilities of kind `Frame`, for homes that have memory of their own.
//!
//! ```text
//!   mint ─► A ── grant ─► B ── grant ─► C      C has the pages; A and B have capabilities that they can revoke by, and wait
//!                         └── C deletes, or ends ──► B has them again
//!           └── A revokes ─────────────────────────► A has them again
//! ```
//!
//! Capabilities for all pages of a memory object are a chain: the kind is exclusive, so each has at most one child of the whole range.
//! Who has the **youngest** that can be looked up has the pages, and nobody else has any of them mapped. Whenever the chain changes, by
//! whatever call or end, the machine takes the pages from who had them, on every processor, before it lets the next one have them.
//!
//! What was derived for a part of the pages maps that part, where its holder has the pages. It gives nothing away and lends nothing, and it
//! keeps nothing: with the last capability for all pages the object is gone, and what is left for parts names nothing. Else whoever has had
//! pages for a while could keep a part of the authority, and with it all frames, from who pays for them.
//!
//! # Invariants
//! 1. `holder` is who holds the youngest capability that is live, or held the last one there was, or nobody where that was revoked. Between a
//!    death and the sweep it may be who has ended; whoever asks meanwhile has it settled first. From a revocation on it is who had the
//!    youngest that is not live any more, until the sweep comes to that one, or until the time is over that its holder was given; whoever asks
//!    meanwhile is told [`Status::Busy`].
//! 2. Memory that can be taken back from its holder is mapped by that holder and by nobody else: who holds it for others can neither
//!    register it as a region nor give it to a new domain, and what others read cannot be handed over.

mod authority;
mod verify;

pub use authority::Holder;

use feuerbird_abi::Status;
use feuerbird_capability::{Capability, Cause, Object, ObjectKind, Range, Rights, Slot, Ticket};

use crate::calls::status;
use crate::kernel::whole;
use crate::table::Id;
use crate::{DomainId, Kernel, Machine};

/// The index that names no slot.
const NONE: u32 = u32::MAX;

/// No domain has this number.
const NOBODY: DomainId = DomainId(0);

/// What the domain that allocates memory may do with it.
const RIGHTS: Rights = Rights::MAP_READ
    .union(Rights::MAP_WRITE)
    .union(Rights::GRANT)
    .union(Rights::DERIVE)
    .union(Rights::REVOKE)
    .union(Rights::INSPECT);

/// A memory object that capabilities name.
pub(crate) struct Frames<H> {
    /// Until the last capability for all of it has gone.
    memory: Option<H>,
    pages: u64,
    /// Capabilities that name it, or a part of it.
    pub(crate) references: u32,
    /// The index of the slot with the youngest capability for all of it.
    youngest: u32,
    holder: DomainId,
    is_writable: bool,
    /// Its holder's capability was revoked, and this is the time its holder has to let the pages go.
    notice: Option<Id>,
}

/// A capability for all pages of a memory object, by the index of its slot.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    ticket: Option<Ticket>,
    holder: DomainId,
    can_write: bool,
    /// The one that it was derived from, or one further up where that is gone.
    elder: u32,
}

impl Share {
    pub(crate) const NONE: Self = Self { ticket: None, holder: DomainId(0), can_write: false, elder: NONE };
}

impl<M: Machine> Kernel<M> {
    /// Puts a capability for memory that was made for a domain, so many pages, into its space. The memory is kept as long as a
    /// capability names it.
    ///
    /// # Errors
    /// [`Status::DomainGone`], [`Status::SlotsFull`], [`Status::ObjectsFull`].
    pub fn mint_frames(&mut self, domain: DomainId, memory: M::Handle, pages: u64) -> Result<Slot, Status> {
        let trust = self.alive(domain)?.trust;
        let frames = Frames {
            memory: Some(memory),
            pages,
            references: 1,
            youngest: NONE,
            holder: domain,
            is_writable: true,
            notice: None,
        };
        let id = self.frames.insert(frames).ok_or(Status::ObjectsFull)?;
        let object = Object { kind: ObjectKind::Frame, id: id.0 };
        let capability = Capability { range: Range::new(0, pages), ..whole(object, RIGHTS, trust) };
        match self.mint(domain, capability) {
            Ok(slot) => {
                self.frames_entered(domain, slot, &capability);
                self.log_minted(domain, slot);
                Ok(slot)
            }
            Err(status) => {
                self.frames.remove(id);
                Err(status)
            }
        }
    }

    /// The memory that a slot of a domain's names, if the domain has these rights for these pages now, or for all of them.
    ///
    /// # Errors
    /// What a look-up refuses; [`Status::BadArgument`] for pages that there are not; [`Status::Escalation`] for other ones than the
    /// capability's; [`Status::Busy`] where they are with
    /// somebody to whom the domain has handed them over.
    pub fn claim_frames(
        &mut self,
        domain: DomainId,
        slot: Slot,
        needed: Rights,
        pages: Option<Range>,
    ) -> Result<M::Handle, Status> {
        let capability = self.authority(domain, slot, ObjectKind::Frame, needed)?;
        let frames = self.current_frames(domain, &capability)?;
        // The right may be that of a part, whose holder has the whole for reading only.
        if needed.contains(Rights::MAP_WRITE) && !frames.is_writable {
            return Err(Status::MissingRight);
        }
        let all = Range::new(0, frames.pages);
        let pages = pages.unwrap_or(all);
        match (all.contains(pages), capability.range.contains(pages)) {
            (false, _) => Err(Status::BadArgument),
            (true, false) => Err(Status::Escalation),
            (true, true) => {
                let memory = frames.memory.clone().ok_or(Status::NoCapability)?;
                self.wait_for(&memory);
                Ok(memory)
            }
        }
    }

    /// As [`claim_frames`](Self::claim_frames), of all pages, where nobody can take them back: there is no other capability for any of
    /// them.
    ///
    /// # Errors
    /// As there; [`Status::NotSealed`] where there is another one; [`Status::Busy`] where that may be about to go.
    pub fn own_frames(&mut self, domain: DomainId, slot: Slot, needed: Rights) -> Result<M::Handle, Status> {
        let memory = self.claim_frames(domain, slot, needed, None)?;
        let id = Id(self.capability(domain, slot)?.object.id);
        let is_only_one = self.frames.get(id).is_some_and(|frames| frames.references == 1);
        match is_only_one {
            true => Ok(memory),
            // It may only be that of a domain that has ended, or one that was revoked.
            false if !self.capabilities.is_swept() => Err(Status::Busy),
            false => Err(Status::NotSealed),
        }
    }

    /// Whether a capability may go to another domain: memory that others use too may not, because it could not be taken from them.
    pub(crate) fn check_handing_over(
        &mut self,
        from: DomainId,
        slot: Slot,
        to: DomainId,
    ) -> Result<(), Status> {
        let space = self.alive(from)?.space;
        let capability = self.capabilities.lookup(space, slot, Rights::GRANT).map_err(status)?;
        if capability.object.kind != ObjectKind::Frame || from == to {
            return Ok(());
        }
        let frames = self.current_frames(from, &capability)?;
        if capability.range != Range::new(0, frames.pages) {
            return Err(Status::Escalation);
        }
        let id = Id(capability.object.id);
        self.finish_withdrawals();
        let memory = self.frames.get(id).and_then(|it| it.memory.as_ref()).ok_or(Status::NoCapability)?;
        if self.machine.is_shared(from, memory) { Err(Status::Busy) } else { Ok(()) }
    }

    /// A capability has come into a domain's space, whose the pages are from now on if it is for all of them.
    pub(crate) fn frames_entered(&mut self, domain: DomainId, slot: Slot, capability: &Capability) {
        let id = Id(capability.object.id);
        let Ok(space) = self.alive(domain).map(|it| it.space) else { return };
        let ticket = self.capabilities.ticket(space, slot, Rights::empty()).ok();
        let (Some(frames), Some((_, ticket))) = (self.frames.get_mut(id), ticket) else { return };
        if capability.range != Range::new(0, frames.pages) {
            return;
        }
        let can_write = capability.rights.contains(Rights::MAP_WRITE);
        let share = Share { ticket: Some(ticket), holder: domain, can_write, elder: frames.youngest };
        if let Some(place) = self.shares.get_mut(slot.index as usize) {
            *place = share;
            frames.youngest = slot.index;
        }
        if (domain, can_write) != (frames.holder, frames.is_writable) {
            self.settle_frames(id);
            self.finish_withdrawals();
        }
    }

    /// A capability is in another slot of the same index.
    pub(crate) fn frames_moved(&mut self, ticket: Ticket) {
        let share = self.shares.get_mut(ticket.slot().index as usize);
        if let Some(share) = share.filter(|share| share.ticket.is_some()) {
            share.ticket = Some(ticket);
        }
    }

    /// A capability has gone from its space.
    pub(crate) fn frames_left(&mut self, slot: Slot, object: Object, cause: Cause) {
        let (id, left) = (Id(object.id), slot.index);
        let (Some(share), Some(frames)) = (self.shares.get_mut(left as usize), self.frames.get_mut(id))
        else {
            return;
        };
        let share = core::mem::replace(share, Share::NONE);
        if share.ticket.is_none() {
            return;
        }
        let mut at = frames.youngest;
        if at == left {
            frames.youngest = share.elder;
        }
        while let Some(younger) = self.shares.get_mut(at as usize) {
            if younger.elder == left {
                younger.elder = share.elder;
            }
            at = younger.elder;
        }
        self.settle_end(id, (cause == Cause::Revoked).then_some(share.holder));
    }

    /// What a capability names, if its pages are with this domain.
    fn current_frames(
        &mut self,
        domain: DomainId,
        capability: &Capability,
    ) -> Result<&Frames<M::Handle>, Status> {
        let id = Id(capability.object.id);
        if self.frames.get(id).is_some_and(|frames| frames.holder != domain) {
            // Who has them may have ended, and the sweep not have come there.
            self.settle_frames(id);
        }
        let frames = self.frames.get(id).filter(|frames| frames.memory.is_some());
        let frames = frames.ok_or(Status::NoCapability)?;
        if frames.holder == domain { Ok(frames) } else { Err(Status::Busy) }
    }

    /// Whether a capability is one by which its holder has pages, and would lose them with it.
    pub(crate) fn has_frames_by(&self, holder: DomainId, slot: Slot, object: Object) -> bool {
        let share = self.shares.get(slot.index as usize);
        let Some(share) = share.filter(|it| it.ticket.is_some_and(|ticket| ticket.slot() == slot)) else {
            return false;
        };
        let frames = self.frames.get(Id(object.id));
        let has_pages = frames.is_some_and(|it| it.holder == holder && it.notice.is_none());
        has_pages && self.first_live(share.elder).is_none_or(|above| above.0 != holder)
    }

    /// The holder of some pages is given time.
    pub(crate) fn give_time_for_frames(&mut self, object: Object, notice: Id) {
        if let Some(frames) = self.frames.get_mut(Id(object.id)) {
            frames.notice = Some(notice);
        }
    }

    /// The time is over that this domain was given, which may have ended and others have the pages, and even time of their own.
    pub(crate) fn end_time_for_frames(&mut self, object: Object, notice: Id, holder: DomainId) {
        let id = Id(object.id);
        if let Some(frames) = self.frames.get_mut(id) {
            frames.notice.take_if(|it| *it == notice);
        }
        self.settle_end(id, Some(holder));
    }

    /// Has the pages go on after the end of a capability for all of them, or of a time; where it was a revocation's, from whom it took
    /// them. Of a capability that its holder gave up, and there is no other one, what was mapped by it stays.
    fn settle_end(&mut self, id: Id, revoked_from: Option<DomainId>) {
        let Some(frames) = self.frames.get(id) else { return };
        if frames.youngest != NONE && self.first_live(frames.youngest).is_some() {
            return self.settle_frames(id);
        }
        // The others, if any, are as dead, and the sweep has not come there.
        let is_taken = revoked_from == Some(frames.holder) && !self.is_to_be_told(frames);
        if is_taken {
            self.move_frames(id, NOBODY, false);
        }
        if let Some(frames) = self.frames.get_mut(id).filter(|it| it.youngest == NONE && it.notice.is_none())
        {
            frames.memory = None;
        }
    }

    /// Lets who should have the pages have them, and nobody else. Who loses them because a capability was revoked loses them when the
    /// sweep comes to it, or when the time is over that it was given.
    ///
    /// # Cost
    /// One look at each capability for all of the pages; and where the pages move, the machine's.
    fn settle_frames(&mut self, id: Id) {
        let Some(frames) = self.frames.get(id) else { return };
        let Some((holder, is_writable)) = self.first_live(frames.youngest) else { return };
        let before = (frames.holder, frames.is_writable);
        let is_waited_for = holder != before.0 && self.is_to_be_told(frames);
        if (holder, is_writable) != before && !is_waited_for {
            self.move_frames(id, holder, is_writable);
        } else if let Some(frames) = self.frames.get_mut(id).filter(|it| it.holder == holder) {
            // Who was between its two capabilities is gone: it has them by the elder one and needs no time.
            frames.notice = None;
        }
    }

    /// Has the machine move pages. Nobody has time for them any more.
    fn move_frames(&mut self, id: Id, to: DomainId, is_writable: bool) {
        let Some(frames) = self.frames.get_mut(id) else { return };
        if let Some(memory) = &frames.memory {
            self.machine.hand_over(memory, frames.holder, to, is_writable);
        }
        (frames.holder, frames.is_writable, frames.notice) = (to, is_writable, None);
    }

    /// Whether who has some pages has time, or may get some when the sweep comes to its capability, which was revoked.
    fn is_to_be_told(&self, frames: &Frames<M::Handle>) -> bool {
        self.is_alive(frames.holder) && (frames.notice.is_some() || self.is_revoked_from_holder(frames))
    }

    /// Whether a capability was revoked by which its holder has some pages. Where a live one of the same holder is right above, it has
    /// them by that, whatever it revoked below, and can hand them on at once.
    fn is_revoked_from_holder(&self, frames: &Frames<M::Handle>) -> bool {
        let mut is_revoked = false;
        for (_, share) in self.chain(frames.youngest) {
            let is_holders = share.holder == frames.holder;
            match self.is_live(share) {
                false => is_revoked |= is_holders,
                true if is_revoked && !is_holders => return true,
                true => is_revoked = false,
            }
        }
        is_revoked
    }

    /// Who holds the youngest capability that is live, and whether any of theirs from there on allows to write.
    fn first_live(&self, youngest: u32) -> Option<(DomainId, bool)> {
        let live = self.chain(youngest).map(|(_, share)| share).filter(|share| self.is_live(share));
        let mut live = live.peekable();
        let holder = live.peek()?.holder;
        Some((holder, live.take_while(|share| share.holder == holder).any(|share| share.can_write)))
    }

    fn is_live(&self, share: &Share) -> bool {
        share.ticket.as_ref().is_some_and(|ticket| self.capabilities.is_live(ticket))
    }

    /// The capabilities from one on, by the indices of their slots.
    fn chain(&self, youngest: u32) -> impl Iterator<Item = (u32, &Share)> {
        let at = |index: u32| Some((index, self.shares.get(index as usize)?));
        core::iter::successors(at(youngest), move |(_, share)| at(share.elder))
    }
}
