//! A domain without manners: it speaks to its gate by hand, and owns the memory that its peer reads.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use feuerbird::{
    channel::{
        Terms,
        layout::{Half, LaneLayout},
        prepare,
    },
    hosted::os::{
        memory::{ReaderMemory, WriterMemory},
        socket::{Message, Socket},
        spawn::take_gate,
    },
    prelude::Trust,
    serialization::{Identity, Layer, Message as _, sample::SampleMessage},
};
use feuerbird_abi::{Call, Class, Reply, Request, Role, Status, Upcall, UpcallKind};
use zerocopy::{FromBytes, IntoBytes};

/// How long the supervisor may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// The hostile side of a gate.
pub(super) struct Client {
    socket: Socket,
    sequence: u64,
    upcalls: VecDeque<(Upcall, Option<OwnedFd>)>,
}

/// A reply as it came.
pub(super) struct Answer {
    pub(super) status: Status,
    pub(super) values: [u64; 6],
    pub(super) handle: Option<OwnedFd>,
}

/// Half a lane of our own, and the victim's half.
pub(super) struct Lane {
    pub(super) layout: LaneLayout,
    pub(super) own: WriterMemory,
    /// The descriptor of `own`.
    pub(super) own_fd: OwnedFd,
    pub(super) theirs: ReaderMemory,
    pub(super) theirs_fd: OwnedFd,
    pub(super) theirs_bytes: usize,
    pub(super) layer: Layer,
    /// The slot of `own`.
    region: u64,
}

/// A binding that has met its peer.
pub(super) struct Pair {
    pub(super) binding: u64,
    pub(super) peer: u64,
    pub(super) terms: Terms,
    /// What the victim will check messages by.
    pub(super) layer: Layer,
}

impl Client {
    /// Takes the gate and says hello.
    pub(super) fn enter() -> anyhow::Result<Self> {
        let mut client = Self { socket: take_gate()?, sequence: 0, upcalls: VecDeque::new() };
        let hello = client.call(Call::Hello, &[], &[], None)?;
        anyhow::ensure!(hello.status == Status::Ok, "hello: {}", hello.status);
        Ok(client)
    }

    /// The socket, for those who do not even keep to the records.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Makes any call with any arguments.
    pub(super) fn call(
        &mut self,
        call: Call,
        arguments: &[u64],
        payload: &[u8],
        handle: Option<&OwnedFd>,
    ) -> anyhow::Result<Answer> {
        self.sequence += 1;
        let request = Request::new(call, self.sequence, arguments);
        let handles: Vec<_> = handle.into_iter().map(AsFd::as_fd).collect();
        self.socket.send(zerocopy::transmute_ref!(&request), payload, &handles)?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let Some(message) = self.next_message(PATIENCE)? else { break };
            if let Some(answer) = self.sort(message)? {
                return Ok(answer);
            }
        }
        bail!("the supervisor did not answer {call:?} within {PATIENCE:?}")
    }

    /// Waits for one kind of upcall; others that come before it are dropped.
    pub(super) fn wait_for(
        &mut self,
        kind: UpcallKind,
        patience: Duration,
    ) -> anyhow::Result<(Upcall, Option<OwnedFd>)> {
        let end = Instant::now() + patience;
        loop {
            while let Some((upcall, handle)) = self.upcalls.pop_front() {
                if upcall.kind == kind as u32 {
                    return Ok((upcall, handle));
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            let message =
                self.next_message(left)?.with_context(|| format!("no {kind:?} within {patience:?}"))?;
            self.sort(message)?;
        }
    }

    /// The capability for the endpoint, which was granted first.
    pub(super) fn granted(&mut self) -> anyhow::Result<u64> {
        Ok(self.wait_for(UpcallKind::Granted, PATIENCE)?.0.values[0])
    }

    /// Binds the endpoint as a sender and waits for the victim to be there.
    pub(super) fn bind(&mut self, slot: u64) -> anyhow::Result<Pair> {
        let identity: Identity = SampleMessage::IDENTITY;
        let bound = self.call(Call::Bind, &[slot, Role::Sender as u64, 0], identity.as_bytes(), None)?;
        anyhow::ensure!(bound.status == Status::Ok, "bind: {}", bound.status);
        let terms = Terms::from_bits(bound.values[2])?;
        let (joined, _) = self.wait_for(UpcallKind::PeerJoined, PATIENCE)?;
        let trust = Trust::new(joined.values[2] as u8).context("a trust")?;
        Ok(Pair { binding: joined.values[0], peer: joined.values[1], terms, layer: Layer::for_trust(trust) })
    }

    /// Registers memory and shares it with the victim.
    pub(super) fn share(&mut self, pair: &Pair, memory: &OwnedFd, bytes: usize) -> anyhow::Result<Status> {
        let region = self.call(Call::RegisterRegion, &[bytes as u64], &[], Some(memory))?;
        if region.status != Status::Ok {
            return Ok(region.status);
        }
        Ok(self.call(Call::Share, &[pair.binding, pair.peer, region.values[0]], &[], None)?.status)
    }

    /// Builds a lane to the victim that is as it should be, so far.
    pub(super) fn lane(&mut self, pair: &Pair) -> anyhow::Result<Lane> {
        self.spoilt_lane(pair, |_| {})
    }

    /// Builds a lane to the victim over memory that `spoil` has changed before the victim sees it.
    pub(super) fn spoilt_lane(
        &mut self,
        pair: &Pair,
        spoil: impl FnOnce(&WriterMemory),
    ) -> anyhow::Result<Lane> {
        let layout = LaneLayout::new(pair.terms);
        let bytes = layout.producer_bytes().next_multiple_of(4096);
        let (own, own_fd) = WriterMemory::create("hostile", bytes)?;
        prepare(&own, &layout, Half::Producer)?;
        spoil(&own);
        let registered = self.call(Call::RegisterRegion, &[bytes as u64], &[], Some(&own_fd))?;
        anyhow::ensure!(registered.status == Status::Ok, "register: {}", registered.status);
        let region = registered.values[0];
        let shared = self.call(Call::Share, &[pair.binding, pair.peer, region], &[], None)?.status;
        anyhow::ensure!(shared == Status::Ok, "share: {shared}");
        let (upcall, theirs_fd) = self.wait_for(UpcallKind::Shared, PATIENCE)?;
        let theirs_fd = theirs_fd.context("the victim's memory comes with a descriptor")?;
        let theirs_bytes = upcall.values[2] as usize;
        let theirs = ReaderMemory::map(theirs_fd.as_fd(), theirs_bytes)?;
        Ok(Lane { layout, own, own_fd, theirs, theirs_fd, theirs_bytes, layer: pair.layer, region })
    }

    /// Gives up a binding and the lane that was built on it, and whatever was said about them.
    pub(super) fn leave(&mut self, pair: &Pair, lane: &Lane) -> anyhow::Result<()> {
        self.call(Call::Unbind, &[pair.binding], &[], None)?;
        self.call(Call::Delete, &[lane.region], &[], None)?;
        self.upcalls.clear();
        Ok(())
    }

    fn next_message(&self, patience: Duration) -> anyhow::Result<Option<Message>> {
        use feuerbird::hosted::os::socket::ReceiveError;
        match self.socket.receive_timeout(patience) {
            Ok(message) => Ok(Some(message)),
            Err(ReceiveError::Empty) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps an upcall for later, or returns the reply to the last call.
    fn sort(&mut self, mut message: Message) -> anyhow::Result<Option<Answer>> {
        let upcall = Upcall::read_from_bytes(message.record()).ok().context("a record of 64 bytes")?;
        if upcall.class == Class::Upcall as u32 {
            self.upcalls.push_back((upcall, message.fds[0].take()));
            return Ok(None);
        }
        let reply = Reply::read_from_bytes(message.record()).ok().context("a record of 64 bytes")?;
        if reply.sequence != self.sequence {
            return Ok(None);
        }
        let status = Status::from_number(reply.status).context("a status")?;
        Ok(Some(Answer { status, values: reply.values, handle: message.fds[0].take() }))
    }
}
