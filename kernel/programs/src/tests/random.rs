//! System calls with random registers.

use feuerbird_abi::{Access, Call, MachineCall, Status, UpcallKind};
use feuerbird_capability::{Rights, Trust};

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
            8 | 9 => real[self.below(real.len() as u64) as usize],
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
            5 => 0x1030 + self.below(16),
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

/// Two domains at once; each must come to its end, and not only to an end.
pub(super) fn calls(ground: &Ground<'_>) -> Checked {
    let report = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let mut children = [const { None }; 2];
    for (seed, child) in [0x5eed, 0xfee1].into_iter().zip(&mut children) {
        let child = child.insert(ground.run(Role::Random, seed)?);
        child.grant(report, Rights::SEND, Trust::USER)?;
    }
    let deadline = gate::now_ns() + 3 * super::PATIENCE_NS;
    for _ in 0..2 {
        let [_, _, done, handed_over] = loop {
            match transfer::receive(report, deadline) {
                Ok(came) if came.words[..2] == [DONE, CALLS] => break came.words,
                Ok(_) | Err(Status::Interrupted) => (),
                Err(status) => return Err(status.into()),
            }
        };
        // What is always refused at the door proves little.
        ensure(done > CALLS / 50 && handed_over > 3)?;
    }
    children.into_iter().flatten().try_for_each(ensure_ends)?;
    gate::call(Call::Delete, &[report])?;
    while gate::wait(0)?.is_some() {}
    Ok(())
}

/// What is real: capabilities that this domain has, among them one for a domain that it has made, and one for pages that can be handed
/// over to that.
struct Real {
    made: u64,
    report: u64,
    lent: u64,
    numbers: [u64; 9],
}

impl Real {
    fn new() -> gate::Result<Self> {
        let report = lane::expect(UpcallKind::Granted)?.0.values[0];
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
        let numbers = [made, memory, region, own, endpoint, bell, bound, lent, lent];
        Ok(Self { made, report, lent, numbers })
    }

    /// The capabilities for the domain that was made, for what is lent to it, and for saying how it went, stay where they are.
    fn spares(&self, number: u64, arguments: &[u64; 6]) -> bool {
        // Nor does that domain run, and end by the first thing that it does.
        let is_started = number == MachineCall::Start as u64 && arguments[0] == self.made;
        let is_taken_away = number == Call::Delete as u64 || number == Call::Move as u64;
        SPARED.contains(&number)
            || is_started
            || is_taken_away && [self.made, self.report, self.lent].contains(&arguments[0])
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
    let real = Real::new().expect("a domain with nothing has room for a little");
    let (mut calls, mut done, mut handed_over) = (0, 0, 0);
    while calls < CALLS {
        let number = random.number();
        let mut arguments = core::array::from_fn(|_| random.argument(&real.numbers));
        if number == Call::Revoke as u64 {
            // Nobody waits until a random deadline.
            arguments[1] = 0;
        }
        // Pages go to the domain that was made, and are used or taken back meanwhile.
        if random.below(4) == 0 && [Call::Grant as u64, MachineCall::Map as u64].contains(&number) {
            arguments[0] = real.lent;
            arguments[2] = random.below(3);
            if number == Call::Grant as u64 {
                arguments = [real.lent, real.made, 4 << random.below(5), 0, 0, 0];
            }
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
        handed_over += u64::from(status == 0 && number == Call::Grant as u64 && arguments[0] == real.lent);
        if let Ok(kept) = &kept {
            // What this domain has written is its own, whatever it asked the kernel.
            kept.store(calls as usize % 512, calls);
            assert!(kept.load(calls as usize % 512) == calls, "a page changed under its writer");
        }
        while calls % 64 == 0 && matches!(gate::wait(0), Ok(Some(_))) {}
    }
    let _ = gate::call(Call::DestroyDomain, &[real.made]);
    let _ = transfer::send(real.report, words([DONE, calls, done, handed_over]), 0);
}

/// With a deadline that is over, so that nothing waits; and never for a notification, whose second argument is the deadline.
fn transfer_at_random(call: MachineCall, [slot, token, length, capability, ..]: [u64; 6]) -> u64 {
    let token = if call == MachineCall::Watch { token % 2 } else { token };
    transfer::raw(call, slot, token, Outgoing { length, words: [slot; 4], capability }, 1).0
}
