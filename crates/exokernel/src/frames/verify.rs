//! The chains checked against the capability spaces: a part of [`Kernel::verify`].

use feuerbird_capability::{Object, ObjectKind, Range};

use super::{Frames, NONE, Share};
use crate::table::Id;
use crate::verify::{Damage, check};
use crate::{DomainId, Kernel, Machine};

impl<M: Machine> Kernel<M> {
    /// Whether each capability for all pages of an object is in its chain once, below the one that it was derived from; and, where nothing
    /// is left to be swept, whether the pages are with whom the chain says.
    pub(crate) fn verify_frames(&self) -> Result<(), Damage> {
        let mut chained = 0;
        for (id, frames) in self.frames.iter() {
            let members = || self.chain(frames.youngest).take(self.shares.len() + 1);
            let length = members().count();
            chained += length;
            check(length <= self.shares.len(), Damage::Frames)?;
            check(members().all(|(index, share)| self.is_member(id, frames, index, share)), Damage::Frames)?;
            let is_open = frames.youngest != NONE || frames.notice.is_some();
            check(frames.memory.is_some() == is_open, Damage::Frames)?;
            let notice = frames.notice.map(|notice| self.notices.get(notice).map(|it| it.holder));
            check(notice.is_none_or(|holder| holder == Some(frames.holder)), Damage::Frames)?;
            if self.capabilities.is_swept() {
                self.verify_current(id, frames, length)?;
            }
        }
        let all = self.shares.iter().filter(|share| share.ticket.is_some()).count();
        check(chained == all, Damage::Frames)
    }

    fn verify_current(&self, id: Id, frames: &Frames<M::Handle>, length: usize) -> Result<(), Damage> {
        let object = Object { kind: ObjectKind::Frame, id: id.0 };
        let whole = Range::new(0, frames.pages);
        let held = self.domains.iter().flat_map(|(domain, _)| self.held(DomainId(domain.0)));
        let held = held.filter(|(_, it)| it.object == object && it.range == whole).count();
        check(held == length, Damage::Frames)?;
        let elders = self.chain(frames.youngest).skip(1).map(Some).chain([None]);
        let mut links = self.chain(frames.youngest).zip(elders);
        check(links.all(|((_, share), elder)| self.is_below(share, elder.map(|it| it.1))), Damage::Frames)?;
        // Who has time has the pages, and no capability for them any more.
        let current = self.first_live(frames.youngest).filter(|_| frames.notice.is_none());
        check(current.is_none_or(|current| current == (frames.holder, frames.is_writable)), Damage::Frames)
    }

    /// Whether a share is of a capability that is there, for all pages of this object.
    fn is_member(&self, id: Id, frames: &Frames<M::Handle>, index: u32, share: &Share) -> bool {
        let slot = share.ticket.as_ref().map(|ticket| ticket.slot());
        slot.filter(|slot| slot.index == index).and_then(|slot| self.capabilities.given(slot)).is_some_and(
            |it| {
                let is_whole = it.range == Range::new(0, frames.pages);
                it.object == Object { kind: ObjectKind::Frame, id: id.0 } && is_whole
            },
        )
    }

    /// Whether the nearest capability above that of a share is that of its elder, or none.
    fn is_below(&self, share: &Share, elder: Option<&Share>) -> bool {
        let place =
            |share: &Share| Some((self.alive(share.holder).ok()?.space, share.ticket.as_ref()?.slot()));
        let parent = place(share).and_then(|(space, slot)| self.capabilities.parent(space, slot).ok());
        parent == Some(elder.and_then(place))
    }
}
