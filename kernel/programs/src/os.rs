//! A library operating system: paging, copy-on-write buffers and threads, all of it in the domain, none of it in the kernel.
//!
//! What is the same for every LibOS here is mechanism: [`pager`], [`buffer`], [`threads`], [`switch`]. What they differ in is two
//! traits of a few lines: [`Replacement`] says which page is given up, [`Schedule`] says which thread runs. The default LibOS is
//! [`SecondChance`] and [`RoundRobin`]; [`scan`] has another one, for programs that loop over tables larger than their memory.
//!
//! # Invariant
//! [`OS`] is locked only while no event can come, and by code that touches no memory which the fault handler brings: so the handler
//! always finds it free, and a thread that has it is never preempted.
//!
//! # What a thread may do
//! A thread other than the first can be preempted at any instruction, and the gate page, through which payloads go, is one for all
//! of them: whoever calls the kernel there does so [`unpreempted`]. The first thread is never preempted: others run while it joins or
//! yields. A system call's payload must not come from memory that the fault handler brings, which makes calls itself.

pub(crate) mod buffer;
pub(crate) mod pager;
pub(crate) mod replacement;
pub(crate) mod scan;
pub(crate) mod schedule;
pub(crate) mod switch;
pub(crate) mod threads;

use alloc::boxed::Box;

use feuerbird_abi::{EVENT_VECTOR, event};
use spin::Mutex;

use crate::events;
use crate::gate::Result;
use buffer::Pool;
use pager::Pager;
use replacement::{Replacement, SecondChance};
use schedule::{RoundRobin, Schedule};
use switch::Upcall;
use threads::{Ended, ThreadId, Threads};

const PAGE_FAULT: u64 = 14;

/// The bit of a page fault's error code that says that it was a write.
const IS_WRITE: u64 = 1 << 1;

/// An alarm that is always due: it comes with the domain's next slice.
const NEXT_SLICE: u64 = 1;

/// The events that end a thread's turn, if the schedule wants that: time, and news for whoever waits for them.
const ENDS_TURN: u64 = event::TIMER | event::UPCALL;

/// The two choices that make a LibOS.
pub(crate) struct Policies {
    pub(crate) replacement: Box<dyn Replacement>,
    pub(crate) schedule: Box<dyn Schedule>,
}

/// Everything that the handler works on.
struct Os {
    threads: Threads,
    replacement: Option<Box<dyn Replacement>>,
    pager: Option<Pager>,
    pool: Option<Pool>,
}

static OS: Mutex<Option<Os>> = Mutex::new(None);

impl Policies {
    /// What ordinary kernels do.
    pub(crate) fn ordinary() -> Self {
        Self { replacement: Box::new(SecondChance::default()), schedule: Box::new(RoundRobin::default()) }
    }

    /// What suits scans.
    pub(crate) fn for_scans() -> Self {
        Self { replacement: Box::new(scan::MostRecent), schedule: Box::new(scan::ToBatchEnd::default()) }
    }
}

/// Has this domain be such a LibOS from now on; its only thread is the one that calls.
///
/// # Errors
/// As [`MachineCall::HandleFaults`](feuerbird_abi::MachineCall::HandleFaults).
pub(crate) fn start(policies: Policies) -> Result<()> {
    let Policies { replacement, schedule } = policies;
    let os = Os { threads: Threads::new(schedule), replacement: Some(replacement), pager: None, pool: None };
    *OS.lock() = Some(os);
    events::set_alarm(NEXT_SLICE);
    switch::start()
}

/// Runs something that no other thread of this domain comes between.
pub(crate) fn unpreempted<T>(run: impl FnOnce() -> T) -> T {
    let enabled = events::hold();
    let result = run();
    events::enable(enabled);
    result
}

/// Works on the LibOS's state, by the invariant.
fn with<T>(work: impl FnOnce(&mut Os) -> T) -> T {
    unpreempted(|| work(OS.lock().as_mut().expect("a LibOS has been started")))
}

/// What happened to the running thread is dealt with; returns who runs next.
fn upcall(upcall: &Upcall) -> ThreadId {
    let mut os = OS.try_lock().expect("the LibOS itself makes no exception");
    os.as_mut().expect("a LibOS has been started").handle(upcall)
}

impl Os {
    fn handle(&mut self, upcall: &Upcall) -> ThreadId {
        let Upcall { vector, error, address, rip } = *upcall;
        match vector {
            EVENT_VECTOR => {
                events::set_alarm(NEXT_SLICE);
                self.threads.quantum_is_over();
            }
            PAGE_FAULT if self.is_brought(address, error & IS_WRITE != 0) => {}
            PAGE_FAULT if self.threads.is_overflow(address) => self.threads.end(Ended::StackOverflow),
            PAGE_FAULT if self.pool.as_ref().is_some_and(|pool| pool.has(address)) => {
                self.threads.end(Ended::NoFrame);
            }
            _ => panic!("exception {vector}, error {error:#x}, at {rip:#x}, address {address:#x}"),
        }
        self.follow()
    }

    /// Whether what was touched is there now.
    fn is_brought(&mut self, address: u64, is_write: bool) -> bool {
        let is_paged = self.pager.as_mut().is_some_and(|pager| pager.fault(address, is_write));
        is_paged || self.pool.as_mut().is_some_and(|pool| pool.fault(address, is_write))
    }

    /// Tells the pager who runs.
    fn follow(&mut self) -> ThreadId {
        if let Some(pager) = &mut self.pager {
            pager.set_working_set(self.threads.working_set());
        }
        self.threads.running()
    }
}
