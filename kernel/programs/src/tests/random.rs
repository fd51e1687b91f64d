//! System calls with random registers.

use feuerbird_abi::{Access, Call, MachineCall};

use crate::gate;
use crate::memory::{self, Mapping};
use crate::transfer::{self, Outgoing};

/// How many calls one domain makes; two of them do.
const CALLS: u32 = 50_000;

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

    /// A number that may mean something: small, a slot, an address, or anything.
    fn argument(&mut self) -> u64 {
        match self.below(8) {
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

/// Calls that would end the test, stop it or fill the serial line; and domains, which outlive who made them.
const SPARED: [u64; 5] = [
    MachineCall::Exit as u64,
    MachineCall::Wait as u64,
    MachineCall::Print as u64,
    MachineCall::Yield as u64,
    Call::CreateDomain as u64,
];

/// Makes random calls, then ends.
pub(crate) fn call_at_random(seed: u64) {
    let mut random = Random(seed | 1);
    let kept = memory::allocate(1).and_then(|handle| Mapping::new(handle, 1, Access::Write));
    for count in 0..CALLS {
        let number = random.number();
        if SPARED.contains(&number) {
            continue;
        }
        let arguments = core::array::from_fn(|_| random.argument());
        let payload = if random.below(4) == 0 { random.next() } else { random.below(961) };
        let handle = if random.below(16) == 0 { random.next() } else { random.below(66) };
        match MachineCall::from_number(number) {
            Some(call) if (0x1010..0x1020).contains(&number) => transfer_at_random(call, arguments),
            _ => _ = gate::raw(number, arguments, payload, handle),
        }
        if let Ok(kept) = &kept {
            // What this domain has written is its own, whatever it asked the kernel.
            kept.store(count as usize % 512, count.into());
            assert!(kept.load(count as usize % 512) == u64::from(count), "a page changed under its writer");
        }
        while count % 64 == 0 && matches!(gate::wait(0), Ok(Some(_))) {}
    }
}

/// With a deadline that is over, so that nothing waits; and never for a notification, whose second argument is the deadline.
fn transfer_at_random(call: MachineCall, [slot, token, length, capability, ..]: [u64; 6]) {
    let token = if call == MachineCall::Watch { token % 2 } else { token };
    transfer::raw(call, slot, token, Outgoing { length, words: [slot; 4], capability }, 1);
}
