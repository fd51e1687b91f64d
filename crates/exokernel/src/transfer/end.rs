//! How waiting ends otherwise: revoked, ended, interrupted, too late.

use feuerbird_abi::{Reply, Status};
use feuerbird_capability::Slot;

use super::{NOBODY, Party, Standing};
use crate::table::Id;
use crate::verify::Damage;
use crate::{DomainId, Kernel, Machine};

impl<M: Machine> Kernel<M> {
    /// Ends whatever a domain waits for, and answers it with this status. Nothing for one that does not wait.
    pub fn give_up(&mut self, domain: DomainId, status: Status) {
        if self.stand_apart(domain) {
            self.machine.reply(domain, &Reply::new(status, 0, &[]));
        }
    }

    /// Who works for a domain that waits for a reply, at the end of the chain: its time is that domain's.
    pub fn served_by(&self, domain: DomainId) -> Option<DomainId> {
        self.transfers.served_by(domain)
    }

    /// Takes a domain out of wherever it waits. Whether it did.
    fn stand_apart(&mut self, domain: DomainId) -> bool {
        let Some(party) = self.transfers.party_mut(domain) else { return false };
        let (standing, object) = (party.standing, party.object);
        party.standing = Standing::Apart;
        let index = Id(object).index() as usize;
        match standing {
            Standing::Apart => return false,
            Standing::Awaiting => (),
            Standing::Receiving => self.transfers.points[index].receiver = NOBODY,
            Standing::Queued => self.transfers.leave(index, domain.index() as u32),
            Standing::Watching => self.forget_watcher(Id(object)),
        }
        true
    }

    /// The domain is told something: it is to hear that first.
    pub(crate) fn interrupt(&mut self, domain: DomainId) {
        let standing = self.transfers.party(domain).map(|it| it.standing);
        if matches!(standing, Some(Standing::Receiving | Standing::Watching)) {
            self.give_up(domain, Status::Interrupted);
        }
    }

    /// A capability has ended: its holder does not wait by it any more.
    pub(crate) fn end_waiting_by(&mut self, holder: DomainId, slot: Slot) {
        if self.transfers.party(holder).is_some_and(|it| it.slot == slot.to_bits()) {
            self.give_up(holder, Status::NoCapability);
        }
    }

    /// A domain has ended. Who waits for its reply, or queues where it received last, is told. One look at each domain.
    pub(crate) fn end_party(&mut self, domain: DomainId) {
        self.stand_apart(domain);
        let Some(party) = self.transfers.party_mut(domain) else { return };
        *party = Party { token: party.token, ..Party::NOBODY };
        for index in 0..self.transfers.parties.len() {
            let party = &self.transfers.parties[index];
            let Some(other) = party.domain() else { continue };
            let is_left = match party.standing {
                Standing::Awaiting => party.server == domain.into(),
                Standing::Queued => {
                    self.transfers.points[Id(party.object).index() as usize].server == domain.into()
                }
                _ => false,
            };
            if is_left {
                self.give_up(other, Status::DomainGone);
            }
        }
    }

    /// Whether who waits is found where it waits, and nobody else.
    pub(crate) fn verify_transfers(&self) -> Result<(), Damage> {
        let all = &self.transfers;
        let queue = |point: u32| {
            let head = all.points[point as usize].first;
            core::iter::successors((head != NOBODY).then_some(head), |&index| {
                let next = all.parties[index as usize].next;
                (next != NOBODY).then_some(next)
            })
        };
        let is_right = |index: u32, party: &Party| {
            let point = Id(party.object).index();
            match party.standing {
                Standing::Apart => true,
                Standing::Receiving => all.points[point as usize].receiver == index,
                Standing::Queued => queue(point).any(|queued| queued == index),
                Standing::Awaiting => party.server.domain().is_some_and(|server| self.is_alive(server)),
                Standing::Watching => self.is_watched_by(Id(party.object), party.domain()),
            }
        };
        let mut parties = (0..).zip(&all.parties);
        if !parties.all(|(index, party)| {
            party.domain().is_none() && party.standing == Standing::Apart || is_right(index, party)
        }) {
            return Err(Damage::Transfer);
        }
        let stands = |index: u32, standing, point: usize| {
            let party = all.parties.get(index as usize);
            party.is_some_and(|it| it.standing == standing && Id(it.object).index() as usize == point)
        };
        let is_found = (0..all.points.len()).all(|point| {
            let receiver = all.points[point].receiver;
            (receiver == NOBODY || stands(receiver, Standing::Receiving, point))
                && queue(point as u32).all(|index| stands(index, Standing::Queued, point))
        });
        if is_found { Ok(()) } else { Err(Damage::Transfer) }
    }
}
