//! How a lane comes to be between this domain and a peer: each makes memory, shares it, and maps the other's.

use feuerbird_abi::Call;
use feuerbird_capability::{Slot, Trust};
use feuerbird_channel::{AttachError, Ended, Home, Lie, PollError, layout::LaneLayout, prepare};

use crate::{
    Domain, Error, Gate, MemoryError,
    binding::{Common, Pair, Waiting, Wish, attach},
};

impl<G: Gate> Domain<G> {
    pub(crate) fn on_peer_joined(&self, values: [u64; 6], handle: Option<G::Handle>) -> Result<(), Error> {
        let [number, peer, trust, peer_terms, word, value] = values;
        let trust = Trust::new(trust as u8).ok_or(Error::Garbled)?;
        let Some(peer_wish) = Wish::from_bits(peer_terms) else {
            // The kernel carries the peer's word as it is.
            self.fail(number, peer, PollError::PeerMisbehaved(Lie::Header));
            return Err(Error::Garbled);
        };
        let validity = self.validity(word, value)?;
        let Some(common) = self.with_binding(number, |binding| binding.common.clone()) else { return Ok(()) };
        let expected = common.lanes.expect();
        let room = common.lanes.make_room(common.lane_bytes());
        if room.gone > 0 {
            self.with_binding(number, |binding| binding.tell(PollError::Disconnected));
        }
        if !room.is_there {
            self.fail(number, peer, PollError::Disconnected);
            return Err(Error::OutOfMemory);
        }
        let (own, region) = match self.make_half(&common) {
            Ok(made) => made,
            Err(error) => {
                self.fail(number, peer, PollError::Disconnected);
                return Err(error);
            }
        };
        let life = handle.map(|handle| self.gate().life(handle));
        let waiting = Some(Waiting {
            trust,
            peer_wish,
            own,
            life,
            keeper: self.keeper(number, peer, common.role()),
            expected,
        });
        let mut pair = Some(Pair { validity, region: Some(region), waiting });
        self.with_binding(number, |binding| binding.join(peer, &mut pair));
        if pair.is_some() {
            // Its owner dropped the binding while this went on: nobody would ever delete the region.
            self.delete_all([region]);
            return Ok(());
        }
        let shared = self.call(Call::Share, &[number, peer, region.to_bits()], None);
        if shared.is_err() {
            self.fail(number, peer, PollError::Disconnected);
        }
        shared.map(drop)
    }

    pub(crate) fn on_shared(&self, values: [u64; 6], handle: Option<G::Handle>) -> Result<(), Error> {
        let [number, peer, bytes, ..] = values;
        let common =
            self.with_binding(number, |binding| binding.awaits(peer).then(|| binding.common.clone()));
        // Only one who is waited for is worth a mapping; a second sharing is not.
        let Some(common) = common.flatten() else { return Ok(()) };
        let Some(handle) = handle else {
            // Lost on its way, because this process had no room for one more descriptor: there is no second one.
            self.fail(number, peer, PollError::Disconnected);
            return Err(Error::Garbled);
        };
        let theirs = match usize::try_from(bytes) {
            Ok(bytes) if bytes == common.peer_bytes() => self.gate().map_memory(handle, bytes),
            _ => Err(MemoryError::NotAsPromised),
        };
        let theirs = match theirs {
            Ok(theirs) => theirs,
            Err(MemoryError::Shortage) => {
                self.fail(number, peer, PollError::Disconnected);
                return Err(Error::OutOfMemory);
            }
            Err(MemoryError::NotAsPromised) => {
                self.fail(number, peer, PollError::PeerMisbehaved(Lie::Header));
                return Err(Error::PeerMemory);
            }
        };
        let Some(ready) = self.with_binding(number, |binding| binding.ready(peer)).flatten() else {
            return Ok(());
        };
        attach(self.gate(), &common, ready, theirs).map_err(|error| {
            let told = match error {
                AttachError::PeerMisbehaved(lie) => PollError::PeerMisbehaved(lie),
                AttachError::RegionTooSmall | AttachError::Ended => PollError::Disconnected,
            };
            self.fail(number, peer, told);
            Error::Attach(error)
        })
    }

    /// Lays out our half of a lane and registers it.
    fn make_half(&self, common: &Common<G::Home>) -> Result<(<G::Home as Home>::Writer, Slot), Error> {
        let (half, bytes) = common.own_half();
        let made = self.gate().make_memory_placed(bytes, common.placement);
        let (own, memory) = made.ok_or(Error::OutOfMemory)?;
        prepare(&own, &LaneLayout::new(common.terms), half)?;
        let region = self.call(Call::RegisterRegion, &[bytes as u64], Some(memory))?;
        Ok((own, Slot::from_bits(region.reply.values[0])))
    }

    /// A peer comes to no lane: the endpoint's owner hears why, the peer hears that it is alone, and our half goes. What the peer has
    /// sent already is recovered on its side.
    fn fail(&self, number: u64, peer: u64, error: PollError) {
        let failed = self.with_binding(number, |binding| {
            binding.tell(error);
            binding.part(peer, Ended::Unbound)
        });
        // Unknown when its owner dropped it, which tells every peer.
        let Some(pair) = failed else { return };
        self.give_back(Call::Part, [number, peer]);
        self.delete_all(pair.and_then(|pair| pair.region));
    }
}
