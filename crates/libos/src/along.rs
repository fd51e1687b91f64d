//! Capabilities that go beside messages: granted through the kernel, and kept for the message that names them.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::fmt;

use feuerbird_abi::{Along, Call, GRANTS_ALONG, Status};
use feuerbird_capability::Slot;
use feuerbird_channel::{Gift, GrantError, Granter, MAX_GIFTS};
use zerocopy::IntoBytes;

use crate::{Domain, Gate, GateError, WeakDomain};

const _: () = assert!(MAX_GIFTS == GRANTS_ALONG, "a lane has as much on its way as the kernel lets lie");

/// A pair, by the numbers of the binding and the peer.
type PairNumber = (u64, u64);

/// What came along for messages that were not read yet. The kernel lets four lie for each pair.
#[derive(Debug, Default)]
pub(crate) struct Pocket {
    /// Pairs whose messages may still be read.
    open: BTreeSet<PairNumber>,
    /// By pair, token and place.
    slots: BTreeMap<(PairNumber, u64, u64), Slot>,
}

impl Pocket {
    /// Keeps a capability, or returns one that nobody will ask for: of a pair that is over, or that its peer replaced.
    fn put(&mut self, pair: PairNumber, token: u64, place: u64, slot: Slot) -> Option<Slot> {
        if self.open.contains(&pair) { self.slots.insert((pair, token, place), slot) } else { Some(slot) }
    }

    /// Takes out what came for one message, with the places.
    fn take(&mut self, pair: PairNumber, token: u64) -> Vec<(u64, Slot)> {
        let of_it = self.slots.range((pair, token, 0)..=(pair, token, u64::MAX));
        let keys: Vec<_> = of_it.map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| Some((key.2, self.slots.remove(&key)?))).collect()
    }

    /// One was revoked.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.slots.retain(|_, kept| *kept != slot);
    }

    /// No message of this pair will be read any more. Returns what is left.
    fn close(&mut self, pair: PairNumber) -> Vec<Slot> {
        self.open.remove(&pair);
        let left = self.slots.range((pair, 0, 0)..=(pair, u64::MAX, u64::MAX));
        let left: Vec<_> = left.map(|(key, slot)| (*key, *slot)).collect();
        left.into_iter().filter_map(|(key, _)| self.slots.remove(&key)).collect()
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
    /// For a pair that is about to be known: what comes along from now on is kept.
    pub(crate) fn keeper(&self, binding: u64, peer: u64) -> Keeper<G> {
        self.inner.pocket.lock().open.insert((binding, peer));
        Keeper { domain: self.downgrade(), pair: (binding, peer) }
    }

    pub(crate) fn on_granted_along(&self, values: [u64; 6]) {
        let [binding, peer, token, place, slot, _kind] = values;
        let unwanted = self.inner.pocket.lock().put((binding, peer), token, place, Slot::from_bits(slot));
        self.delete_all(unwanted);
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

    fn take(&mut self, token: u64, count: usize) -> Vec<Slot> {
        let mut slots = alloc::vec![Slot::NULL; count];
        let Some(domain) = self.domain.upgrade() else { return slots };
        let mut found = domain.inner.pocket.lock().take(self.pair, token);
        if found.len() < count {
            // The kernel said it before the message was sent, so that it has come by the next reply; it may not have been heard yet.
            let _ = domain.call(Call::Null, &[], None);
            domain.gate().catch_up();
            found.append(&mut domain.inner.pocket.lock().take(self.pair, token));
        }
        for (place, slot) in found {
            match usize::try_from(place).ok().and_then(|place| slots.get_mut(place)) {
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
        pocket.open.insert(PAIR);
        for (token, place, index) in [(7, 1, 11), (8, 0, 20), (7, 0, 10)] {
            assert_eq!(pocket.put(PAIR, token, place, slot(index)), None);
        }
        assert_eq!(pocket.take(PAIR, 7), [(0, slot(10)), (1, slot(11))]);
        assert_eq!(pocket.take(PAIR, 7), []);
        pocket.forget(slot(20));
        assert_eq!(pocket.take(PAIR, 8), []);
    }

    #[test]
    fn what_nobody_will_ask_for_is_handed_back() {
        let mut pocket = Pocket::default();
        assert_eq!(pocket.put(PAIR, 1, 0, slot(1)), Some(slot(1)), "no such pair");
        pocket.open.extend([PAIR, (1, 3)]);
        assert_eq!(pocket.put(PAIR, 1, 0, slot(2)), None);
        assert_eq!(pocket.put(PAIR, 1, 0, slot(3)), Some(slot(2)), "the same token again");
        assert_eq!(pocket.put((1, 3), 1, 0, slot(4)), None);
        assert_eq!(pocket.close(PAIR), [slot(3)]);
        assert_eq!(pocket.put(PAIR, 2, 0, slot(5)), Some(slot(5)), "it is over");
        assert_eq!(pocket.take((1, 3), 1), [(0, slot(4))]);
    }
}
