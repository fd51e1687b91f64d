//! Memory that is taken back with the authority by which it was mapped, however that ends.

use feuerbird_abi::monitor::TIME;
use feuerbird_abi::{Access, Call, MachineCall, UpcallKind};
use feuerbird_capability::{Rights, Trust};

use super::{Checked, Ground, ensure, ensure_ends};
use crate::gate::{self, Result};
use crate::lane;
use crate::memory::{self, Mapping, PAGE};
use crate::role::Role;

/// How a reader loses its authority: it deletes the capability itself, or waits for the revocation; or that is one for the log.
const DELETES: u64 = 0;
const WAITS: u64 = 1;
const READS_LOG: u64 = 2;

/// Pages of the region that is read.
const PAGES: u64 = 3;

/// A reader of this domain's region, whose capability it deletes before it can be revoked, or does not.
pub(super) fn of_a_region(ground: &Ground<'_>) -> Checked {
    for habit in [DELETES, WAITS] {
        let handle = memory::allocate(PAGES)?;
        let own = Mapping::new(handle, PAGES, Access::Write)?;
        (0..PAGES as usize).for_each(|page| own.store(page * 512, 7));
        let region = gate::call_with(Call::RegisterRegion, &[PAGES * PAGE], &[], handle)?.values[0];
        let reader = ground.run(Role::Withdrawn, habit)?;
        reader.grant(region, Rights::MAP_READ, Trust::USER)?;
        gate::sleep(10_000_000)?;
        gate::call(Call::Revoke, &[region, 0])?;
        ensure_ends(reader)?;
        gate::call(Call::Delete, &[region])?;
        memory::release(handle)?;
    }
    Ok(())
}

/// The log is not to be read any more by who was revoked, neither by its handle nor where it is mapped.
pub(super) fn of_the_log(ground: &Ground<'_>) -> Checked {
    let hello = gate::call(Call::Hello, &[])?;
    memory::release(hello.handle)?;
    let all = hello.values[3];
    let rights = (Rights::INSPECT | Rights::GRANT | Rights::REVOKE).bits().into();
    let some = gate::call(Call::Derive, &[all, rights, 0, 0, 0, 0])?.values[0];
    let reader = ground.run(Role::Withdrawn, READS_LOG)?;
    reader.grant(some, Rights::INSPECT, Trust::USER)?;
    gate::sleep(10_000_000)?;
    ensure(reader.is_alive())?;
    gate::call(Call::Revoke, &[some, 0])?;
    ensure_ends(reader)?;
    gate::call(Call::Delete, &[some])?;
    Ok(())
}

/// Ends when it has lost what it mapped, and the addresses are its own again.
pub(crate) fn read_until_taken(habit: u64) {
    super::end_if(try_read(habit) == Ok(true));
}

fn try_read(habit: u64) -> Result<bool> {
    let slot = lane::expect(UpcallKind::Granted)?.0.values[0];
    let (answer, word) = match habit {
        READS_LOG => (gate::machine(MachineCall::Monitor, &[slot])?, TIME),
        _ => (gate::call(Call::MapRegion, &[slot])?, 0),
    };
    let pages = if habit == READS_LOG { answer.values[0] } else { PAGES };
    let mapping = Mapping::new(answer.handle, pages, Access::Read)?;
    let again = Mapping::new(answer.handle, pages, Access::Read)?;
    while mapping.load(word) == 0 {
        core::hint::spin_loop();
    }
    if habit == DELETES {
        gate::call(Call::Delete, &[slot])?;
    } else {
        while mapping.load(word) != 0 {
            core::hint::spin_loop();
        }
    }
    let is_gone =
        (0..pages as usize).all(|page| mapping.load(page * 512) == 0 && again.load(page * 512) == 0);
    let nothing = Mapping::new(answer.handle, pages, Access::Read)?.load(word);
    Ok(is_gone && nothing == 0)
}
