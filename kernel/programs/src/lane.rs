//! Two domains that talk: each binds its side of an endpoint, makes memory that only it writes, and lets the other one read it.
//!
//! The kernel checks once and is then out of the way: a message is a line of the producer's memory, a position in the consumer's,
//! and before each operation a look at the validity word that only the kernel writes.

use feuerbird_abi::{Access, Call, Role, Status, Upcall, UpcallKind};

use crate::gate::{self, HandleNumber, Result};
use crate::memory::{self, Mapping, PAGE};

/// What both sides say of their messages.
pub(crate) const CONTRACT: &[u8] = b"numbered lines of 64 bytes";

/// Messages in flight.
const DEPTH: u64 = 32;

/// Words of a message; the first one is its number, counted from 1.
pub(crate) const MESSAGE_WORDS: usize = 8;

/// How long a side waits for the other one to join.
const PATIENCE_NS: u64 = 60_000_000_000;

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The validity word has changed: the authority is gone.
    Revoked,
}

/// One side of a pair that has met.
#[derive(Debug)]
pub(crate) struct Lane {
    binding: u64,
    /// The capability for this side's memory.
    region: u64,
    /// Of this side's memory, the other side's and the validity words.
    handles: [HandleNumber; 3],
    own: Mapping,
    theirs: Mapping,
    words: Mapping,
    word: usize,
    value: u64,
    /// Messages sent or received.
    count: u64,
    /// What of the other side's position was last seen.
    seen: u64,
}

/// Waits for an upcall of one kind; others are passed over.
///
/// # Errors
/// [`Status::PeerMisbehaved`] where none comes.
pub(crate) fn expect(kind: UpcallKind) -> Result<(Upcall, HandleNumber)> {
    let deadline = gate::now_ns() + PATIENCE_NS;
    loop {
        match gate::wait(deadline)? {
            Some((upcall, handle)) if upcall.kind == kind as u32 => return Ok((upcall, handle)),
            Some(_) => (),
            None => return Err(Status::PeerMisbehaved),
        }
    }
}

/// As [`expect`], for as long as a binding lasts: what is told of a peer goes unheard where the binding ends before.
fn expect_for(binding: u64, kind: UpcallKind) -> Result<(Upcall, HandleNumber)> {
    let deadline = gate::now_ns() + PATIENCE_NS;
    while let Some((upcall, handle)) = gate::wait(deadline)? {
        let is_over =
            upcall.kind == UpcallKind::PeerLeft as u32 || upcall.kind == UpcallKind::Repossessed as u32;
        if upcall.kind == kind as u32 {
            return Ok((upcall, handle));
        }
        if is_over && upcall.values[0] == binding {
            return Err(Status::NoPeer);
        }
    }
    Err(Status::PeerMisbehaved)
}

impl Lane {
    /// Binds with a capability that was granted, and meets the other side.
    ///
    /// # Errors
    /// As the calls; [`Status::PeerMisbehaved`] where nobody comes, or with memory of another size; [`Status::NoPeer`] where it is over
    /// before it began.
    pub(crate) fn bind(slot: u64, role: Role) -> Result<Self> {
        let bound = gate::call_with(Call::Bind, &[slot, role as u64, 0], CONTRACT, 0)?;
        let binding = bound.values[0];
        let (joined, _) = expect_for(binding, UpcallKind::PeerJoined)?;
        let [_, peer, _, _, word, value] = joined.values;
        let own_handle = memory::allocate(1)?;
        let own = Mapping::new(own_handle, 1, Access::Write)?;
        let region = gate::call_with(Call::RegisterRegion, &[PAGE], &[], own_handle)?.values[0];
        gate::call(Call::Share, &[binding, peer, region])?;
        let (shared, handle) = expect_for(binding, UpcallKind::Shared)?;
        if shared.values[2] != PAGE {
            return Err(Status::PeerMisbehaved);
        }
        if Mapping::new(handle, 1, Access::Write).is_ok() {
            panic!("the kernel let this domain write what is another one's");
        }
        let theirs = Mapping::new(handle, 1, Access::Read)?;
        let words_handle = gate::call(Call::Hello, &[])?.handle;
        let words = Mapping::new(words_handle, 1, Access::Read)?;
        let handles = [own_handle, handle, words_handle];
        Ok(Self {
            binding,
            region,
            handles,
            own,
            theirs,
            words,
            word: word as usize,
            value,
            count: 0,
            seen: 0,
        })
    }

    /// Ends this side and gives back all that it took.
    pub(crate) fn part(self) -> Result<()> {
        match gate::call(Call::Unbind, &[self.binding]) {
            Ok(_) | Err(Status::NoBinding) => (),
            Err(status) => return Err(status),
        }
        gate::call(Call::Delete, &[self.region])?;
        self.handles.into_iter().try_for_each(memory::release)
    }

    /// The number of this side's binding.
    pub(crate) fn binding(&self) -> u64 {
        self.binding
    }

    /// Something that the other side has written, valid or not.
    pub(crate) fn peek(&self) -> u64 {
        self.theirs.load(0)
    }

    /// Whether the kernel still says so.
    pub(crate) fn is_valid(&self) -> bool {
        self.words.load(self.word) == self.value
    }

    /// Sends a message, if there is room; its number takes the first word.
    pub(crate) fn try_send(
        &mut self,
        mut message: [u64; MESSAGE_WORDS],
    ) -> core::result::Result<bool, Ended> {
        if self.count - self.seen == DEPTH {
            // What the other side says is bounded by what was sent.
            self.seen = self.theirs.load(0).clamp(self.seen, self.count);
        }
        if !self.is_valid() {
            return Err(Ended::Revoked);
        }
        if self.count - self.seen == DEPTH {
            return Ok(false);
        }
        let place = (self.count % DEPTH) as usize * MESSAGE_WORDS;
        message[0] = self.count + 1;
        // The number last: it announces the others.
        (1..MESSAGE_WORDS).rev().chain([0]).for_each(|word| self.own.store(place + word, message[word]));
        self.count += 1;
        Ok(true)
    }

    /// Takes the next message, copied before it is looked at, if there is one.
    pub(crate) fn try_receive(&mut self) -> core::result::Result<Option<[u64; MESSAGE_WORDS]>, Ended> {
        if !self.is_valid() {
            return Err(Ended::Revoked);
        }
        let place = (self.count % DEPTH) as usize * MESSAGE_WORDS;
        if self.theirs.load(place) != self.count + 1 {
            return Ok(None);
        }
        let message = core::array::from_fn(|word| self.theirs.load(place + word));
        // A copy that a revocation overtook is in part of what was withdrawn, and is not taken.
        if !self.is_valid() {
            return Err(Ended::Revoked);
        }
        self.count += 1;
        self.own.store(0, self.count);
        Ok(Some(message))
    }
}
