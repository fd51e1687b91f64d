//! The lanes of a sending endpoint: which is next, what those that ended left behind.

use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec::Vec};

use crossbeam_queue::ArrayQueue;
use feuerbird_capability::Trust;
use feuerbird_serialization::{Encode, EncodeError, Format, Layer, Message, Stable};
use zerocopy::IntoBytes;

use crate::{
    Arriving, ClaimError, Ended, GrantError, Granter, Home, MAX_GIFTS, PollError, Producer, SendError,
    SenderStatistics, Standing, Terms, Validity, Watched,
    along::{Gift, TAIL_BYTES, Tail},
    buffer::Buffer,
    wait::MAX_WATCHED,
};

/// A lane to one receiver, with the layer that its binding calls for.
#[derive(Debug)]
pub struct LaneOut<H: Home> {
    producer: Producer<H>,
    layer: Layer,
    format: Format,
    granter: Option<Box<dyn Granter>>,
    /// Of the last message beside which capabilities went, or were to.
    token: u64,
    /// By message: what was granted beside those that may not have been taken, oldest first.
    granted: VecDeque<(u64, Box<[Gift]>)>,
}

impl<H: Home> LaneOut<H> {
    /// A lane whose receiver's binding trusts this domain so far. Trust decides the layer; `terms` may ask for a stricter one.
    pub fn new(producer: Producer<H>, trust: Trust, terms: Terms) -> Self {
        let layer = Layer::for_trust(trust).stricter(terms.layer());
        let format = layer.format().with_checksum(terms.checksum());
        Self { producer, layer, format, granter: None, token: 0, granted: VecDeque::new() }
    }

    /// Lets capabilities go beside its messages, where none of these is dropped.
    #[must_use]
    pub fn with_granter(self, granter: Box<dyn Granter>) -> Self {
        // Where the oldest message may be dropped, nobody knows who got what.
        let granter = Some(granter).filter(|_| !self.producer.copies_in());
        Self { granter, ..self }
    }

    /// Whether the receiver may have so many capabilities more on their way to it.
    fn has_room_for(&mut self, gifts: usize) -> Result<bool, PollError> {
        self.producer.untaken()?;
        let oldest = self.producer.oldest();
        while self.granted.front().is_some_and(|(index, _)| *index < oldest) {
            self.granted.pop_front();
        }
        let under_way: usize = self.granted.iter().map(|(_, gifts)| gifts.len()).sum();
        Ok(under_way + gifts <= MAX_GIFTS)
    }

    /// The layer its messages travel in.
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// Whether it is over: nobody has sent anything on it before its endpoint took it in.
    pub fn is_spent(&self) -> bool {
        matches!(self.producer.validity().standing(), Standing::Over(_))
    }
}

#[derive(Debug)]
pub(crate) struct LanesOut<H: Home> {
    binding: Validity<H::Reader>,
    arriving: Arc<Arriving<LaneOut<H>>>,
    failures: Option<Arc<ArrayQueue<PollError>>>,
    lanes: Vec<LaneOut<H>>,
    next: usize,
    /// Messages that ended lanes left behind, oldest first.
    backlog: VecDeque<Left>,
    /// Why the last lane went, once there was one.
    last: Option<PollError>,
    /// Why a message that an ended lane left behind fits no other, once there was one.
    given_up: Option<SendError>,
    buffers_lost: u64,
}

impl<H: Home> LanesOut<H> {
    pub(crate) fn new(binding: Validity<H::Reader>, arriving: Arc<Arriving<LaneOut<H>>>) -> Self {
        Self {
            binding,
            arriving,
            failures: None,
            lanes: Vec::new(),
            next: 0,
            backlog: VecDeque::new(),
            last: None,
            given_up: None,
            buffers_lost: 0,
        }
    }

    pub(crate) fn set_failures(&mut self, failures: Arc<ArrayQueue<PollError>>) {
        self.failures = Some(failures);
    }

    /// Those that have joined.
    pub(crate) fn lanes(&self) -> &[LaneOut<H>] {
        &self.lanes
    }

    /// Messages that nobody has taken yet, in all lanes together.
    pub(crate) fn untaken(&mut self) -> u64 {
        self.lanes.iter_mut().map(|lane| lane.producer.untaken().unwrap_or(0)).sum()
    }

    /// Buffers that ended lanes did not give back.
    pub(crate) fn buffers_lost(&self) -> u64 {
        self.buffers_lost
    }

    /// Buffers that the lanes have lent and that did not come back so far.
    pub(crate) fn buffers_out(&mut self, statistics: &mut SenderStatistics) -> u64 {
        let mut out = 0;
        self.keep_if(statistics, |producer| {
            out += u64::from(producer.take_returns()?);
            Ok(())
        });
        out
    }

    /// Adds what the lanes have counted.
    pub(crate) fn account(&self, statistics: &mut SenderStatistics) {
        self.lanes.iter().for_each(|lane| statistics.account(&lane.producer));
    }

    #[inline]
    pub(crate) fn try_send<T: Message>(
        &mut self,
        message: &impl Encode<T>,
        statistics: &mut SenderStatistics,
    ) -> Result<(), SendError> {
        self.try_each::<T>(statistics, |lane| publish_now::<T, H>(lane, message))
    }

    /// Sends a message beside which capabilities go.
    pub(crate) fn try_send_with<T: Message>(
        &mut self,
        message: &impl Encode<T>,
        gifts: &[Gift],
        statistics: &mut SenderStatistics,
    ) -> Result<(), SendError> {
        self.try_each::<T>(statistics, |lane| publish_with::<T, H>(lane, message, gifts))
    }

    /// Has the lanes publish a message, the one whose turn it is first, until one does.
    #[inline(always)] // part of `try_send`
    fn try_each<T: Message>(
        &mut self,
        statistics: &mut SenderStatistics,
        mut publish: impl FnMut(&mut LaneOut<H>) -> Result<usize, Refusal>,
    ) -> Result<(), SendError> {
        if !self.arriving.is_empty() {
            self.accept();
        }
        if !self.backlog.is_empty() {
            self.flush::<T>(statistics)?;
        }
        let mut tried = 0;
        while tried < self.lanes.len() {
            let index = if self.next < self.lanes.len() { self.next } else { 0 };
            self.next = index + 1;
            match publish(&mut self.lanes[index]) {
                Ok(bytes) => {
                    statistics.messages += 1;
                    statistics.bytes += bytes as u64;
                    return Ok(());
                }
                Err(Refusal::Full) => tried += 1,
                Err(Refusal::Ended(error)) => {
                    self.remove(index, error, statistics);
                    // Another lane stands here now, which may have been passed already, or not.
                    (self.next, tried) = (index, 0);
                    if !self.backlog.is_empty() {
                        self.flush::<T>(statistics)?;
                    }
                }
                Err(Refusal::Caller(error)) => return Err(error),
            }
        }
        Err(self.no_room(statistics))
    }

    /// Nobody took it: is somebody left who could?
    #[cold]
    fn no_room(&mut self, statistics: &mut SenderStatistics) -> SendError {
        match self.binding.standing() {
            Standing::Over(Ended::Revoked) => return SendError::Revoked,
            Standing::Over(_) => return SendError::Disconnected,
            Standing::Valid | Standing::Ending => {}
        }
        if let Some(error) = self.failures.as_ref().and_then(|failures| failures.pop()) {
            statistics.misbehaved += u64::from(matches!(error, PollError::PeerMisbehaved(_)));
            self.last = Some(error);
        }
        match self.last {
            Some(error) if self.lanes.is_empty() && self.arriving.is_over() => error.into(),
            _ => SendError::Full,
        }
    }

    /// All that are there, even while somebody else has them in hand.
    pub(crate) fn accept_all(&mut self) {
        while !self.arriving.is_empty() {
            self.accept();
            core::hint::spin_loop();
        }
    }

    #[cold]
    pub(crate) fn accept(&mut self) {
        while let Some(lane) = self.arriving.pop() {
            self.lanes.push(lane);
        }
    }

    /// Sends messages to the lane whose turn it is until it is full or there are no more; one for which it had no room is left. What
    /// goes wrong shows when that one is sent alone.
    pub(crate) fn send_some<T: Message, M: Encode<T>>(
        &mut self,
        left: &mut Option<M>,
        messages: &mut impl Iterator<Item = M>,
        statistics: &mut SenderStatistics,
    ) -> u64 {
        if !self.arriving.is_empty() || !self.backlog.is_empty() || self.lanes.is_empty() {
            return 0;
        }
        let index = if self.next < self.lanes.len() { self.next } else { 0 };
        self.next = index + 1;
        let announcing = Announcing(&mut self.lanes[index]);
        let mut sent = 0;
        for message in messages {
            let Ok(bytes) = publish::<T, H>(announcing.0, &message, Announce::Later) else {
                *left = Some(message);
                break;
            };
            sent += 1;
            statistics.messages += 1;
            statistics.bytes += bytes as u64;
        }
        sent
    }

    /// Ends a lane: what its receiver left goes to the backlog, its buffers come back.
    #[cold]
    fn remove(&mut self, index: usize, error: PollError, statistics: &mut SenderStatistics) {
        let mut lane = self.lanes.swap_remove(index);
        // Whyever the receiver went: what it had not taken goes to another one.
        let (format, mut granted) = (lane.format, lane.granted.into_iter().peekable());
        lane.producer.recover_each(|index, bytes| {
            while granted.next_if(|(of, _)| *of < index).is_some() {}
            let gifts = granted.next_if(|(of, _)| *of == index).map(|(_, gifts)| gifts).unwrap_or_default();
            let tail = if gifts.is_empty() { 0 } else { TAIL_BYTES };
            self.backlog.push_back(Left { format, bytes: bytes[..bytes.len() - tail].to_vec(), gifts });
        });
        self.buffers_lost += u64::from(lane.producer.reclaim());
        statistics.account(&lane.producer);
        statistics.misbehaved += u64::from(matches!(error, PollError::PeerMisbehaved(_)));
        self.last = Some(error);
    }

    /// Publishes the backlog to whoever has room.
    #[cold]
    fn flush<T: Message>(&mut self, statistics: &mut SenderStatistics) -> Result<(), SendError> {
        while let Some(left) = self.backlog.pop_front() {
            if !self.place::<T>(&left, statistics) {
                self.backlog.push_front(left);
                return Err(self.no_room(statistics));
            }
        }
        Ok(())
    }

    /// Publishes one message again: whether it is off our hands. One that none of the lanes can ever carry is, too.
    fn place<T: Message>(&mut self, left: &Left, statistics: &mut SenderStatistics) -> bool {
        let mut index = 0;
        let mut refused = None;
        let mut is_full = false;
        while index < self.lanes.len() {
            match republish::<T, H>(&mut self.lanes[index], left) {
                Ok(_) => {
                    statistics.redelivered += 1;
                    return true;
                }
                Err(Refusal::Full) => {
                    is_full = true;
                    index += 1;
                }
                Err(Refusal::Ended(error)) => self.remove(index, error, statistics),
                Err(Refusal::Caller(error)) => {
                    refused = Some(error);
                    index += 1;
                }
            }
        }
        // What this side may not grant any more, no other lane makes up for.
        let is_final =
            matches!(refused, Some(SendError::Ungranted(GrantError::NoCapability | GrantError::Denied)));
        if !is_final && (refused.is_none() || is_full || !self.arriving.is_over()) {
            return false;
        }
        statistics.undelivered += 1;
        self.given_up = refused;
        true
    }

    pub(crate) fn is_drained<T: Message>(
        &mut self,
        statistics: &mut SenderStatistics,
    ) -> Result<bool, SendError> {
        self.accept();
        match self.flush::<T>(statistics) {
            Ok(()) => {}
            Err(SendError::Full) => return Ok(false),
            Err(error) => {
                statistics.undelivered += core::mem::take(&mut self.backlog).len() as u64;
                return Err(error);
            }
        }
        let mut index = 0;
        while index < self.lanes.len() {
            match self.lanes[index].producer.untaken() {
                Ok(0) => index += 1,
                Ok(_) | Err(PollError::Ending) => return Ok(false),
                Err(error) => self.remove(index, error, statistics),
            }
        }
        if !self.backlog.is_empty() {
            return Ok(false);
        }
        self.given_up.take().map_or(Ok(true), Err)
    }

    /// Looks whether peers still live, and ends the lanes of those that do not.
    pub(crate) fn check_alive(&mut self, statistics: &mut SenderStatistics) {
        self.keep_if(statistics, Producer::check_alive);
    }

    /// Ends the lanes that the kernel or their receiver has ended, without a system call.
    pub(crate) fn drop_ended(&mut self, statistics: &mut SenderStatistics) {
        self.keep_if(statistics, |producer| producer.check_open());
    }

    fn keep_if(
        &mut self,
        statistics: &mut SenderStatistics,
        mut check: impl FnMut(&mut Producer<H>) -> Result<(), PollError>,
    ) {
        let mut index = 0;
        while index < self.lanes.len() {
            match check(&mut self.lanes[index].producer) {
                Ok(()) | Err(PollError::Ending) => index += 1,
                Err(error) => self.remove(index, error, statistics),
            }
        }
    }

    /// Sleeps until a lane has ended, one has come, or one is ready, or a while.
    pub(crate) fn sleep(&mut self, home: &H, timeout_ns: u64, is_ready: impl Fn(&mut Producer<H>) -> bool) {
        self.lanes.iter_mut().for_each(|lane| lane.producer.begin_sleep());
        home.heavy_barrier();
        // A lane that is ending takes nothing, and why is told soon: no reason to stay awake.
        // One that has ended is something to look at, full or not.
        let ready = |lane: &mut LaneOut<H>| match lane.producer.check_open() {
            Ok(()) => is_ready(&mut lane.producer),
            Err(error) => error != PollError::Ending,
        };
        if !self.lanes.iter_mut().any(ready) && self.arriving.is_empty() {
            let mut words = [Watched { address: core::ptr::null(), seen: 0 }; MAX_WATCHED];
            // One that is ending may look as if it had news already.
            let lanes = self.lanes.iter().filter(|lane| !lane.producer.validity().is_ending());
            let watched =
                words.iter_mut().zip(lanes).map(|(word, lane)| *word = lane.producer.watched()).count();
            home.wait(&words[..watched], timeout_ns);
        }
        self.lanes.iter_mut().for_each(|lane| lane.producer.end_sleep());
    }
}

/// A message that an ended lane left behind.
#[derive(Debug)]
struct Left {
    format: Format,
    bytes: Vec<u8>,
    /// What went beside it. It was granted to who is gone, and is granted again.
    gifts: Box<[Gift]>,
}

/// Announces what a batch has put off, also where the caller's iterator panics.
struct Announcing<'l, H: Home>(&'l mut LaneOut<H>);

impl<H: Home> Drop for Announcing<'_, H> {
    fn drop(&mut self) {
        self.0.producer.announce_deferred();
    }
}

/// When a message is announced to its receiver.
#[derive(Clone, Copy)]
enum Announce {
    Now,
    /// With others, by [`Producer::announce_deferred`].
    Later,
}

enum Refusal {
    Full,
    Ended(PollError),
    Caller(SendError),
}

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        match error {
            // Not usable, and why is not known yet: passed over, like a full one.
            ClaimError::Full | ClaimError::Ended(PollError::Ending) => Self::Full,
            ClaimError::Ended(error) => Self::Ended(error),
            ClaimError::TooLarge => Self::Caller(SendError::TooLarge),
        }
    }
}

/// Encodes a message in place and announces it: with nothing in between where it is raw and has room in its slot.
#[inline(always)] // part of `try_send`
fn publish_now<T: Message, H: Home>(
    lane: &mut LaneOut<H>,
    message: &impl Encode<T>,
) -> Result<usize, Refusal> {
    const RAW: Format = Layer::Raw.format();
    if lane.layer == Layer::Raw {
        let bound = message.encoded_bound(RAW);
        if let Some(encoded) = lane.producer.fill_slot(bound, |slot| message.encode(RAW, slot)) {
            let bytes = encoded.map_err(unencodable)?;
            assert!(bytes <= bound, "more bytes than were asked for");
            lane.producer.announce_slot(bytes).map_err(ClaimError::Ended)?;
            return Ok(bytes);
        }
    }
    publish::<T, H>(lane, message, Announce::Now)
}

/// Encodes a message in place, in the lane's own layer.
#[inline]
fn publish<T: Message, H: Home>(
    lane: &mut LaneOut<H>,
    message: &impl Encode<T>,
    announce: Announce,
) -> Result<usize, Refusal> {
    let mut claim = lane.producer.claim(message.encoded_bound(lane.format))?;
    let encoded = lane.format.known(|format| claim.fill(|into| message.encode(format, into)));
    let bytes = encoded.map_err(unencodable)?;
    match announce {
        Announce::Now => claim.publish(bytes),
        Announce::Later => claim.defer(bytes),
    }
    .map_err(ClaimError::Ended)?;
    Ok(bytes)
}

fn unencodable(error: EncodeError) -> Refusal {
    Refusal::Caller(SendError::Unencodable(error))
}

/// Encodes a message beside which capabilities go, and has these granted before it is seen.
fn publish_with<T: Message, H: Home>(
    lane: &mut LaneOut<H>,
    message: &impl Encode<T>,
    gifts: &[Gift],
) -> Result<usize, Refusal> {
    let format = lane.format.with_capabilities(gifts.len() as u32);
    fill_with(lane, message.encoded_bound(format), gifts, |into| message.encode(format, into))
}

/// Writes a message of at most `bound` bytes with its tail, has what goes beside it granted, and publishes it.
fn fill_with<H: Home>(
    lane: &mut LaneOut<H>,
    bound: usize,
    gifts: &[Gift],
    encode: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<usize, Refusal> {
    if !lane.has_room_for(gifts.len()).map_err(ClaimError::Ended)? {
        return Err(Refusal::Full);
    }
    let index = lane.producer.next();
    let LaneOut { producer, granter: Some(granter), token, .. } = &mut *lane else {
        return Err(Refusal::Caller(SendError::Ungranted(GrantError::Elsewhere)));
    };
    let claim = producer.claim(bound.saturating_add(TAIL_BYTES))?;
    let mut buffer = Buffer::with_capacity(bound + TAIL_BYTES);
    let into = buffer.bytes_mut();
    let bytes = encode(&mut into[..bound]).map_err(unencodable)?;
    *token += 1;
    into[bytes..bytes + TAIL_BYTES].copy_from_slice(Tail::new(*token, gifts).as_bytes());
    granter.grant(*token, gifts).map_err(|error| match error {
        GrantError::NoRoom | GrantError::Over => Refusal::Full,
        error => Refusal::Caller(SendError::Ungranted(error)),
    })?;
    claim.publish_with_gifts(&buffer.bytes()[..bytes + TAIL_BYTES]);
    lane.granted.push_back((index, Box::from(gifts)));
    Ok(bytes)
}

/// Publishes a message again, translated where the lane speaks another layer.
fn republish<T: Message, H: Home>(lane: &mut LaneOut<H>, left: &Left) -> Result<usize, Refusal> {
    let Left { format, bytes, gifts } = left;
    if lane.format == *format {
        if !gifts.is_empty() {
            return fill_with(lane, bytes.len(), gifts, |into| {
                into.copy_from_slice(bytes);
                Ok(bytes.len())
            });
        }
        lane.producer.claim(bytes.len())?.publish_copy(bytes).map_err(ClaimError::Ended)?;
        return Ok(bytes.len());
    }
    let mut aligned = Buffer::with_capacity(bytes.len());
    aligned.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
    let stable = Stable::new(&aligned.bytes()[..bytes.len()]);
    let stable = stable.map(|bytes| bytes.with_capabilities(gifts.len() as u32));
    match stable.and_then(|bytes| T::decode(bytes, *format)) {
        Ok(message) if gifts.is_empty() => publish::<T, H>(lane, &message, Announce::Now),
        Ok(message) => publish_with::<T, H>(lane, &message, gifts),
        // It is what this side wrote, so nobody lied: its type has no way to another layer.
        Err(_) => Err(unencodable(EncodeError::Refused)),
    }
}
