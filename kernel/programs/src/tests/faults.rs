//! Exceptions that a domain handles itself.

use super::{Checked, Ground, ensure, ensure_ends};
use crate::fault::{self, LAZY_PAGES};
use crate::gate;
use crate::role::Role;

const TOUCHED: u64 = 40;

/// Memory appears where it is touched, one page for each, and stays what it was made.
pub(super) fn demand_paging(_: &Ground<'_>) -> Checked {
    fault::start()?;
    let (before, _) = fault::counts();
    for round in 0..3 {
        for page in 0..TOUCHED {
            let expected = if round == 0 { 0 } else { page << 8 | (round - 1) };
            ensure(fault::exchange(page * 512 + page, page << 8 | round) == expected)?;
        }
    }
    let (after, _) = fault::counts();
    (0..TOUCHED).try_for_each(fault::drop_page)?;
    fault::stop()?;
    ensure(after - before == TOUCHED)
}

pub(super) fn registers(_: &Ground<'_>) -> Checked {
    fault::start()?;
    let (_, before) = fault::counts();
    for _ in 0..100 {
        ensure(fault::registers_survive_a_fault())?;
    }
    let (_, after) = fault::counts();
    fault::stop()?;
    ensure(after - before == 100)
}

/// A handler that makes exceptions itself, or has nowhere to run, is the end of its domain only.
pub(super) fn in_handler(ground: &Ground<'_>) -> Checked {
    for habit in 0..3 {
        ensure_ends(ground.run(Role::BadHandler, habit)?)?;
    }
    Ok(())
}

/// What such a domain does. It must not come back.
pub(crate) fn handle_badly(habit: u64) {
    match habit {
        // Nothing is there; there is no stack; the handler makes the exception again.
        0 => fault::install(0x1000, 0x2000),
        1 => fault::install(fault_again as *const () as u64, 0),
        _ => fault::install(fault_again as *const () as u64, 0x7000_0000_0000 - 2048),
    }
    fault_again();
    loop {
        let _ = gate::wait(u64::MAX);
    }
}

extern "sysv64" fn fault_again() {
    fault::exchange(LAZY_PAGES - 1, 1);
}
