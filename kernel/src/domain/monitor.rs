//! The audit log and counters, published in pages that domains with the right to read the log may map.

use alloc::vec::Vec;

use feuerbird_abi::monitor::{CAPACITY, COUNTERS, Counter, NEXT, PAGES, RING, SWITCHES, TIME};
use feuerbird_abi::{AuditRecord, RECORD_BYTES, Status};
use feuerbird_capability::{ObjectKind, Rights, Slot};
use feuerbird_exokernel::DomainId;
use zerocopy::transmute;

use crate::cpu::clock;
use crate::domain::calls::{Result, own};
use crate::domain::run::World;
use crate::memory::direct::Frame;
use crate::memory::object::Memory;
use crate::memory::{frames, object};

const WORDS: usize = RECORD_BYTES / 8;

/// A record is in one page.
const _: () = assert!(RING.is_multiple_of(512) && 512 % WORDS == 0);

/// The pages, and what was written there.
pub(crate) struct Monitor {
    pages: Vec<Frame>,
    memory: Memory,
    slices: u64,
    pub(crate) interrupts: u64,
    pub(crate) overstays: u64,
    pub(crate) shootdowns: u64,
}

impl Monitor {
    /// Makes the pages, while the kernel starts.
    ///
    /// # Panics
    /// Where there is no memory to begin with.
    pub(crate) fn new() -> Self {
        let pages = frames::take_for_kernel(PAGES as u32);
        let memory = Memory::of_kernel(pages[0], PAGES as u32);
        let (slices, interrupts, overstays, shootdowns) = (0, 0, 0, 0);
        Self { pages, memory, slices, interrupts, overstays, shootdowns }
    }

    /// As [`pages`](Self::pages), to look at.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What readers of the log map.
    pub(crate) fn pages(&self) -> Memory {
        self.memory.clone()
    }

    fn set(&self, word: usize, value: u64) {
        if let Some(page) = self.pages.get(word / 512) {
            page.set_word(word % 512, value);
        }
    }

    /// Publishes what has come into the log. The number is written last, so that who reads meanwhile sees that it is not whole.
    pub(crate) fn publish(&mut self, record: &AuditRecord) {
        let words: [u64; WORDS] = transmute!(*record);
        let place = RING + (words[0] - 1) as usize % CAPACITY as usize * WORDS;
        let Some(page) = self.pages.get(place / 512) else { return };
        page.set_word(place % 512, 0);
        (1..WORDS).for_each(|word| page.set_word(place % 512 + word, words[word]));
        page.set_word(place % 512, words[0]);
        self.set(NEXT, words[0] + 1);
    }
}

/// Publishes the counters. A slice is over.
pub(super) fn publish_counters(world: &mut World) {
    let machine = world.kernel.machine_mut();
    machine.monitor.slices += 1;
    let monitor = &machine.monitor;
    let counters = [
        (Counter::Slices, monitor.slices),
        (Counter::Faults, machine.cores.iter().map(|core| core.current.faults()).sum()),
        (Counter::Interrupts, monitor.interrupts),
        (Counter::LostUpcalls, machine.lost_upcalls()),
        (Counter::Domains, machine.count() as u64),
        (Counter::Objects, object::count().into()),
        (Counter::FreeFrames, frames::free().into()),
        (Counter::Overstays, monitor.overstays),
        (Counter::Shootdowns, monitor.shootdowns),
    ];
    counters.iter().for_each(|(counter, value)| monitor.set(COUNTERS + *counter as usize, *value));
    for (number, core) in machine.cores.iter().enumerate() {
        monitor.set(SWITCHES + number, core.current.switches());
    }
    monitor.set(TIME, clock::now_ns());
}

/// Gives a domain that may read the audit log the pages, for reading.
pub(super) fn open(world: &mut World, caller: DomainId, slot: u64) -> Result {
    world.kernel.claim(caller, Slot::from_bits(slot), ObjectKind::Audit, Rights::INSPECT)?;
    let memory = world.kernel.machine().monitor.pages();
    let resident = own(world, caller)?;
    if !resident.has_room() {
        return Err(Status::ObjectsFull);
    }
    Ok(([PAGES as u64, 0, 0, 0, 0, 0], resident.keep(memory)?))
}
