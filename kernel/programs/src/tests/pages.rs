//! Memory: frames, mappings, handles.

use feuerbird_abi::{Access, Call, GATE_ADDRESS, MachineCall, Status};
use feuerbird_capability::Trust;

use super::{Checked, Ground, ensure, ensure_page_tables_are_right, ensure_refused, held};
use crate::child::Child;
use crate::gate::{self, HandleNumber, Result};
use crate::memory::{self, Mapping, PAGE, SCRATCH};

fn allocate_on(pages: u64, node: u64) -> Result<HandleNumber> {
    Ok(gate::machine(MachineCall::Allocate, &[pages, node])?.values[0])
}

fn map(handle: HandleNumber, address: u64, access: Access) -> Result<()> {
    gate::machine(MachineCall::Map, &[handle, address, access as u64]).map(|_| ())
}

fn unmap(address: u64) -> Result<()> {
    gate::machine(MachineCall::Unmap, &[address]).map(|_| ())
}

pub(super) fn zeroed(_: &Ground<'_>) -> Checked {
    for _ in 0..4 {
        let handle = memory::allocate(8)?;
        let mapping = Mapping::new(handle, 8, Access::Write)?;
        for word in 0..8 * 512 {
            ensure(mapping.load(word) == 0)?;
            mapping.store(word, u64::MAX);
        }
        memory::release(handle)?;
    }
    Ok(())
}

pub(super) fn nodes(_: &Ground<'_>) -> Checked {
    let mut found = 0;
    for node in 0..8 {
        match allocate_on(1, node) {
            Ok(handle) => {
                found += 1;
                memory::release(handle)?;
            }
            Err(status) => ensure(status == Status::ObjectsFull)?,
        }
    }
    ensure(found >= 1)?;
    for (pages, node) in [(0, 0), (257, 0), (u64::MAX, 0), (1, 8), (1, u64::MAX - 1)] {
        ensure_refused(allocate_on(pages, node), Status::BadArgument)?;
    }
    Ok(())
}

pub(super) fn addresses(_: &Ground<'_>) -> Checked {
    let handle = memory::allocate(2)?;
    let here = addresses as *const () as u64 & !(PAGE - 1);
    let bad = [
        0,
        1,
        PAGE,
        0xf000,
        0x10_0001,
        0x7fff_ffff_0000,
        0x7fff_fffe_f000,
        0x7fff_ffff_f000,
        0x8000_0000_0000,
        0xffff_8000_0000_0000,
        0xffff_ffff_8010_0000,
        u64::MAX - PAGE + 1,
        u64::MAX,
        GATE_ADDRESS,
        GATE_ADDRESS - PAGE,
        here,
    ];
    for address in bad {
        for access in [Access::Read, Access::Write] {
            ensure_refused(map(handle, address, access), Status::BadArgument)?;
        }
        if address != GATE_ADDRESS && address != here {
            ensure_refused(unmap(address), Status::BadArgument)?;
        }
    }
    ensure_refused(gate::machine(MachineCall::Map, &[handle, SCRATCH, 3]), Status::BadArgument)?;
    Ok(memory::release(handle)?)
}

pub(super) fn all_or_nothing(_: &Ground<'_>) -> Checked {
    let (small, large) = (memory::allocate(1)?, memory::allocate(4)?);
    let start = SCRATCH;
    map(small, start + 2 * PAGE, Access::Write)?;
    ensure_refused(map(large, start, Access::Write), Status::BadArgument)?;
    unmap(start + 2 * PAGE)?;
    map(large, start, Access::Write)?;
    unmap(start)?;
    ensure_refused(unmap(start), Status::BadArgument)?;
    ensure_refused(unmap(start + PAGE), Status::BadArgument)?;
    memory::release(small)?;
    Ok(memory::release(large)?)
}

pub(super) fn one_writer(ground: &Ground<'_>) -> Checked {
    let handle = memory::allocate(1)?;
    ensure_refused(map(handle, SCRATCH, Access::Execute), Status::NotSealed)?;
    let child = Child::new(ground.image, Trust::USER)?;
    let address = 0x2000_0000_0000;
    let mapping = Mapping::new(handle, 1, Access::Write)?;
    ensure_refused(child.place(handle, address, Access::Write), Status::MissingRight)?;
    ensure_refused(child.place(handle, address, Access::Execute), Status::MissingRight)?;
    drop(mapping);
    child.place(handle, address, Access::Write)?;
    ensure_refused(memory::release(handle), Status::NoCapability)?;
    let handle = memory::allocate(1)?;
    ensure_refused(child.place(handle, address, Access::Read), Status::BadArgument)?;
    child.place(handle, address + PAGE, Access::Execute)?;
    let handle = memory::allocate(1)?;
    child.start(ground.image, crate::role::Role::Idle.argument(0))?;
    ensure_refused(child.place(handle, address + 2 * PAGE, Access::Read), Status::DomainGone)?;
    ensure_refused(child.start(ground.image, 0), Status::DomainGone)?;
    memory::release(handle)?;
    Ok(child.destroy()?)
}

pub(super) fn handles(_: &Ground<'_>) -> Checked {
    let mut taken = [0; 64];
    let mut count = 0;
    let end = loop {
        match gate::call(Call::Hello, &[]) {
            Ok(answer) => taken[count] = answer.handle,
            Err(status) => break status,
        }
        count += 1;
    };
    ensure(end == Status::ObjectsFull && count > 32)?;
    ensure_refused(gate::machine(MachineCall::FreeFrames, &[]), Status::ObjectsFull)?;
    // Memory of its own is named by capabilities.
    memory::release(memory::allocate(1)?)?;
    for handle in &taken[..count] {
        memory::release(*handle)?;
    }
    Ok(memory::release(gate::call(Call::Hello, &[])?.handle)?)
}

/// What so many children can be given, in so many places each.
const CHILDREN: usize = 16;
const PLACES: u64 = 56;
const MOST: u64 = CHILDREN as u64 * PLACES * 256;

/// Children keep what is placed in them: one domain alone cannot have that much mapped.
pub(super) fn exhausted(ground: &Ground<'_>) -> Checked {
    let [before, ..] = held();
    let mut children = [const { None }; CHILDREN];
    let mut end = None;
    for place in &mut children {
        let child = match Child::new(ground.image, Trust::USER) {
            Ok(child) => place.insert(child),
            Err(status) => {
                end = Some(status);
                break;
            }
        };
        for number in 0..PLACES {
            let placed = memory::allocate(256)
                .and_then(|handle| child.place(handle, 0x2000_0000_0000 + number * 257 * PAGE, Access::Read));
            end = end.or(placed.err());
        }
        if end.is_some() {
            break;
        }
    }
    let [free, ..] = held();
    ensure_page_tables_are_right()?;
    // A machine with much memory is not used up by so few.
    let is_full = matches!(end, Some(Status::ObjectsFull | Status::QuotaExceeded));
    ensure(is_full && free < 512 || end.is_none() && before > MOST)?;
    for child in children.into_iter().flatten() {
        child.destroy()?;
    }
    Ok(())
}
