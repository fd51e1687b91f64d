//! Protected control transfers and notifications, with everything that can be asked of them. The short way is
//! [`cpu::short`](crate::cpu).

use feuerbird_abi::{GATE_MESSAGE, MachineCall, REGISTER_WORDS, Status, event};
use feuerbird_exokernel::{DomainId, Message, Sent, Signalled};

use crate::cpu::core;
use crate::cpu::state::Registers;
use crate::domain::calls::log_refusal;
use crate::domain::machine::Native;
use crate::domain::resident::{Resident, State};
use crate::domain::run::World;

/// One call, send, reply or receive of `caller`, whose registers these are.
pub(super) fn carry_out(world: &mut World, caller: DomainId, call: MachineCall, registers: &mut Registers) {
    let [slot, token, length, _, capability, deadline] = registers.words;
    let sent = Sent { length, capability };
    wait_from_here(world, caller, registers, if deadline == 0 { u64::MAX } else { deadline });
    let kernel = &mut world.kernel;
    let result = match call {
        MachineCall::Call => kernel.call(caller, slot, sent),
        MachineCall::Send => kernel.send(caller, slot, sent),
        MachineCall::Reply => kernel.reply(caller, token, sent).map(|_| None),
        _ => kernel.reply_and_receive(caller, token, slot, sent),
    };
    let is_over = match call {
        MachineCall::Reply => true,
        MachineCall::Send => !matches!(result, Ok(None)),
        _ => result.is_err(),
    };
    let directed = match result {
        Ok(to) => to,
        Err(status) => {
            log_refusal(world, caller, call as u64, slot, status);
            None
        }
    };
    let status = result.err().unwrap_or(Status::Ok);
    go_on(world, caller, registers, is_over.then_some((status, 0)), directed);
}

/// Adds bits to a notification.
pub(super) fn notify(world: &mut World, caller: DomainId, registers: &mut Registers) {
    let [slot, bits, gives_slice, ..] = registers.words;
    wait_from_here(world, caller, registers, u64::MAX);
    let mut directed = None;
    let mut status = Status::Ok;
    match world.kernel.notify(caller, slot, bits) {
        Ok(Signalled::Kept) => (),
        Ok(Signalled::Rang(listener)) => {
            world.kernel.machine_mut().post_event(listener, event::NOTIFICATION);
        }
        Ok(Signalled::Woke(watcher, bits)) => {
            world.kernel.machine_mut().wake_with(watcher, bits);
            directed = (gives_slice != 0).then_some(watcher);
        }
        Err(refusal) => {
            log_refusal(world, caller, MachineCall::Notify as u64, slot, refusal);
            status = refusal;
        }
    }
    go_on(world, caller, registers, Some((status, 0)), directed);
}

/// Takes a notification's bits, or waits for them.
pub(super) fn watch(world: &mut World, caller: DomainId, registers: &mut Registers) {
    let [slot, deadline, ..] = registers.words;
    wait_from_here(world, caller, registers, deadline);
    let found = match deadline {
        0 => world.kernel.poll(caller, slot).map(|bits| Some(bits.unwrap_or(0))),
        _ => world.kernel.watch(caller, slot),
    };
    let answer = match found {
        Ok(bits) => bits.map(|bits| (Status::Ok, bits)),
        Err(refusal) => {
            log_refusal(world, caller, MachineCall::Watch as u64, slot, refusal);
            Some((refusal, 0))
        }
    };
    go_on(world, caller, registers, answer, None);
}

/// Puts the caller's registers where a message is taken from and answers are written to.
fn wait_from_here(world: &mut World, caller: DomainId, registers: &Registers, deadline_ns: u64) {
    if let Some(resident) = world.kernel.machine_mut().resident_mut(caller) {
        resident.put_away(registers);
        resident.state = State::Transferring { deadline_ns };
    }
}

/// Answers the caller, if that is to be done now, and lets it go on or the other one before it.
fn go_on(
    world: &mut World,
    caller: DomainId,
    registers: &mut Registers,
    answer: Option<(Status, u64)>,
    directed: Option<DomainId>,
) {
    let number = core::number();
    let machine = world.kernel.machine_mut();
    let is_near = |to: &DomainId| machine.resident(*to).is_some_and(|it| it.core == number);
    let directed = directed.filter(is_near);
    machine.cores[number].directed = directed;
    let Some(resident) = machine.resident_mut(caller) else { return };
    if let Some((status, value)) = answer {
        resident.registers.answer(status as u32, [value, 0, 0, 0, 0, 0], 0, 0);
        resident.state = State::Ready;
    }
    if resident.state == State::Ready && directed.is_none() {
        *registers = resident.registers;
        resident.is_put_away = false;
    }
}

impl Native {
    /// Copies a message from where its sender was put away to where its receiver is.
    pub(super) fn hand_over(&mut self, from: DomainId, to: DomainId, message: &Message) {
        let Some(sender) = self.resident(from) else { return };
        let Registers { r12, r13, r14, r15, .. } = sender.registers;
        let page = sender.gate.first();
        let Some(receiver) = self.resident_mut(to) else { return };
        let there = receiver.gate.first();
        for word in in_memory(message.length) {
            there.set_word(word, page.word(word));
        }
        let registers = &mut receiver.registers;
        registers.answer(
            Status::Ok as u32,
            [message.badge, message.token, message.length, 0, message.capability, 0],
            0,
            0,
        );
        (registers.r12, registers.r13, registers.r14, registers.r15) = (r12, r13, r14, r15);
        self.make_ready(to);
    }

    /// Answers a domain that waits for a notification.
    fn wake_with(&mut self, watcher: DomainId, bits: u64) {
        if let Some(resident) = self.resident_mut(watcher) {
            resident.registers.answer(Status::Ok as u32, [bits, 0, 0, 0, 0, 0], 0, 0);
            self.make_ready(watcher);
        }
    }

    fn make_ready(&mut self, domain: DomainId) {
        if let Some(resident) = self.resident_mut(domain) {
            resident.state = State::Ready;
            let core = resident.core;
            self.wake(core);
        }
    }
}

/// Where in a gate page the words of a message of this length are that are not in registers.
pub(super) fn in_memory(length: u64) -> ::core::ops::Range<usize> {
    let start = GATE_MESSAGE / 8;
    start..start + length.saturating_sub(REGISTER_WORDS) as usize
}

impl Resident {
    /// Whether it waits in a transfer, and its time is over.
    pub(super) fn is_late(&self, now_ns: u64) -> bool {
        matches!(self.state, State::Transferring { deadline_ns } if deadline_ns <= now_ns)
    }
}
