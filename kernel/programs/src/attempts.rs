//! A LibOS that does what it must not, and for each of its attempts what stopped it.

use feuerbird_abi::{Access, Call, MachineCall, Role as Side, Status};
use feuerbird_capability::{Rights, Trust};

use crate::child::{Child, Image};
use crate::gate::{self, Result, println};
use crate::memory;
use crate::role::Role;

/// What ends the domain that tries it: the numbers are those of the tests' attacks.
const FATAL: [(&str, u64); 12] = [
    ("reads the kernel's memory", 2),
    ("writes the kernel's memory", 3),
    ("reads all memory through the kernel's map", 4),
    ("jumps into the kernel", 9),
    ("executes its stack", 12),
    ("turns interrupts off", 13),
    ("writes to a port", 16),
    ("writes where system calls go", 18),
    ("takes another address space", 20),
    ("returns into ring 0", 51),
    ("overflows its stack", 31),
    ("writes memory that it may only read", 33),
];

/// How long an attempt may take.
const PATIENCE_NS: u64 = 5_000_000_000;

/// The first domain: whether everything that a hostile domain tries is stopped.
pub(crate) fn run(image: &Image) -> bool {
    show(image).unwrap_or_else(|status| {
        println!("root: a call was refused: {status}");
        false
    })
}

/// One domain that makes every call that it must not, then one for each instruction. Whether all were stopped.
///
/// # Errors
/// As the calls it takes.
pub(crate) fn show(image: &Image) -> Result<bool> {
    println!("root: starts a hostile domain, which owns nothing");
    let mut all_stopped = has_ended(start(image, Role::Forger, 0)?)?;
    if !all_stopped {
        println!("root: the hostile domain has got something, or came to no end");
    }
    for (attempt, number) in FATAL {
        let is_stopped = has_ended(start(image, Role::Attacker, number)?)?;
        let end = if is_stopped { "the processor refuses, and the kernel ends it" } else { "NOT stopped" };
        println!("hostile: {attempt}: {end}");
        all_stopped &= is_stopped;
    }
    Ok(all_stopped)
}

fn start(image: &Image, role: Role, own: u64) -> Result<Child> {
    let child = Child::new(image, Trust::USER)?;
    child.start(image, role.argument(own))?;
    Ok(child)
}

/// Whether a domain ends without being made to.
fn has_ended(child: Child) -> Result<bool> {
    let deadline = gate::now_ns() + PATIENCE_NS;
    while child.is_alive() && gate::now_ns() < deadline {
        gate::sleep(500_000)?;
    }
    let has_ended = !child.is_alive();
    child.destroy()?;
    Ok(has_ended)
}

type Attempt = fn() -> Result<()>;

/// The hostile domain. Ends only where nothing was given to it.
pub(crate) fn forge() {
    let attempts: [(&str, Attempt); 14] = [
        ("binds by a guessed slot", || bind(1 << 32 | 7)),
        ("revokes by every slot that it was not given", || any_slot(|slot| done(Call::Revoke, &[slot, 0]))),
        ("reads the audit log by every slot", || any_slot(|slot| done(Call::ReadAudit, &[slot, 1]))),
        ("reads a port by every slot", || any_slot(|slot| machine(MachineCall::ReadPort, &[slot, 0x70, 1]))),
        ("uses a capability that it has deleted", use_deleted),
        ("gives itself a right that it was not given", || derive(Rights::all(), Trust::USER)),
        ("gives itself trust that it was not given", || derive(Rights::INSPECT, Trust::KERNEL)),
        ("maps memory by every handle", || any(1..=64, |handle| map(handle, memory::SCRATCH, Access::Read))),
        ("maps memory where the kernel is", || map_own(0xffff_ffff_8000_0000, Access::Write)),
        ("executes memory that it can write", || map_own(memory::SCRATCH, Access::Execute)),
        ("takes a frame that the kernel uses", || machine(MachineCall::AllocateNamed, &[0x100, 1])),
        ("makes a call that there is not", unknown_call),
        ("reads what is typed", || machine(MachineCall::ReadSerial, &[])),
        ("ends the machine", || machine(MachineCall::PowerOff, &[0])),
    ];
    let mut all_refused = true;
    for (attempt, make) in attempts {
        let result = make();
        match result {
            Ok(()) => println!("hostile: {attempt}: NOT refused"),
            Err(status) => println!("hostile: {attempt}: refused, {status}"),
        }
        all_refused &= result.is_err();
    }
    if !all_refused {
        loop {
            let _ = gate::wait(u64::MAX);
        }
    }
}

fn done(call: Call, arguments: &[u64]) -> Result<()> {
    gate::call(call, arguments).map(|_| ())
}

fn machine(call: MachineCall, arguments: &[u64]) -> Result<()> {
    gate::machine(call, arguments).map(|_| ())
}

fn bind(slot: u64) -> Result<()> {
    gate::call_with(Call::Bind, &[slot, Side::Receiver as u64, 0], b"anything", 0).map(|_| ())
}

fn use_deleted() -> Result<()> {
    let slot = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    done(Call::Delete, &[slot])?;
    bind(slot)
}

/// Derives from a capability that has few rights, and no more trust than this domain.
fn derive(rights: Rights, trust: Trust) -> Result<()> {
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let few = (Rights::DERIVE | Rights::INSPECT).bits().into();
    let weak = gate::call(Call::Derive, &[endpoint, few, 0, 0, 0, 0])?.values[0];
    done(Call::Derive, &[weak, rights.bits().into(), trust.level().into(), 0, 0, 0])
}

/// Whether any succeeds; if not, how the last one ended.
fn any(of: impl Iterator<Item = u64>, attempt: impl Fn(u64) -> Result<()>) -> Result<()> {
    of.map(attempt).reduce(|before, this| before.or(this)).unwrap_or(Ok(()))
}

/// Slots of the first generations, but for that of its own domain's capability.
fn any_slot(attempt: impl Fn(u64) -> Result<()>) -> Result<()> {
    let own = gate::call(Call::Hello, &[])?;
    memory::release(own.handle)?;
    let slots = (0..4u64).flat_map(|generation| (0..64).map(move |index| generation << 32 | index));
    any(slots.filter(|slot| *slot != own.values[0]), attempt)
}

fn map(handle: u64, address: u64, access: Access) -> Result<()> {
    machine(MachineCall::Map, &[handle, address, access as u64])
}

fn map_own(address: u64, access: Access) -> Result<()> {
    let handle = memory::allocate(1)?;
    map(handle, address, access)
}

fn unknown_call() -> Result<()> {
    match gate::raw(0x2000, [u64::MAX; 6], 0, 0).0 {
        0 => Ok(()),
        status => Err(u32::try_from(status).ok().and_then(Status::from_number).unwrap_or(Status::NoSuchCall)),
    }
}
