//! Who runs on a core, as the short ways of [`cpu::short`](crate::cpu::short) see it, and where they find all else.
//!
//! # Invariants
//! 1. Where a core is not barred, its `resident` and `party` are the records of its `domain`, which exists. The tables that have the
//!    records are there before any core takes a domain up, and never move.
//! 2. All of it is used under the kernel's lock only; the short ways take that too.

use ::core::mem::offset_of;
use ::core::sync::atomic::{AtomicUsize, Ordering};

use feuerbird_exokernel::{DomainId, records};

use crate::domain::run::World;

/// The domain in a core's registers.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Current {
    /// Its number, or 0.
    domain: u64,
    /// The address of its party in the exokernel.
    party: usize,
    /// The address of its record here.
    resident: usize,
    switches: u64,
    faults: u64,
    /// The short ways are closed: nobody is here, or who is has stayed too long.
    is_barred: bool,
    is_overtime: bool,
}

/// What is found at which place of [`Current`], for the short ways.
pub(crate) mod place {
    use super::{Current, offset_of};

    pub(crate) const DOMAIN: usize = offset_of!(Current, domain);
    pub(crate) const PARTY: usize = offset_of!(Current, party);
    pub(crate) const RESIDENT: usize = offset_of!(Current, resident);
    pub(crate) const SWITCHES: usize = offset_of!(Current, switches);
    pub(crate) const FAULTS: usize = offset_of!(Current, faults);
    pub(crate) const IS_BARRED: usize = offset_of!(Current, is_barred);
}

/// Where the tables begin.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Tables {
    pub(crate) residents: AtomicUsize,
    pub(crate) parties: AtomicUsize,
    pub(crate) parties_len: AtomicUsize,
    pub(crate) points: AtomicUsize,
    pub(crate) bells: AtomicUsize,
    pub(crate) ended: AtomicUsize,
}

/// Written once, before the first domain runs.
#[unsafe(no_mangle)]
static short_tables: Tables = Tables {
    residents: AtomicUsize::new(0),
    parties: AtomicUsize::new(0),
    parties_len: AtomicUsize::new(0),
    points: AtomicUsize::new(0),
    bells: AtomicUsize::new(0),
    ended: AtomicUsize::new(0),
};

/// Says where everything is. The world does not move from here on.
pub(crate) fn publish(world: &mut World) {
    let found = world.kernel.transfer_records();
    let tables = &short_tables;
    for (table, address) in [
        (&tables.residents, world.kernel.machine_mut().residents_address()),
        (&tables.parties, found.parties.expose_provenance()),
        (&tables.parties_len, found.parties_len),
        (&tables.points, found.points.expose_provenance()),
        (&tables.bells, found.bells.expose_provenance()),
        (&tables.ended, found.ended.expose_provenance()),
    ] {
        table.store(address, Ordering::Relaxed);
    }
}

impl Current {
    /// Nobody.
    pub(crate) const NOBODY: Self = Self {
        domain: 0,
        party: 0,
        resident: 0,
        switches: 0,
        faults: 0,
        is_barred: true,
        is_overtime: false,
    };

    pub(crate) fn domain(&self) -> Option<DomainId> {
        (self.domain != 0).then_some(DomainId::from_bits(self.domain))
    }

    /// Makes a domain the one in the registers; its record is there. One that stayed too long goes the long way, where it is seen that
    /// it gives its core up.
    pub(crate) fn set(&mut self, domain: DomainId, resident: usize, is_warned: bool) {
        let parties = short_tables.parties.load(Ordering::Relaxed);
        self.switches += u64::from(self.domain != domain.to_bits());
        self.domain = domain.to_bits();
        self.party = parties + domain.index() * records::PARTY_BYTES;
        self.resident = resident;
        self.is_barred = self.is_overtime || is_warned;
    }

    /// Nobody is here any more.
    pub(crate) fn clear(&mut self) {
        (self.domain, self.is_barred) = (0, true);
    }

    /// Whether its slice is over and it was told so: it has until the next interrupt of the timer.
    pub(crate) fn is_overtime(&self) -> bool {
        self.is_overtime
    }

    pub(crate) fn set_overtime(&mut self, is_overtime: bool) {
        self.is_overtime = is_overtime;
        self.is_barred = is_overtime || self.domain == 0;
    }

    /// How often the core went from one domain to another.
    pub(crate) fn switches(&self) -> u64 {
        self.switches
    }

    /// How many exceptions its domains had.
    pub(crate) fn faults(&self) -> u64 {
        self.faults
    }

    pub(crate) fn count_fault(&mut self) {
        self.faults += 1;
    }
}
