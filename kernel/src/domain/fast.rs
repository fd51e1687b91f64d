//! The short way of a transfer: what `entry` calls before anything else has been kept of the caller.
//!
//! Only for what needs nothing but two domains of this core: somebody waits already, all that must be checked was looked up and
//! nothing has ended since ([`Kernel::call_at_once`](feuerbird_exokernel::Kernel::call_at_once)), no capability goes along, no
//! deadline is asked for, nothing has come for whoever goes on. Otherwise nothing has been changed, and the call goes the long way.
//!
//! The message's words never leave the registers `r12` to `r15`, which functions of this ABI keep. The rest of who waits is `rip`,
//! `rsp`, the flags, `rbx` and `rbp`: `entry` keeps them after these functions, while the kernel is still locked.

use feuerbird_abi::{MESSAGE_WORDS, REGISTER_WORDS};
use feuerbird_exokernel::{Delivery, DomainId};

use crate::cpu::core;
use crate::cpu::state::Registers;
use crate::domain::lock::{self, Guard};
use crate::domain::resident::State;
use crate::domain::run::{World, load_space};
use crate::domain::transfers::in_memory;

/// Whose registers go where, in `rax` and `rdx`.
#[repr(C)]
struct Frames {
    /// Of who goes on; null for the long way.
    next: *const Registers,
    /// Of who waits.
    before: *mut Registers,
}

impl Frames {
    const LONG_WAY: Self = Self { next: ::core::ptr::null(), before: ::core::ptr::null_mut() };
}

/// `MachineCall::Call`.
#[unsafe(no_mangle)]
extern "sysv64" fn fast_call(slot: u64, _: u64, length: u64, _: u64, along: u64, deadline: u64) -> Frames {
    if length > MESSAGE_WORDS || along | deadline != 0 {
        return Frames::LONG_WAY;
    }
    with_current(|world, number, caller| {
        let Delivery { to, badge, token } = world.kernel.call_at_once(caller, slot)?;
        switch(world, number, (caller, WAITING), to, [badge, token, length])
    })
}

/// `MachineCall::ReplyAndReceive`.
#[unsafe(no_mangle)]
extern "sysv64" fn fast_reply(
    slot: u64,
    token: u64,
    length: u64,
    _: u64,
    along: u64,
    deadline: u64,
) -> Frames {
    if length > MESSAGE_WORDS || along | deadline != 0 {
        return Frames::LONG_WAY;
    }
    with_current(|world, number, server| {
        let caller = world.kernel.reply_and_receive_at_once(server, token, slot)?;
        switch(world, number, (server, WAITING), caller, [0, 0, length])
    })
}

/// `MachineCall::Send`.
#[unsafe(no_mangle)]
extern "sysv64" fn fast_send(slot: u64, _: u64, length: u64, _: u64, along: u64, deadline: u64) -> Frames {
    if length > MESSAGE_WORDS || along | deadline != 0 {
        return Frames::LONG_WAY;
    }
    with_current(|world, number, sender| {
        let Delivery { to, badge, token } = world.kernel.send_at_once(sender, slot)?;
        switch(world, number, (sender, State::Ready), to, [badge, token, length])
    })
}

/// A domain that waits without a deadline.
const WAITING: State = State::Transferring { deadline_ns: u64::MAX };

/// Does it under the lock, which stays where it succeeds: `entry` is not done with the two records.
#[inline(always)]
fn with_current(transfer: impl FnOnce(&mut World, usize, DomainId) -> Option<Frames>) -> Frames {
    let Some(mut guard) = lock::try_lock() else { return Frames::LONG_WAY };
    let number = core::number();
    let frames = current(&mut guard, number).and_then(|(world, domain)| transfer(world, number, domain));
    match frames {
        Some(frames) => {
            guard.keep();
            frames
        }
        None => Frames::LONG_WAY,
    }
}

#[inline(always)]
fn current(guard: &mut Guard, number: usize) -> Option<(&mut World, DomainId)> {
    let world = guard.as_mut()?;
    let domain = world.kernel.machine().cores.get(number)?.current?;
    Some((world, domain))
}

/// Makes `next` the domain of this core. It stands where a call of its own left it; it is of this core, and both exist, because the
/// exokernel has just said so.
#[inline(always)]
fn switch(
    world: &mut World,
    number: usize,
    (before, becomes): (DomainId, State),
    next: DomainId,
    values: [u64; 3],
) -> Option<Frames> {
    let machine = world.kernel.machine_mut();
    let leaving = machine.resident_mut(before)?;
    leaving.state = becomes;
    leaving.is_put_away = true;
    leaving.registers.rax = 0;
    leaving.float.save();
    let page = leaving.gate.first();
    let before = &raw mut leaving.registers;
    let coming = machine.resident_mut(next)?;
    coming.state = State::Ready;
    coming.is_put_away = false;
    coming.float.restore();
    let length = values[2];
    if length > REGISTER_WORDS {
        let there = coming.gate.first();
        in_memory(length).for_each(|word| there.set_word(word, page.word(word)));
    }
    [coming.registers.rdi, coming.registers.rsi, coming.registers.rdx] = values;
    let frames = Frames { next: &raw const coming.registers, before };
    load_space(coming.mapped.root());
    let core = &mut machine.cores[number];
    core.current = Some(next);
    core.switches += 1;
    Some(frames)
}

/// `MachineCall::Notify` that wakes nobody: 1 where it is done.
#[unsafe(no_mangle)]
extern "sysv64" fn fast_notify(slot: u64, bits: u64) -> u64 {
    let Some(mut guard) = lock::try_lock() else { return 0 };
    let Some((world, caller)) = current(&mut guard, core::number()) else { return 0 };
    world.kernel.add_bits_at_once(caller, slot, bits).is_some().into()
}

/// `MachineCall::Notify` that gives the slice away.
#[unsafe(no_mangle)]
extern "sysv64" fn fast_notify_and_switch(slot: u64, bits: u64) -> Frames {
    with_current(|world, number, caller| {
        let (watcher, bits) = world.kernel.wake_at_once(caller, slot, bits)?;
        switch(world, number, (caller, State::Ready), watcher, [bits, 0, 0])
    })
}
