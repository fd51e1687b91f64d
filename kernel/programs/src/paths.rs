//! How long the paths through the kernel are: instructions from ring 3 to ring 3, where the emulator counts them.
//!
//! Under QEMU's `-icount shift=0` the time stamp counter counts instructions, exactly and the same in every run. Each figure is the
//! difference of two readings around one operation, less the readings themselves; the lowest of a few, because the timer
//! interrupts as it likes.

use feuerbird_abi::{Access, Call, Edit, EditAction, MachineCall};
use feuerbird_capability::{Rights, Trust};

use crate::child::{Child, Image};
use crate::fault;
use crate::gate::{self, Result, println};
use crate::memory::{self, PAGE, SCRATCH};
use crate::role::Role;

/// Pages in each of two edits of a batch.
const PAGES_PER_EDIT: u32 = 256;

/// How often each is measured.
const ROUNDS: usize = 9;

/// Measures and prints all, one line each.
pub(crate) fn run(image: &Image) -> ! {
    if let Err(status) = measure(image) {
        println!("paths: a call was refused: {status}");
        gate::power_off(1);
    }
    gate::power_off(0)
}

fn measure(image: &Image) -> Result<()> {
    let nothing = lowest(|| Ok(()))?;
    let path = |name: &str, operation: &mut dyn FnMut() -> Result<()>| {
        let instructions = lowest(operation)? - nothing;
        println!("path {name}: {instructions}");
        Ok(())
    };
    path("null call", &mut || ignore(gate::raw(Call::Null as u64, [0; 6], 0, 0)))?;
    path("read the clock", &mut || ignore(gate::raw(MachineCall::Clock as u64, [0; 6], 0, 0)))?;
    path("look for an upcall, none there", &mut || {
        ignore(gate::raw(MachineCall::Wait as u64, [0; 6], 0, 0))
    })?;
    path("yield, nobody else ready", &mut || ignore(gate::raw(MachineCall::Yield as u64, [0; 6], 0, 0)))?;
    let other = Child::new(image, Trust::USER)?;
    other.start(image, Role::Yielder.argument(0))?;
    gate::give_way();
    path("yield to another domain and back", &mut || {
        ignore(gate::raw(MachineCall::Yield as u64, [0; 6], 0, 0))
    })?;
    other.destroy()?;
    measure_memory(&path)?;
    measure_capabilities(&path)
}

type Path<'a> = dyn Fn(&str, &mut dyn FnMut() -> Result<()>) -> Result<()> + 'a;

fn measure_memory(path: &Path<'_>) -> Result<()> {
    let handle = memory::allocate(1)?;
    path("map a page and unmap it", &mut || {
        gate::machine(MachineCall::Map, &[handle, SCRATCH, Access::Write as u64])?;
        gate::machine(MachineCall::Unmap, &[SCRATCH]).map(|_| ())
    })?;
    memory::release(handle)?;
    measure_batches(path)?;
    fault::start()?;
    fault::exchange(0, 0);
    path("an exception, to its handler and back", &mut || {
        fault::skip();
        Ok(())
    })?;
    let mut page = 0;
    path("a page that is touched: fault, allocate, map, back", &mut || {
        page += 1;
        fault::exchange(page * 512, 0);
        Ok(())
    })?;
    fault::stop()
}

/// Each figure is for all pages of a batch.
fn measure_batches(path: &Path<'_>) -> Result<()> {
    let handles = [memory::allocate(PAGES_PER_EDIT.into())?, memory::allocate(PAGES_PER_EDIT.into())?];
    let batch = |action: EditAction| {
        let edit = |(place, memory): (u64, u64)| Edit {
            address: SCRATCH + place * u64::from(PAGES_PER_EDIT) * PAGE,
            memory: memory as u32,
            first: 0,
            pages: PAGES_PER_EDIT,
            action: action as u32,
        };
        let (done, status) = memory::edit(&[edit((0, handles[0])), edit((1, handles[1]))])?;
        if done == 2 { Ok(()) } else { Err(status) }
    };
    path("map 512 pages in one call, and unmap them in another", &mut || {
        batch(EditAction::MapWrite)?;
        batch(EditAction::Unmap)
    })?;
    batch(EditAction::MapWrite)?;
    path("protect 512 pages in one call", &mut || batch(EditAction::ProtectRead))?;
    batch(EditAction::Unmap)?;
    handles.into_iter().try_for_each(memory::release)
}

fn measure_capabilities(path: &Path<'_>) -> Result<()> {
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let rights = u64::from(Rights::all().bits());
    let derive = || gate::call(Call::Derive, &[endpoint, rights, 0, 0, 0, 0]).map(|_| ());
    path("inspect a capability", &mut || gate::call(Call::Inspect, &[endpoint]).map(|_| ()))?;
    path("derive a capability", &mut || derive())?;
    path("derive a capability and revoke it", &mut || {
        derive()?;
        gate::call(Call::Revoke, &[endpoint, 0]).map(|_| ())
    })
}

fn ignore<T>(_: T) -> Result<()> {
    Ok(())
}

fn lowest(mut operation: impl FnMut() -> Result<()>) -> Result<u64> {
    let mut lowest = u64::MAX;
    for _ in 0..ROUNDS {
        let start = gate::counter();
        operation()?;
        lowest = lowest.min(gate::counter() - start);
    }
    Ok(lowest)
}
