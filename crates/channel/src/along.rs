//! Capabilities that go beside messages: who grants them, and the few bytes behind a message that say which they are.
//!
//! A message never is authority. It names capabilities by their place among those that go beside it, and those go by the kernel: the
//! sender has them granted to the receiver of that one lane, then publishes the message, with a token behind it that both sides know them
//! by. Tokens of a lane only grow.

use alloc::vec::Vec;
use core::fmt;

use feuerbird_capability::{Badge, Rights, Slot, Trust};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Lie;

/// The most capabilities that go beside the untaken messages of a lane together, and so beside one.
pub const MAX_GIFTS: usize = 4;

/// A capability to go beside a message, and what of it the receiver gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gift {
    /// Where it is in the sender's space.
    pub slot: Slot,
    /// What the receiver may do.
    pub rights: Rights,
    /// How far the receiver is trusted with it.
    pub trust: Trust,
    /// What the receiver's operations are recognised by.
    pub badge: Badge,
}

/// Why capabilities were not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantError {
    /// One of the slots holds no capability: caller's mistake, or it was revoked.
    NoCapability,
    /// One of them may not be granted on, or not so: caller's mistake.
    Denied,
    /// There are more than [`MAX_GIFTS`]: caller's mistake.
    TooMany,
    /// This channel grants nothing: within one domain everything is its own, and where the oldest message may be dropped nobody knows
    /// who got what.
    Elsewhere,
    /// The receiver has no room for them now.
    NoRoom,
    /// The pair is over.
    Over,
}

/// What the kernel does for one lane.
pub trait Granter: fmt::Debug + Send {
    /// Grants capabilities to the peer, all or none, under a token that is used once.
    ///
    /// # Errors
    /// [`GrantError`].
    fn grant(&mut self, token: u64, gifts: &[Gift]) -> Result<(), GrantError>;

    /// Takes what the peer granted under this token, `count` of them, or deletes it where it is not wanted. [`Slot::NULL`] stands for one
    /// that is gone, or never was: a peer can take back at any time what it grants, so that there is nothing to tell the two apart for.
    /// What comes later under this token or a smaller one is deleted.
    fn take(&mut self, token: u64, count: usize, is_wanted: bool) -> Vec<Slot>;

    /// Deletes what was taken and nobody wants.
    fn delete(&mut self, slots: &[Slot]);
}

/// The last bytes of a message beside which capabilities go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Tail {
    token: u64,
    count: u64,
}

/// How long they are.
pub(crate) const TAIL_BYTES: usize = size_of::<Tail>();

/// Parts a message from its tail.
pub(crate) fn split(bytes: &[u8]) -> Result<(&[u8], Tail), Lie> {
    let (bytes, tail) = Tail::read_from_suffix(bytes).map_err(|_| Lie::Gifts)?;
    let is_possible = (1..=MAX_GIFTS as u64).contains(&tail.count);
    if is_possible { Ok((bytes, tail)) } else { Err(Lie::Gifts) }
}

impl Tail {
    pub(crate) fn new(token: u64, gifts: &[Gift]) -> Self {
        Self { token, count: gifts.len() as u64 }
    }

    /// How many capabilities go beside the message, at least 1.
    pub(crate) fn count(self) -> usize {
        self.count as usize
    }

    pub(crate) fn token(self) -> u64 {
        self.token
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCapability => "one of the slots holds no usable capability",
            Self::Denied => "one of the capabilities may not be granted on with that authority",
            Self::TooMany => "more capabilities than go beside one message",
            Self::Elsewhere => "no capabilities go beside the messages of this channel",
            Self::NoRoom => "the receiver has no room for capabilities",
            Self::Over => "the pair is over",
        })
    }
}

impl core::error::Error for GrantError {}
