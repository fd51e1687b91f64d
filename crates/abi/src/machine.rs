//! What only the bootable home has: calls about memory, time and the machine, beside the [`Call`](crate::Call)s that all have.
//!
//! A call is `SYSCALL` with its number in `rax` and its arguments in `rdi, rsi, rdx, r10, r8, r9`; `r12` has the payload's length and
//! `r13` the number of the handle that goes along, or 0. The answer comes back the same way, with the status in `rax`; `rcx` and
//! `r11` are lost. Payloads lie at the start of the **gate page**, which each domain has at [`GATE_ADDRESS`]: so a call has no
//! pointers.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where each domain finds its gate page.
pub const GATE_ADDRESS: u64 = 0x7fff_fffe_0000;

/// Where in the gate page [`MachineCall::Wait`] puts the record of an upcall, in bytes.
pub const GATE_UPCALL: usize = 1024;

/// Where in the gate page the kernel writes what an exception was, in bytes: a [`Fault`].
pub const GATE_FAULT: usize = 2048;

/// Where in the gate page the words of a message lie that are beyond the four in registers, in bytes.
pub const GATE_MESSAGE: usize = 3072;

/// How many words of a message are in registers: `r12`, `r13`, `r14`, `r15`.
pub const REGISTER_WORDS: u64 = 4;

/// The most words of one message.
pub const MESSAGE_WORDS: u64 = 64;

/// An exception of the domain's own, as its handler finds it in the gate page.
///
/// The kernel has changed nothing else but `rip`, `rsp` and the flags that would disturb the handler. To go on, the domain puts its
/// registers back, clears `is_handling`, and jumps: no call is needed. An exception while `is_handling` is not 0 ends the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Fault {
    /// 1 from the exception on, until the domain writes 0.
    pub is_handling: u64,
    /// The processor's number of the exception.
    pub vector: u64,
    /// The processor's error code.
    pub error: u64,
    /// What was accessed, for a page fault.
    pub address: u64,
    /// Where it happened.
    pub rip: u64,
    /// The flags then.
    pub rflags: u64,
    /// The stack then.
    pub rsp: u64,
}

/// The calls. A number once given is never given another meaning, and none is a [`Call`](crate::Call)'s.
///
/// A `handle` is a number in the caller's own table of memory: of what came beside an answer or an upcall, for reading.
///
/// Memory that a domain allocates is named by a capability for frames, whose range is all its pages. Who has the youngest such capability
/// has the pages, and nobody else: to grant it to another domain, by [`Grant`](crate::Call::Grant) or along with a message, hands them
/// over, and what the one before had mapped of them reads as zeroes on every core, and is not written any more (a store is an exception),
/// before the other one can use them. They come
/// back when that capability is revoked or deleted, or its domain ends. They are handed over as a whole, and not while others read them
/// ([`Status::Busy`](crate::Status::Busy)); a capability that was derived for a part of them maps that part. Who allocated them pays for
/// them, whoever has them. To delete the last capability for them leaves them mapped where they are.
///
/// `memory` is either: a handle, or the slot of a capability for frames, which is looked up at each call. It needs `MAP_READ` to read, and
/// to execute what nobody can write; `MAP_WRITE` to write.
///
/// A `domain slot` has a capability for a domain, as
/// [`CreateDomain`](crate::Call::CreateDomain) gives one, of which [`Derive`](crate::Call::Derive) and [`Grant`](crate::Call::Grant)
/// make others: it is looked up at each call, so that who has lost it has lost what it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MachineCall {
    /// `()`. Gives the rest of the time slice to the next domain of the core.
    Yield = 0x1000,
    /// `(deadline)` -> `(1)` + an upcall in the gate page, with its handle; or `(0)` where the deadline came first. 0 does not
    /// wait at all.
    Wait = 0x1001,
    /// `()`. Ends the calling domain. Does not return.
    Exit = 0x1002,
    /// `()` + text as payload. Writes to the serial line.
    Print = 0x1003,
    /// `()` -> `(nanoseconds of the monotonic clock, the core that runs the caller, how many cores there are)`.
    Clock = 0x1004,
    /// `(pages, node)` -> `(slot)`. A capability for zeroed memory, which the caller may write and nobody else. All ones: any node.
    Allocate = 0x1005,
    /// `(memory, address, access)`. Maps memory whole at a page's address. [`Access::Write`] is for its one writer,
    /// [`Access::Execute`] for memory that has none.
    Map = 0x1006,
    /// `(address)`. Takes away what [`Map`](Self::Map) mapped there.
    Unmap = 0x1007,
    /// `(handle)`. Closes a handle. What it was for stays mapped.
    Release = 0x1008,
    /// `(domain slot, memory, address, access)`. Maps memory in a domain that has not been started. [`Access::Write`] makes
    /// that domain the one writer and deletes the capability or closes the handle; otherwise nobody may write it from now on. Only for
    /// memory that nothing else refers to, or that nobody may write, and that nobody can take back. Needs `CONTROL`.
    Place = 0x1009,
    /// `(domain slot, entry, stack, argument)`. Starts a domain, once, with the argument in `rdi`. Needs `CONTROL`.
    Start = 0x100a,
    /// `(status)`. Ends the machine: for the first domain only. 0 is success.
    PowerOff = 0x100b,
    /// `()` -> `(free frames, memory objects, domains, domains' upcalls that found no room, switches of domains)`.
    Statistics = 0x100c,
    /// `(entry, stack)`. From now on an exception of the caller's continues at `entry` on `stack`, with a [`Fault`] in the gate page.
    /// An `entry` of 0: it ends the domain, as at first.
    HandleFaults = 0x100d,
    /// Calls whoever receives at an endpoint and waits for the reply: a protected control transfer. Needs `SEND`.
    ///
    /// In `rdi` the slot, `rdx` the number of words, `r8` the slot of a capability to grant along or 0 (needs `GRANT`; the
    /// receiver's has the same authority), `r9` a deadline or 0 for none. The first words are in `r12` to `r15`, the others in the
    /// gate page at [`GATE_MESSAGE`]. The reply comes in the same places: `rdx`, `r8` and the words.
    ///
    /// The four words in registers always go along, also where the number of words is less: who sends few clears the rest, if it has
    /// something there that is nobody's business. Nothing else of the sender's registers does.
    ///
    /// This call, the next three, [`Watch`](Self::Watch), and [`Notify`](Self::Notify) where it gives the slice away, keep `rbx`, `rbp` and `rsp` only: all other registers are the message's or come back as
    /// they please, with nothing in them that was another domain's and not sent.
    ///
    /// A receiver of the same core runs in the caller's time, until it replies. How it can end beside the usual refusals:
    /// [`Status::NoCapability`](crate::Status::NoCapability) where the capability is revoked,
    /// [`Status::DomainGone`](crate::Status::DomainGone) where the server ends, `TimedOut`.
    Call = 0x1010,
    /// Replies and waits for the next message, or only waits. Needs `RECEIVE`.
    ///
    /// In `rdi` the slot of the endpoint, `rsi` what to reply to, or 0; the reply's words as with [`Call`](Self::Call). A message
    /// comes with the badge of the sender's capability in `rdi`, and in `rsi` what to reply to: a number that works once, for
    /// this domain only, and not after its caller is gone; 0 where no reply is wanted.
    ReplyAndReceive = 0x1011,
    /// Replies, and goes on; as [`ReplyAndReceive`](Self::ReplyAndReceive), without a slot.
    Reply = 0x1012,
    /// As [`Call`](Self::Call), but waits only until somebody has the message. A receiver of the same core runs first.
    Send = 0x1013,
    /// `(slot, bits, whether to give the slice to whoever it wakes)`. Adds bits to a notification and wakes who waits for it. Needs
    /// `SEND`. A badged capability can signal the bits of its badge only.
    Notify = 0x1014,
    /// `(slot, deadline)` -> `(bits)`. Takes all bits of a notification, waiting for some; no bits where the deadline came first. 0
    /// does not wait at all. Needs `RECEIVE`.
    Watch = 0x1015,
    /// `()` -> `(slot)`. A new notification; the capability has all rights.
    CreateNotification = 0x1016,
    /// `(frame, pages)` -> `(slot)`, as [`Allocate`](Self::Allocate), for those very frames: that one and those behind it, if
    /// all are free.
    AllocateNamed = 0x1030,
    /// `(memory, page)` -> `(count)` + the numbers of the frames from that page on as payload, 32 bits each, as many as fit. Needs
    /// `INSPECT` on a capability.
    FrameNames = 0x1031,
    /// `()` -> `(pages)` + a handle for the list of free frames, for reading: see [`free_map`](crate::free_map).
    FreeFrames = 0x1032,
    /// `(domain slot, frames)`. That many of the caller's frames are the domain's from now on, to be used up or handed down; again
    /// for another number. Without it, the domain uses its creator's. Needs `CONTROL`.
    HandDown = 0x1033,
    /// `()` -> `(frames, frames used)` of the account that pays for the caller.
    Quota = 0x1034,
    /// `()` + [`Edit`](crate::Edit)s as payload -> `(edits done, status of the one that was not, pages)`. Changes the caller's page
    /// tables, one run of pages after the other, each all or not at all. Together at most [`EDIT_PAGES`](crate::EDIT_PAGES).
    EditSpace = 0x1035,
    /// `()` -> `(pages mapped, of them writable, 0 or the first wrong frame plus one, 0 or which count is wrong)`. Looks at all page
    /// tables, and whether each page is of a memory object, writable by its one writer at most, never both writable and executable,
    /// and there by authority; and counts what is charged, what is free and what refers to memory. For the first domain only.
    CheckFrames = 0x1036,
    /// `(kind, object, unit)` -> `(slot)`. The one of the caller's slots with the widest capability of that kind, for that object and
    /// with that unit in its range. The object is the core's number for time slices, and 0 for ports and interrupt lines.
    Find = 0x1037,
    /// `(slot, domain slot)`. Has that domain, or the caller for 0, run in all slices of a capability for time slices, as long as
    /// that is live. The slice that it was lent when it was made goes. Needs `CONTROL` on both. A domain that runs moves to another
    /// core by its own call only.
    RunIn = 0x1038,
    /// `(domain slot)`. Gives the rest of the slice to that domain, which must be one of the same core, and ready. Needs `YIELD`.
    YieldTo = 0x1039,
    /// `(slot, port, bytes)` -> `(value)`. Reads 1, 2 or 4 bytes at a port, all in the range of a capability for ports with
    /// `CONTROL`.
    ReadPort = 0x103a,
    /// `(slot, port, bytes, value)`. Writes as [`ReadPort`](Self::ReadPort) reads.
    WritePort = 0x103b,
    /// `(slot, line, mode)`. Has an interrupt line come to the caller from now on, as [`event::INTERRUPT`](crate::event::INTERRUPT),
    /// as long as the capability for it is live. Needs `CONTROL`. Bit 0 of the mode: it interrupts by its level; bit 1: by the low one.
    TakeInterrupt = 0x103c,
    /// `(slot, line)` -> `(1 if it has fired since the last time)`. After it has fired once, a line is silent until this.
    NextInterrupt = 0x103d,
    /// `(slot)` -> `(pages)` + a handle for what the kernel publishes about itself, for reading: see [`monitor`](crate::monitor).
    /// Needs `INSPECT` on an audit capability.
    Monitor = 0x103e,
    /// `()` -> `(1, byte)`, or `(0)` where nothing has come. Takes what was typed on the serial line. For the first domain only.
    ReadSerial = 0x103f,
    /// `(slot, 1 or 0)`. From now on, or not any more, the caller hears [`event::NOTIFICATION`](crate::event::NOTIFICATION) when bits
    /// come to a notification for which nobody waits; at once where some are there. Needs `RECEIVE`, for as long as it is to last: it ends
    /// with that slot. One domain for each notification: another one is refused with [`Status::Busy`](crate::Status::Busy).
    Listen = 0x1040,
}

/// What may be done with a mapping. Reading always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Access {
    /// Reading only.
    Read = 0,
    /// Writing too.
    Write = 1,
    /// Executing too.
    Execute = 2,
}

impl MachineCall {
    /// Every call, in the order of its number.
    pub const ALL: &[Self] = &[
        Self::Yield,
        Self::Wait,
        Self::Exit,
        Self::Print,
        Self::Clock,
        Self::Allocate,
        Self::Map,
        Self::Unmap,
        Self::Release,
        Self::Place,
        Self::Start,
        Self::PowerOff,
        Self::Statistics,
        Self::HandleFaults,
        Self::Call,
        Self::ReplyAndReceive,
        Self::Reply,
        Self::Send,
        Self::Notify,
        Self::Watch,
        Self::CreateNotification,
        Self::AllocateNamed,
        Self::FrameNames,
        Self::FreeFrames,
        Self::HandDown,
        Self::Quota,
        Self::EditSpace,
        Self::CheckFrames,
        Self::Find,
        Self::RunIn,
        Self::YieldTo,
        Self::ReadPort,
        Self::WritePort,
        Self::TakeInterrupt,
        Self::NextInterrupt,
        Self::Monitor,
        Self::ReadSerial,
        Self::Listen,
    ];

    /// The call with this number, if there is one. Numbers may have gaps: each family of calls has sixteen of its own.
    ///
    /// # Cost
    /// Two tables, however many calls there are.
    pub fn from_number(number: u64) -> Option<Self> {
        let index = INDICES.get(usize::try_from(number.checked_sub(FIRST)?).ok()?)?;
        Self::ALL.get(usize::from(*index)).copied()
    }
}

impl Access {
    /// The access with this number, if there is one.
    pub fn from_number(number: u64) -> Option<Self> {
        [Self::Read, Self::Write, Self::Execute].into_iter().find(|access| *access as u64 == number)
    }
}

/// The first number, and how many from there on can be given.
const FIRST: u64 = 0x1000;
const NUMBERS: usize = 0x41;

/// Where in [`MachineCall::ALL`] each number's call is; beyond its end for a number that is none's.
const INDICES: [u8; NUMBERS] = {
    let mut indices = [u8::MAX; NUMBERS];
    let mut index = 0;
    while index < MachineCall::ALL.len() {
        let number = MachineCall::ALL[index] as usize;
        assert!(index == 0 || number > MachineCall::ALL[index - 1] as usize, "in order, each once");
        indices[number - FIRST as usize] = index as u8;
        index += 1;
    }
    indices
};
