//! Memory that is taken back with the authority by which it was mapped, however that ends.

use feuerbird_abi::monitor::TIME;
use feuerbird_abi::{Access, Call, MachineCall, Role as Side, UpcallKind};
use feuerbird_capability::{Rights, Trust};

use super::{Checked, Ground, ensure, ensure_ends};
use crate::child::Child;
use crate::gate::{self, Result};
use crate::lane::{self, Lane, MESSAGE_WORDS};
use crate::memory::{self, Mapping, PAGE};
use crate::role::Role;

/// How a reader loses its authority: it deletes the capability itself, or waits for the revocation; or that is one for the log.
const DELETES: u64 = 0;
const WAITS: u64 = 1;
const READS_LOG: u64 = 2;

/// How a peer ends a pair and keeps what it has mapped: it leaves, or is left.
const LEAVES: u64 = 3;
const IS_LEFT: u64 = 4;

/// How often.
const ROUNDS: u64 = 6;

/// What that peer is given to pay with: its page tables among it.
const FRAMES: u64 = 120;

/// How long a reader may take until it has mapped what it was granted: of what is revoked before, it never hears.
const A_WHILE_NS: u64 = 300_000_000;

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
        if habit == WAITS {
            gate::sleep(A_WHILE_NS)?;
            gate::call(Call::Revoke, &[region, 0])?;
        }
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
    gate::sleep(A_WHILE_NS)?;
    ensure(reader.is_alive())?;
    gate::call(Call::Revoke, &[some, 0])?;
    ensure_ends(reader)?;
    gate::call(Call::Delete, &[some])?;
    Ok(())
}

/// A peer that comes and goes, and gives nothing back, has what it keeps at its own cost.
pub(super) fn of_a_peer(ground: &Ground<'_>) -> Checked {
    for habit in [LEAVES, IS_LEFT] {
        let held = super::held();
        let peer = Child::new(ground.image, Trust::USER)?;
        gate::machine(MachineCall::HandDown, &[peer.slot, FRAMES])?;
        peer.start(ground.image, Role::Withdrawn.argument(habit))?;
        let before = used()?;
        for _ in 0..ROUNDS {
            let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
            peer.grant(endpoint, Rights::RECEIVE, Trust::USER)?;
            let mut lane = Lane::bind(endpoint, Side::Sender)?;
            ensure(lane.try_send([7; MESSAGE_WORDS]) == Ok(true))?;
            // Its position says that it has read the message.
            while lane.peek() == 0 && lane.is_valid() {
                gate::give_way();
            }
            if habit == LEAVES {
                lane::expect(UpcallKind::PeerLeft)?;
            }
            lane.part()?;
            gate::call(Call::Delete, &[endpoint])?;
            while gate::wait(0)?.is_some() {}
            // Less, where the peer has ended meanwhile.
            ensure(used()? <= before)?;
        }
        ensure_ends(peer)?;
        // The first peer's last frames are not to be counted among the second one's.
        super::check_nothing_left(held)?;
    }
    Ok(())
}

/// The frames that the account has used which pays for this domain.
fn used() -> Result<u64> {
    Ok(gate::machine(MachineCall::Quota, &[])?.values[1])
}

/// Meets the same peer again and again, and lets go of nothing. What it reads is gone where it left, and still there, but paid for,
/// where it was left.
fn keep_all(leaves: bool) -> Result<bool> {
    let mut is_right = true;
    for _ in 0..ROUNDS {
        let slot = granted()?;
        let mut lane = Lane::bind(slot, Side::Receiver)?;
        let before = used()?;
        while lane.is_valid() && lane.try_receive() == Ok(None) {
            gate::give_way();
        }
        if leaves {
            gate::call(Call::Unbind, &[lane.binding()])?;
            is_right &= lane.peek() == 0 && used()? == before;
        } else {
            lane::expect(UpcallKind::PeerLeft)?;
            is_right &= lane.peek() == 1 && used()? == before + 1;
            gate::call(Call::Unbind, &[lane.binding()])?;
        }
        core::mem::forget(lane);
    }
    Ok(is_right)
}

/// Ends when it has lost what it mapped, and the addresses are its own again.
pub(crate) fn read_until_taken(habit: u64) {
    super::end_if(try_read(habit) == Ok(true));
}

fn granted() -> Result<u64> {
    Ok(lane::expect(UpcallKind::Granted)?.0.values[0])
}

fn try_read(habit: u64) -> Result<bool> {
    if habit >= LEAVES {
        return keep_all(habit == LEAVES);
    }
    let slot = granted()?;
    let (answer, word) = match habit {
        READS_LOG => (gate::machine(MachineCall::Monitor, &[slot])?, TIME),
        _ => (gate::call(Call::MapRegion, &[slot])?, 0),
    };
    let pages = if habit == READS_LOG { answer.values[0] } else { PAGES };
    let mapping = Mapping::new(answer.handle, pages, Access::Read)?;
    let places = [memory::SCRATCH, memory::SCRATCH + pages * PAGE];
    places.into_iter().try_for_each(|place| map(answer.handle, place))?;
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
    let is_gone = (0..pages as usize).all(|page| mapping.load(page * 512) == 0);
    let nothing = Mapping::new(answer.handle, pages, Access::Read)?.load(word);
    // Each place can be had again, and each alone.
    let other = memory::allocate(pages)?;
    for place in places {
        gate::machine(MachineCall::Unmap, &[place])?;
        map(other, place)?;
    }
    Ok(is_gone && nothing == 0)
}

fn map(handle: u64, address: u64) -> Result<()> {
    gate::machine(MachineCall::Map, &[handle, address, Access::Read as u64]).map(|_| ())
}
