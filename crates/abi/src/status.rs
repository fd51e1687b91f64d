//! How a system call ended.

/// How a system call ended. Sorted by blame: below 32 the caller misused, below 64 a resource is full or gone (trying
/// later may help), below 96 the peer misbehaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No system call has that number.
    NoSuchCall = 1,
    /// The slot names nothing, or something it named is gone: empty, stale generation, foreign or revoked.
    NoCapability = 2,
    /// The capability names another kind of object.
    WrongKind = 3,
    /// The capability lacks a right.
    MissingRight = 4,
    /// An argument is outside what the call allows.
    BadArgument = 5,
    /// More authority was asked for than the parent has.
    Escalation = 6,
    /// The derivation tree would get too deep.
    TooDeep = 7,
    /// The two sides of an endpoint disagree about the message type; the endpoint's contract is the payload.
    ContractMismatch = 8,
    /// The memory can still be changed in size, or written by others than its owner.
    NotSealed = 9,
    /// The binding does not exist, or is not the caller's.
    NoBinding = 10,
    /// The binding has no such peer.
    NoPeer = 11,
    /// The call needs a memory handle and there was none, or one of the wrong kind.
    NoHandle = 12,
    /// The binding has shared a region with this peer already, which it can once.
    AlreadyShared = 13,
    /// Nobody waits for that reply: it was used, or its caller has ended, was revoked or gave up.
    NoCaller = 14,

    /// No free slot in the capability space.
    SlotsFull = 32,
    /// The kernel has no room for another object.
    ObjectsFull = 33,
    /// One of the domain's quotas is used up: of memory, or of objects of one kind.
    QuotaExceeded = 34,
    /// The domain is ending, or has ended.
    DomainGone = 35,
    /// Another domain waits there already, or uses the memory.
    Busy = 36,
    /// Nothing came: the caller has been told something, which it is to hear first.
    Interrupted = 37,
    /// The deadline came first.
    TimedOut = 38,

    /// The peer broke the protocol.
    PeerMisbehaved = 64,
}

impl Status {
    /// Every status, in no particular order.
    pub const ALL: [Self; 23] = [
        Self::Ok,
        Self::NoSuchCall,
        Self::NoCapability,
        Self::WrongKind,
        Self::MissingRight,
        Self::BadArgument,
        Self::Escalation,
        Self::TooDeep,
        Self::ContractMismatch,
        Self::NotSealed,
        Self::NoBinding,
        Self::NoPeer,
        Self::NoHandle,
        Self::AlreadyShared,
        Self::NoCaller,
        Self::SlotsFull,
        Self::ObjectsFull,
        Self::QuotaExceeded,
        Self::DomainGone,
        Self::Busy,
        Self::Interrupted,
        Self::TimedOut,
        Self::PeerMisbehaved,
    ];

    /// The status with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as u32 == number)
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::NoSuchCall => "no system call has that number",
            Self::NoCapability => "the slot holds no usable capability",
            Self::WrongKind => "the capability names another kind of object",
            Self::MissingRight => "the capability lacks a right that this needs",
            Self::BadArgument => "an argument is out of range",
            Self::Escalation => "more authority was asked for than the parent has",
            Self::TooDeep => "the derivation tree would get too deep",
            Self::ContractMismatch => "the two sides of the endpoint disagree about the message type",
            Self::NotSealed => "the memory is not sealed to one writer",
            Self::NoBinding => "no such binding",
            Self::NoPeer => "the binding has no such peer",
            Self::NoHandle => "the call needs a memory handle",
            Self::AlreadyShared => "a region was shared with this peer before, which can be done once",
            Self::NoCaller => "nobody waits for that reply",
            Self::SlotsFull => "the capability space is full",
            Self::ObjectsFull => "the kernel has no room for another object",
            Self::QuotaExceeded => "the domain's quota is used up",
            Self::DomainGone => "the domain is gone",
            Self::Busy => "another domain waits there, or uses the memory",
            Self::Interrupted => "an upcall is to be heard first",
            Self::TimedOut => "the deadline came first",
            Self::PeerMisbehaved => "the peer broke the protocol",
        }
    }
}

impl core::fmt::Display for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.phrase())
    }
}

impl core::error::Error for Status {}
