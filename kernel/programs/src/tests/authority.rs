//! What may be done to a domain, by capability: derived, granted, revoked, and looked up at each call.

use feuerbird_abi::{Access, Call, MachineCall, Status, UpcallKind};
use feuerbird_capability::{Rights, Trust};

use super::time::slices;
use super::{Checked, Ground, ensure, ensure_ends, ensure_refused};
use crate::child::Child;
use crate::gate::{self, Result};
use crate::lane;
use crate::memory::{self, Mapping};
use crate::role::Role;
use crate::transfer::{self, Incoming, words};

/// What a deputy is told to do: try by the capability for a domain that it was granted last, by one for something else, or end.
const BY_DOMAIN: u64 = 1;
const BY_ENDPOINT: u64 = 2;
const END: u64 = 3;

/// Where the new domain's only page is, and what it has in it: `mov eax, Exit; syscall`.
const CODE: u64 = 0x2000_0000_0000;
const EXIT: u64 = 0x0005_0f00_0010_02b8;

/// The frames that the new domain is handed.
const FRAMES: u64 = 50;

/// How the calls about a domain ended, in the order in which they were made.
type Ends = [Status; 5];

/// Makes each call about a domain by a slot.
fn try_all(domain: u64, time: u64, code: u64) -> Ends {
    let end = |call, arguments: &[u64]| gate::machine(call, arguments).err().unwrap_or(Status::Ok);
    [
        end(MachineCall::Place, &[domain, code, CODE, Access::Execute as u64]),
        end(MachineCall::HandDown, &[domain, FRAMES]),
        end(MachineCall::RunIn, &[time, domain]),
        end(MachineCall::Start, &[domain, CODE, 0x1000, 0]),
        end(MachineCall::YieldTo, &[domain]),
    ]
}

/// A page with the program that ends at once.
fn code() -> Result<u64> {
    let handle = memory::allocate(1)?;
    Mapping::new(handle, 1, Access::Write)?.store(0, EXIT);
    Ok(handle)
}

/// Tries what it is told to, by what it is granted, and says how that ended.
pub(crate) fn be_deputy() {
    super::end_if(try_as_told().is_ok());
}

fn try_as_told() -> Result<()> {
    let granted = || Ok(lane::expect(UpcallKind::Granted)?.0.values[0]);
    let (report, time) = (granted()?, granted()?);
    let code = code()?;
    // Nothing is 0, but for `RunIn`.
    let (mut domain, mut said) = (u64::MAX, [0; 4]);
    loop {
        let told = transfer::call(report, words(said), 0)?.words[0];
        while let Some((upcall, _)) = gate::wait(0)? {
            if upcall.kind == UpcallKind::Granted as u32 {
                domain = upcall.values[0];
            }
        }
        let ends = match told {
            BY_DOMAIN => try_all(domain, time, code),
            BY_ENDPOINT => try_all(report, time, code),
            _ => return Ok(()),
        };
        said = [ends.into_iter().fold(0, |all, end| all << 8 | end as u64), 0, 0, 0];
    }
}

/// A domain that tries what this one tells it to.
struct Deputy {
    child: Child,
    endpoint: u64,
    time: u64,
    came: Incoming,
}

impl Deputy {
    fn new(ground: &Ground<'_>) -> Result<Self> {
        let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
        let child = ground.run(Role::Deputy, 0)?;
        child.grant(endpoint, Rights::SEND, Trust::USER)?;
        let time = slices(0, 50, 1)?;
        child.grant(time, Rights::CONTROL, Trust::USER)?;
        Ok(Self { child, endpoint, time, came: transfer::receive(endpoint, u64::MAX)? })
    }

    /// How all calls ended that it made.
    fn tries(&mut self, by: u64) -> Result<Ends> {
        self.came =
            transfer::reply_and_receive(self.endpoint, self.came.token, words([by, 0, 0, 0]), u64::MAX)?;
        let end = |call: u32| Status::from_number((self.came.words[0] >> (8 * (4 - call))) as u32 & 0xff);
        let ends = [0, 1, 2, 3, 4].map(end);
        Ok(ends.map(|end| end.unwrap_or(Status::PeerMisbehaved)))
    }

    fn end(self) -> Checked {
        transfer::reply(self.came.token, words([END, 0, 0, 0]))?;
        ensure_ends(self.child)?;
        for slot in [self.time, self.endpoint] {
            gate::call(Call::Delete, &[slot])?;
        }
        while gate::wait(0)?.is_some() {}
        Ok(())
    }
}

/// A third domain fills and starts another one if it may, and while it may.
pub(super) fn of_a_domain(ground: &Ground<'_>) -> Checked {
    let mut deputy = Deputy::new(ground)?;
    let made = Child { slot: gate::call(Call::CreateDomain, &[0])?.values[0] };
    ensure(deputy.tries(BY_DOMAIN)? == [Status::NoCapability; 5])?;
    ensure(deputy.tries(BY_ENDPOINT)? == [Status::WrongKind; 5])?;
    let all = Rights::all();
    deputy.child.grant(made.slot, all - Rights::CONTROL - Rights::YIELD, Trust::USER)?;
    ensure(deputy.tries(BY_DOMAIN)? == [Status::MissingRight; 5])?;
    // The right to give time is no more than that; and nobody can take it before it has been started.
    deputy.child.grant(made.slot, Rights::YIELD, Trust::USER)?;
    let missing = Status::MissingRight;
    ensure(deputy.tries(BY_DOMAIN)? == [missing, missing, missing, missing, Status::BadArgument])?;
    deputy.child.grant(made.slot, all, Trust::USER)?;
    gate::call(Call::Revoke, &[made.slot, 0])?;
    ensure(deputy.tries(BY_DOMAIN)? == [Status::NoCapability; 5])?;
    deputy.child.grant(made.slot, Rights::CONTROL, Trust::USER)?;
    let [placed, handed, runs, started, yielded] = deputy.tries(BY_DOMAIN)?;
    ensure([placed, handed, runs, started] == [Status::Ok; 4] && yielded == Status::MissingRight)?;
    ensure_ends(made)?;
    let gone = Status::DomainGone;
    ensure(deputy.tries(BY_DOMAIN)? == [gone, gone, gone, gone, missing])?;
    deputy.end()
}

/// What a creator derives for itself is no more than it says, and ends with what it was derived from.
pub(super) fn derived(_: &Ground<'_>) -> Checked {
    let made = Child { slot: gate::call(Call::CreateDomain, &[0])?.values[0] };
    let (time, code) = (slices(0, 54, 1)?, code()?);
    let weak = (Rights::all() - Rights::CONTROL - Rights::YIELD).bits().into();
    let weak = gate::call(Call::Derive, &[made.slot, weak, 0, 0, 0, 0])?.values[0];
    ensure(try_all(weak, time, code) == [Status::MissingRight; 5])?;
    let escalated = gate::call(Call::Derive, &[weak, Rights::CONTROL.bits().into(), 0, 0, 0, 0]);
    ensure_refused(escalated, Status::Escalation)?;
    let strong = gate::call(Call::Derive, &[made.slot, Rights::all().bits().into(), 0, 0, 0, 0])?.values[0];
    gate::call(Call::Revoke, &[made.slot, 0])?;
    ensure(try_all(strong, time, code) == [Status::NoCapability; 5])?;
    // Nobody gives frames to itself, and nobody fills who runs.
    let own = super::calls::own_slot()?;
    ensure_refused(gate::machine(MachineCall::HandDown, &[own, 1]), Status::BadArgument)?;
    let place = [own, code, CODE, Access::Execute as u64];
    ensure_refused(gate::machine(MachineCall::Place, &place), Status::DomainGone)?;
    ensure_refused(gate::machine(MachineCall::Start, &[own, CODE, 0, 0]), Status::DomainGone)?;
    memory::release(code)?;
    gate::call(Call::Delete, &[time])?;
    Ok(made.destroy()?)
}
