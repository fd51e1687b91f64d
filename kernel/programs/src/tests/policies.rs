//! The LibOS: paging, copy-on-write buffers, threads. Each test is in a domain of its own, which is that LibOS and reports.

mod running;

use core::panic::Location;

use feuerbird_abi::{Call, MachineCall, Role as Side, Status, UpcallKind};
use feuerbird_capability::{Rights, Trust};

use super::{Checked, Failed, Ground, ensure, ensure_ends, ensure_refused, monitor, print_failure};
use crate::gate;
use crate::lane;
use crate::memory::FaultingWords;
use crate::os::pager::{self, Paged};
use crate::os::threads::{self, Ended};
use crate::os::{self, Policies, buffer};
use crate::policies;
use crate::role::Role;
use crate::transfer;

/// How long such a domain may take.
const PATIENCE_NS: u64 = 60_000_000_000;

/// What a domain tests, by its argument.
const TESTS: [fn() -> Checked; 13] = [
    || random_access(Policies::ordinary()),
    || random_access(Policies::for_scans()),
    || dirty(Policies::ordinary()),
    || dirty(Policies::for_scans()),
    snapshots,
    running::registers,
    running::fairness,
    running::joins,
    running::overflow,
    no_frame,
    page_in_use,
    loops,
    storm,
];

/// Has domains of their own do these.
fn run(ground: &Ground<'_>, tests: &[u64]) -> Checked {
    tests.iter().try_for_each(|test| run_one(ground, *test))
}

#[track_caller]
fn run_one(ground: &Ground<'_>, test: u64) -> Checked {
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let child = ground.run(Role::LibOs, test)?;
    child.grant(endpoint, Rights::SEND, Trust::USER)?;
    let came = transfer::receive(endpoint, gate::now_ns() + PATIENCE_NS);
    match came {
        Ok(_) => ensure_ends(child)?,
        Err(_) => child.destroy()?,
    }
    gate::call(Call::Delete, &[endpoint])?;
    ensure(came?.words[0] == u64::from(true))
}

/// Such a domain: says whether all was as it should be.
pub(crate) fn be_libos(test: u64) {
    let Ok((granted, _)) = lane::expect(UpcallKind::Granted) else { return };
    let result = TESTS[test as usize % TESTS.len()]();
    if let Err(Failed { at, status }) = result {
        print_failure("of a LibOS", at, status);
    }
    let _ = transfer::send(granted.values[0], transfer::words([u64::from(result.is_ok()), 0, 0, 0]), 0);
}

pub(super) fn contents(ground: &Ground<'_>) -> Checked {
    run(ground, &[0, 1])
}

pub(super) fn victims(ground: &Ground<'_>) -> Checked {
    run(ground, &[10, 11])
}

pub(super) fn written_back(ground: &Ground<'_>) -> Checked {
    run(ground, &[2, 3])
}

pub(super) fn copy_on_write(ground: &Ground<'_>) -> Checked {
    run(ground, &[4, 9])
}

pub(super) fn registers(ground: &Ground<'_>) -> Checked {
    run(ground, &[5])
}

/// Threads keep their registers when news end their turns, as fast as another core can make them: also while they give way by themselves.
pub(super) fn interrupted(ground: &Ground<'_>) -> Checked {
    let [report, storm] = [0, 0].map(|_| gate::call(Call::CreateEndpoint, &[0]));
    let (report, storm) = (report?.values[0], storm?.values[0]);
    let child = ground.run(Role::LibOs, STORM)?;
    child.grant(report, Rights::SEND, Trust::USER)?;
    child.grant(storm, Rights::RECEIVE, Trust::USER)?;
    let deadline = gate::now_ns() + PATIENCE_NS;
    let came = loop {
        // To look for the report costs a slice.
        for _ in 0..300 {
            (0..2000).for_each(|count| _ = core::hint::black_box(count));
            let bound = gate::call_with(Call::Bind, &[storm, Side::Sender as u64, 0], b"contract", 0)?;
            gate::call(Call::Unbind, &[bound.values[0]])?;
        }
        match transfer::receive(report, gate::now_ns() + 10_000) {
            Err(Status::TimedOut) if gate::now_ns() < deadline => {}
            came => break came,
        }
    };
    child.destroy()?;
    while gate::wait(0)?.is_some() {}
    gate::call(Call::Delete, &[report])?;
    gate::call(Call::Delete, &[storm])?;
    ensure(came?.words[0] == u64::from(true))
}

/// What such a domain does meanwhile.
const STORM: u64 = 12;

fn storm() -> Checked {
    let (granted, _) = lane::expect(UpcallKind::Granted)?;
    gate::call_with(Call::Bind, &[granted.values[0], Side::Receiver as u64, 0], b"contract", 0)?;
    running::registers_in_storm()
}

pub(super) fn fairness(ground: &Ground<'_>) -> Checked {
    run(ground, &[6])
}

pub(super) fn joins(ground: &Ground<'_>) -> Checked {
    run(ground, &[7, 8])
}

pub(super) fn side_by_side(ground: &Ground<'_>) -> Checked {
    let before = monitor::faults()?;
    let said = policies::faults_side_by_side(ground.image)?;
    // What the two say of themselves is what the kernel has counted.
    let counted = monitor::faults()? - before;
    ensure(said == Some(counted))
}

/// Frames that whoever pays for this domain has in use: nothing else is at work meanwhile.
fn frames_in_use() -> gate::Result<u64> {
    Ok(gate::machine(MachineCall::Quota, &[])?.values[1])
}

/// Does it twice: after the first time the tables of pages and the heap are there; the second time must leave nothing.
#[track_caller]
fn leaves_nothing(test: impl Fn() -> Checked) -> Checked {
    let at = Location::caller();
    test()?;
    let before = frames_in_use()?;
    test()?;
    if frames_in_use()? == before { Ok(()) } else { Err(Failed { at, status: None }) }
}

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

const PAGES: u32 = 40;
const FRAMES: u32 = 7;
const PAGE_WORDS: usize = 512;

/// How many words of each page are used: the first ones, and the very last.
const USED: usize = 4;

fn word_of(page: usize, used: usize) -> usize {
    page * PAGE_WORDS + if used == USED - 1 { PAGE_WORDS - 1 } else { used }
}

/// Reads and writes at random places find what a simple array would have, however often pages come and go.
fn random_access(policies: Policies) -> Checked {
    os::start(policies)?;
    leaves_nothing(|| {
        let _paged = Paged::new(PAGES, FRAMES)?;
        let words = pager::words(&(0..PAGES));
        let mut model = [[0u64; USED]; PAGES as usize];
        let mut numbers = Numbers(0x1234_5678_9abc_def1);
        for round in 0..20_000 {
            let (page, used) = (numbers.next(PAGES as usize), numbers.next(USED));
            ensure(words.load(word_of(page, used)) == model[page][used])?;
            if numbers.next(3) == 0 {
                model[page][used] = round << 32 | page as u64;
                words.store(word_of(page, used), model[page][used]);
            }
        }
        for (page, expected) in model.iter().enumerate() {
            let found: [u64; USED] = core::array::from_fn(|used| words.load(word_of(page, used)));
            ensure(found == *expected)?;
        }
        let counts = pager::counts();
        // Most accesses hit a page that is not there.
        ensure(counts.brought > 10_000 && counts.evicted == counts.brought - u64::from(FRAMES))?;
        ensure(counts.written_back > 1000 && counts.written_back < counts.evicted)
    })
}

/// A page that was read comes and goes for nothing; one that was written is written back once for each time that it goes.
fn dirty(policies: Policies) -> Checked {
    os::start(policies)?;
    let _paged = Paged::new(PAGES, FRAMES)?;
    let words = pager::words(&(0..PAGES));
    let look = || (0..PAGES as usize).map(|page| words.load(word_of(page, 0))).sum::<u64>();
    ensure(look() == 0 && look() == 0)?;
    let counts = pager::counts();
    ensure(counts.written_back == 0 && counts.evicted > 0)?;
    for page in (0..PAGES as usize).step_by(8) {
        // Looked at first, so that it is there and can only be read.
        ensure(words.load(word_of(page, 0)) == 0)?;
        words.store(word_of(page, 0), 1);
    }
    // Where what came last goes first, what was there before stays: all of it goes for other pages.
    for _ in 0..3 {
        ensure(look() == u64::from(PAGES / 8))?;
    }
    let written_back = pager::counts().written_back;
    ensure((1..=u64::from(PAGES / 8)).contains(&written_back))?;
    // A page is clean again after it was written back.
    for _ in 0..3 {
        ensure(look() == u64::from(PAGES / 8))?;
    }
    ensure(pager::counts().written_back == written_back)?;
    ensure_refused(Paged::new(1, 1), Status::ObjectsFull)
}

/// Second chance keeps a page that is touched again and again, whatever comes and goes beside it.
fn page_in_use() -> Checked {
    os::start(Policies::ordinary())?;
    let _paged = Paged::new(PAGES, FRAMES)?;
    let words = pager::words(&(0..PAGES));
    let mut others = 0;
    for _ in 0..5 {
        for page in 1..PAGES as usize {
            ensure(words.load(0) == 0 && words.load(word_of(page, 0)) == 0)?;
            others += 1;
        }
    }
    // It went once, when the hand first went round and had suspected all. First in, first out would bring it some thirty times.
    let counts = pager::counts();
    ensure(counts.second_chances > 0 && counts.brought <= others + 2)
}

/// In a loop over one page more than there are frames, each page comes in each pass; not where the one that came last goes.
fn loops() -> Checked {
    const PASSES: u64 = 20;
    let brought = |policies| {
        os::start(policies)?;
        let _paged = Paged::new(FRAMES + 1, FRAMES)?;
        // A thread that says which pages it works on.
        let looping = threads::spawn(look_in_passes, PASSES, 0..FRAMES + 1)?;
        ensure(looping.join().0 == Ended::With(0))?;
        Ok::<_, Failed>(pager::counts().brought)
    };
    let pages = u64::from(FRAMES) + 1;
    ensure(brought(Policies::ordinary())? == PASSES * pages)?;
    // As few as can be in each pass but the first: one that was not there, and one for which it had to go.
    ensure(brought(Policies::for_scans())? <= pages + 2 * (PASSES - 1))
}

fn look_in_passes(passes: u64) -> u64 {
    let words = pager::words(&(0..FRAMES + 1));
    let pass = |_| (0..=FRAMES as usize).map(|page| words.load(word_of(page, 0))).sum::<u64>();
    (0..passes).map(pass).sum()
}

const BUFFER_PAGES: u64 = 60;

fn number(words: &FaultingWords, round: u64) {
    (0..BUFFER_PAGES).for_each(|page| words.store(page as usize * PAGE_WORDS, round << 32 | page));
}

fn has_numbers(words: &FaultingWords, round: u64) -> bool {
    (0..BUFFER_PAGES).all(|page| words.load(page as usize * PAGE_WORDS) == round << 32 | page)
}

/// A snapshot stays what it was while its original changes, and the other way round; what is written is copied, and nothing else.
fn snapshots() -> Checked {
    os::start(Policies::ordinary())?;
    leaves_nothing(|| {
        buffer::start(3 * BUFFER_PAGES as u32)?;
        let all_free = buffer::counts().free;
        let original = buffer::Buffer::new(BUFFER_PAGES)?;
        number(&original.words(), 1);
        ensure(buffer::counts().free == all_free - BUFFER_PAGES && buffer::counts().copied == 0)?;
        let (old, older) = (original.snapshot()?, original.snapshot()?);
        let counts = buffer::counts();
        ensure(counts.shared == 2 * BUFFER_PAGES && counts.free == all_free - BUFFER_PAGES)?;
        // Each touched page is copied once, however often it is written; what is only read is not.
        for round in 0..3 {
            (0..5).for_each(|page| original.words().store(page * PAGE_WORDS + 9, round));
        }
        old.words().store(7 * PAGE_WORDS, 77);
        ensure(has_numbers(&older.words(), 1) && has_numbers(&original.words(), 1))?;
        ensure(buffer::counts().copied == 6 && buffer::counts().free == all_free - BUFFER_PAGES - 6)?;
        ensure((0..5).all(|page| old.words().load(page * PAGE_WORDS + 9) == 0))?;
        ensure(older.words().load(7 * PAGE_WORDS) == 1 << 32 | 7)?;
        number(&original.words(), 2);
        ensure(has_numbers(&older.words(), 1) && has_numbers(&original.words(), 2))?;
        ensure(buffer::counts().copied == BUFFER_PAGES + 1)?;
        // What has one owner left is written without a copy.
        drop(old);
        number(&older.words(), 3);
        ensure(has_numbers(&original.words(), 2) && buffer::counts().copied == BUFFER_PAGES + 1)?;
        drop(original);
        ensure(buffer::counts().free == all_free - BUFFER_PAGES && has_numbers(&older.words(), 3))?;
        drop(older);
        ensure(buffer::counts().free == all_free)?;
        Ok(buffer::stop()?)
    })
}

/// A copy that there is no frame for ends the thread that needs it, and nothing else.
fn no_frame() -> Checked {
    os::start(Policies::ordinary())?;
    buffer::start(4)?;
    let original = buffer::Buffer::new(3)?;
    original.words().store(0, 1);
    ensure_refused(buffer::Buffer::new(2), Status::ObjectsFull)?;
    let snapshot = original.snapshot()?;
    let writes = |_: u64| {
        // The second buffer is the one that was made last.
        buffer::words(1, 3).store(0, 2);
        buffer::words(1, 3).store(PAGE_WORDS, 2);
        0
    };
    let thread = threads::spawn(writes, 0, 0..0)?;
    ensure(thread.join().0 == Ended::NoFrame)?;
    ensure(snapshot.words().load(0) == 2 && snapshot.words().load(PAGE_WORDS) == 0)?;
    ensure(original.words().load(0) == 1 && buffer::counts().copied == 1 && buffer::counts().free == 0)
}
