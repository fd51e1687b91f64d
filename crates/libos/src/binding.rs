//! What this domain knows of its bindings, and how lanes grow on them.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use crossbeam_queue::SegQueue;
use feuerbird_abi::Role;
use feuerbird_capability::{Slot, Trust};
use feuerbird_channel::{
    Consumer, Ended, Home, LaneIn, LaneOut, Producer, Terms, Validity,
    layout::{Half, LaneLayout},
    prepare,
};
use feuerbird_serialization::Layer;

use crate::{Error, Gate};

/// Where finished lanes go: the endpoint's owner takes them from there.
pub(crate) enum Lanes<H: Home> {
    Out(Arc<SegQueue<LaneOut<H>>>),
    In(Arc<SegQueue<LaneIn<H>>>),
}

/// One binding of this domain.
pub(crate) struct Binding<G: Gate> {
    /// The endpoint's, the same on both sides: the layout of every lane follows from them.
    pub(crate) terms: Terms,
    /// The least strict layer that this side wants, whatever the trust.
    pub(crate) layer: Layer,
    pub(crate) lanes: Lanes<G::Home>,
    pub(crate) validity: Validity<Reader<G>>,
    pairs: BTreeMap<u64, Pair<G>>,
}

type Reader<G> = <<G as Gate>::Home as Home>::Reader;
type Writer<G> = <<G as Gate>::Home as Home>::Writer;
type Life<G> = <<G as Gate>::Home as Home>::Life;

/// One peer on the other side.
struct Pair<G: Gate> {
    validity: Validity<Reader<G>>,
    /// The capability for our half of the lane; it goes when the pair does.
    region: Option<Slot>,
    stage: Stage<G>,
}

/// A lane needs our memory and the peer's; either may be first.
enum Stage<G: Gate> {
    Ours { trust: Trust, peer_layer: Layer, own: Writer<G>, life: Option<Life<G>> },
    Attached,
}

impl<G: Gate> Binding<G> {
    pub(crate) fn new(
        terms: Terms,
        layer: Layer,
        lanes: Lanes<G::Home>,
        validity: Validity<Reader<G>>,
    ) -> Self {
        Self { terms, layer, lanes, validity, pairs: BTreeMap::new() }
    }

    pub(crate) fn role(&self) -> Role {
        match self.lanes {
            Lanes::Out(_) => Role::Sender,
            Lanes::In(_) => Role::Receiver,
        }
    }

    /// A peer joined: lays out our half of the lane. Returns the handle to share.
    pub(crate) fn join(
        &mut self,
        gate: &G,
        peer: u64,
        trust: Trust,
        peer_layer: Layer,
        validity: Validity<Reader<G>>,
        life: Option<Life<G>>,
    ) -> Result<(usize, G::Handle), Error> {
        let layout = LaneLayout::new(self.terms);
        let (half, bytes) = match self.role() {
            Role::Sender => (Half::Producer, layout.producer_bytes()),
            Role::Receiver => (Half::Consumer, layout.consumer_bytes()),
        };
        let bytes = bytes.next_multiple_of(PAGE_BYTES);
        let (own, handle) = gate.make_memory(bytes).ok_or(Error::OutOfMemory)?;
        prepare(&own, &layout, half)?;
        self.pairs.insert(
            peer,
            Pair { validity, region: None, stage: Stage::Ours { trust, peer_layer, own, life } },
        );
        Ok((bytes, handle))
    }

    /// The peer's memory came: attaches the lane.
    pub(crate) fn attach(&mut self, gate: &G, peer: u64, theirs: Reader<G>) -> Result<(), Error> {
        let Some(pair) = self.pairs.get_mut(&peer) else { return Ok(()) };
        let Stage::Ours { trust, peer_layer, own, life } =
            core::mem::replace(&mut pair.stage, Stage::Attached)
        else {
            return Ok(());
        };
        // Both sides reckon the layer from what the kernel told both: trust, and what each asked for beyond it.
        let terms = self.terms.at_least(self.layer).at_least(peer_layer);
        let layer = Layer::for_trust(trust).stricter(terms.layer());
        let validity = pair.validity.share();
        match &self.lanes {
            Lanes::Out(queue) => {
                let producer = Producer::attach(gate.home(), self.terms, own, theirs, validity, life)?;
                queue.push(LaneOut::new(producer, layer));
            }
            Lanes::In(queue) => {
                let consumer = Consumer::attach(gate.home(), self.terms, own, theirs, validity, life)?;
                queue.push(LaneIn::new(consumer, trust, terms));
            }
        }
        Ok(())
    }

    /// Our half of the lane to a peer was registered.
    pub(crate) fn remember(&mut self, peer: u64, region: Slot) {
        if let Some(pair) = self.pairs.get_mut(&peer) {
            pair.region = Some(region);
        }
    }

    /// A peer left. Returns the capability that is of no more use.
    pub(crate) fn leave(&mut self, peer: u64, reason: Ended) -> Option<Slot> {
        let pair = self.pairs.remove(&peer)?;
        pair.validity.end(reason);
        pair.region
    }

    /// The binding itself is gone. Returns the capabilities that are of no more use.
    pub(crate) fn end(&mut self, reason: Ended) -> Vec<Slot> {
        self.validity.end(reason);
        let pairs = core::mem::take(&mut self.pairs);
        pairs.values().for_each(|pair| pair.validity.end(reason));
        pairs.values().filter_map(|pair| pair.region).collect()
    }
}

/// Memory objects are whole pages.
pub(crate) const PAGE_BYTES: usize = 4096;
