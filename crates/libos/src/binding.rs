//! What this domain knows of its bindings, and how lanes grow on them.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    vec::Vec,
};

use crossbeam_queue::ArrayQueue;
use feuerbird_abi::{Role, UNHEARD_OF};
use feuerbird_capability::{Slot, Trust};
use feuerbird_channel::{
    Arriving, AttachError, Consumer, Ended, Expected, Home, LaneIn, LaneOut, PollError, Producer, Standing,
    Terms, Validity,
    layout::{Half, LaneLayout},
};
use feuerbird_numa::Placement;
use feuerbird_serialization::Layer;

use crate::{Gate, along::Keeper, table::Told};

/// Memory objects are whole pages.
pub(crate) const PAGE_BYTES: usize = 4096;

/// How many peers that came to no lane an endpoint can hear of before it looks; further ones go unheard.
const FAILURES: usize = 16;

/// How many lanes wait for an endpoint's owner to look. Beyond, a peer that joins comes to no lane, and is told.
const ARRIVING: usize = 256;

/// How much memory lanes of peers that are gone may keep until their owner looks before others come to no lane, in bytes. Else peers
/// that come, send and go would cost an owner that does something else memory without end. Looked at when a peer joins: those
/// that are there at one time may leave theirs behind as well.
const LEFT_BEHIND_BYTES: usize = 64 << 20;

/// So many are kept however large they are.
const LEFT_BEHIND: usize = 8;

/// Where finished lanes go: the endpoint's owner takes them from there.
pub(crate) enum Lanes<H: Home> {
    Out(Arc<Arriving<LaneOut<H>>>),
    In(Arc<Arriving<LaneIn<H>>>),
}

impl<H: Home> Lanes<H> {
    /// A lane is being made.
    pub(crate) fn expect(&self) -> Expected {
        match self {
            Self::Out(queue) => queue.expect(),
            Self::In(queue) => queue.expect(),
        }
    }

    /// Throws away lanes that ended before their owner saw them, with nothing in them; and looks whether one more of `lane_bytes`
    /// may wait.
    pub(crate) fn make_room(&self, lane_bytes: usize) -> Room {
        let (gone, left, over) = match self {
            Self::Out(queue) => sorted_out(queue, LaneOut::is_spent, LaneOut::is_spent),
            Self::In(queue) => sorted_out(queue, LaneIn::is_spent, LaneIn::is_over),
        };
        let kept = lane_bytes.saturating_mul(over + 1);
        Room { is_there: left < ARRIVING && (over < LEFT_BEHIND || kept <= LEFT_BEHIND_BYTES), gone }
    }
}

/// What [`Lanes::make_room`] found.
pub(crate) struct Room {
    pub(crate) is_there: bool,
    /// How many lanes nobody will see any more.
    pub(crate) gone: usize,
}

fn sorted_out<L>(
    queue: &Arriving<L>,
    is_spent: impl Fn(&L) -> bool,
    is_over: impl Fn(&L) -> bool,
) -> (usize, usize, usize) {
    let (gone, left, over) = queue.sort_out(is_spent, is_over);
    (gone.len(), left, over)
}

impl<H: Home> Clone for Lanes<H> {
    fn clone(&self) -> Self {
        match self {
            Self::Out(queue) => Self::Out(Arc::clone(queue)),
            Self::In(queue) => Self::In(Arc::clone(queue)),
        }
    }
}

/// Why peers came to no lane: the endpoint's owner is told as if the lane had been and gone.
pub(crate) type Failures = Arc<ArrayQueue<PollError>>;

pub(crate) fn failures() -> Failures {
    Arc::new(ArrayQueue::new(FAILURES))
}

/// What all lanes of a binding have in common.
pub(crate) struct Common<H: Home> {
    /// The endpoint's, the same on both sides: the layout of every lane follows from them.
    pub(crate) terms: Terms,
    /// What this side wants beyond what trust demands.
    pub(crate) wish: Wish,
    pub(crate) lanes: Lanes<H>,
    /// Near the thread that bound, which is the one expected to send or receive. The thread that makes lanes runs anywhere.
    pub(crate) placement: Option<Placement>,
}

impl<H: Home> Clone for Common<H> {
    fn clone(&self) -> Self {
        Self { terms: self.terms, wish: self.wish, lanes: self.lanes.clone(), placement: self.placement }
    }
}

impl<H: Home> Common<H> {
    pub(crate) fn role(&self) -> Role {
        match self.lanes {
            Lanes::Out(_) => Role::Sender,
            Lanes::In(_) => Role::Receiver,
        }
    }

    /// Our half of a lane, and how large it is, to the byte.
    pub(crate) fn own_half(&self) -> (Half, usize) {
        half(self.terms, self.role())
    }

    /// What a lane costs this domain: both halves are mapped.
    pub(crate) fn lane_bytes(&self) -> usize {
        self.own_half().1 + self.peer_bytes()
    }

    /// How large the peer's half is, to the byte: both sides reckon it from the same terms.
    pub(crate) fn peer_bytes(&self) -> usize {
        half(self.terms, self.role().opposite()).1
    }
}

fn half(terms: Terms, role: Role) -> (Half, usize) {
    let layout = LaneLayout::new(terms);
    let (half, bytes) = match role {
        Role::Sender => (Half::Producer, layout.producer_bytes()),
        Role::Receiver => (Half::Consumer, layout.consumer_bytes()),
    };
    (half, bytes.next_multiple_of(PAGE_BYTES))
}

/// One binding of this domain.
pub(crate) struct Binding<G: Gate> {
    pub(crate) common: Common<G::Home>,
    pub(crate) failures: Failures,
    validity: Validity<Reader<G>>,
    pairs: BTreeMap<u64, Pair<G>>,
    /// Upcalls that came before this binding was known, and those after them, as long as some are left.
    pub(crate) backlog: Option<VecDeque<Told<G>>>,
}

/// What one side of a binding asks for, in the word that the kernel carries to its peers: a layer, and the layout of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    layer: Layer,
    /// 56 bits of [`Message::LAYOUT`](feuerbird_serialization::Message::LAYOUT).
    layout: u64,
}

impl Wish {
    /// This layer or a stricter one, for messages of this layout.
    pub(crate) fn new(layer: Layer, layout: u64) -> Self {
        Self { layer, layout: layout >> 8 }
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.layout << 8 | u64::from(self.layer.to_number())
    }

    /// What a peer wishes; `None` for a layer that there is not.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        Some(Self { layer: Layer::from_number(bits as u8)?, layout: bits >> 8 })
    }

    /// The least strict layer that is right for both. Raw is only for two ends with the same layout; where their versions of a
    /// schema differ, Lite reads either.
    fn with(self, other: Self) -> Layer {
        let same = if self.layout == other.layout { Layer::Raw } else { Layer::Lite };
        self.layer.stricter(other.layer).stricter(same)
    }
}

type Reader<G> = <<G as Gate>::Home as Home>::Reader;
type Writer<G> = <<G as Gate>::Home as Home>::Writer;
type Life<G> = <<G as Gate>::Home as Home>::Life;

/// One peer on the other side.
pub(crate) struct Pair<G: Gate> {
    pub(crate) validity: Validity<Reader<G>>,
    /// The capability for our half of the lane; it goes when the pair does.
    pub(crate) region: Option<Slot>,
    /// Our half, until the peer's comes; `None` when the lane is attached, or came to nothing.
    pub(crate) waiting: Option<Waiting<G>>,
}

/// What a lane is made of besides the peer's memory.
pub(crate) struct Waiting<G: Gate> {
    pub(crate) trust: Trust,
    pub(crate) peer_wish: Wish,
    pub(crate) own: Writer<G>,
    pub(crate) life: Option<Life<G>>,
    pub(crate) keeper: Keeper<G>,
    /// Kept until the lane is there, or comes to nothing.
    pub(crate) expected: Expected,
}

/// Pairs that ended, to be dropped outside the lock: that unmaps memory.
pub(crate) struct Remains<G: Gate>(BTreeMap<u64, Pair<G>>);

impl<G: Gate> Remains<G> {
    /// The capabilities that are of no more use.
    pub(crate) fn regions(&self) -> Vec<Slot> {
        self.0.values().filter_map(|pair| pair.region).collect()
    }
}

impl<G: Gate> Binding<G> {
    pub(crate) fn new(common: Common<G::Home>, failures: Failures, validity: Validity<Reader<G>>) -> Self {
        Self { common, failures, validity, pairs: BTreeMap::new(), backlog: None }
    }

    /// Takes in a peer that joined. Leaves `pair` where it is if the binding has ended meanwhile.
    pub(crate) fn join(&mut self, peer: u64, pair: &mut Option<Pair<G>>) {
        if !matches!(self.validity.standing(), Standing::Over(_))
            && let Some(pair) = pair.take()
        {
            self.pairs.insert(peer, pair);
        }
    }

    /// Whether the peer's memory would be of use.
    pub(crate) fn awaits(&self, peer: u64) -> bool {
        self.pairs.get(&peer).is_some_and(|pair| pair.waiting.is_some())
    }

    /// Takes out what a lane is made of; only once.
    pub(crate) fn ready(&mut self, peer: u64) -> Option<(Waiting<G>, Validity<Reader<G>>)> {
        let pair = self.pairs.get_mut(&peer)?;
        Some((pair.waiting.take()?, pair.validity.share()))
    }

    /// Tells the endpoint's owner of a peer that comes to no lane, or of one that came and went before its owner looked.
    pub(crate) fn tell(&self, error: PollError) {
        // Who does not look does not care about each: the first ones are enough.
        let _ = self.failures.push(error);
    }

    /// A peer left. The pair is to be dropped outside the lock.
    pub(crate) fn leave(&mut self, peer: u64, reason: Ended) -> Option<Pair<G>> {
        if peer == UNHEARD_OF {
            self.tell(Standing::Over(reason).into());
        }
        let pair = self.part(peer, reason)?;
        if pair.waiting.is_some() {
            self.tell(Standing::Over(reason).into());
        }
        Some(pair)
    }

    /// A pair ends. It is to be dropped outside the lock.
    pub(crate) fn part(&mut self, peer: u64, reason: Ended) -> Option<Pair<G>> {
        let pair = self.pairs.remove(&peer)?;
        pair.validity.end(reason);
        Some(pair)
    }

    /// The binding itself is gone.
    pub(crate) fn end(&mut self, reason: Ended) -> Remains<G> {
        self.validity.end(reason);
        let pairs = core::mem::take(&mut self.pairs);
        pairs.values().for_each(|pair| pair.validity.end(reason));
        Remains(pairs)
    }
}

/// The peer's memory came: attaches the lane and hands it to the endpoint's owner.
pub(crate) fn attach<G: Gate>(
    gate: &G,
    common: &Common<G::Home>,
    (waiting, validity): (Waiting<G>, Validity<Reader<G>>),
    theirs: Reader<G>,
) -> Result<(), AttachError> {
    let Waiting { trust, peer_wish, own, life, keeper, expected: _kept } = waiting;
    // Both sides reckon the layer from what the kernel told both: trust, and what each asked for beyond it.
    let terms = common.terms.at_least(common.wish.with(peer_wish));
    match &common.lanes {
        Lanes::Out(queue) => {
            let producer = Producer::attach(gate.home(), common.terms, own, theirs, validity, life)?;
            queue.push(LaneOut::new(producer, trust, terms).with_granter(Box::new(keeper)));
        }
        Lanes::In(queue) => {
            let consumer = Consumer::attach(gate.home(), common.terms, own, theirs, validity, life)?;
            queue.push(LaneIn::new(consumer, trust, terms).with_granter(Box::new(keeper)));
        }
    }
    Ok(())
}
