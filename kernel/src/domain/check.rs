//! A look at everything that is mapped and at everything that is counted: whether the page tables of all domains together keep what
//! the kernel promises, and whether no frame is lost, or paid for by the wrong one.
//!
//! # What is true of each page that a domain has mapped
//! 1. Its frame is in the chain of a memory object, and so is not free.
//! 2. It is writable only for the one writer of that object, and never writable and executable.
//! 3. Of memory that is somebody's by a capability for frames, it is that one's, who has the youngest; others have it mapped for reading
//!    only, by a region or a peer, and not where somebody could take it back.
//! 4. Who has what another living domain writes has authority for it: a capability for a region, or a peer that shares it.

use feuerbird_exokernel::{DomainId, Holder, Kernel};

use crate::domain::machine::Native;
use crate::memory::direct::Frame;
use crate::memory::frames::{self, Chains};
use crate::memory::object::{self, KERNEL, LENT, Mapped, Memory, NOBODY};
use crate::memory::paging::Flags;
use crate::memory::quota;

/// What is found while looking.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    pages: u64,
    writable: u64,
    /// The first frame that is mapped as it must not be, plus one.
    wrong: u64,
    /// The memory that was last looked at in this domain, and whether it may be there: it mostly comes in runs.
    last: Option<(DomainId, Mapped, bool)>,
}

/// Counts that disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Miscount {
    /// An account is not charged what the memory and the tables that it pays for are.
    Charges = 1,
    /// Frames are neither free nor charged, or both.
    Frames = 2,
    /// Memory has more references than there are, or less.
    References = 3,
}

/// Walks the tables of all domains, and the kernel's; then counts.
///
/// # Cost
/// In proportion to all that is mapped, under the kernel's lock: this is for tests.
pub(crate) fn all(kernel: &Kernel<Native>) -> [u64; 6] {
    let machine = kernel.machine();
    let mut found = Found::default();
    if !machine.kernel_space.is_in_order() {
        found.wrong = machine.kernel_space.root() + 1;
    }
    for resident in machine.residents() {
        let tables = resident.mapped.tables();
        if !tables.has_kernel(&machine.kernel_space) {
            found.wrong = tables.root() + 1;
        }
        tables.for_each_page(|_, flags, frame| found.look(kernel, resident.domain, flags, frame));
    }
    let miscount = miscount(kernel, found.pages).map_or(0, |it| it as u64);
    [found.pages, found.writable, found.wrong, miscount, 0, 0]
}

impl Found {
    fn look(&mut self, kernel: &Kernel<Native>, domain: DomainId, flags: Flags, frame: Frame) {
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
                && self.may_be_there(kernel, domain, object)
        });
        self.pages += 1;
        self.writable += u64::from(flags.contains(Flags::WRITE));
        if !is_right && self.wrong == 0 {
            self.wrong = u64::from(frame.number()) + 1;
        }
    }

    fn may_be_there(&mut self, kernel: &Kernel<Native>, domain: DomainId, object: Mapped) -> bool {
        match self.last {
            Some((in_domain, last, may_be)) if (in_domain, last) == (domain, object) => may_be,
            _ => {
                // In the midst of its work the kernel has not taken back everything.
                let may_be = kernel.next_deadline() == Some(0) || may_have(kernel, domain, object);
                self.last = Some((domain, object, may_be));
                may_be
            }
        }
    }
}

/// Whether a domain has authority to have memory mapped.
fn may_have(kernel: &Kernel<Native>, domain: DomainId, object: Mapped) -> bool {
    let is_it = |memory: &Memory| object.is(memory);
    let holder = kernel.holder_of(is_it);
    let is_others = |it: Holder| it.domain != domain;
    match object.writer() {
        NOBODY | KERNEL => true,
        writer if writer == domain || writer == LENT => !holder.is_some_and(is_others),
        // What it left behind.
        writer if !kernel.is_alive(writer) => holder.is_none(),
        _ => !holder.is_some_and(|it| it.is_lent) && kernel.may_read(domain, is_it),
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

/// What disagrees, if something does; so many pages are mapped in all domains together.
fn miscount(kernel: &Kernel<Native>, pages: u64) -> Option<Miscount> {
    let machine = kernel.machine();
    let tables_of = |payer| {
        let paid_for = machine.residents().filter(|it| quota::payer_of(it.domain) == Ok(payer));
        paid_for.map(|it| it.mapped.tables().tables()).sum()
    };
    // Of domains that have ended while a core used their tables: nobody pays for those any more.
    let remains = || machine.cores.iter().filter_map(|core| core.remains.as_ref().map(|it| it.tables()));
    let unpaid: u32 = remains().map(|it| it.tables()).sum();
    let (mut remaining, accounts) = (0, quota::total());
    remains().for_each(|tables| tables.for_each_page(|_, _, _| remaining += 1));
    let references = pages + remaining + machine.references() + kernel.memory_references() as u64;
    if !quota::is_right(tables_of) {
        Some(Miscount::Charges)
    } else if frames::free() + accounts.used + unpaid != accounts.amount {
        Some(Miscount::Frames)
    } else if references != object::all_references() {
        Some(Miscount::References)
    } else {
        None
    }
}
