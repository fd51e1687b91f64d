//! System calls with random registers.

use feuerbird_abi::{Access, Call, MachineCall, Status, UpcallKind};
use feuerbird_capability::{ObjectKind, Rights, Trust};

use super::{Checked, Ground, ensure, ensure_ends};
use crate::gate;
use crate::lane;
use crate::memory::{self, Mapping};
use crate::role::Role;
use crate::transfer::{self, Outgoing, words};

/// How many calls one domain makes; two of them do.
const CALLS: u64 = 50_000;

/// How the message begins by which one says that it has made them all: no random one has different words.
const DONE: u64 = 0xd05e;

/// Marsaglia's xorshift ("Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number that may mean something: small, a slot, an address, one that does, or anything.
    fn argument(&mut self, real: &[u64]) -> u64 {
        match self.below(10) {
            7..=9 => real[self.below(real.len() as u64) as usize],
            0..=2 => self.below(40),
            3 | 4 => self.below(40) | (1 + self.below(3)) << 32,
            5 => 0x3000_0000_0000 + self.below(64) * 4096,
            6 => 0xffff_8000_0000_0000 | self.next(),
            _ => self.next(),
        }
    }

    fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => self.next(),
            1..=4 => self.below(24),
            5 => 0x1030 + self.below(17),
            6 => 0x1010 + self.below(8),
            _ => 0x1000 + self.below(16),
        }
    }
}

/// Calls that would end the domain, stop it or fill the serial line; and domains, which outlive who made them.
const SPARED: [u64; 6] = [
    MachineCall::Exit as u64,
    MachineCall::Wait as u64,
    MachineCall::Print as u64,
    MachineCall::Yield as u64,
    Call::CreateDomain as u64,
    Call::DestroyDomain as u64,
];

/// What each of the two domains has for itself: a slice, a port where nothing hears, and a line where nothing speaks.
const SLICES: [u64; 2] = [50, 51];
const PORTS: [u64; 2] = [0x80, 0x84];
const LINES: [u64; 2] = [5, 6];

/// Two domains at once; each must come to its end, and not only to an end.
pub(super) fn calls(ground: &Ground<'_>) -> Checked {
    let report = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let mut children = [const { None }; 2];
    let mut devices = [[0; 3]; 2];
    for (number, child) in children.iter_mut().enumerate() {
        let child = child.insert(ground.run(Role::Random, 0x5eec + number as u64)?);
        child.grant(report, Rights::SEND, Trust::USER)?;
        let [ports, line] = [(ObjectKind::IoPort, PORTS), (ObjectKind::Interrupt, LINES)]
            .map(|(kind, units)| super::devices::derive(kind, units[number], 1));
        devices[number] = [super::time::slices(0, SLICES[number], 1)?, ports?, line?];
        for slot in devices[number] {
            child.grant(slot, Rights::CONTROL | Rights::GRANT | Rights::REVOKE, Trust::USER)?;
        }
    }
    let deadline = gate::now_ns() + 3 * super::PATIENCE_NS;
    for _ in 0..2 {
        let [_, _, done, carried_out] = loop {
            match transfer::receive(report, deadline) {
                Ok(came) if came.words[..2] == [DONE, CALLS] => break came.words,
                Ok(_) | Err(Status::Interrupted) => (),
                Err(status) => return Err(status.into()),
            }
        };
        // What is always refused at the door proves little.
        ensure(done > CALLS / 50 && carried_out == (1 << WELL_FORMED.len()) - 1)?;
    }
    children.into_iter().flatten().try_for_each(ensure_ends)?;
    devices.into_iter().flatten().try_for_each(|slot| gate::call(Call::Delete, &[slot]).map(|_| ()))?;
    gate::call(Call::Delete, &[report])?;
    while gate::wait(0)?.is_some() {}
    Ok(())
}

/// What is real: capabilities that this domain has, among them one for a domain that it has made, and one for pages that can be handed
/// over to that.
struct Real {
    own: usize,
    made: u64,
    report: u64,
    memory: u64,
    lent: u64,
    bell: u64,
    slices: u64,
    ports: u64,
    line: u64,
    numbers: [u64; 13],
}

/// Calls whose arguments are often all right, so that what is behind the door is tried, too; each must have been carried out.
const WELL_FORMED: [u64; 9] = [
    Call::Grant as u64,
    MachineCall::Map as u64,
    MachineCall::HandDown as u64,
    MachineCall::RunIn as u64,
    MachineCall::ReadPort as u64,
    MachineCall::WritePort as u64,
    MachineCall::TakeInterrupt as u64,
    MachineCall::NextInterrupt as u64,
    MachineCall::Listen as u64,
];

impl Real {
    fn new(seed: u64) -> gate::Result<Self> {
        let granted = || lane::expect(UpcallKind::Granted).map(|(granted, _)| granted.values[0]);
        let [report, slices, ports, line] = [granted()?, granted()?, granted()?, granted()?];
        let made = gate::call(Call::CreateDomain, &[0])?;
        let memory = memory::allocate(1)?;
        let region = gate::call_with(Call::RegisterRegion, &[4096], &[], memory)?;
        let lent = memory::allocate(2)?;
        let hello = gate::call(Call::Hello, &[])?;
        let endpoint = gate::call(Call::CreateEndpoint, &[0])?;
        let bell = transfer::create_notification()?;
        let bound = gate::call(Call::Bind, &[endpoint.values[0], 0, 0])?;
        let [made, region, own, endpoint, bound] =
            [made, region, hello, endpoint, bound].map(|it| it.values[0]);
        let numbers =
            [made, memory, region, own, endpoint, bell, bound, lent, lent, slices, ports, line, report];
        let own = seed as usize % 2;
        Ok(Self { own, made, report, memory, lent, bell, slices, ports, line, numbers })
    }

    /// The capabilities for the domain that was made, for what is lent to it, and for saying how it went, stay where they are.
    fn spares(&self, number: u64, arguments: &[u64; 6]) -> bool {
        // Nor does that domain run, and end by the first thing that it does.
        let is_started = number == MachineCall::Start as u64 && arguments[0] == self.made;
        let is_taken_away = number == Call::Delete as u64 || number == Call::Move as u64;
        SPARED.contains(&number)
            || is_started
            || is_taken_away && self.kept().contains(&arguments[0])
            // Nor in slices that may be gone with the next call.
            || number == MachineCall::RunIn as u64 && arguments[1] != self.made
    }

    fn kept(&self) -> [u64; 8] {
        [self.made, self.report, self.memory, self.lent, self.bell, self.slices, self.ports, self.line]
    }

    /// Arguments for one of the calls that are to be carried out.
    fn well_formed(&self, place: usize, any: [u64; 6], random: &mut Random) -> [u64; 6] {
        let &Self { own, made, memory, lent, bell, slices, ports, line, .. } = self;
        match place {
            // Pages go to the domain that was made, and are used or taken back meanwhile.
            0 => [lent, made, 4 << random.below(5), 0, 0, 0],
            1 => {
                let address = 0x3000_0000_0000 + random.below(64) * 4096;
                [[lent, memory][random.below(2) as usize], address, random.below(3), 0, 0, 0]
            }
            2 => [made, random.below(64), 0, 0, 0, 0],
            3 => [slices, made, 0, 0, 0, 0],
            4 | 5 => [ports, PORTS[own], 1, any[3], 0, 0],
            6 => [line, LINES[own], random.below(4), 0, 0, 0],
            7 => [line, LINES[own], 0, 0, 0, 0],
            _ => [bell, random.below(2), 0, 0, 0, 0],
        }
    }
}

/// Makes random calls, says how many were carried out, and ends.
pub(crate) fn call_at_random(seed: u64) {
    let mut random = Random(seed | 1);
    // Nothing that could be given away names it any more.
    let kept = memory::allocate(1).and_then(|slot| {
        let mapping = Mapping::new(slot, 1, Access::Write)?;
        memory::release(slot).map(|()| mapping)
    });
    let real = Real::new(seed).expect("a domain with nothing has room for a little");
    let (mut calls, mut done, mut carried_out) = (0, 0, 0);
    while calls < CALLS {
        let number = random.number();
        let mut arguments = core::array::from_fn(|_| random.argument(&real.numbers));
        if number == Call::Revoke as u64 {
            // Nobody waits until a random deadline.
            arguments[1] = 0;
        }
        let place = WELL_FORMED.iter().position(|it| *it == number).filter(|_| random.below(4) == 0);
        if let Some(place) = place {
            arguments = real.well_formed(place, arguments, &mut random);
        }
        if real.spares(number, &arguments) {
            continue;
        }
        let payload = if random.below(4) == 0 { random.next() } else { random.below(961) };
        let handle = if random.below(16) == 0 { random.next() } else { random.below(66) };
        let status = match MachineCall::from_number(number) {
            Some(call) if (0x1010..0x1020).contains(&number) => transfer_at_random(call, arguments),
            _ => gate::raw(number, arguments, payload, handle).0,
        };
        calls += 1;
        done += u64::from(status == 0);
        carried_out |= place.filter(|_| status == 0).map_or(0, |place| 1 << place);
        if let Ok(kept) = &kept {
            // What this domain has written is its own, whatever it asked the kernel.
            kept.store(calls as usize % 512, calls);
            assert!(kept.load(calls as usize % 512) == calls, "a page changed under its writer");
        }
        while calls % 64 == 0 && matches!(gate::wait(0), Ok(Some(_))) {}
    }
    let _ = gate::call(Call::DestroyDomain, &[real.made]);
    let _ = transfer::send(real.report, words([DONE, calls, done, carried_out]), 0);
}

/// With a deadline that is over, so that nothing waits; and never for a notification, whose second argument is the deadline.
fn transfer_at_random(call: MachineCall, [slot, token, length, capability, ..]: [u64; 6]) -> u64 {
    let token = if call == MachineCall::Watch { token % 2 } else { token };
    transfer::raw(call, slot, token, Outgoing { length, words: [slot; 4], capability }, 1).0
}
