//! Calls about memory: frames, what is mapped where, and who pays.

use feuerbird_abi::{Access, EDIT_PAGES, Edit, EditAction, PAYLOAD_BYTES, Status};
use feuerbird_capability::Rights;
use feuerbird_exokernel::DomainId;
use zerocopy::{FromZeros, IntoBytes};

use crate::domain::calls::{Result, named, own};
use crate::domain::resident::{self, Resident, State};
use crate::domain::run::{self, World};
use crate::memory::frames::{self, Wanted};
use crate::memory::object::{self, Memory, NOBODY};
use crate::memory::quota;

/// How many edits one list has room for.
const EDITS: usize = PAYLOAD_BYTES / size_of::<Edit>();

/// How many names one answer has room for.
const NAMES: usize = PAYLOAD_BYTES / size_of::<u32>();

pub(super) fn allocate(resident: &mut Resident, pages: u64, node: u64) -> Result {
    let wanted = match node {
        u64::MAX => Wanted::Any,
        node if node < frames::MAX_NODES as u64 => Wanted::On(node as usize),
        _ => return Err(Status::BadArgument),
    };
    allocate_wanted(resident, pages, wanted)
}

pub(super) fn allocate_named(resident: &mut Resident, frame: u64, pages: u64) -> Result {
    let first = u32::try_from(frame).map_err(|_| Status::BadArgument)?;
    allocate_wanted(resident, pages, Wanted::Named(first))
}

fn allocate_wanted(resident: &mut Resident, pages: u64, wanted: Wanted) -> Result {
    let pages = u32::try_from(pages).map_err(|_| Status::BadArgument)?;
    if !resident.has_room() {
        return Err(Status::ObjectsFull);
    }
    let memory = Memory::new(resident.domain, pages, wanted)?;
    Ok(([0; 6], resident.keep(memory)?))
}

/// The names go into the gate page.
pub(super) fn frame_names(resident: &Resident, handle: u64, page: u64) -> Result<usize> {
    let memory = resident.memory(handle)?;
    let page = usize::try_from(page).map_err(|_| Status::BadArgument)?;
    let mut names = [0u32; NAMES];
    let listed = names.iter_mut().zip(memory.frames().skip(page));
    let count = listed.map(|(name, frame)| *name = frame.number()).count();
    resident.gate.first().write(0, names[..count].as_bytes());
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
    quota::hand_down(caller, child, frames, tables)
}

pub(super) fn quota(caller: DomainId) -> Result {
    let (amount, used) = quota::of(caller)?;
    Ok(([amount.into(), used.into(), 0, 0, 0, 0], 0))
}

pub(super) fn map(resident: &mut Resident, handle: u64, address: u64, access: u64) -> Result<()> {
    let access = Access::from_number(access).ok_or(Status::BadArgument)?;
    let memory = resident.memory(handle)?.clone();
    check_access(resident.domain, memory.writer(), access)?;
    resident.mapped.map(&memory, address, access)
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
pub(super) fn edit_space(resident: &mut Resident, length: u64) -> Result {
    let mut list = [Edit::new_zeroed(); EDITS];
    let count = usize::try_from(length).map_err(|_| Status::BadArgument)? / size_of::<Edit>();
    let list = list.get_mut(..count).ok_or(Status::BadArgument)?;
    resident.gate.first().read(0, list.as_mut_bytes());
    let pages = list.iter().try_fold(0u32, |sum, edit| sum.checked_add(edit.pages));
    if pages.is_none_or(|pages| pages > EDIT_PAGES) {
        return Err(Status::BadArgument);
    }
    let (mut done, mut refusal, mut changed) = (0, Status::Ok, 0);
    for edit in list.iter() {
        match edit_run(resident, edit) {
            Ok(()) => changed += edit.pages,
            Err(status) => {
                refusal = status;
                break;
            }
        }
        done += 1;
    }
    // Only the caller's core can have used these tables, and frames that went back are nobody's before this.
    run::load_space(resident.mapped.root());
    Ok(([done, refusal as u64, changed.into(), 0, 0, 0], 0))
}

fn edit_run(resident: &mut Resident, edit: &Edit) -> Result<()> {
    let action = EditAction::from_number(edit.action).ok_or(Status::BadArgument)?;
    match action {
        EditAction::Unmap => {
            resident.mapped.space().unmap(edit.address, edit.pages).map(|_| ()).map_err(resident::status)
        }
        EditAction::MapRead => map_run(resident, edit, Access::Read),
        EditAction::MapWrite => map_run(resident, edit, Access::Write),
        EditAction::MapExecute => map_run(resident, edit, Access::Execute),
        EditAction::ProtectRead => protect_run(resident, edit, Access::Read),
        EditAction::ProtectWrite => protect_run(resident, edit, Access::Write),
        EditAction::ProtectExecute => protect_run(resident, edit, Access::Execute),
    }
}

fn map_run(resident: &mut Resident, edit: &Edit, access: Access) -> Result<()> {
    let memory = resident.memory(edit.memory.into())?.clone();
    check_access(resident.domain, memory.writer(), access)?;
    let end = edit.first.checked_add(edit.pages).ok_or(Status::BadArgument)?;
    let mapped = resident.mapped.space().map(edit.address, &memory, edit.first..end, resident::flags(access));
    mapped.map_err(resident::status)
}

fn protect_run(resident: &mut Resident, edit: &Edit, access: Access) -> Result<()> {
    let domain = resident.domain;
    let may = |object: object::Mapped| check_access(domain, object.writer(), access).is_ok();
    let flags = resident::flags(access);
    resident.mapped.space().protect(edit.address, edit.pages, flags, may).map_err(resident::status)
}

/// Maps memory of the caller's in a domain that is being made.
pub(super) fn place(
    world: &mut World,
    caller: DomainId,
    (slot, handle): (u64, u64),
    address: u64,
    access: u64,
) -> Result<()> {
    let access = Access::from_number(access).ok_or(Status::BadArgument)?;
    let child = named(world, caller, slot, Rights::CONTROL)?;
    let memory = own(world, caller)?.memory(handle)?;
    let is_own = memory.writer() == caller && memory.is_only_reference();
    let is_sealed = memory.writer() == NOBODY;
    if !(is_own || is_sealed && access != Access::Write) {
        return Err(Status::MissingRight);
    }
    let memory = memory.clone();
    let new = world.kernel.machine_mut().resident_mut(child).filter(|child| child.state == State::New);
    new.ok_or(Status::DomainGone)?.mapped.map(&memory, address, access)?;
    match access {
        Access::Write => {
            memory.set_writer(child);
            own(world, caller)?.release(handle)?;
        }
        _ => memory.set_writer(NOBODY),
    }
    Ok(())
}
