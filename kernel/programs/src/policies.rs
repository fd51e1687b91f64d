//! The demonstration of two LibOSes side by side: one program, which loops over tables that are larger than its memory, in domains that
//! page and schedule differently.
//!
//! Each domain has the same number of frames, and the kernel does the same for all of them: it hands a domain its faults and its slices. The
//! rest is the domain's own choice, and the number of pages that have to be brought depends on nothing else.

use core::ops::Range;

use feuerbird_abi::{Access, Call, Status, UpcallKind};
use feuerbird_capability::{Rights, Trust};

use crate::child::{Child, Image};
use crate::gate::{self, Result, println};
use crate::lane;
use crate::memory::{self, FaultingWords, Mapping};
use crate::os::{self, Policies, pager, threads};
use crate::role::Role;
use crate::transfer::{self, Outgoing};

/// Tables, of more pages than there are frames, and a thread for each.
const TABLES: u64 = 4;
const TABLE_PAGES: u32 = 80;
const FRAMES: u32 = 64;

/// How often each thread goes over its table; after each batch it lets the others run.
const BATCHES: u64 = 2;
const PASSES: u64 = 8;

/// Of so many pages one is written in each pass.
const WRITTEN: usize = 4;
const PAGE_WORDS: usize = 512;

/// How long one domain may take.
const PATIENCE_NS: u64 = 100_000_000_000;

/// The choices of a domain, as bits of its argument.
const REPLACES_FOR_SCANS: u64 = 1;
const SCHEDULES_FOR_SCANS: u64 = 2;

/// The two LibOSes.
const ORDINARY: u64 = 0;
const FOR_SCANS: u64 = REPLACES_FOR_SCANS | SCHEDULES_FOR_SCANS;

/// What came of a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of what all threads have read.
    sum: u64,
    faults: u64,
    brought: u64,
    written_back: u64,
    switches: u64,
    preempted: u64,
    ticks: u64,
}

/// The first domain. Whether all results are right, and the claims hold.
pub(crate) fn run(image: &Image) -> bool {
    compare(image).unwrap_or_else(|status| {
        println!("policies: a call was refused: {status}");
        false
    })
}

fn compare(image: &Image) -> Result<bool> {
    println!(
        "{TABLES} threads, each {} times over a table of {TABLE_PAGES} pages, in {FRAMES} frames; every {WRITTEN}th page is written",
        BATCHES * PASSES
    );
    let sum = expected()?;
    println!("\ntwo LibOSes at the same time:");
    let (one, two) = (Scan::start(image, ORDINARY)?, Scan::start(image, FOR_SCANS)?);
    let beside = [one.finish()?, two.finish()?];
    print_head("");
    print_row(ORDINARY, &beside[0], false);
    print_row(FOR_SCANS, &beside[1], false);
    println!("\nevery choice, alone:");
    print_head("ticks");
    let mut alone = [Outcome::default(); 4];
    for (choice, outcome) in (0..).zip(&mut alone) {
        *outcome = Scan::start(image, choice)?.finish()?;
        print_row(choice, outcome, true);
    }
    let are_right = beside.iter().chain(&alone).all(|outcome| outcome.sum == sum);
    let [ordinary, .., for_scans] = alone;
    let is_better = is_half(&beside[1], &beside[0]) && is_half(&for_scans, &ordinary);
    println!(
        "policies: the sums of all tables are {}",
        if are_right { "the same, and right" } else { "WRONG" }
    );
    println!(
        "policies: the LibOS for scans brings {} as many pages as the ordinary one",
        if is_better { "less than half" } else { "NOT less than half" }
    );
    Ok(are_right && is_better)
}

fn is_half(one: &Outcome, other: &Outcome) -> bool {
    one.brought * 2 < other.brought && one.faults * 2 < other.faults
}

fn print_head(ticks: &str) {
    println!(
        "{:<14} {:<13} {:>7} {:>8} {:>13} {:>9} {:>10} {ticks:>12}",
        "replacement", "scheduler", "faults", "brought", "written back", "switches", "preempted"
    );
}

fn print_row(choice: u64, outcome: &Outcome, with_ticks: bool) {
    let replacement = if choice & REPLACES_FOR_SCANS == 0 { "second chance" } else { "most recent" };
    let schedule = if choice & SCHEDULES_FOR_SCANS == 0 { "round robin" } else { "to batch end" };
    let Outcome { faults, brought, written_back, switches, preempted, ticks, .. } = *outcome;
    gate::print(format_args!(
        "{replacement:<14} {schedule:<13} {faults:>7} {brought:>8} {written_back:>13} {switches:>9} {preempted:>10}"
    ));
    match with_ticks {
        true => println!(" {ticks:>12}"),
        false => println!(""),
    }
}

/// Whether two LibOSes that run at the same time get the same, right results, and one of them with half of the faults.
pub(crate) fn hold_side_by_side(image: &Image) -> Result<bool> {
    let (one, two) = (Scan::start(image, ORDINARY)?, Scan::start(image, FOR_SCANS)?);
    let (one, two) = (one.finish()?, two.finish()?);
    let sum = expected()?;
    Ok(one.sum == sum && two.sum == sum && is_half(&two, &one))
}

/// A domain at work.
struct Scan {
    child: Child,
    endpoint: u64,
}

impl Scan {
    fn start(image: &Image, choice: u64) -> Result<Self> {
        let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
        let child = Child::new(image, Trust::USER)?;
        child.start(image, Role::Scanner.argument(choice))?;
        child.grant(endpoint, Rights::SEND, Trust::USER)?;
        Ok(Self { child, endpoint })
    }

    fn finish(self) -> Result<Outcome> {
        let came = transfer::receive(self.endpoint, gate::now_ns() + PATIENCE_NS);
        let [switches, preempted, ticks] = [4, 5, 6].map(transfer::word);
        self.child.destroy()?;
        gate::call(Call::Delete, &[self.endpoint])?;
        let [sum, faults, brought, written_back] = came?.words;
        Ok(Outcome { sum, faults, brought, written_back, switches, preempted, ticks })
    }
}

/// A domain that scans, in the LibOS of its choice, and reports.
pub(crate) fn scan(choice: u64) {
    let Ok((granted, _)) = lane::expect(UpcallKind::Granted) else { return };
    match work(choice) {
        Ok(outcome) => {
            let Outcome { sum, faults, brought, written_back, switches, preempted, ticks } = outcome;
            [switches, preempted, ticks]
                .into_iter()
                .zip(4..)
                .for_each(|(word, at)| transfer::set_word(at, word));
            let words = [sum, faults, brought, written_back];
            let _ = transfer::send(granted.values[0], Outgoing { length: 7, words, capability: 0 }, 0);
        }
        Err(status) => println!("scanner: a call was refused: {status}"),
    }
}

fn policies(choice: u64) -> Policies {
    let mut policies = Policies::ordinary();
    if choice & REPLACES_FOR_SCANS != 0 {
        policies.replacement = Policies::for_scans().replacement;
    }
    if choice & SCHEDULES_FOR_SCANS != 0 {
        policies.schedule = Policies::for_scans().schedule;
    }
    policies
}

fn work(choice: u64) -> Result<Outcome> {
    os::start(policies(choice))?;
    let _paged = pager::Paged::new(TABLES as u32 * TABLE_PAGES, FRAMES)?;
    let start = gate::counter();
    let mut working = [const { None }; TABLES as usize];
    for (table, thread) in (0..TABLES).zip(&mut working) {
        *thread = Some(threads::spawn(scan_table, table, pages_of(table))?);
    }
    let mut sum = 0u64;
    for thread in working.into_iter().flatten() {
        let threads::Ended::With(of_table) = thread.join().0 else { return Err(Status::PeerMisbehaved) };
        sum = add(sum, of_table);
    }
    let ticks = gate::counter() - start;
    let (pager, threads) = (pager::counts(), threads::counts());
    Ok(Outcome {
        sum,
        faults: pager.faults,
        brought: pager.brought,
        written_back: pager.written_back,
        switches: threads.voluntary + threads.preempted,
        preempted: threads.preempted,
        ticks,
    })
}

fn pages_of(table: u64) -> Range<u32> {
    let first = table as u32 * TABLE_PAGES;
    first..first + TABLE_PAGES
}

/// What a thread does.
fn scan_table(table: u64) -> u64 {
    let words: FaultingWords = pager::words(&pages_of(table));
    passes(table, |word| words.load(word), |word, value| words.store(word, value), threads::yield_now)
}

/// All passes over a table: reads all of it, and changes some pages. The sum of what was read.
fn passes(table: u64, load: impl Fn(usize) -> u64, store: impl Fn(usize, u64), batch_ends: impl Fn()) -> u64 {
    let mut sum = table;
    for pass in 1..=BATCHES * PASSES {
        for page in 0..TABLE_PAGES as usize {
            for word in page * PAGE_WORDS..(page + 1) * PAGE_WORDS {
                let value = load(word);
                sum = add(sum, value);
                if page % WRITTEN == 0 {
                    store(word, value ^ sum);
                }
            }
        }
        if pass.is_multiple_of(PASSES) {
            batch_ends();
        }
    }
    sum
}

fn add(sum: u64, value: u64) -> u64 {
    (sum.rotate_left(7) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What the sum must be, found out in memory that is simply there.
fn expected() -> Result<u64> {
    let mut sum = 0;
    for table in 0..TABLES {
        let handle = memory::allocate(TABLE_PAGES.into())?;
        let memory = Mapping::new(handle, TABLE_PAGES.into(), Access::Write)?;
        memory::release(handle)?;
        sum =
            add(sum, passes(table, |word| memory.load(word), |word, value| memory.store(word, value), || ()));
    }
    Ok(sum)
}
