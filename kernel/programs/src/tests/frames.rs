//! Frames by name, the list of free ones, and who pays.

use feuerbird_abi::{Access, Call, MachineCall, Status, UpcallKind, free_map};
use feuerbird_capability::{Rights, Trust};

use super::{Checked, Ground, ensure, ensure_ends, ensure_refused};
use crate::child::Child;
use crate::gate::{self, HandleNumber, Result};
use crate::lane;
use crate::memory::{self, Mapping, PAGE};
use crate::role::Role;
use crate::transfer::{self, words};

/// What a hoarder is given: its table for the heap's first address, and so many pages.
const HOARD: u64 = 40;

/// What a hoarder of memory objects is given, and does not use up in any other way.
const MANY: u64 = 6000;

/// Where it maps them.
const HOARD_START: u64 = 0x2000_0000_0000;

/// The list of free frames.
struct Free(Mapping);

impl Free {
    fn map() -> Result<Self> {
        let answer = gate::machine(MachineCall::FreeFrames, &[])?;
        let mapping = Mapping::new(answer.handle, answer.values[0], Access::Read);
        memory::release(answer.handle)?;
        Ok(Self(mapping?))
    }

    fn is_free(&self, frame: u64) -> bool {
        let word = free_map::WORDS_BEFORE_BITMAP + (frame / 64) as usize;
        self.0.load(word) >> (frame % 64) & 1 != 0
    }

    fn frames(&self) -> u64 {
        self.0.load(free_map::FRAMES)
    }

    fn count_on(&self, node: usize) -> u64 {
        self.0.load(free_map::FREE + node)
    }

    fn node_of(&self, frame: u64) -> u64 {
        let mut end = 0;
        for run in (free_map::RUNS..free_map::WORDS_BEFORE_BITMAP).step_by(2) {
            end += self.0.load(run);
            if frame < end {
                return self.0.load(run + 1);
            }
        }
        u64::MAX
    }
}

fn names(handle: HandleNumber, page: u64) -> Result<([u32; 240], usize)> {
    let answer = gate::machine(MachineCall::FrameNames, &[handle, page])?;
    let mut bytes = [0; 960];
    gate::payload(&answer, &mut bytes);
    let word = |index: usize| u32::from_le_bytes(core::array::from_fn(|byte| bytes[4 * index + byte]));
    Ok((core::array::from_fn(word), answer.values[0] as usize))
}

fn allocate_named(frame: u64, pages: u64) -> Result<HandleNumber> {
    Ok(gate::machine(MachineCall::AllocateNamed, &[frame, pages])?.values[0])
}

pub(super) fn named(_: &Ground<'_>) -> Checked {
    let free = Free::map()?;
    let is_run = |frame: &u64| (*frame..*frame + 3).all(|frame| free.is_free(frame));
    let frame = (0..free.frames()).rev().find(is_run).ok_or(Status::ObjectsFull)?;
    let handle = allocate_named(frame, 3)?;
    let (listed, count) = names(handle, 0)?;
    ensure(count == 3 && listed[..3].iter().zip(frame..).all(|(name, frame)| u64::from(*name) == frame))?;
    let (listed, count) = names(handle, 2)?;
    ensure(count == 1 && u64::from(listed[0]) == frame + 2 && names(handle, 3)?.1 == 0)?;
    ensure(!free.is_free(frame) && !free.is_free(frame + 2))?;
    for taken in [frame, frame + 1, frame - 1] {
        ensure_refused(allocate_named(taken, 2), Status::ObjectsFull)?;
    }
    memory::release(handle)?;
    ensure(free.is_free(frame) && free.is_free(frame + 2))?;
    // The image, the table of frames, and what is no memory at all.
    for absent in [0, 0x100, free.frames(), u64::from(u32::MAX) - 1, u64::from(u32::MAX)] {
        ensure(!free.is_free(absent.min(free.frames())))?;
        ensure_refused(allocate_named(absent, 1), Status::ObjectsFull)?;
    }
    ensure_refused(allocate_named(1 << 32, 1), Status::BadArgument)?;
    ensure_refused(allocate_named(frame, 0), Status::BadArgument)?;
    ensure_refused(allocate_named(frame, 257), Status::BadArgument)?;
    ensure(allocate_named(u64::from(u32::MAX), 2).is_err())
}

pub(super) fn free_list(_: &Ground<'_>) -> Checked {
    let answer = gate::machine(MachineCall::FreeFrames, &[])?;
    ensure_refused(Mapping::new(answer.handle, answer.values[0], Access::Write), Status::MissingRight)?;
    ensure_refused(Mapping::new(answer.handle, answer.values[0], Access::Execute), Status::NotSealed)?;
    memory::release(answer.handle)?;
    let free = Free::map()?;
    for node in 0..free_map::NODES {
        let before = free.count_on(node);
        let handle = match gate::machine(MachineCall::Allocate, &[5, node as u64]) {
            Ok(answer) => answer.values[0],
            Err(status) => {
                ensure(status == Status::ObjectsFull && before < 5)?;
                continue;
            }
        };
        ensure(free.count_on(node) == before - 5)?;
        let (listed, count) = names(handle, 0)?;
        ensure(count == 5)?;
        for name in &listed[..5] {
            ensure(free.node_of((*name).into()) == node as u64 && !free.is_free((*name).into()))?;
        }
        memory::release(handle)?;
        ensure(free.count_on(node) == before)?;
    }
    let counted: u64 = (0..free.frames()).map(|frame| u64::from(free.is_free(frame))).sum();
    ensure(counted == super::held()[0])
}

pub(super) fn quotas(ground: &Ground<'_>) -> Checked {
    let (amount, used) = account()?;
    let child = Child::new(ground.image, Trust::USER)?;
    let slot = child.slot;
    ensure_refused(hand_down(slot, amount), Status::QuotaExceeded)?;
    ensure_refused(hand_down(slot, 1 << 32), Status::BadArgument)?;
    ensure_refused(hand_down(slot ^ 1 << 32, 1), Status::NoCapability)?;
    // It has page tables already, which it is to pay for itself.
    ensure_refused(hand_down(slot, 1), Status::QuotaExceeded)?;
    hand_down(slot, 4 * HOARD)?;
    ensure(account()?.0 == amount - 4 * HOARD)?;
    hand_down(slot, HOARD)?;
    ensure(account()?.0 == amount - HOARD)?;
    child.start(ground.image, Role::Hoarder.argument(HOARD))?;
    ensure_ends(child)?;
    ensure(account()? == (amount, used))
}

/// An amount goes back to the account that it came from, also where that was none yet when the domain was made.
pub(super) fn steward(ground: &Ground<'_>) -> Checked {
    let before = account()?;
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let child = ground.run(Role::Steward, 0)?;
    child.grant(endpoint, Rights::SEND, Trust::USER)?;
    // It has made a domain of its own when this comes, and has no account: this one's pays for both.
    while transfer::receive(endpoint, u64::MAX).err() == Some(Status::Interrupted) {}
    hand_down(child.slot, 2 * HOARD)?;
    child.grant(endpoint, Rights::INSPECT, Trust::USER)?;
    ensure_ends(child)?;
    gate::call(Call::Delete, &[endpoint])?;
    ensure(account()? == before)
}

/// Hands frames down that it has got after it made the domain that gets them, and gets them back.
pub(crate) fn hand_on() {
    super::end_if(try_hand_on() == Ok(true));
}

fn try_hand_on() -> Result<bool> {
    let report = lane::expect(UpcallKind::Granted)?.0.values[0];
    let made = gate::call(Call::CreateDomain, &[0])?;
    transfer::send(report, words([1, 0, 0, 0]), 0)?;
    lane::expect(UpcallKind::Granted)?;
    let (amount, used) = account()?;
    hand_down(made.values[0], HOARD / 2)?;
    let is_less = account()? == (amount - HOARD / 2, used);
    gate::call(Call::DestroyDomain, &[made.values[0]])?;
    Ok(is_less && amount == 2 * HOARD && account()? == (amount, used))
}

pub(super) fn account() -> Result<(u64, u64)> {
    gate::machine(MachineCall::Quota, &[]).map(|answer| (answer.values[0], answer.values[1]))
}

fn hand_down(slot: u64, frames: u64) -> Result<()> {
    gate::machine(MachineCall::HandDown, &[slot, frames]).map(|_| ())
}

/// Memory objects are nothing that one domain could keep others from: it pays for each with a frame at least.
pub(super) fn objects(ground: &Ground<'_>) -> Checked {
    let child = Child::new(ground.image, Trust::USER)?;
    gate::machine(MachineCall::HandDown, &[child.slot, MANY])?;
    let [.., before, _] = super::held();
    child.start(ground.image, Role::Hoarder.argument(MANY))?;
    let deadline = gate::now_ns() + super::PATIENCE_NS;
    while super::held()[1] < before + MANY - 50 && gate::now_ns() < deadline {
        gate::sleep(5_000_000)?;
    }
    let handles = [(); 20].map(|()| memory::allocate(1));
    for handle in handles {
        memory::release(handle?)?;
    }
    ensure(super::held()[1] >= before + MANY - 50)?;
    Ok(child.destroy()?)
}

/// Makes memory objects of a page, each mapped and with no handle; does not end.
fn hoard_objects() -> ! {
    for address in (HOARD_START..).step_by(PAGE as usize) {
        let mapped = memory::allocate(1).and_then(|handle| {
            gate::machine(MachineCall::Map, &[handle, address, Access::Read as u64])?;
            memory::release(handle)
        });
        if mapped.is_err() {
            break;
        }
    }
    loop {
        let _ = gate::wait(u64::MAX);
    }
}

/// Uses up what it was given, and finds that it is no more; then ends.
pub(crate) fn hoard(amount: u64) {
    if amount == MANY {
        hoard_objects();
    }
    let (mut handles, mut taken) = ([0; 64], 0);
    let refusal = loop {
        match memory::allocate(1) {
            Ok(handle) => handles[taken] = handle,
            Err(status) => break status,
        }
        taken += 1;
    };
    let account = gate::machine(MachineCall::Quota, &[]).map_or([0; 6], |answer| answer.values);
    let is_right = refusal == Status::QuotaExceeded && taken > 8 && account[..2] == [amount, amount];
    let gives_back = memory::release(handles[0]).is_ok() && memory::allocate(1).is_ok();
    // Page tables are paid for too.
    let pays_tables = Mapping::new(handles[1], 1, Access::Read).err() == Some(Status::QuotaExceeded);
    super::end_if(is_right && gives_back && pays_tables);
}
