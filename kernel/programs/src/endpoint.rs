//! Typed senders and receivers in ring 3: `feuerbird-channel` as it is, over memory that the kernel maps.

use alloc::sync::Arc;

use feuerbird_abi::{Call, Reason, Role, Status, UpcallKind};
use feuerbird_capability::Trust;
use feuerbird_channel::layout::{Half, LaneLayout};
use feuerbird_channel::{
    Consumer, Ended, Home, LaneIn, LaneOut, Producer, Receiver, Sender, Terms, Validity, Watched, prepare,
};
use feuerbird_serialization::Message;
use zerocopy::IntoBytes;

use crate::gate::{self, Result};
use crate::lane::expect;
use crate::memory::{OwnMemory, PeerMemory};

/// Where channels run here: nobody sleeps, who waits lets the core's next domain run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingHome;

impl Home for RingHome {
    type Writer = OwnMemory;
    type Reader = PeerMemory;
    /// The validity word says it all: the kernel ends the pair with the peer's domain.
    type Life = core::convert::Infallible;

    fn now_ns(&self) -> u64 {
        gate::now_ns()
    }

    fn wait(&self, _: &[Watched], _: u64) {
        gate::give_way();
    }

    fn wake(&self, _: *const u64) {}

    fn has_heavy_barrier(&self) -> bool {
        false
    }

    fn heavy_barrier(&self) {}

    fn is_dead(&self, life: &Self::Life) -> bool {
        match *life {}
    }
}

/// How a binding and its pair end. The validity words say at once that they do; why, the kernel tells afterwards, and whoever holds
/// this passes it on.
#[derive(Debug)]
pub(crate) struct Ends {
    number: u64,
    binding: Validity<PeerMemory>,
    pair: Validity<PeerMemory>,
}

/// What the kernel had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing about this binding.
    Nothing,
    /// The capability was revoked; the binding goes on until this upcall is acknowledged, or the deadline.
    Asked { upcall: u64 },
    /// The other side has left, or was made to.
    Left,
    /// The binding was taken by force.
    Taken,
}

impl Ends {
    /// Looks for an upcall, until a time, and does what it says.
    pub(crate) fn hear(&self, deadline_ns: u64) -> Heard {
        let Ok(Some((upcall, _))) = gate::wait(deadline_ns) else { return Heard::Nothing };
        if upcall.values[0] != self.number {
            return Heard::Nothing;
        }
        match UpcallKind::from_number(upcall.kind) {
            Some(UpcallKind::RevocationRequested) => Heard::Asked { upcall: upcall.sequence },
            Some(UpcallKind::PeerLeft) => {
                self.pair.end(match Reason::from_number(upcall.values[2]) {
                    Some(Reason::Unbound) => Ended::Unbound,
                    Some(Reason::Died) => Ended::Died,
                    Some(Reason::Revoked) | None => Ended::Revoked,
                });
                Heard::Left
            }
            Some(UpcallKind::Repossessed) => {
                self.end();
                Heard::Taken
            }
            _ => Heard::Nothing,
        }
    }

    /// Lets go, as the kernel has asked.
    pub(crate) fn let_go(&self, upcall: u64) {
        // Where the deadline was first, it is over all the same.
        let _ = gate::call(Call::Acknowledge, &[upcall]);
        self.end();
    }

    fn end(&self) {
        self.pair.end(Ended::Revoked);
        self.binding.end(Ended::Revoked);
    }
}

/// What two domains have after they met.
struct Met {
    terms: Terms,
    trust: Trust,
    ends: Ends,
    own: OwnMemory,
    peer: PeerMemory,
}

/// Binds one side for messages of one type, and exchanges memory with whoever binds the other.
///
/// # Errors
/// As the calls; [`Status::PeerMisbehaved`] where nobody comes, or something that does not fit.
fn meet<T: Message>(slot: u64, role: Role) -> Result<Met> {
    let wrong = Status::PeerMisbehaved;
    let identity = T::IDENTITY;
    let bound = gate::call_with(Call::Bind, &[slot, role as u64, 0], identity.as_bytes(), 0)?;
    let [binding, _, terms, word, value, _] = bound.values;
    let terms = Terms::from_bits(terms).map_err(|_| wrong)?;
    let layout = LaneLayout::new(terms);
    let (half, bytes) = match role {
        Role::Sender => (Half::Producer, layout.producer_bytes()),
        Role::Receiver => (Half::Consumer, layout.consumer_bytes()),
    };
    let words_handle = gate::call(Call::Hello, &[])?;
    let words = Arc::new(PeerMemory::new(words_handle.handle, words_handle.values[2] * 8)?);
    let validity = |word: u64, value: u64| Validity::new(Arc::clone(&words), word as usize, value as u32);
    let own = OwnMemory::new(bytes)?;
    prepare(&own, &layout, half).map_err(|_| wrong)?;
    let region = gate::call_with(Call::RegisterRegion, &[own.bytes()], &[], own.handle)?.values[0];
    let (joined, _) = expect(UpcallKind::PeerJoined)?;
    let [_, peer, trust, _, pair_word, pair_value] = joined.values;
    gate::call(Call::Share, &[binding, peer, region])?;
    let (shared, handle) = expect(UpcallKind::Shared)?;
    Ok(Met {
        terms,
        trust: u8::try_from(trust).ok().and_then(Trust::new).ok_or(wrong)?,
        ends: Ends {
            number: binding,
            binding: validity(word, value).ok_or(wrong)?,
            pair: validity(pair_word, pair_value).ok_or(wrong)?,
        },
        own,
        peer: PeerMemory::new(handle, shared.values[2])?,
    })
}

/// A sender, once a receiver has come.
///
/// # Errors
/// As the calls; [`Status::PeerMisbehaved`].
pub(crate) fn sender<T: Message>(slot: u64) -> Result<(Sender<T, RingHome>, Ends)> {
    let Met { terms, trust, ends, own, peer } = meet::<T>(slot, Role::Sender)?;
    let producer = Producer::attach(RingHome, terms, own, peer, ends.pair.share(), None)
        .map_err(|_| Status::PeerMisbehaved)?;
    let arriving = Arc::default();
    let sender = Sender::new(RingHome, ends.binding.share(), Arc::clone(&arriving));
    arriving.push(LaneOut::new(producer, trust, terms));
    Ok((sender, ends))
}

/// A receiver, once a sender has come.
///
/// # Errors
/// As the calls; [`Status::PeerMisbehaved`].
pub(crate) fn receiver<T: Message>(slot: u64) -> Result<(Receiver<T, RingHome>, Ends)> {
    let Met { terms, trust, ends, own, peer } = meet::<T>(slot, Role::Receiver)?;
    let consumer = Consumer::attach(RingHome, terms, own, peer, ends.pair.share(), None)
        .map_err(|_| Status::PeerMisbehaved)?;
    let arriving = Arc::default();
    let receiver = Receiver::new(RingHome, ends.binding.share(), Arc::clone(&arriving));
    arriving.push(LaneIn::new(consumer, trust, terms));
    Ok((receiver, ends))
}
