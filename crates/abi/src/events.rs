//! Events of the bootable home: what comes to a domain in its own context, as an exception does.
//!
//! A domain that handles its exceptions ([`MachineCall::HandleFaults`](crate::MachineCall::HandleFaults)) can have events come to
//! the same handler, with a [`Fault`](crate::Fault) whose vector is [`EVENT_VECTOR`] and whose error is the set of those that came. Which
//! ones, and when not, it says by writing words of its gate page; the kernel reads them where it goes back to the domain. So an event
//! costs no call, masking costs one store, and a domain that has written nothing is never disturbed.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where in the gate page the words about events are, in bytes: [`Events`].
pub const GATE_EVENTS: usize = 2560;

/// The vector of a [`Fault`](crate::Fault) that is no exception.
pub const EVENT_VECTOR: u64 = 256;

/// What domain and kernel tell each other about events, in the gate page.
///
/// The first four words are the domain's to write, and the kernel writes none of them but `alarm_ns`; the last is the kernel's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Events {
    /// Which [`event`]s may come; the others wait. None at first.
    pub enabled: u64,
    /// No event comes while the domain is at an address from here on ...
    pub quiet_start: u64,
    /// ... and below this: for the few instructions with which a handler goes back.
    pub quiet_end: u64,
    /// When [`event::TIMER`] comes: nanoseconds of the monotonic clock, 0 for never. The kernel looks at the end of slices, and writes
    /// 0 when it has come.
    pub alarm_ns: u64,
    /// Which have come and wait, because they are not enabled or the handler is at work. Any call lets those that may come, come, but
    /// the null call and a `Notify` that wakes nobody.
    pub pending: u64,
}

/// The events, a bit each.
pub mod event {
    /// The alarm's time has come.
    pub const TIMER: u64 = 1;
    /// There are [`Upcall`](crate::Upcall)s to be had by [`MachineCall::Wait`](crate::MachineCall::Wait): a revocation, a peer.
    pub const UPCALL: u64 = 1 << 1;
    /// Bits have come to a notification that the domain [listens](crate::MachineCall::Listen) to; they stay there until they are taken
    /// by [`MachineCall::Watch`](crate::MachineCall::Watch).
    pub const NOTIFICATION: u64 = 1 << 2;
    /// The domain was given a core again.
    pub const SLICE_BEGINS: u64 = 1 << 3;
    /// The slice is over: a tenth of one is left to save what is to be saved and yield. Who does not, loses its next slice; who does not
    /// eight times in a row, is ended.
    pub const SLICE_ENDS: u64 = 1 << 4;
    /// An interrupt line of the domain's has fired.
    pub const INTERRUPT: u64 = 1 << 5;
}
