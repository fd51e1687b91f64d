//! System calls: those of the exokernel, which go through its dispatch, and those of this machine.
//!
//! Every argument is hostile. There are no pointers among them: payloads lie in the caller's gate page, which the kernel reaches by
//! its frame; handles are numbers in the caller's own table; an address only ever becomes an entry of the caller's own page
//! tables, or of a domain's that the caller may fill.

use feuerbird_abi::{Call, Class, MachineCall, PAYLOAD_BYTES, Request, Status, event};
use feuerbird_capability::{Object, ObjectKind, Range, Rights, Slot};
use feuerbird_exokernel::{Answer, DomainId, Machine, Outcome, Plain};

use crate::console::{self, Exit, exit};
use crate::cpu::state::Registers;
use crate::cpu::{clock, core};
use crate::domain::resident::{FaultHandler, Resident, State};
use crate::domain::run::{self, World};
use crate::domain::{check, devices, memory_calls, monitor, time_calls, transfers};
use crate::memory::frames;
use crate::memory::layout::USER_END;
use crate::memory::object::{self, Memory};

/// The first number of this machine's own calls.
const MACHINE_CALLS: u64 = 0x1000;

/// What a call of the machine's comes to: its values and the number of a handle.
pub(super) type Result<T = ([u64; 6], u64)> = ::core::result::Result<T, Status>;

/// Carries out one call of `caller`, whose registers these are.
#[inline]
pub(crate) fn carry_out(world: &mut World, caller: DomainId, registers: &mut Registers) {
    if registers.rax >= MACHINE_CALLS {
        return carry_out_machines(world, caller, registers);
    }
    let is_plain = registers.r12 | registers.r13 == 0;
    let (number, words) = (registers.rax as u32, &mut registers.words);
    match is_plain.then(|| world.kernel.dispatch_plain(caller, number, words)).flatten() {
        // Its words are there already.
        Some(Plain::Done) => registers.rax = Status::Ok as u64,
        Some(Plain::Refused(status)) => registers.answer(status as u32, [0; 6], 0, 0),
        Some(Plain::Pending) => wait_for_answer(world, caller, registers),
        None => carry_out_with_payload(world, caller, registers),
    }
}

#[inline(never)]
fn carry_out_machines(world: &mut World, caller: DomainId, registers: &mut Registers) {
    let answer = match MachineCall::from_number(registers.rax) {
        // The answer to these is not for the registers on the stack.
        Some(MachineCall::Yield) => return yield_slice(world, caller, registers),
        Some(MachineCall::Wait) => return wait(world, caller, registers),
        Some(MachineCall::Exit) => return world.kernel.domain_died(caller),
        Some(
            call
            @ (MachineCall::Call | MachineCall::Send | MachineCall::Reply | MachineCall::ReplyAndReceive),
        ) => return transfers::carry_out(world, caller, call, registers),
        Some(MachineCall::Notify) => return transfers::notify(world, caller, registers),
        Some(MachineCall::Watch) => return transfers::watch(world, caller, registers),
        Some(MachineCall::RunIn) => return time_calls::run_in(world, caller, registers),
        Some(MachineCall::YieldTo) => return time_calls::yield_to(world, caller, registers),
        Some(MachineCall::FrameNames) => return frame_names(world, caller, registers),
        Some(call) => machine_call(world, caller, call, registers),
        None => Err(Status::NoSuchCall),
    };
    match answer {
        Ok((values, handle)) => registers.answer(Status::Ok as u32, values, 0, handle),
        Err(status) => refuse(world, caller, registers, status),
    }
}

/// Answers a call of the machine's that is refused, and writes that down.
pub(super) fn refuse(world: &mut World, caller: DomainId, registers: &mut Registers, status: Status) {
    log_refusal(world, caller, registers.rax, registers.words[0], status);
    registers.answer(status as u32, [0; 6], 0, 0);
}

/// Writes a refusal down that is to be blamed on the caller: the number of the call and its first argument.
pub(super) fn log_refusal(world: &mut World, caller: DomainId, call: u64, argument: u64, status: Status) {
    if (status as u32) < 32 {
        let (class, arguments) = (Class::Request as u32, [argument, 0, 0, 0, 0, 0]);
        let number = u32::try_from(call).unwrap_or(u32::MAX);
        let request = Request { class, number, sequence: 0, arguments };
        world.kernel.refuse(caller, &request, status);
    }
}

/// A call of the exokernel's, with what goes along with it and its answer.
#[inline(never)]
fn carry_out_with_payload(world: &mut World, caller: DomainId, registers: &mut Registers) {
    let request = Request {
        class: Class::Request as u32,
        number: registers.rax as u32,
        sequence: 0,
        arguments: registers.words,
    };
    let mut payload = [0; PAYLOAD_BYTES];
    let outcome = match bring(world, caller, registers, &mut payload) {
        Ok((length, handle)) => world.kernel.dispatch(caller, &request, &payload[..length], handle),
        Err(status) => world.kernel.refuse(caller, &request, status),
    };
    // The caller may have ended itself.
    let Some(resident) = world.kernel.machine_mut().resident_mut(caller) else { return };
    match outcome {
        Outcome::Reply(answer) => hand_over(resident, answer, registers),
        Outcome::Pending => wait_for_answer(world, caller, registers),
    }
}

fn wait_for_answer(world: &mut World, caller: DomainId, registers: &Registers) {
    if let Some(resident) = world.kernel.machine_mut().resident_mut(caller) {
        resident.put_away(registers);
        resident.state = State::Calling;
    }
}

/// What goes along with a request: the length of the payload, which is copied, and memory, which nobody can take back from the caller.
fn bring(
    world: &mut World,
    caller: DomainId,
    registers: &Registers,
    payload: &mut [u8],
) -> Result<(usize, Option<Memory>)> {
    let length = usize::try_from(registers.r12).map_err(|_| Status::BadArgument)?;
    let bytes = payload.get_mut(..length).ok_or(Status::BadArgument)?;
    own(world, caller)?.gate.first().read(0, bytes);
    let handle = match registers.r13 {
        0 => None,
        number => Some(memory_calls::own_memory(world, caller, number, Rights::MAP_READ)?),
    };
    let resident = own(world, caller)?;
    let gives_handle = |call| matches!(call, Call::MapRegion | Call::Hello);
    if Call::from_number(registers.rax as u32).is_some_and(gives_handle) && !resident.has_room() {
        return Err(Status::ObjectsFull);
    }
    Ok((length, handle))
}

fn hand_over(resident: &mut Resident, answer: Answer<Memory>, registers: &mut Registers) {
    resident.gate.first().write(0, &answer.payload);
    let length = answer.payload.len();
    let handle = answer.handle.and_then(|handle| resident.keep(handle).ok()).unwrap_or(0);
    registers.answer(answer.reply.status, answer.reply.values, length, handle);
}

fn yield_slice(world: &mut World, caller: DomainId, registers: &mut Registers) {
    registers.answer(Status::Ok as u32, [0; 6], 0, 0);
    if let Some(resident) = world.kernel.machine_mut().resident_mut(caller) {
        resident.put_away(registers);
    }
    run::end_slice(world);
}

fn wait(world: &mut World, caller: DomainId, registers: &Registers) {
    let machine = world.kernel.machine_mut();
    if let Some(resident) = machine.resident_mut(caller) {
        resident.put_away(registers);
        machine.answer_wait(caller, registers.words[0]);
    }
}

/// The answer has a payload.
fn frame_names(world: &mut World, caller: DomainId, registers: &mut Registers) {
    let [memory, page, ..] = registers.words;
    match memory_calls::frame_names(world, caller, memory, page) {
        Ok(count) => {
            registers.answer(Status::Ok as u32, [count as u64, 0, 0, 0, 0, 0], count * size_of::<u32>(), 0)
        }
        Err(status) => refuse(world, caller, registers, status),
    }
}

fn machine_call(world: &mut World, caller: DomainId, call: MachineCall, registers: &Registers) -> Result {
    let [first, second, third, fourth, ..] = registers.words;
    let done = |()| ([0; 6], 0);
    match call {
        MachineCall::Print => print(own(world, caller)?, registers.r12).map(done),
        MachineCall::Clock => {
            Ok(([clock::now_ns(), core::number() as u64, core::count() as u64, 0, 0, 0], 0))
        }
        MachineCall::Allocate => memory_calls::allocate(world, caller, first, second),
        MachineCall::AllocateNamed => memory_calls::allocate_named(world, caller, first, second),
        MachineCall::FreeFrames => memory_calls::free_frames(world, caller),
        MachineCall::HandDown => memory_calls::hand_down(world, caller, first, second).map(done),
        MachineCall::Quota => memory_calls::quota(caller),
        MachineCall::EditSpace => memory_calls::edit_space(world, caller, registers.r12),
        MachineCall::Monitor => monitor::open(world, caller, first),
        MachineCall::Find => find(world, caller, [first, second, third]),
        MachineCall::ReadPort => {
            devices::read_port(world, caller, [first, second, third]).map(|value| ([value, 0, 0, 0, 0, 0], 0))
        }
        MachineCall::WritePort => {
            devices::write_port(world, caller, [first, second, third], fourth).map(done)
        }
        MachineCall::TakeInterrupt => devices::take_line(world, caller, first, second, third).map(done),
        MachineCall::NextInterrupt => {
            devices::next_interrupt(world, caller, first, second).map(|fired| ([fired, 0, 0, 0, 0, 0], 0))
        }
        MachineCall::CheckFrames if caller == world.root => Ok((check::all(&world.kernel), 0)),
        MachineCall::CheckFrames => Err(Status::MissingRight),
        MachineCall::Map => memory_calls::map(world, caller, first, second, third).map(done),
        MachineCall::Unmap => memory_calls::unmap(own(world, caller)?, first).map(done),
        MachineCall::Release => own(world, caller)?.release(first).map(|_| done(())),
        MachineCall::Place => memory_calls::place(world, caller, (first, second), third, fourth).map(done),
        MachineCall::Start => start(world, caller, first, [second, third, fourth]).map(done),
        MachineCall::PowerOff if caller == world.root => {
            exit(if first == 0 { Exit::Success } else { Exit::Failure })
        }
        MachineCall::ReadSerial if caller == world.root => {
            Ok((console::read().map_or([0; 6], |byte| [1, byte.into(), 0, 0, 0, 0]), 0))
        }
        MachineCall::PowerOff | MachineCall::ReadSerial => Err(Status::MissingRight),
        MachineCall::Statistics => Ok((statistics(world), 0)),
        MachineCall::HandleFaults => handle_faults(own(world, caller)?, first, second).map(done),
        MachineCall::CreateNotification => {
            world.kernel.create_notification(caller).map(|slot| ([slot, 0, 0, 0, 0, 0], 0))
        }
        MachineCall::Listen => {
            let are_there = world.kernel.listen(caller, first, second != 0)?;
            if are_there {
                world.kernel.machine_mut().post_event(caller, event::NOTIFICATION);
            }
            Ok(([0; 6], 0))
        }
        MachineCall::Call
        | MachineCall::Send
        | MachineCall::Reply
        | MachineCall::ReplyAndReceive
        | MachineCall::Notify
        | MachineCall::Watch
        | MachineCall::Yield
        | MachineCall::YieldTo
        | MachineCall::RunIn
        | MachineCall::Wait
        | MachineCall::Exit
        | MachineCall::FrameNames => Err(Status::NoSuchCall),
    }
}

pub(super) fn own(world: &mut World, caller: DomainId) -> Result<&mut Resident> {
    world.kernel.machine_mut().resident_mut(caller).ok_or(Status::DomainGone)
}

/// The domain that the caller's capability is for, if it has these rights now.
pub(super) fn named(world: &World, caller: DomainId, slot: u64, needed: Rights) -> Result<DomainId> {
    let capability = world.kernel.claim(caller, Slot::from_bits(slot), ObjectKind::Domain, needed)?;
    Ok(DomainId::from_bits(capability.object.id))
}

/// Writes down what a domain did by a capability of its own.
pub(super) fn log_control(
    world: &mut World,
    caller: DomainId,
    target: DomainId,
    slot: u64,
    call: MachineCall,
) {
    world.kernel.log_control(caller, target, Slot::from_bits(slot), call as u64);
}

fn print(resident: &Resident, length: u64) -> Result<()> {
    let mut text = [0; PAYLOAD_BYTES];
    let length = usize::try_from(length).map_err(|_| Status::BadArgument)?;
    let text = text.get_mut(..length).ok_or(Status::BadArgument)?;
    resident.gate.first().read(0, text);
    console::print_foreign(text);
    Ok(())
}

fn start(world: &mut World, caller: DomainId, slot: u64, [entry, stack, argument]: [u64; 3]) -> Result<()> {
    let child = named(world, caller, slot, Rights::CONTROL)?;
    if entry >= USER_END || stack >= USER_END {
        return Err(Status::BadArgument);
    }
    let machine = world.kernel.machine_mut();
    let new = machine.resident_mut(child).filter(|child| child.state == State::New);
    let started = new.ok_or(Status::DomainGone)?;
    (started.registers.rip, started.registers.rsp, started.registers.words[0]) = (entry, stack, argument);
    started.state = State::Ready;
    let core = started.core;
    machine.wake(core);
    log_control(world, caller, child, slot, MachineCall::Start);
    Ok(())
}

fn handle_faults(resident: &mut Resident, entry: u64, stack: u64) -> Result<()> {
    if entry >= USER_END || stack >= USER_END {
        return Err(Status::BadArgument);
    }
    resident.fault_handler = FaultHandler { entry, stack };
    Ok(())
}

/// The slot with the widest capability for an object.
fn find(world: &World, caller: DomainId, [kind, id, unit]: [u64; 3]) -> Result {
    let kind = ObjectKind::from_number(kind).ok_or(Status::BadArgument)?;
    let (slot, _) = world
        .kernel
        .held(caller)
        .filter(|(_, held)| held.object == Object { kind, id })
        .filter(|(_, held)| held.range.length == 0 || held.range.contains(Range::new(unit, 1)))
        .max_by_key(|(_, held)| (held.range.length, held.rights.bits()))
        .ok_or(Status::NoCapability)?;
    Ok(([slot.to_bits(), 0, 0, 0, 0, 0], 0))
}

fn statistics(world: &World) -> [u64; 6] {
    let machine = world.kernel.machine();
    let objects = object::count().into();
    [
        frames::free().into(),
        objects,
        machine.count() as u64,
        machine.lost_upcalls(),
        machine.cores.iter().map(|core| core.current.switches()).sum(),
        machine.now_ns(),
    ]
}
