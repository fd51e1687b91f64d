//! Ours: lanes over one-writer memory, as bytes and through the typed endpoints at each level of trust.
//!
//! Between processes the memory is what the hosted home makes: each side writes two sealed memfds of its own, one for the lane
//! it sends on and one for its half of the lane it receives on, and maps the other side's two read-only. The supervisor is not
//! there: it builds lanes, and the data path never passes it. What a supervised lane adds per message is one load of its
//! validity word.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use feuerbird_capability::Trust;
use feuerbird_channel::layout::{Half, LaneLayout};
use feuerbird_channel::{
    Arriving, ClaimError, Consumer, LaneIn, LaneOut, Producer, Receiver, RecvError, SendError, Sender, Terms,
    Validity, WhenFull, prepare,
};
use feuerbird_hosted::LinuxHome;
use feuerbird_hosted::os::memory::{ReaderMemory, WriterMemory};
use feuerbird_hosted::os::socket::{RECORD_BYTES, Socket};
use feuerbird_serialization::Layer;
use feuerbird_serialization::sample::{Sample, SampleMessage, encoded_size};
use zerocopy::{FromBytes, IntoBytes};

use crate::link::{Incoming, Link, LinkError, Outgoing, PATIENCE, Spinning, fill, sum};
use crate::links::limit::slots;
use crate::raw;

/// Something of ours said no where nothing was wrong with the peer.
fn refused(error: impl fmt::Debug) -> LinkError {
    eprintln!("lane: {error:?}");
    LinkError::Transport(io::ErrorKind::Other)
}

fn terms(message_bytes: usize, depth: u32) -> Result<Terms, LinkError> {
    Terms::new(message_bytes as u32, depth).map_err(refused)
}

/// The sending end of a byte lane.
pub struct BytesOut {
    producer: Producer<LinuxHome>,
    bytes: usize,
}

impl Outgoing for BytesOut {
    #[inline]
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError> {
        let mut claim = match self.producer.claim(self.bytes) {
            Ok(claim) => claim,
            Err(ClaimError::Full) => return Ok(false),
            Err(_) => return Err(LinkError::Disconnected),
        };
        fill(<[u64]>::mut_from_bytes(claim.bytes_mut()).map_err(|_| LinkError::Altered)?, stamp);
        claim.publish(self.bytes).map_err(|_| LinkError::Disconnected)?;
        Ok(true)
    }

    #[inline]
    fn try_send_many(&mut self, first: u64, count: u64) -> Result<u64, LinkError> {
        let mut sent = 0;
        while sent < count {
            let mut claim = match self.producer.claim(self.bytes) {
                Ok(claim) => claim,
                Err(ClaimError::Full) => break,
                Err(_) => return Err(LinkError::Disconnected),
            };
            let words = <[u64]>::mut_from_bytes(claim.bytes_mut()).map_err(|_| LinkError::Altered)?;
            fill(words, first + sent);
            claim.defer(self.bytes).map_err(|_| LinkError::Disconnected)?;
            sent += 1;
        }
        self.producer.announce_deferred();
        Ok(sent)
    }
}

/// The receiving end of a byte lane whose producer is not trusted: copied out, then read.
pub struct BytesCopied {
    consumer: Consumer<LinuxHome>,
    copy: Vec<u64>,
}

impl Incoming for BytesCopied {
    #[inline]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        match self.consumer.take_into(self.copy.as_mut_bytes()) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => Ok(Some(sum(self.copy.get(..bytes / 8).ok_or(LinkError::Altered)?))),
            Err(_) => Err(LinkError::Disconnected),
        }
    }
}

/// The receiving end of a byte lane whose producer is vouched for: read in place.
pub struct BytesInPlace(Consumer<LinuxHome>);

impl Incoming for BytesInPlace {
    #[inline]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        match self.0.borrow() {
            Ok(None) => Ok(None),
            Ok(Some(message)) => <[u64]>::ref_from_bytes(message.bytes())
                .map(|words| Some(sum(words)))
                .map_err(|_| LinkError::Altered),
            Err(_) => Err(LinkError::Disconnected),
        }
    }
}

/// Both lanes of a connection, from one side.
pub struct Lanes {
    producer: Producer<LinuxHome>,
    consumer: Consumer<LinuxHome>,
    bytes: usize,
}

impl Lanes {
    /// As bytes, copied out.
    pub fn copied(self) -> Spinning<BytesOut, BytesCopied> {
        let incoming = BytesCopied { consumer: self.consumer, copy: vec![0; self.bytes / 8] };
        Spinning { outgoing: BytesOut { producer: self.producer, bytes: self.bytes }, incoming }
    }

    /// As bytes, in place.
    pub fn in_place(self) -> Spinning<BytesOut, BytesInPlace> {
        let incoming = BytesInPlace(raw::vouch_for_producer(self.consumer));
        Spinning { outgoing: BytesOut { producer: self.producer, bytes: self.bytes }, incoming }
    }
}

/// One lane inside this process: both ends, over the same kind of memory as between processes.
fn within(bytes: usize) -> Result<(Producer<LinuxHome>, Consumer<LinuxHome>), LinkError> {
    let terms = terms(bytes, slots(bytes))?;
    let layout = LaneLayout::new(terms);
    let half = |half: Half, bytes: usize| -> Result<_, LinkError> {
        let bytes = bytes.next_multiple_of(4096);
        let (memory, fd) = WriterMemory::create("bench", bytes)?;
        prepare(&memory, &layout, half).map_err(refused)?;
        Ok((memory, ReaderMemory::map(fd.as_fd(), bytes).map_err(refused)?))
    };
    let (out, out_view) = half(Half::Producer, layout.producer_bytes())?;
    let (back, back_view) = half(Half::Consumer, layout.consumer_bytes())?;
    let (home, valid) = (LinuxHome::new(), Validity::unconditional);
    let producer = Producer::attach(home, terms, out, back_view, valid(), None).map_err(refused)?;
    let consumer = Consumer::attach(home, terms, back, out_view, valid(), None).map_err(refused)?;
    Ok((producer, consumer))
}

/// Two lanes inside this process: both sides of a connection between threads.
///
/// # Errors
/// [`LinkError::Transport`], with its reason on the standard error stream.
pub fn pair_within(bytes: usize) -> Result<(Lanes, Lanes), LinkError> {
    let ((out, from_first), (back, from_second)) = (within(bytes)?, within(bytes)?);
    Ok((
        Lanes { producer: out, consumer: from_second, bytes },
        Lanes { producer: back, consumer: from_first, bytes },
    ))
}

/// Our two halves, before the other side's are known.
pub struct Halves {
    socket: Socket,
    terms: Terms,
    bytes: usize,
    out: WriterMemory,
    back: WriterMemory,
}

impl Halves {
    /// Makes our memory for messages of `bytes`, at most `message_bytes` encoded, and sends its descriptors.
    ///
    /// # Errors
    /// What the system said.
    pub fn send(socket: OwnedFd, bytes: usize, message_bytes: usize) -> Result<Self, LinkError> {
        let socket = Socket::from_fd(socket)?;
        let terms = terms(message_bytes, slots(bytes))?;
        let layout = LaneLayout::new(terms);
        let (out, out_fd) =
            WriterMemory::create("bench-producer", layout.producer_bytes().next_multiple_of(4096))?;
        let (back, back_fd) =
            WriterMemory::create("bench-consumer", layout.consumer_bytes().next_multiple_of(4096))?;
        prepare(&out, &layout, Half::Producer).map_err(refused)?;
        prepare(&back, &layout, Half::Consumer).map_err(refused)?;
        socket.send(&[0; RECORD_BYTES], &[], &[out_fd.as_fd(), back_fd.as_fd()]).map_err(refused)?;
        Ok(Self { socket, terms, bytes, out, back })
    }

    /// Takes the other side's descriptors and attaches to both lanes.
    ///
    /// # Errors
    /// What the system said, or that the other side's memory is not sealed or not laid out as agreed.
    pub fn attach(self) -> Result<Lanes, LinkError> {
        let [Some(out), Some(back)] = self.socket.receive_timeout(PATIENCE).map_err(refused)?.fds else {
            return Err(LinkError::Disconnected);
        };
        let layout = LaneLayout::new(self.terms);
        let theirs_out = ReaderMemory::map(out.as_fd(), layout.producer_bytes().next_multiple_of(4096))
            .map_err(refused)?;
        let theirs_back = ReaderMemory::map(back.as_fd(), layout.consumer_bytes().next_multiple_of(4096))
            .map_err(refused)?;
        let (home, valid) = (LinuxHome::new(), Validity::unconditional);
        let producer =
            Producer::attach(home, self.terms, self.out, theirs_back, valid(), None).map_err(refused)?;
        let consumer =
            Consumer::attach(home, self.terms, self.back, theirs_out, valid(), None).map_err(refused)?;
        Ok(Lanes { producer, consumer, bytes: self.bytes })
    }
}

/// Encoded bytes of a message with `bytes` of payload from a sender of this trust.
pub fn encoded(bytes: usize, trust: Trust) -> usize {
    encoded_size(bytes, Layer::for_trust(trust))
}

/// The typed sending endpoint.
pub struct TypedOut {
    sender: Sender<SampleMessage, LinuxHome>,
    payload: Vec<u64>,
}

/// The typed receiving endpoint.
pub struct TypedIn(Receiver<SampleMessage, LinuxHome>);

impl Lanes {
    /// Through the typed endpoints, each side trusting the other this far.
    pub fn typed(self, terms: Terms, trust: Trust) -> Spinning<TypedOut, TypedIn> {
        let (home, valid) = (LinuxHome::new(), Validity::unconditional);
        let (outgoing, arriving) = (Arc::new(Arriving::new()), Arc::new(Arriving::new()));
        outgoing.push(LaneOut::new(self.producer, trust, terms));
        arriving.push(LaneIn::new(raw::vouch_for_producer(self.consumer), trust, terms));
        let sender = Sender::new(home, valid(), outgoing);
        let receiver = Receiver::new(home, valid(), arriving);
        Spinning {
            outgoing: TypedOut { sender, payload: vec![0; self.bytes / 8] },
            incoming: TypedIn(receiver),
        }
    }

    /// The terms of both lanes for messages of `bytes` from a sender of this trust.
    ///
    /// # Errors
    /// [`LinkError::Transport`] where they do not fit a lane.
    pub fn terms(bytes: usize, trust: Trust) -> Result<Terms, LinkError> {
        terms(encoded(bytes, trust), slots(bytes))
    }
}

impl TypedOut {
    /// Writes the payload and calls `send` with the message.
    #[inline]
    fn with_message<R>(
        &mut self,
        stamp: u64,
        send: impl FnOnce(&mut Sender<SampleMessage, LinuxHome>, &Sample<'_>) -> R,
    ) -> R {
        fill(&mut self.payload, stamp);
        let message = Sample {
            sequence: stamp,
            producer: 1,
            sent_at: stamp,
            digest: stamp,
            payload: self.payload.as_bytes(),
        };
        send(&mut self.sender, &message)
    }
}

impl Outgoing for TypedOut {
    #[inline]
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError> {
        match self.with_message(stamp, |sender, message| sender.try_send(message)) {
            Ok(()) => Ok(true),
            Err(SendError::Full) => Ok(false),
            Err(error) => Err(lost_sending(error)),
        }
    }
}

impl Incoming for TypedIn {
    #[inline]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        match self.0.try_recv(|view| read(view.into())) {
            Ok(sum) => sum.map(Some),
            Err(RecvError::Empty) => Ok(None),
            Err(error) => Err(lost_receiving(error)),
        }
    }
}

/// Reads everything: the payload's sum, if the fields agree with it.
#[inline]
fn read(message: Sample<'_>) -> Result<u64, LinkError> {
    let whole =
        message.sent_at == message.sequence && message.digest == message.sequence && message.producer == 1;
    let words = match <[u64]>::ref_from_bytes(message.payload) {
        Ok(words) => sum(words),
        // A payload that does not begin at a multiple of 8, as a format may lay it out.
        Err(_) => message
            .payload
            .as_chunks()
            .0
            .iter()
            .fold(0, |sum: u64, word| sum.wrapping_add(u64::from_ne_bytes(*word))),
    };
    if whole { Ok(words) } else { Err(LinkError::Altered) }
}

/// The typed endpoints, sleeping at once where there is nothing to do.
pub struct Sleeping(Spinning<TypedOut, TypedIn>);

impl Sleeping {
    /// A link that does not spin.
    pub fn new(mut link: Spinning<TypedOut, TypedIn>) -> Self {
        link.outgoing.sender.set_spins(0);
        link.outgoing.sender.set_when_full(WhenFull::Block { timeout_ns: patience_ns() });
        link.incoming.0.set_spins(0);
        Self(link)
    }
}

impl Link for Sleeping {
    fn send(&mut self, stamp: u64) -> Result<(), LinkError> {
        self.0.outgoing.with_message(stamp, |sender, message| sender.send(message)).map_err(lost_sending)
    }

    fn receive(&mut self) -> Result<u64, LinkError> {
        self.0.incoming.0.recv_timeout(patience_ns(), |view| read(view.into())).map_err(lost_receiving)?
    }
}

fn patience_ns() -> u64 {
    PATIENCE.as_secs() * 1_000_000_000
}

fn lost_sending(error: SendError) -> LinkError {
    match error {
        SendError::Full | SendError::DeadlinePassed => LinkError::Stalled,
        SendError::Disconnected | SendError::Revoked => LinkError::Disconnected,
        error => refused(error),
    }
}

fn lost_receiving(error: RecvError) -> LinkError {
    match error {
        RecvError::Empty | RecvError::DeadlinePassed => LinkError::Stalled,
        RecvError::Disconnected | RecvError::Revoked => LinkError::Disconnected,
        RecvError::PeerMisbehaved(_) | RecvError::Malformed(_) => {
            eprintln!("lane: {error:?}");
            LinkError::Altered
        }
    }
}
