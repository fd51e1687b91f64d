//! Threads in one domain, which the kernel knows nothing of.
//!
//! # Invariants
//! 1. Exactly one thread runs. One that can run is in the [`Schedule`], once; one that waits for another's end is in neither.
//! 2. A thread's stack is its own until it has ended and somebody has joined it. Nothing is mapped below it.

use alloc::boxed::Box;
use core::ops::Range;

use feuerbird_abi::{Access, MachineCall, Status};

use crate::events;
use crate::gate::{self, Result};
use crate::memory::{self, PAGE};
use crate::os::schedule::Schedule;
use crate::os::{self, switch};

/// How many there can be, the first one included.
pub(crate) const THREADS: usize = 16;

/// Where stacks lie: one in the upper part of each piece, and nothing in the lower one.
const STACKS: u64 = 0x5200_0000_0000;
const STACK_PIECE: u64 = 16 * PAGE;
const STACK_PAGES: u64 = 4;

/// What a thread does: from its argument to what who joins it is told.
pub(crate) type Entry = fn(u64) -> u64;

/// One of this domain's threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadId(usize);

/// How a thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its function returned this.
    With(u64),
    /// It went beyond its stack.
    StackOverflow,
    /// It wrote a page that others have too, and there was no frame for a copy.
    NoFrame,
}

/// A thread that was made, to be joined.
#[derive(Debug)]
#[must_use = "who joins gets the stack back"]
pub(crate) struct Joinable(ThreadId);

/// Memory for a thread to run on. Unmapped when it is dropped.
#[derive(Debug)]
pub(crate) struct Stack {
    top: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// It runs, or is in the schedule.
    Ready,
    WaitsFor(ThreadId),
    Ended(Ended),
}

struct Slot {
    state: State,
    stack: Option<Stack>,
    entry: Option<(Entry, u64)>,
    /// The pages of the pager's that it works on.
    pages: Range<u32>,
    /// For how many whole quanta it ran.
    quanta: u64,
}

/// What the LibOS knows of its threads.
pub(super) struct Threads {
    slots: [Slot; THREADS],
    running: ThreadId,
    schedule: Box<dyn Schedule>,
    counts: Counts,
}

/// How often another thread went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Because the one before yielded, waited or ended.
    pub(crate) voluntary: u64,
    /// Because its time was over.
    pub(crate) preempted: u64,
}

impl ThreadId {
    /// The one that a domain begins with.
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0
    }
}

impl Stack {
    fn new(thread: ThreadId) -> Result<Self> {
        let top = STACKS + (thread.0 as u64 + 1) * STACK_PIECE;
        let handle = memory::allocate(STACK_PAGES)?;
        let address = top - STACK_PAGES * PAGE;
        let mapped = gate::machine(MachineCall::Map, &[handle, address, Access::Write as u64]);
        memory::release(handle)?;
        mapped.map(|_| Self { top })
    }

    pub(super) fn top(&self) -> u64 {
        self.top
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // The kernel takes it back with the domain at the latest.
        let _ = gate::machine(MachineCall::Unmap, &[self.top - STACK_PAGES * PAGE]);
    }
}

impl Slot {
    const FREE: Self = Self { state: State::Free, stack: None, entry: None, pages: 0..0, quanta: 0 };
}

impl Threads {
    pub(super) fn new(schedule: Box<dyn Schedule>) -> Self {
        let mut slots = [Slot::FREE; THREADS];
        slots[ThreadId::FIRST.0].state = State::Ready;
        Self { slots, running: ThreadId::FIRST, schedule, counts: Counts::default() }
    }

    pub(super) fn running(&self) -> ThreadId {
        self.running
    }

    /// The pages that the running thread works on.
    pub(super) fn working_set(&self) -> Range<u32> {
        self.slots[self.running.0].pages.clone()
    }

    /// The quantum of the thread that runs is over: maybe another one runs now.
    pub(super) fn quantum_is_over(&mut self) {
        self.slots[self.running.0].quanta += 1;
        if self.schedule.goes_on() {
            return;
        }
        self.schedule.ready(self.running);
        let before = self.running;
        self.run_next();
        self.counts.preempted += u64::from(before != self.running);
    }

    /// The thread that runs has ended, and another one runs now.
    pub(super) fn end(&mut self, ended: Ended) {
        let thread = self.running;
        assert!(thread != ThreadId::FIRST, "the first thread ends with its domain: {ended:?}");
        self.slots[thread.0].state = State::Ended(ended);
        if let Some(waiting) = self.slots.iter().position(|slot| slot.state == State::WaitsFor(thread)) {
            self.slots[waiting].state = State::Ready;
            self.schedule.ready(ThreadId(waiting));
        }
        self.run_next();
        self.counts.voluntary += 1;
    }

    /// Whether this address is what lies below the stack of the thread that runs.
    pub(super) fn is_overflow(&self, address: u64) -> bool {
        let end = STACKS + (self.running.0 as u64 + 1) * STACK_PIECE - STACK_PAGES * PAGE;
        self.slots[self.running.0].stack.is_some()
            && (end + STACK_PAGES * PAGE - STACK_PIECE..end).contains(&address)
    }

    fn run_next(&mut self) {
        // The last thread that can run is the first one, or one that it waits for: joins make no circle, because who is joined has no
        // way to name who joins it.
        self.running = self.schedule.next().expect("some thread can run");
    }

    fn make(&mut self, entry: Entry, argument: u64, pages: Range<u32>) -> Result<ThreadId> {
        let free = self.slots.iter().position(|slot| slot.state == State::Free).ok_or(Status::ObjectsFull)?;
        let thread = ThreadId(free);
        let stack = Stack::new(thread)?;
        switch::prepare(thread, begin, &stack);
        let entry = Some((entry, argument));
        self.slots[free] = Slot { state: State::Ready, stack: Some(stack), entry, pages, quanta: 0 };
        self.schedule.ready(thread);
        Ok(thread)
    }

    /// How it ended and for how many quanta it ran, if it has: its slot and stack are free then. Otherwise this thread waits.
    fn take_ended(&mut self, thread: ThreadId) -> Option<(Ended, u64)> {
        let slot = &mut self.slots[thread.0];
        if let State::Ended(ended) = slot.state {
            let quanta = slot.quanta;
            *slot = Slot::FREE;
            return Some((ended, quanta));
        }
        self.slots[self.running.0].state = State::WaitsFor(thread);
        self.run_next();
        self.counts.voluntary += 1;
        None
    }

    /// The thread that runs can go on later.
    fn give_way(&mut self) {
        self.schedule.ready(self.running);
        let before = self.running;
        self.run_next();
        self.counts.voluntary += u64::from(before != self.running);
    }
}

/// Makes a thread that calls a function; it runs when its turn comes. `pages` are those of the pager's that it works on, if any.
///
/// # Errors
/// [`Status::ObjectsFull`] where there are [`THREADS`], or as the calls.
pub(crate) fn spawn(entry: Entry, argument: u64, pages: Range<u32>) -> Result<Joinable> {
    os::with(|os| os.threads.make(entry, argument, pages)).map(Joinable)
}

/// Lets another thread run, if one can. No system call.
pub(crate) fn yield_now() {
    let enabled = events::hold();
    let (from, next) = leave(Threads::give_way);
    if from != next {
        switch::to(from, next, enabled);
    }
    events::enable(enabled);
}

/// Ends this thread.
pub(crate) fn exit(value: u64) -> ! {
    events::hold();
    let (from, next) = leave(|threads| threads.end(Ended::With(value)));
    switch::to(from, next, 0);
    unreachable!("a thread that has ended does not go on");
}

impl Joinable {
    /// Waits until the thread has ended; how, and after how many quanta. Gives its stack back.
    pub(crate) fn join(self) -> (Ended, u64) {
        let enabled = events::hold();
        loop {
            let mut ended = None;
            let (from, next) = leave(|threads| ended = threads.take_ended(self.0));
            if let Some(ended) = ended {
                events::enable(enabled);
                return ended;
            }
            switch::to(from, next, 0);
        }
    }
}

/// How often threads have taken turns.
pub(crate) fn counts() -> Counts {
    os::with(|os| os.threads.counts)
}

/// Who ran and who runs, after this change. Events are held back.
fn leave(change: impl FnOnce(&mut Threads)) -> (ThreadId, ThreadId) {
    os::with(|os| {
        let from = os.threads.running();
        change(&mut os.threads);
        (from, os.follow())
    })
}

/// Where every thread begins.
extern "sysv64" fn begin() -> ! {
    let running = |os: &mut os::Os| os.threads.slots[os.threads.running.0].entry;
    let (entry, argument) = os::with(running).expect("a thread was made with a function");
    exit(entry(argument))
}
