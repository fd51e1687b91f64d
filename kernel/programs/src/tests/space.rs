//! Page tables written by the LibOS: lists of edits, and what they must not do.

use feuerbird_abi::{Access, Edit, EditAction, MachineCall, Status};

use super::{Checked, Ground, ensure, ensure_refused};
use crate::gate::{self, HandleNumber, Result};
use crate::memory::{self, PAGE};

/// A range of two megabytes and more that nothing else uses, across the border of a table.
const PLACE: u64 = memory::SCRATCH + (1 << 21) - 256 * PAGE;

const PAGES: u16 = 512;

fn edit(action: EditAction, address: u64, pages: u16) -> Edit {
    Edit { address, memory: 0, first: 0, pages, action: action as u16 }
}

fn map(action: EditAction, memory: HandleNumber, first: u32, address: u64, pages: u16) -> Edit {
    Edit { address, memory, first, pages, action: action as u16 }
}

/// Looks at one word of a page that is mapped.
pub(super) fn word(address: u64) -> u64 {
    // SAFETY: the test has just mapped it; it may change only by this domain.
    unsafe { core::ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() }
}

pub(super) fn set_word(address: u64, value: u64) {
    // SAFETY: as in `word`.
    unsafe { core::ptr::with_exposed_provenance_mut::<u64>(address as usize).write_volatile(value) }
}

pub(super) fn batches(_: &Ground<'_>) -> Checked {
    let half = PAGES / 2;
    let (one, two) = (memory::allocate(half.into())?, memory::allocate(half.into())?);
    let write = EditAction::MapWrite;
    let both = [map(write, one, 0, PLACE, half), map(write, two, 0, PLACE + u64::from(half) * PAGE, half)];
    ensure(memory::edit(&both)? == (2, Status::Ok))?;
    let pages = || (0..u64::from(PAGES)).map(|page| PLACE + page * PAGE);
    pages().for_each(|page| set_word(page, page));
    // A second view of the same pages, in the other order, to read.
    let view = PLACE + (8 << 20);
    let read = EditAction::MapRead;
    let swapped = [map(read, two, 0, view, half), map(read, one, 0, view + u64::from(half) * PAGE, half)];
    ensure(memory::edit(&swapped)? == (2, Status::Ok))?;
    for page in 0..u64::from(PAGES) {
        let other = (page + u64::from(half)) % u64::from(PAGES);
        ensure(word(view + page * PAGE) == PLACE + other * PAGE)?;
    }
    let protect =
        [edit(EditAction::ProtectRead, PLACE, PAGES), edit(EditAction::ProtectWrite, view + PAGE, 1)];
    ensure(memory::edit(&protect)? == (2, Status::Ok))?;
    set_word(view + PAGE, 7);
    ensure(word(PLACE + u64::from(half + 1) * PAGE) == 7)?;
    // Whatever the handles do, what is mapped stays; and goes page by page.
    memory::release(one)?;
    memory::release(two)?;
    ensure(memory::edit(&[edit(EditAction::Unmap, view, PAGES)])? == (1, Status::Ok))?;
    ensure(word(PLACE) == PLACE)?;
    ensure(memory::edit(&[edit(EditAction::Unmap, PLACE, 3), edit(EditAction::Unmap, PLACE, PAGES)])?.0 == 2)
}

pub(super) fn hostile(_: &Ground<'_>) -> Checked {
    let handle = memory::allocate(4)?;
    let free = gate::machine(MachineCall::FreeFrames, &[])?.handle;
    let (read, write) = (EditAction::MapRead, EditAction::MapWrite);
    let refused = |bad: Edit, status| {
        let good = map(read, handle, 0, PLACE, 1);
        ensure(memory::edit(&[good, bad, good])? == (1, status))?;
        ensure(memory::edit(&[edit(EditAction::Unmap, PLACE, 1)])? == (1, Status::Ok))
    };
    for address in [0, 0xf000, PLACE + 1, 0x7fff_ffff_0000, 0x7fff_fffe_f000, 0xffff_8000_0000_0000, !0xfff] {
        refused(map(read, handle, 0, address, 2), Status::BadArgument)?;
        refused(edit(EditAction::ProtectRead, address, 2), Status::BadArgument)?;
    }
    for address in [0, 0xf000, PLACE + 1, 0x7fff_ffff_0000, 0xffff_8000_0000_0000, !0xfff] {
        refused(edit(EditAction::Unmap, address, 1), Status::BadArgument)?;
    }
    refused(map(read, handle, 1, PLACE + PAGE, 4), Status::BadArgument)?;
    refused(map(read, handle, u32::MAX, PLACE + PAGE, 1), Status::BadArgument)?;
    refused(map(read, handle, 0, PLACE + PAGE, 0), Status::BadArgument)?;
    refused(map(read, handle, 0, PLACE, 1), Status::BadArgument)?;
    refused(map(read, 64, 0, PLACE + PAGE, 1), Status::NoHandle)?;
    refused(map(write, free, 0, PLACE + PAGE, 1), Status::MissingRight)?;
    refused(map(EditAction::MapExecute, free, 0, PLACE + PAGE, 1), Status::NotSealed)?;
    refused(map(EditAction::MapExecute, handle, 0, PLACE + PAGE, 1), Status::NotSealed)?;
    refused(Edit { action: 7, ..map(read, handle, 0, PLACE + PAGE, 1) }, Status::BadArgument)?;
    refused(edit(EditAction::ProtectRead, PLACE, 2), Status::BadArgument)?;
    refused(edit(EditAction::ProtectExecute, PLACE, 1), Status::MissingRight)?;
    // What others write, or nobody, is not to be made writable; nor is this program's text.
    ensure(memory::edit(&[map(read, free, 0, PLACE, 1)])? == (1, Status::Ok))?;
    ensure(memory::edit(&[edit(EditAction::ProtectWrite, PLACE, 1)])? == (0, Status::MissingRight))?;
    ensure(memory::edit(&[edit(EditAction::Unmap, PLACE, 1)])? == (1, Status::Ok))?;
    let text = hostile as *const () as u64 & !(PAGE - 1);
    ensure(memory::edit(&[edit(EditAction::ProtectWrite, text, 1)])? == (0, Status::MissingRight))?;
    let many = [edit(EditAction::Unmap, PLACE, 1000), edit(EditAction::Unmap, PLACE, 25)];
    ensure_refused(memory::edit(&many), Status::BadArgument)?;
    ensure_refused(memory::edit(&[edit(EditAction::Unmap, PLACE, u16::MAX); 2]), Status::BadArgument)?;
    for length in [961 + 23, 4096, u64::MAX] {
        let (status, _) = gate::raw(MachineCall::EditSpace as u64, [0; 6], length, 0);
        ensure(status == Status::BadArgument as u64)?;
    }
    memory::release(free)?;
    Ok(memory::release(handle)?)
}

/// Tables that this test uses are kept for it from now on.
pub(super) fn warm_up() -> Result<()> {
    let handle = memory::allocate(1)?;
    for place in [PLACE, PLACE + (2 << 20), PLACE + (8 << 20), PLACE + (10 << 20)] {
        gate::machine(MachineCall::Map, &[handle, place, Access::Read as u64])?;
        gate::machine(MachineCall::Unmap, &[place])?;
    }
    memory::release(handle)
}

/// Writes to a page that may only be read any more: the processor must not remember what it was.
pub(crate) fn write_protected() {
    let Ok(handle) = memory::allocate(1) else { return };
    let _ = memory::edit(&[map(EditAction::MapWrite, handle, 0, PLACE, 1)]);
    set_word(PLACE, 1);
    let _ = memory::edit(&[edit(EditAction::ProtectRead, PLACE, 1)]);
    set_word(PLACE, 2);
}

/// Reads a page that is gone.
pub(crate) fn read_unmapped() {
    let Ok(handle) = memory::allocate(1) else { return };
    let _ = memory::edit(&[map(EditAction::MapWrite, handle, 0, PLACE, 1)]);
    set_word(PLACE, 1);
    let _ = memory::edit(&[edit(EditAction::Unmap, PLACE, 1)]);
    word(PLACE);
}
