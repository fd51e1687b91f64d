//! Calls about capabilities that go beside the messages of a pair: the messages themselves never pass here.

use feuerbird_abi::{Along, AuditKind, GRANTS_ALONG, Role, Status, UpcallKind};
use feuerbird_capability::{Badge, Derivation, Rights, Slot, SpaceId, Trust};
use zerocopy::IntoBytes;

use super::bind::Met;
use super::{Asked, Values, status};
use crate::{Kernel, Machine};

impl<M: Machine> Kernel<M> {
    /// All or none: the peer is not told of what is taken back here.
    pub(super) fn grant_along(&mut self, asked: &Asked<'_, M::Handle>) -> Result<Values, Status> {
        let [number, peer, token, ..] = asked.arguments;
        let mut list = [Along::default(); GRANTS_ALONG];
        let along = read(asked.payload, &mut list)?;
        let met = self.met(asked.caller, number, peer);
        // Not to be mistaken for one that was to go along.
        let met =
            met.map_err(|status| if status == Status::NoCapability { Status::NoBinding } else { status });
        let Met { peer, role, theirs, other } = met?;
        if role != Role::Sender {
            return Err(Status::BadArgument);
        }
        let (from, to) = (self.alive(asked.caller)?.space, self.alive(other)?.space);
        let mut here = self.pairs.get(peer).ok_or(Status::NoPeer)?.along;
        // Those that are left where they came, then room.
        here.sort_by_key(|slot| self.capabilities.lookup(to, *slot, Rights::empty()).is_err());
        let left = here.partition_point(|slot| self.capabilities.lookup(to, *slot, Rights::empty()).is_ok());
        let granted = here[left..].get_mut(..along.len()).ok_or(Status::QuotaExceeded)?;
        let lie = self.alive(other)?.charges.along + along.len() as u32;
        if lie > self.limits.along_per_domain {
            return Err(Status::QuotaExceeded);
        }
        for (place, it) in along.iter().enumerate() {
            let made = derivation(it).and_then(|derivation| {
                let slot = Slot::from_bits(it.slot);
                self.check_handing_over(asked.caller, slot, other)?;
                self.capabilities.grant(from, slot, to, derivation).map_err(status)
            });
            match made {
                Ok(slot) => granted[place] = slot,
                Err(refusal) => {
                    for slot in &granted[..place] {
                        // Nothing can hang on it yet, so that there is nothing to finalise.
                        let _ = self.capabilities.delete(to, *slot);
                    }
                    return Err(refusal);
                }
            }
        }
        if let Some(pair) = self.pairs.get_mut(peer) {
            pair.along = here;
        }
        self.alive_mut(other)?.charges.along = lie;
        for (place, slot) in (0..).zip(&here[left..left + along.len()]) {
            self.came_along[slot.index as usize] = true;
            self.entered(AuditKind::Granted, asked.caller, other, *slot)?;
            let entered = self.capabilities.given(*slot).ok_or(Status::NoCapability)?;
            let kind = entered.object.kind.number();
            let values = [theirs.0, peer.0, token, place, slot.to_bits(), kind];
            self.tell(other, UpcallKind::GrantedAlong, &values, None);
        }
        Ok([0; 6])
    }

    /// A capability has left its slot: if it came along, who has that space has room for another one.
    pub(crate) fn taken_from_where_it_came(&mut self, space: SpaceId, slot: Slot) {
        if !core::mem::take(&mut self.came_along[slot.index as usize]) {
            return;
        }
        let holder = self.space_holders[space.index() as usize];
        // A space that is gone may have been another domain's before what was in it is swept.
        if let Some(domain) = self.domains.get_mut(holder.id()).filter(|it| it.space == space) {
            domain.charges.along -= 1;
        }
    }
}

/// The list in a payload that is nothing else, with one entry at least.
fn read<'l>(payload: &[u8], list: &'l mut [Along; GRANTS_ALONG]) -> Result<&'l [Along], Status> {
    let count = payload.len() / size_of::<Along>();
    let list = list.get_mut(..count).filter(|list| !list.is_empty()).ok_or(Status::BadArgument)?;
    if payload.len() != size_of_val(list) {
        return Err(Status::BadArgument);
    }
    list.as_mut_bytes().copy_from_slice(payload);
    Ok(list)
}

fn derivation(along: &Along) -> Result<Derivation, Status> {
    let rights = Rights::from_bits(along.rights).ok_or(Status::BadArgument)?;
    let trust = u8::try_from(along.trust).ok().and_then(Trust::new).ok_or(Status::BadArgument)?;
    Ok(Derivation::new(rights, trust).with_badge(Badge(along.badge)))
}
