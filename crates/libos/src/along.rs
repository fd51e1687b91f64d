//! Capabilities that go beside messages: granted through the kernel, and kept for the message that names them.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{fmt, ops::RangeInclusive};

use feuerbird_abi::{Along, Call, GRANTS_ALONG, Role, Status, Upcall, UpcallKind};
use feuerbird_capability::Slot;
use feuerbird_channel::{Gift, GrantError, Granter, MAX_GIFTS};
use zerocopy::IntoBytes;

use crate::{Domain, Gate, GateError, WeakDomain};

const _: () = assert!(MAX_GIFTS == GRANTS_ALONG, "a lane has as much on its way as the kernel lets lie");

/// A pair, by the numbers of the binding and the peer.
type PairNumber = (u64, u64);

/// What came along for messages that were not read yet. The kernel lets a few lie for each pair, and a quarter of a space for all.
#[derive(Debug, Default)]
pub(crate) struct Pocket {
    /// Pairs whose messages may still be read, and the token of the last one that was read with something beside it.
    open: BTreeMap<PairNumber, u64>,
    slots: BTreeMap<Place, Slot>,
    /// The same, the other way round.
    places: BTreeMap<u64, Place>,
}

/// By pair, token, and place in the message.
type Place = (PairNumber, u64, u64);

impl Pocket {
    /// Keeps a capability, or returns one that nobody will ask for: of a pair that is over, of a message that was read, or one that
    /// its peer replaced.
    fn put(&mut self, place: Place, slot: Slot) -> Option<Slot> {
        let (pair, token, _) = place;
        if self.open.get(&pair).is_none_or(|read| token <= *read) {
            return Some(slot);
        }
        self.places.insert(slot.to_bits(), place);
        let replaced = self.slots.insert(place, slot)?;
        self.places.remove(&replaced.to_bits());
        Some(replaced)
    }

    /// Takes out what came for one message, with the places.
    fn take(&mut self, pair: PairNumber, token: u64) -> Vec<(u64, Slot)> {
        self.remove((pair, token, 0)..=(pair, token, u64::MAX))
    }

    /// A message was read: what comes later for it or for an older one is late.
    fn end(&mut self, pair: PairNumber, token: u64) {
        if let Some(read) = self.open.get_mut(&pair) {
            *read = token.max(*read);
        }
    }

    /// One was revoked.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if let Some(place) = self.places.remove(&slot.to_bits()) {
            self.slots.remove(&place);
        }
    }

    /// No message of this pair will be read any more. Returns what is left.
    fn close(&mut self, pair: PairNumber) -> Vec<Slot> {
        self.open.remove(&pair);
        self.remove((pair, 0, 0)..=(pair, u64::MAX, u64::MAX)).into_iter().map(|(_, slot)| slot).collect()
    }

    fn remove(&mut self, range: RangeInclusive<Place>) -> Vec<(u64, Slot)> {
        let found: Vec<_> = self.slots.range(range).map(|(place, slot)| (*place, *slot)).collect();
        for (place, slot) in &found {
            self.slots.remove(place);
            self.places.remove(&slot.to_bits());
        }
        found.into_iter().map(|((_, _, place), slot)| (place, slot)).collect()
    }
}

/// One side's way to have capabilities granted along its pair. When it goes, what came and was not read is deleted.
pub(crate) struct Keeper<G: Gate> {
    domain: WeakDomain<G>,
    pair: PairNumber,
}

impl<G: Gate> fmt::Debug for Keeper<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("pair", &self.pair).finish_non_exhaustive()
    }
}

impl<G: Gate> Domain<G> {
    /// For a pair that is about to be known: what comes along to a receiver from now on is kept.
    pub(crate) fn keeper(&self, binding: u64, peer: u64, role: Role) -> Keeper<G> {
        if role == Role::Receiver {
            self.inner.pocket.lock().open.insert((binding, peer), 0);
        }
        Keeper { domain: self.downgrade(), pair: (binding, peer) }
    }

    pub(crate) fn on_granted_along(&self, values: [u64; 6]) {
        let [binding, peer, token, place, slot, _kind] = values;
        let place = ((binding, peer), token, place);
        let unwanted = self.inner.pocket.lock().put(place, Slot::from_bits(slot));
        self.delete_all(unwanted);
    }

    /// Upcalls that concern no binding any more: what they say was granted is nobody's.
    pub(crate) fn drop_stale<'u>(&self, stale: impl IntoIterator<Item = &'u Upcall>) {
        let is_along =
            |upcall: &&Upcall| UpcallKind::from_number(upcall.kind) == Some(UpcallKind::GrantedAlong);
        let slots = stale.into_iter().filter(is_along).map(|upcall| Slot::from_bits(upcall.values[4]));
        self.delete_all(slots);
    }

    /// Keeps a capability that came along, where it does not stand in the way of the next one. Where there is no room for that, it
    /// stays where it is.
    fn keep(&self, slot: Slot) -> Slot {
        let moved = self.call(Call::Move, &[slot.to_bits()], None);
        moved.map_or(slot, |answer| Slot::from_bits(answer.reply.values[0]))
    }
}

impl<G: Gate> Granter for Keeper<G> {
    fn grant(&mut self, token: u64, gifts: &[Gift]) -> Result<(), GrantError> {
        let domain = self.domain.upgrade().ok_or(GrantError::Over)?;
        let mut list = [Along::default(); GRANTS_ALONG];
        let list = list.get_mut(..gifts.len()).ok_or(GrantError::TooMany)?;
        for (along, gift) in list.iter_mut().zip(gifts) {
            let (rights, trust) = (gift.rights.bits(), gift.trust.level().into());
            *along = Along { slot: gift.slot.to_bits(), badge: gift.badge.0, rights, trust };
        }
        let request = domain.request(Call::GrantAlong, &[self.pair.0, self.pair.1, token]);
        domain.gate().call(request, list.as_bytes(), None, &mut []).map(drop).map_err(refused)
    }

    fn take(&mut self, token: u64, count: usize, is_wanted: bool) -> Vec<Slot> {
        let mut slots = alloc::vec![Slot::NULL; count];
        let Some(domain) = self.domain.upgrade() else { return slots };
        let mut found = domain.inner.pocket.lock().take(self.pair, token);
        if is_wanted && found.len() < count {
            // The kernel said it before the message was sent, so that it has come by the next reply; it may not have been heard yet.
            let _ = domain.call(Call::Null, &[], None);
            domain.gate().catch_up();
            found.append(&mut domain.inner.pocket.lock().take(self.pair, token));
        }
        domain.inner.pocket.lock().end(self.pair, token);
        for (place, slot) in found {
            match usize::try_from(place).ok().and_then(|place| slots.get_mut(place)).filter(|_| is_wanted) {
                Some(kept) => *kept = domain.keep(slot),
                None => domain.delete_all([slot]),
            }
        }
        slots
    }

    fn delete(&mut self, slots: &[Slot]) {
        if let Some(domain) = self.domain.upgrade() {
            domain.delete_all(slots.iter().copied().filter(|slot| *slot != Slot::NULL));
        }
    }
}

impl<G: Gate> Drop for Keeper<G> {
    fn drop(&mut self) {
        if let Some(domain) = self.domain.upgrade() {
            let left = domain.inner.pocket.lock().close(self.pair);
            domain.delete_all(left);
        }
    }
}

fn refused(error: GateError) -> GrantError {
    match error {
        GateError::Refused(Status::NoCapability, _) => GrantError::NoCapability,
        GateError::Refused(Status::SlotsFull | Status::ObjectsFull | Status::QuotaExceeded, _)
        | GateError::Shortage => GrantError::NoRoom,
        GateError::Refused(Status::NoBinding | Status::NoPeer | Status::DomainGone, _)
        | GateError::Closed => GrantError::Over,
        GateError::Refused(..) | GateError::TooLong | GateError::Garbled => GrantError::Denied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: PairNumber = (1, 2);

    fn slot(index: u32) -> Slot {
        Slot { index, generation: 1 }
    }

    #[test]
    fn each_message_has_its_own_in_the_order_of_their_places() {
        let mut pocket = Pocket::default();
        pocket.open.insert(PAIR, 0);
        for (token, place, index) in [(7, 1, 11), (8, 0, 20), (7, 0, 10)] {
            assert_eq!(pocket.put((PAIR, token, place), slot(index)), None);
        }
        assert_eq!(pocket.take(PAIR, 7), [(0, slot(10)), (1, slot(11))]);
        assert_eq!(pocket.take(PAIR, 7), []);
        pocket.forget(slot(20));
        assert_eq!(pocket.take(PAIR, 8), []);
        assert!(pocket.slots.is_empty() && pocket.places.is_empty());
    }

    #[test]
    fn what_nobody_will_ask_for_is_handed_back() {
        let mut pocket = Pocket::default();
        assert_eq!(pocket.put((PAIR, 1, 0), slot(1)), Some(slot(1)), "no such pair");
        pocket.open.extend([(PAIR, 0), ((1, 3), 0)]);
        assert_eq!(pocket.put((PAIR, 1, 0), slot(2)), None);
        assert_eq!(pocket.put((PAIR, 1, 0), slot(3)), Some(slot(2)), "the same token again");
        assert_eq!(pocket.put(((1, 3), 1, 0), slot(4)), None);
        assert_eq!(pocket.close(PAIR), [slot(3)]);
        assert_eq!(pocket.put((PAIR, 2, 0), slot(5)), Some(slot(5)), "it is over");
        assert_eq!(pocket.take((1, 3), 1), [(0, slot(4))]);
        assert!(pocket.slots.is_empty() && pocket.places.is_empty());
    }

    #[test]
    fn what_comes_after_its_message_was_read_is_handed_back() {
        let mut pocket = Pocket::default();
        pocket.open.insert(PAIR, 0);
        pocket.end(PAIR, 5);
        assert_eq!(pocket.put((PAIR, 4, 0), slot(4)), Some(slot(4)));
        assert_eq!(pocket.put((PAIR, 5, 1), slot(5)), Some(slot(5)));
        assert_eq!(pocket.put((PAIR, 6, 0), slot(6)), None);
        pocket.end(PAIR, 3);
        assert_eq!(pocket.put((PAIR, 4, 0), slot(7)), Some(slot(7)), "it only grows");
    }
}
