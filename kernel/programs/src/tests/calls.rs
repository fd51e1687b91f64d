//! System calls with arguments that no LibOS makes.

use feuerbird_abi::{Access, Call, GATE_ADDRESS, PAYLOAD_BYTES, Status};
use feuerbird_capability::{Rights, Trust};

use super::{Checked, Ground, ensure, ensure_refused};
use crate::gate;
use crate::memory::{self, Mapping};

const RIGHTS: Rights = Rights::all();

pub(super) fn hello(_: &Ground<'_>) -> Checked {
    let hello = gate::call(Call::Hello, &[])?;
    ensure(hello.values[1] == u64::from(Trust::KERNEL.level()))?;
    let words = Mapping::new(hello.handle, 1, Access::Read)?;
    ensure(words.load(511) == 0)?;
    ensure_refused(Mapping::new(hello.handle, 1, Access::Write), Status::MissingRight)?;
    Ok(memory::release(hello.handle)?)
}

pub(super) fn null(_: &Ground<'_>) -> Checked {
    for _ in 0..1000 {
        let (status, answer) = gate::raw(Call::Null as u64, [1, 2, 3, 4, 5, 6], 0, 0);
        ensure(status == 0 && answer.values == [0; 6] && answer.payload == 0 && answer.handle == 0)?;
    }
    Ok(())
}

pub(super) fn unknown(_: &Ground<'_>) -> Checked {
    for number in [99, 0xffe, 0xfff, 0x1041, 0x2000, u32::MAX.into(), 1 << 32, 1 << 63, u64::MAX] {
        let (status, answer) = gate::raw(number, [u64::MAX; 6], 0, 0);
        ensure(status == Status::NoSuchCall as u64 && answer.values == [0; 6])?;
    }
    Ok(())
}

/// The capability of this domain's for itself.
pub(super) fn own_slot() -> gate::Result<u64> {
    let own = gate::call(Call::Hello, &[])?;
    memory::release(own.handle)?;
    Ok(own.values[0])
}

pub(super) fn forged(_: &Ground<'_>) -> Checked {
    let slot = own_slot()?;
    let copy = gate::call(Call::Copy, &[slot])?.values[0];
    gate::call(Call::Delete, &[copy])?;
    let guesses = [copy, 0, 1, u64::MAX, slot ^ 1 << 32, slot ^ 1 << 63, slot | 0xffff_ffff, 200 | 1 << 32];
    for guess in guesses {
        let calls = [
            Call::Inspect,
            Call::Derive,
            Call::Copy,
            Call::Move,
            Call::Delete,
            Call::Revoke,
            Call::MapRegion,
        ];
        for call in calls {
            ensure_refused(gate::call(call, &[guess, 1]), Status::NoCapability)?;
        }
        ensure_refused(gate::call(Call::Grant, &[slot, guess, 0, 0, 0]), Status::NoCapability)?;
        ensure_refused(gate::call(Call::DestroyDomain, &[guess]), Status::NoCapability)?;
        ensure_refused(gate::call(Call::ReadAudit, &[guess, 1]), Status::NoCapability)?;
        ensure_refused(gate::call_with(Call::Bind, &[guess, 0, 0], b"contract", 0), Status::NoCapability)?;
    }
    ensure_refused(gate::call(Call::Derive, &[slot, 1 << 40, 0]), Status::BadArgument)?;
    ensure_refused(gate::call(Call::ReadAudit, &[slot, 1]), Status::WrongKind)
}

pub(super) fn beside(_: &Ground<'_>) -> Checked {
    for length in [PAYLOAD_BYTES as u64 + 1, 4096, 1 << 32, u64::MAX, GATE_ADDRESS] {
        let (status, _) = gate::raw(Call::Null as u64, [0; 6], length, 0);
        ensure(status == Status::BadArgument as u64)?;
        let (status, _) = gate::raw(feuerbird_abi::MachineCall::Print as u64, [0; 6], length, 0);
        ensure(status == Status::BadArgument as u64)?;
    }
    for handle in [60, 64, 65, 1 << 31, u64::from(u32::MAX)] {
        let (status, _) = gate::raw(Call::Null as u64, [0; 6], 0, handle);
        ensure(status == Status::NoHandle as u64)?;
        ensure_refused(memory::release(handle), Status::NoHandle)?;
    }
    for slot in [200 | 1 << 32, 1 << 40, u64::MAX, u64::MAX - 1] {
        let (status, _) = gate::raw(Call::Null as u64, [0; 6], 0, slot);
        ensure(status == Status::NoCapability as u64)?;
        ensure_refused(memory::release(slot), Status::NoCapability)?;
    }
    ensure_refused(gate::call(Call::RegisterRegion, &[4096]), Status::NoHandle)?;
    let handle = memory::allocate(1)?;
    for bytes in [0, 1, 4095, 8192, u64::MAX] {
        let refused = gate::call_with(Call::RegisterRegion, &[bytes], &[], handle).err();
        ensure(matches!(refused, Some(Status::BadArgument | Status::QuotaExceeded)))?;
    }
    Ok(memory::release(handle)?)
}

pub(super) fn full_space(_: &Ground<'_>) -> Checked {
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let first = gate::call(Call::Copy, &[endpoint])?.values[0];
    let mut copies = 1;
    let end = loop {
        match gate::call(Call::Derive, &[endpoint, RIGHTS.bits().into(), 0, 0, 0, 0]) {
            Ok(_) => copies += 1,
            Err(status) => break status,
        }
        ensure(copies < 100_000)?;
    };
    ensure(end == Status::SlotsFull && copies > 100)?;
    let revoked = gate::call(Call::Revoke, &[endpoint, 0])?.values[0];
    ensure(revoked == copies - 1)?;
    gate::call(Call::Delete, &[first])?;
    gate::call(Call::Delete, &[endpoint])?;
    Ok(())
}
