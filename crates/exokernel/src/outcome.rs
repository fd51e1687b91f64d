//! What a system call comes to.

use core::ops::Deref;

use feuerbird_abi::{PAYLOAD_BYTES, Reply, Status};

/// What a system call comes to.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once, to the gate; a box would need an allocation per call"
)]
pub enum Outcome<H> {
    /// The answer, to be handed to the caller now.
    Reply(Answer<H>),
    /// The answer comes later, by [`Machine::reply`](crate::Machine::reply).
    Pending,
}

/// What a call comes to that neither brings nor takes anything beside its six words, in which it leaves what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// It is carried out, and the words are what it says.
    Done,
    /// It is refused, and the words are nothing.
    Refused(Status),
    /// The answer comes later, by [`Machine::reply`](crate::Machine::reply).
    Pending,
}

/// An answer with what goes beside it.
#[derive(Clone, Debug)]
pub struct Answer<H> {
    /// The record.
    pub reply: Reply,
    /// What follows the record; mostly nothing.
    pub payload: Payload,
    /// What goes beside the record.
    pub handle: Option<H>,
}

/// At most [`PAYLOAD_BYTES`] bytes; dereferences to them.
#[derive(Clone, Debug)]
pub struct Payload {
    bytes: [u8; PAYLOAD_BYTES],
    length: usize,
}

impl Payload {
    pub(crate) const EMPTY: Self = Self { bytes: [0; PAYLOAD_BYTES], length: 0 };

    /// Appends as much as has room.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(PAYLOAD_BYTES - self.length);
        self.bytes[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
