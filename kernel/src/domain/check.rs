//! A look at everything that is mapped: whether the page tables of all domains together keep what the kernel promises.

use feuerbird_exokernel::DomainId;

use crate::domain::machine::Native;
use crate::memory::direct::Frame;
use crate::memory::frames::Chains;
use crate::memory::object::{Mapped, NOBODY};
use crate::memory::paging::Flags;

/// What is found while looking.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    pages: u64,
    writable: u64,
    /// The first frame that is mapped as it must not be, plus one.
    wrong: u64,
}

/// Walks the tables of all domains, and the kernel's.
///
/// # Cost
/// In proportion to all that is mapped, under the kernel's lock: this is for tests.
pub(crate) fn all(machine: &Native) -> [u64; 6] {
    let mut found = Found::default();
    if !machine.kernel_space.is_in_order() {
        found.wrong = machine.kernel_space.root() + 1;
    }
    for resident in machine.residents() {
        let tables = resident.mapped.tables();
        if !tables.has_kernel(&machine.kernel_space) {
            found.wrong = tables.root() + 1;
        }
        tables.for_each_page(|_, flags, frame| found.look(resident.domain, flags, frame));
    }
    [found.pages, found.writable, found.wrong, 0, 0, 0]
}

impl Found {
    fn look(&mut self, domain: DomainId, flags: Flags, frame: Frame) {
        let chains = Chains::look();
        let is_right = Mapped::of(&chains, frame).is_some_and(|object| {
            // One writer: an object has one, so no frame of it is writable in two domains.
            let writer_is = |expected| object.writer() == expected;
            let can_write = flags.contains(Flags::WRITE);
            let can_execute = !flags.contains(Flags::NO_EXECUTE);
            flags.contains(Flags::PRESENT | Flags::USER)
                && (!can_write || writer_is(domain) && !can_execute)
                && (!can_execute || writer_is(NOBODY))
                && is_in(&chains, object, frame)
        });
        self.pages += 1;
        self.writable += u64::from(flags.contains(Flags::WRITE));
        if !is_right && self.wrong == 0 {
            self.wrong = u64::from(frame.number()) + 1;
        }
    }
}

/// Whether a frame is in the chain of the object that it says it belongs to. A frame is in one chain, so it is in no other's.
fn is_in(chains: &Chains, object: Mapped, frame: Frame) -> bool {
    let mut next = Some(object.first());
    core::iter::from_fn(|| {
        let here = next?;
        next = chains.next(here);
        Some(here)
    })
    .any(|it| it == frame)
}
