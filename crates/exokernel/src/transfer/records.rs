//! The records of transfers as a machine's own short way sees them.
//!
//! A transfer that needs nothing but two records is over in fewer instructions than a call of a function costs, so a machine may
//! carry it out by itself, in assembly, before it has kept a register. This module says where everything lies ([`Records`] and the
//! constants) and what may be done; everything else is a call of [`Kernel`]'s.
//!
//! The domain that runs has a *party*. In its [`PARTY_KNOWN`] the entry `slot %` [`KNOWN_ENTRIES`] is a capability that was looked
//! up: good if its [`KNOWN_SLOT`] is the slot, its [`KNOWN_SEEN`] is what [`Records::ended`] is now, and its [`KNOWN_USES`] has the
//! use. Then the lower half of [`KNOWN_OBJECT`] is the index of a *point* or a *bell*, which exists.
//!
//! * **Call** ([`USE_SEND`]): the point's [`POINT_RECEIVER`] is a party whose [`PARTY_SEEN`] is what `ended` is. Then the caller
//!   stands at [`AWAITING`], its [`PARTY_SERVER`] is the receiver's [`PARTY_ID`], its [`PARTY_SLOT`] and [`PARTY_SEEN`] those of the
//!   known capability, and its [`PARTY_TOKEN`] grows by [`TOKEN_STEP`]; the receiver stands at [`APART`], and nobody waits at
//!   the point. The receiver gets [`KNOWN_BADGE`] and the token.
//! * **Send**: the same, but the sender stays [`APART`] and the token is 0.
//! * **Reply and receive** ([`USE_RECEIVE`]): nobody waits or queues at the point ([`POINT_RECEIVER`] and [`POINT_FIRST`], which lie
//!   side by side, are both [`NO_INDEX`]). The token's remainder by [`TOKEN_STEP`] is the index of a party (below
//!   [`Records::parties_len`]) that is [`AWAITING`], has this token, this domain as [`PARTY_SERVER`] and as [`PARTY_SEEN`] what
//!   `ended` is. Then that party stands [`APART`]; the server stands at [`RECEIVING`] with its slot, `ended` and all of
//!   [`KNOWN_OBJECT`] as [`PARTY_OBJECT`]; the point has its index and, as [`POINT_SERVER`], its number.
//! * **Notify** ([`USE_NOTIFY`]): the bits, masked by the badge unless that is 0, are added to [`BELL_BITS`] where [`BELL_WATCHER`] and
//!   [`BELL_LISTENER`] are 0. Where there is a watcher, that one's party has a [`PARTY_SEEN`] of `ended`, stands [`APART`] from then on, gets the bits, and the bell has no
//!   watcher.
//!
//! Where a condition does not hold nothing may be changed, and the whole call is made the long way.
//!
//! # Locking
//! As with any call: nothing else of the kernel is being used meanwhile.

use core::mem::offset_of;

use super::{Bell, INDEX_BITS, KNOWN, Known, NOBODY, Party, Point, Standing, Uses};
use crate::{Kernel, Machine};

/// Where the records lie, for as long as the [`Kernel`] is not moved or dropped.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    /// The parties, by the index of the domain; each has [`PARTY_BYTES`].
    pub parties: *mut u8,
    /// How many there are.
    pub parties_len: usize,
    /// The points, by the index of the endpoint; each has [`POINT_BYTES`].
    pub points: *mut u8,
    /// The bells, by the index of the notification; each has [`BELL_BYTES`].
    pub bells: *mut u8,
    /// See [`Capabilities::ended`](feuerbird_capability::Capabilities::ended). Only to be read.
    pub ended: *const u64,
}

impl<M: Machine> Kernel<M> {
    /// Where the records of transfers lie.
    pub fn transfer_records(&mut self) -> Records {
        Records {
            parties_len: self.transfers.parties.len(),
            parties: self.transfers.parties.as_mut_ptr().cast(),
            points: self.transfers.points.as_mut_ptr().cast(),
            bells: self.transfers.bells.as_mut_ptr().cast(),
            ended: self.capabilities.ended_place(),
        }
    }
}

macro_rules! place {
    ($($(#[$doc:meta])* $name:ident: $type:ident, $field:ident;)*) => {
        $($(#[$doc])* pub const $name: usize = offset_of!($type, $field);)*
    };
}

place! {
    /// The domain's number, 64 bits.
    PARTY_ID: Party, id;
    /// The number of its last call, 64 bits.
    PARTY_TOKEN: Party, token;
    /// Who may reply, 64 bits.
    PARTY_SERVER: Party, server;
    /// The capability by which it waits, 64 bits.
    PARTY_SLOT: Party, slot;
    /// Of when that is known to have been good, 64 bits.
    PARTY_SEEN: Party, seen;
    /// Where it waits, 64 bits.
    PARTY_OBJECT: Party, object;
    /// What it does, 8 bits.
    PARTY_STANDING: Party, standing;
    /// The capabilities that were looked up.
    PARTY_KNOWN: Party, known;
    /// The slot, 64 bits.
    KNOWN_SLOT: Known, slot;
    /// Of when it is known to have been good, 64 bits.
    KNOWN_SEEN: Known, seen;
    /// The number of what it names, 64 bits.
    KNOWN_OBJECT: Known, object;
    /// Its badge, 64 bits.
    KNOWN_BADGE: Known, badge;
    /// What it allows, 32 bits.
    KNOWN_USES: Known, uses;
    /// The index of who waits, 32 bits.
    POINT_RECEIVER: Point, receiver;
    /// The index of who queues first, 32 bits.
    POINT_FIRST: Point, first;
    /// Who received last, 64 bits.
    POINT_SERVER: Point, server;
    /// The bits that nobody has taken, 64 bits.
    BELL_BITS: Bell, bits;
    /// Who waits for them, 64 bits.
    BELL_WATCHER: Bell, watcher;
    /// Who is told of them, 64 bits.
    BELL_LISTENER: Bell, listener;
}

/// The size of a party.
pub const PARTY_BYTES: usize = size_of::<Party>();
/// The size of a point.
pub const POINT_BYTES: usize = size_of::<Point>();
/// The size of a bell.
pub const BELL_BYTES: usize = size_of::<Bell>();
/// The size of an entry of [`PARTY_KNOWN`].
pub const KNOWN_BYTES: usize = size_of::<Known>();
/// How many there are: a power of two.
pub const KNOWN_ENTRIES: usize = KNOWN;
/// What a token grows by.
pub const TOKEN_STEP: u64 = 1 << INDEX_BITS;
/// The index of nobody.
pub const NO_INDEX: u32 = NOBODY;
/// See the module.
pub const USE_SEND: u32 = Uses::SEND.0;
/// See the module.
pub const USE_RECEIVE: u32 = Uses::RECEIVE.0;
/// See the module.
pub const USE_NOTIFY: u32 = Uses::NOTIFY.0;
/// It does nothing of this.
pub const APART: u8 = Standing::Apart as u8;
/// It waits for a message.
pub const RECEIVING: u8 = Standing::Receiving as u8;
/// It waits for a reply.
pub const AWAITING: u8 = Standing::Awaiting as u8;

const _: () = assert!(KNOWN.is_power_of_two() && POINT_FIRST == POINT_RECEIVER + 4);
