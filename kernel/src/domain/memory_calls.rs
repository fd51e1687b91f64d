//! Calls about memory: frames, what is mapped where, and who pays.

use feuerbird_abi::{Access, EDIT_PAGES, Edit, EditAction, MachineCall, PAYLOAD_BYTES, Status};
use feuerbird_capability::{Range, Rights, Slot};
use feuerbird_exokernel::DomainId;
use zerocopy::{FromZeros, IntoBytes};

use crate::domain::calls::{Result, log_control, log_refusal, named, own};
use crate::domain::resident::{self, Resident, State};
use crate::domain::run::{self, World};
use crate::memory::frames::{self, Wanted};
use crate::memory::object::{self, Memory, NOBODY};
use crate::memory::quota;

/// How many edits one list has room for.
const EDITS: usize = PAYLOAD_BYTES / size_of::<Edit>();

/// How many names one answer has room for.
const NAMES: usize = PAYLOAD_BYTES / size_of::<u32>();

/// Numbers below this are handles; slots have a generation above.
const FIRST_SLOT: u64 = 1 << 32;

/// The memory that a number of the caller's names: what a handle is for; or by a capability for frames that has this right now, for
/// these of its pages or for all.
fn memory(
    world: &mut World,
    caller: DomainId,
    number: u64,
    needed: Rights,
    pages: Option<Range>,
) -> Result<Memory> {
    match number {
        ..FIRST_SLOT => by_handle(world, caller, number),
        _ => world.kernel.claim_frames(caller, Slot::from_bits(number), needed, pages),
    }
}

/// What a handle is for, once whoever had it before has lost all of it: what was taken from a domain may come to it again.
fn by_handle(world: &mut World, caller: DomainId, number: u64) -> Result<Memory> {
    let memory = own(world, caller)?.memory(number)?.clone();
    world.kernel.wait_for(&memory);
    Ok(memory)
}

/// As [`memory`], all of it, and nobody can take it back from the caller.
pub(super) fn own_memory(world: &mut World, caller: DomainId, number: u64, needed: Rights) -> Result<Memory> {
    match number {
        ..FIRST_SLOT => by_handle(world, caller, number),
        _ => world.kernel.own_frames(caller, Slot::from_bits(number), needed),
    }
}

/// What a mapping needs. Who may read what nobody can write may execute it.
fn right(access: Access) -> Rights {
    if access == Access::Write { Rights::MAP_WRITE } else { Rights::MAP_READ }
}

pub(super) fn allocate(world: &mut World, caller: DomainId, pages: u64, node: u64) -> Result {
    let wanted = match node {
        u64::MAX => Wanted::Any,
        node if node < frames::MAX_NODES as u64 => Wanted::On(node as usize),
        _ => return Err(Status::BadArgument),
    };
    allocate_wanted(world, caller, pages, wanted)
}

pub(super) fn allocate_named(world: &mut World, caller: DomainId, frame: u64, pages: u64) -> Result {
    let first = u32::try_from(frame).map_err(|_| Status::BadArgument)?;
    allocate_wanted(world, caller, pages, Wanted::Named(first))
}

fn allocate_wanted(world: &mut World, caller: DomainId, pages: u64, wanted: Wanted) -> Result {
    let pages = u32::try_from(pages).map_err(|_| Status::BadArgument)?;
    let memory = Memory::new(caller, pages, wanted)?;
    let slot = world.kernel.mint_frames(caller, memory, pages.into())?;
    Ok(([slot.to_bits(), 0, 0, 0, 0, 0], 0))
}

/// The names go into the gate page.
pub(super) fn frame_names(world: &mut World, caller: DomainId, number: u64, page: u64) -> Result<usize> {
    let memory = memory(world, caller, number, Rights::INSPECT, None)?;
    let page = usize::try_from(page).map_err(|_| Status::BadArgument)?;
    let mut names = [0u32; NAMES];
    let listed = names.iter_mut().zip(memory.frames().skip(page));
    let count = listed.map(|(name, frame)| *name = frame.number()).count();
    own(world, caller)?.gate.first().write(0, names[..count].as_bytes());
    Ok(count)
}

pub(super) fn free_frames(world: &mut World, caller: DomainId) -> Result {
    let memory = world.kernel.machine().free_map.clone();
    let pages = memory.pages();
    Ok(([pages.into(), 0, 0, 0, 0, 0], own(world, caller)?.keep(memory)?))
}

pub(super) fn hand_down(world: &mut World, caller: DomainId, slot: u64, frames: u64) -> Result<()> {
    let child = named(world, caller, slot, Rights::CONTROL)?;
    let frames = u32::try_from(frames).ok().filter(|_| child != caller).ok_or(Status::BadArgument)?;
    let tables = own(world, child)?.mapped.tables().tables();
    quota::hand_down(caller, child, frames, tables)?;
    log_control(world, caller, child, slot, MachineCall::HandDown);
    Ok(())
}

pub(super) fn quota(caller: DomainId) -> Result {
    let (amount, used) = quota::of(caller)?;
    Ok(([amount.into(), used.into(), 0, 0, 0, 0], 0))
}

pub(super) fn map(world: &mut World, caller: DomainId, number: u64, address: u64, access: u64) -> Result<()> {
    let access = Access::from_number(access).ok_or(Status::BadArgument)?;
    let memory = memory(world, caller, number, right(access), None)?;
    check_access(caller, memory.writer(), access)?;
    own(world, caller)?.mapped.map(&memory, address, access)
}

/// Whether a domain may have this access to memory with that writer.
fn check_access(domain: DomainId, writer: DomainId, access: Access) -> Result<()> {
    match access {
        Access::Write if writer != domain => Err(Status::MissingRight),
        Access::Execute if writer != NOBODY => Err(Status::NotSealed),
        _ => Ok(()),
    }
}

pub(super) fn unmap(resident: &mut Resident, address: u64) -> Result<()> {
    let unmapped = resident.mapped.unmap(address);
    // Only the caller's core can have used these tables.
    run::load_space(resident.mapped.root());
    unmapped
}

/// Carries out a list of edits, as far as it goes.
pub(super) fn edit_space(world: &mut World, caller: DomainId, length: u64) -> Result {
    let mut list = [Edit::new_zeroed(); EDITS];
    let count = usize::try_from(length).map_err(|_| Status::BadArgument)? / size_of::<Edit>();
    let list = list.get_mut(..count).ok_or(Status::BadArgument)?;
    own(world, caller)?.gate.first().read(0, list.as_mut_bytes());
    let pages: u32 = list.iter().map(|edit| u32::from(edit.pages)).sum();
    if pages > EDIT_PAGES {
        return Err(Status::BadArgument);
    }
    let (mut done, mut refusal, mut changed) = (0, Status::Ok, 0);
    for edit in list.iter() {
        match edit_run(world, caller, edit) {
            Ok(()) => changed += u64::from(edit.pages),
            Err(status) => {
                refusal = status;
                break;
            }
        }
        done += 1;
    }
    // Only the caller's core can have used these tables, and frames that went back are nobody's before this.
    run::load_space(own(world, caller)?.mapped.root());
    if refusal != Status::Ok {
        let memory = list.get(done as usize).map_or(0, |edit| edit.memory);
        log_refusal(world, caller, MachineCall::EditSpace as u64, memory, refusal);
    }
    Ok(([done, refusal as u64, changed, 0, 0, 0], 0))
}

fn edit_run(world: &mut World, caller: DomainId, edit: &Edit) -> Result<()> {
    let action = EditAction::from_number(edit.action).ok_or(Status::BadArgument)?;
    match action {
        EditAction::Unmap => {
            let space = own(world, caller)?.mapped.space();
            space.unmap(edit.address, edit.pages.into()).map(|_| ()).map_err(resident::status)
        }
        EditAction::MapRead => map_run(world, caller, edit, Access::Read),
        EditAction::MapWrite => map_run(world, caller, edit, Access::Write),
        EditAction::MapExecute => map_run(world, caller, edit, Access::Execute),
        EditAction::ProtectRead => protect_run(own(world, caller)?, edit, Access::Read),
        EditAction::ProtectWrite => protect_run(own(world, caller)?, edit, Access::Write),
        EditAction::ProtectExecute => protect_run(own(world, caller)?, edit, Access::Execute),
    }
}

fn map_run(world: &mut World, caller: DomainId, edit: &Edit, access: Access) -> Result<()> {
    let pages = Range::new(edit.first.into(), edit.pages.into());
    let memory = memory(world, caller, edit.memory, right(access), Some(pages))?;
    check_access(caller, memory.writer(), access)?;
    let end = edit.first.checked_add(edit.pages.into()).ok_or(Status::BadArgument)?;
    let space = own(world, caller)?.mapped.space();
    let mapped = space.map(edit.address, &memory, edit.first..end, resident::flags(access));
    mapped.map_err(resident::status)
}

fn protect_run(resident: &mut Resident, edit: &Edit, access: Access) -> Result<()> {
    let domain = resident.domain;
    let may = |object: object::Mapped| check_access(domain, object.writer(), access).is_ok();
    let flags = resident::flags(access);
    resident.mapped.space().protect(edit.address, edit.pages.into(), flags, may).map_err(resident::status)
}

/// Maps memory of the caller's in a domain that is being made.
pub(super) fn place(
    world: &mut World,
    caller: DomainId,
    (slot, number): (u64, u64),
    address: u64,
    access: u64,
) -> Result<()> {
    let access = Access::from_number(access).ok_or(Status::BadArgument)?;
    let child = named(world, caller, slot, Rights::CONTROL)?;
    let memory = own_memory(world, caller, number, right(access))?;
    // By its name, and here.
    let is_own = memory.writer() == caller && memory.references() == 2;
    let is_sealed = memory.writer() == NOBODY;
    if !(is_own || is_sealed && access != Access::Write) {
        return Err(Status::MissingRight);
    }
    let new = world.kernel.machine_mut().resident_mut(child).filter(|child| child.state == State::New);
    new.ok_or(Status::DomainGone)?.mapped.map(&memory, address, access)?;
    match access {
        Access::Write => {
            memory.set_writer(child);
            forget(world, caller, number)?;
        }
        _ => memory.set_writer(NOBODY),
    }
    log_control(world, caller, child, slot, MachineCall::Place);
    Ok(())
}

/// Closes a handle, or deletes a capability.
fn forget(world: &mut World, caller: DomainId, number: u64) -> Result<()> {
    match number {
        ..FIRST_SLOT => own(world, caller)?.release(number).map(|_| ()),
        _ => world.kernel.delete_slot(caller, Slot::from_bits(number)),
    }
}
