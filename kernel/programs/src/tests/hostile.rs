//! Addresses where nothing of a domain's may be, and a gate page that is not where it should be.

use feuerbird_abi::{
    Access, Call, Edit, EditAction, GATE_ADDRESS, MachineCall, PAYLOAD_BYTES, Role as Side, Status,
    UpcallKind,
};
use feuerbird_capability::{Rights, Trust};

use super::{Checked, Ground, ensure, ensure_ends, ensure_refused};
use crate::child::Child;
use crate::gate;
use crate::lane::{self, Lane};
use crate::memory::{self, Mapping, PAGE};
use crate::role::Role;

/// Behind the last page that a domain can map.
const USER_END: u64 = 0x7fff_ffff_0000;

/// The border, the hole in the middle, the kernel's half.
const BAD: [u64; 8] = [
    USER_END,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0xdead_0000_0000_0000,
    0xffff_7fff_ffff_ffff,
    0xffff_8000_0000_0000,
    0xffff_ffff_8010_0000,
    u64::MAX,
];

pub(super) fn entries(ground: &Ground<'_>) -> Checked {
    let child = Child::new(ground.image, Trust::USER)?;
    for bad in BAD {
        for arguments in [[bad, 0x1000], [0x40_0000, bad]] {
            ensure_refused(gate::machine(MachineCall::HandleFaults, &arguments), Status::BadArgument)?;
            let start = [child.slot, arguments[0], arguments[1], 0];
            ensure_refused(gate::machine(MachineCall::Start, &start), Status::BadArgument)?;
        }
    }
    Ok(child.destroy()?)
}

/// A system call in the very last bytes that can be executed: where it returns to is canonical, and nothing.
pub(super) fn last_page(ground: &Ground<'_>) -> Checked {
    let child = Child::new(ground.image, Trust::USER)?;
    let handle = memory::allocate(1)?;
    let syscall = 0x050f;
    Mapping::new(handle, 1, Access::Write)?.store(511, syscall << 48);
    child.place(handle, USER_END - PAGE, Access::Execute)?;
    gate::machine(MachineCall::Start, &[child.slot, USER_END - 2, 0x1000, 0])?;
    ensure_ends(child)
}

pub(super) fn without_gate(ground: &Ground<'_>) -> Checked {
    (0..3).try_for_each(|habit| ensure_ends(ground.run(Role::Gateless, habit)?))
}

/// Makes calls with its gate page read-only, gone, or with something else in its place.
pub(crate) fn call_without_gate(habit: u64) {
    let handle = memory::allocate(1).unwrap_or(0);
    let edit = |action: EditAction| Edit {
        address: GATE_ADDRESS,
        memory: if action == EditAction::MapWrite { handle } else { 0 },
        first: 0,
        pages: 1,
        action: action as u16,
    };
    let is_done = match habit {
        0 => memory::edit(&[edit(EditAction::ProtectRead)]),
        1 => memory::edit(&[edit(EditAction::Unmap)]),
        _ => memory::edit(&[edit(EditAction::Unmap), edit(EditAction::MapWrite)]),
    };
    let mut is_right = is_done.is_ok_and(|(_, status)| status == Status::Ok);
    for payload in [0, 1, PAYLOAD_BYTES as u64] {
        for number in [Call::Null as u64, Call::Hello as u64, MachineCall::EditSpace as u64] {
            is_right &= gate::raw(number, [0; 6], payload, 0).0 == 0;
        }
    }
    is_right &= gate::raw(MachineCall::FrameNames as u64, [handle, 0, 0, 0, 0, 0], 0, 0).1.payload == 4;
    super::end_if(is_right);
}

/// A binding whose capability was revoked is nothing any more, and never again.
pub(super) fn revoked_binding(ground: &Ground<'_>) -> Checked {
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let rights = u64::from(Rights::all().bits());
    let granted = gate::call(Call::Derive, &[endpoint, rights, 0, 0, 0, 0])?.values[0];
    let peer = ground.run(Role::Sender, 0)?;
    peer.grant(endpoint, Rights::SEND, Trust::USER)?;
    let lane = Lane::bind(granted, Side::Receiver)?;
    let handle = memory::allocate(1)?;
    let region = gate::call_with(Call::RegisterRegion, &[PAGE], &[], handle)?.values[0];
    let binding = lane.binding();
    gate::call(Call::Revoke, &[endpoint, 0])?;
    lane::expect(UpcallKind::Repossessed)?;
    for number in [binding, 0, u64::MAX, binding ^ 1 << 32, binding + 1] {
        ensure_refused(gate::call(Call::Unbind, &[number]), Status::NoBinding)?;
        ensure_refused(gate::call(Call::Share, &[number, 1, region]), Status::NoBinding)?;
        ensure(gate::call(Call::Acknowledge, &[number]).is_err())?;
    }
    let again = gate::call_with(Call::Bind, &[granted, Side::Receiver as u64, 0], lane::CONTRACT, 0);
    ensure_refused(again, Status::NoCapability)?;
    lane.part()?;
    ensure_ends(peer)?;
    for slot in [region, endpoint] {
        gate::call(Call::Delete, &[slot])?;
    }
    memory::release(handle)?;
    while gate::wait(0)?.is_some() {}
    Ok(())
}
