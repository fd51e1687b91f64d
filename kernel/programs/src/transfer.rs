//! Calls to other domains: messages in registers, the rest of them in the gate page.
//!
//! # Invariant
//! As in [`gate`](crate::gate): the gate page is mapped for ever, and only used by the kernel while a call is in it. A transfer keeps
//! `rbx`, `rbp` and `rsp`; every other register is named here.

use core::arch::asm;

use feuerbird_abi::{GATE_ADDRESS, GATE_MESSAGE, MachineCall, REGISTER_WORDS, Status};

use crate::gate::{self, Result};

/// What goes to another domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// How many words the message has; those beyond four lie in the gate page.
    pub(crate) length: u64,
    /// The first four.
    pub(crate) words: [u64; 4],
    /// A capability that goes along, or 0.
    pub(crate) capability: u64,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) badge: u64,
    /// What to reply to, or 0.
    pub(crate) token: u64,
    pub(crate) length: u64,
    pub(crate) words: [u64; 4],
    /// A capability that came along, or 0.
    pub(crate) capability: u64,
}

/// A message of these words.
pub(crate) fn words(words: [u64; 4]) -> Outgoing {
    Outgoing { length: REGISTER_WORDS, words, capability: 0 }
}

/// One transfer, with whatever numbers: the status, and what came.
#[inline(always)]
pub(crate) fn raw(call: MachineCall, slot: u64, token: u64, out: Outgoing, deadline: u64) -> (u64, Incoming) {
    let (mut status, mut badge, mut reply, mut length) = (call as u64, slot, token, out.length);
    let mut capability = out.capability;
    let [mut a, mut b, mut c, mut d] = out.words;
    // SAFETY: the kernel changes no memory of this domain but the gate page, which is only used by this module and `gate`; all
    // registers that it may change are named.
    unsafe {
        asm!("syscall", inout("rax") status, inout("rdi") badge, inout("rsi") reply, inout("rdx") length,
            inout("r8") capability, inout("r9") deadline => _, out("r10") _, inout("r12") a, inout("r13") b,
            inout("r14") c, inout("r15") d, out("rcx") _, out("r11") _, options(nostack));
    }
    (status, Incoming { badge, token: reply, length, words: [a, b, c, d], capability })
}

fn checked((status, came): (u64, Incoming)) -> Result<Incoming> {
    match u32::try_from(status).ok().and_then(Status::from_number) {
        Some(Status::Ok) => Ok(came),
        Some(refusal) => Err(refusal),
        None => panic!("the kernel answered with the unknown status {status}"),
    }
}

/// Calls, and waits for the reply; a deadline of 0 is none.
pub(crate) fn call(slot: u64, out: Outgoing, deadline: u64) -> Result<Incoming> {
    checked(raw(MachineCall::Call, slot, 0, out, deadline))
}

/// Sends, and waits until somebody has it.
pub(crate) fn send(slot: u64, out: Outgoing, deadline: u64) -> Result<()> {
    checked(raw(MachineCall::Send, slot, 0, out, deadline)).map(|_| ())
}

/// Replies.
pub(crate) fn reply(token: u64, out: Outgoing) -> Result<()> {
    checked(raw(MachineCall::Reply, 0, token, out, 0)).map(|_| ())
}

/// Waits for a message; what the kernel has to tell is heard and forgotten.
pub(crate) fn receive(slot: u64, deadline: u64) -> Result<Incoming> {
    reply_and_receive(slot, 0, Outgoing::default(), deadline)
}

/// Replies to `token`, if it is not 0, and waits for a message, as [`receive`].
pub(crate) fn reply_and_receive(slot: u64, token: u64, out: Outgoing, deadline: u64) -> Result<Incoming> {
    let mut came = checked(raw(MachineCall::ReplyAndReceive, slot, token, out, deadline));
    while came == Err(Status::Interrupted) {
        while gate::wait(0)?.is_some() {}
        came = checked(raw(MachineCall::ReplyAndReceive, slot, 0, Outgoing::default(), deadline));
    }
    came
}

/// Adds bits to a notification.
pub(crate) fn notify(slot: u64, bits: u64) -> Result<()> {
    gate::machine(MachineCall::Notify, &[slot, bits]).map(|_| ())
}

/// Adds bits to a notification, and gives the slice to whom that wakes.
#[inline(always)]
pub(crate) fn notify_and_yield(slot: u64, bits: u64) -> Result<()> {
    let out = Outgoing { length: 1, ..Outgoing::default() };
    checked(raw(MachineCall::Notify, slot, bits, out, 0)).map(|_| ())
}

/// Takes the bits of a notification, waiting for some until the deadline; 0 does not wait.
pub(crate) fn watch(slot: u64, deadline: u64) -> Result<u64> {
    loop {
        let bits = checked(raw(MachineCall::Watch, slot, deadline, Outgoing::default(), 0));
        match bits {
            Err(Status::Interrupted) => while gate::wait(0)?.is_some() {},
            _ => return bits.map(|came| came.badge),
        }
    }
}

/// Has a notification come as an event, or not any more.
pub(crate) fn listen(slot: u64, wants: bool) -> Result<()> {
    gate::machine(MachineCall::Listen, &[slot, wants.into()]).map(|_| ())
}

/// A new notification.
pub(crate) fn create_notification() -> Result<u64> {
    Ok(gate::machine(MachineCall::CreateNotification, &[])?.values[0])
}

/// A word of the message's that is no register's: 4 is the first.
pub(crate) fn word(index: u64) -> u64 {
    // SAFETY: by the invariant; the place is in the page.
    unsafe { place(index).read_volatile() }
}

/// Writes such a word, for the next message.
pub(crate) fn set_word(index: u64, value: u64) {
    // SAFETY: as in `word`.
    unsafe { place(index).write_volatile(value) }
}

fn place(index: u64) -> *mut u64 {
    let offset = index.checked_sub(REGISTER_WORDS).filter(|offset| *offset < 60).expect("a word in memory");
    core::ptr::with_exposed_provenance_mut((GATE_ADDRESS + GATE_MESSAGE as u64 + offset * 8) as usize)
}
