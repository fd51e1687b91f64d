//! The three records, as they lie in a message or in registers.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Call, Status, UpcallKind};

/// Size of every record, in bytes: one cache line.
pub const RECORD_BYTES: usize = 64;

/// The largest payload that may follow a record, in bytes.
pub const PAYLOAD_BYTES: usize = 960;

/// The largest contract that an endpoint can have, in bytes.
pub const CONTRACT_BYTES: usize = 256;

/// The most capabilities that came along a pair and lie where they came: one message's, or several messages' together.
pub const GRANTS_ALONG: usize = 4;

/// One capability that goes beside a message, in the payload of [`Call::GrantAlong`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Along {
    /// Where it is in the caller's space.
    pub slot: u64,
    /// The badge of what the peer gets.
    pub badge: u64,
    /// Its rights: never more than the caller's has.
    pub rights: u32,
    /// Its trust: never higher than the caller's.
    pub trust: u32,
}

/// What a record is, in its first word, so that one stream can carry all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Class {
    /// A domain asks its kernel.
    Request = 1,
    /// The kernel answers one request.
    Reply = 2,
    /// The kernel speaks first.
    Upcall = 3,
}

/// A system call as a domain makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Request {
    /// [`Class::Request`].
    pub class: u32,
    /// A [`Call`].
    pub number: u32,
    /// Chosen by the caller, returned in the reply.
    pub sequence: u64,
    /// As the [`Call`] says.
    pub arguments: [u64; 6],
}

/// The answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Reply {
    /// [`Class::Reply`].
    pub class: u32,
    /// A [`Status`].
    pub status: u32,
    /// The request's.
    pub sequence: u64,
    /// As the [`Call`] says; zero where it says nothing, and after an error.
    pub values: [u64; 6],
}

/// Something the kernel says unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Upcall {
    /// [`Class::Upcall`].
    pub class: u32,
    /// An [`UpcallKind`].
    pub kind: u32,
    /// Counts the upcalls of one domain from 1; [`Call::Acknowledge`] names it. A gap is what came and went before it was
    /// read: a capability granted and revoked, a peer that joined and left.
    pub sequence: u64,
    /// As the [`UpcallKind`] says.
    pub values: [u64; 6],
}

const _: () = {
    assert!(size_of::<Request>() == RECORD_BYTES);
    assert!(size_of::<Reply>() == RECORD_BYTES);
    assert!(size_of::<Upcall>() == RECORD_BYTES);
    assert!(core::mem::offset_of!(Request, arguments) == 16);
    assert!(core::mem::offset_of!(Reply, values) == 16);
    assert!(core::mem::offset_of!(Upcall, values) == 16);
    assert!(size_of::<Along>() == 24);
    assert!(GRANTS_ALONG * size_of::<Along>() <= PAYLOAD_BYTES);
};

impl Request {
    /// A request for `call` with up to six arguments; the rest are zero.
    ///
    /// # Panics
    /// With more than six arguments.
    pub fn new(call: Call, sequence: u64, arguments: &[u64]) -> Self {
        Self { class: Class::Request as u32, number: call as u32, sequence, arguments: padded(arguments) }
    }
}

impl Reply {
    /// A reply with up to six values; the rest are zero.
    ///
    /// # Panics
    /// With more than six values.
    pub fn new(status: Status, sequence: u64, values: &[u64]) -> Self {
        Self { class: Class::Reply as u32, status: status as u32, sequence, values: padded(values) }
    }
}

impl Upcall {
    /// An upcall with up to six values; the rest are zero.
    ///
    /// # Panics
    /// With more than six values.
    #[inline]
    pub fn new(kind: UpcallKind, sequence: u64, values: &[u64]) -> Self {
        Self { class: Class::Upcall as u32, kind: kind as u32, sequence, values: padded(values) }
    }
}

#[inline]
fn padded(words: &[u64]) -> [u64; 6] {
    let mut six = [0; 6];
    six[..words.len()].copy_from_slice(words);
    six
}
