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
use crate::memory::{self, Mapping};
use crate::os::threads::{self, Ended};
use crate::os::{self, Policies, pager};
use crate::role::Role;
use crate::transfer::{self, Outgoing};

/// Tables, with a thread for each, and the frames for all of them.
const TABLES: u64 = 4;
const FRAMES: u32 = 64;

/// How often a thread goes over its table as often as its [`Load`] says; after each time it lets the others run.
const BATCHES: u64 = 2;

/// Of so many pages one is written in each pass.
const WRITTEN: usize = 4;
const PAGE_WORDS: usize = 512;

/// What the threads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    /// The pages of each table.
    pages: u32,
    /// How often each is gone over in a batch.
    passes: u64,
}

/// Tables that are larger than memory: which page goes decides. And tables that are larger only together: who runs decides.
const LOADS: [Load; 2] = [Load { pages: 80, passes: 8 }, Load { pages: 40, passes: 64 }];

/// How long one domain may take.
const PATIENCE_NS: u64 = 100_000_000_000;

/// The choices of a domain, as bits of its argument; the next one is the number of the load.
const REPLACES_FOR_SCANS: u64 = 1;
const SCHEDULES_FOR_SCANS: u64 = 2;
const CHOICE: u64 = REPLACES_FOR_SCANS | SCHEDULES_FOR_SCANS;
const LOAD_SHIFT: u32 = 2;

/// The two LibOSes.
const ORDINARY: u64 = 0;
const FOR_SCANS: u64 = CHOICE;

/// How often two threads take turns to find out how long that takes.
const TURNS: u64 = 1000;

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
    /// From one thread to another that was waiting, both by their own will.
    ticks_per_switch: u64,
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
        "{TABLES} threads, a table for each, {FRAMES} frames for all; every {WRITTEN}th page is written."
    );
    println!(
        "What is written back goes to memory that stands for a disk. Ticks are instructions, if the emulator counts."
    );
    let (one, other) = (compare_with(image, 0)?, compare_with(image, 1)?);
    let (are_right, is_better) = (one.are_right && other.are_right, one.is_better && other.is_better);
    let right = if are_right { "the same, and right" } else { "WRONG" };
    let half = if is_better { "less than half" } else { "NOT less than half" };
    println!("\npolicies: the sums of all tables are {right}");
    println!("policies: the LibOS for scans brings {half} as many pages as the ordinary one");
    let (switch, null) = (one.ticks_per_switch, null_call());
    println!(
        "policies: {switch} ticks from one thread to another, {null} for a system call that does nothing"
    );
    Ok(are_right && is_better)
}

/// What is found out with one load.
struct Comparison {
    are_right: bool,
    is_better: bool,
    ticks_per_switch: u64,
}

fn compare_with(image: &Image, number: u64) -> Result<Comparison> {
    let load = &LOADS[number as usize];
    println!("\ntables of {} pages, {} passes:", load.pages, BATCHES * load.passes);
    let sum = expected(load)?;
    print_head();
    let beside = both(image, number)?;
    print_row(ORDINARY, &beside[0], "side by side");
    print_row(FOR_SCANS, &beside[1], "side by side");
    let mut alone = [Outcome::default(); 4];
    for (choice, outcome) in (0..).zip(&mut alone) {
        *outcome = Scan::start(image, choice | number << LOAD_SHIFT)?.finish()?;
        print_row(choice, outcome, outcome.ticks);
    }
    let [ordinary, .., for_scans] = &alone;
    Ok(Comparison {
        are_right: beside.iter().chain(&alone).all(|outcome| outcome.sum == sum),
        is_better: is_half(&beside[1], &beside[0]) && is_half(for_scans, ordinary),
        ticks_per_switch: for_scans.ticks_per_switch,
    })
}

/// Both LibOSes at the same time.
fn both(image: &Image, load: u64) -> Result<[Outcome; 2]> {
    let start = |choice: u64| Scan::start(image, choice | load << LOAD_SHIFT);
    let (ordinary, for_scans) = (start(ORDINARY)?, start(FOR_SCANS)?);
    Ok([ordinary.finish()?, for_scans.finish()?])
}

/// The shortest of some.
fn null_call() -> u64 {
    let time = |_| {
        let start = gate::counter();
        gate::null();
        gate::counter() - start
    };
    (0..100).map(time).min().unwrap_or(0)
}

fn is_half(one: &Outcome, other: &Outcome) -> bool {
    one.brought * 2 < other.brought && one.faults * 2 < other.faults
}

fn print_head() {
    println!(
        "{:<14} {:<13} {:>7} {:>8} {:>13} {:>9} {:>10} {:>12}",
        "replacement", "scheduler", "faults", "brought", "written back", "switches", "preempted", "ticks"
    );
}

fn print_row(choice: u64, outcome: &Outcome, ticks: impl core::fmt::Display) {
    let replacement = if choice & REPLACES_FOR_SCANS == 0 { "second chance" } else { "most recent" };
    let schedule = if choice & SCHEDULES_FOR_SCANS == 0 { "round robin" } else { "to batch end" };
    let Outcome { faults, brought, written_back, switches, preempted, .. } = *outcome;
    println!(
        "{replacement:<14} {schedule:<13} {faults:>7} {brought:>8} {written_back:>13} {switches:>9} {preempted:>10} {ticks:>12}"
    );
}

/// The faults of two LibOSes that run at the same time, if both get the same, right result and one of them has less than half as many.
pub(crate) fn faults_side_by_side(image: &Image) -> Result<Option<u64>> {
    let [ordinary, for_scans] = both(image, 0)?;
    let sum = expected(&LOADS[0])?;
    let are_right = ordinary.sum == sum && for_scans.sum == sum;
    // The schedule of the second one is to be seen, too: it cuts no batch.
    let hold = are_right && is_half(&for_scans, &ordinary) && for_scans.preempted == 0;
    Ok(hold.then_some(ordinary.faults + for_scans.faults))
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
        let [switches, preempted, ticks, ticks_per_switch] = [4, 5, 6, 7].map(transfer::word);
        self.child.destroy()?;
        gate::call(Call::Delete, &[self.endpoint])?;
        let [sum, faults, brought, written_back] = came?.words;
        Ok(Outcome { sum, faults, brought, written_back, switches, preempted, ticks, ticks_per_switch })
    }
}

/// A domain that scans, in the LibOS of its choice, and reports.
pub(crate) fn scan(argument: u64) {
    let Ok((granted, _)) = lane::expect(UpcallKind::Granted) else { return };
    match work(argument & CHOICE, (argument >> LOAD_SHIFT) as usize % LOADS.len()) {
        Ok(outcome) => report(granted.values[0], &outcome),
        Err(status) => println!("scanner: a call was refused: {status}"),
    }
}

fn report(slot: u64, outcome: &Outcome) {
    let Outcome { sum, faults, brought, written_back, switches, preempted, ticks, ticks_per_switch } =
        *outcome;
    let others = [switches, preempted, ticks, ticks_per_switch];
    others.into_iter().zip(4..).for_each(|(word, place)| transfer::set_word(place, word));
    let words = [sum, faults, brought, written_back];
    // Nobody waits for it where this is refused: who does is told by its deadline.
    let _ = transfer::send(slot, Outgoing { length: 8, words, capability: 0 }, 0);
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

fn work(choice: u64, load: usize) -> Result<Outcome> {
    os::start(policies(choice))?;
    let pages = LOADS[load].pages;
    let paged = pager::Paged::new(TABLES as u32 * pages, FRAMES)?;
    let start = gate::counter();
    let mut working = [const { None }; TABLES as usize];
    for (table, thread) in (0..TABLES).zip(&mut working) {
        let argument = table | (load as u64) << 32;
        *thread = Some(threads::spawn(scan_table, argument, pages_of(table, pages))?);
    }
    let mut sum = 0u64;
    for thread in working.into_iter().flatten() {
        let Ended::With(of_table) = thread.join().0 else { return Err(Status::PeerMisbehaved) };
        sum = add(sum, of_table);
    }
    let ticks = gate::counter() - start;
    let (pager, threads) = (pager::counts(), threads::counts());
    drop(paged);
    Ok(Outcome {
        sum,
        faults: pager.faults,
        brought: pager.brought,
        written_back: pager.written_back,
        switches: threads.voluntary + threads.preempted,
        preempted: threads.preempted,
        ticks,
        ticks_per_switch: ticks_per_switch()?,
    })
}

/// Two threads that only take turns.
fn ticks_per_switch() -> Result<u64> {
    let yielding = |turns| {
        (0..turns).for_each(|_| threads::yield_now());
        0
    };
    let before = threads::counts().voluntary;
    let start = gate::counter();
    let two = [threads::spawn(yielding, TURNS, 0..0)?, threads::spawn(yielding, TURNS, 0..0)?];
    two.into_iter().for_each(|thread| _ = thread.join());
    Ok((gate::counter() - start) / (threads::counts().voluntary - before).max(1))
}

fn pages_of(table: u64, pages: u32) -> Range<u32> {
    let first = table as u32 * pages;
    first..first + pages
}

/// What a thread does; its table and its load are in the halves of the argument.
fn scan_table(argument: u64) -> u64 {
    let (table, load) = (argument & 0xffff_ffff, &LOADS[(argument >> 32) as usize]);
    let words = pager::words(&pages_of(table, load.pages));
    pass_over(
        (table, load),
        |word| words.load(word),
        |word, value| words.store(word, value),
        threads::yield_now,
    )
}

/// All passes over a table: reads all of it, and changes some pages. The sum of what was read.
fn pass_over(
    (table, load): (u64, &Load),
    read: impl Fn(usize) -> u64,
    write: impl Fn(usize, u64),
    batch_ends: impl Fn(),
) -> u64 {
    let mut sum = table;
    for pass in 1..=BATCHES * load.passes {
        for page in 0..load.pages as usize {
            for word in page * PAGE_WORDS..(page + 1) * PAGE_WORDS {
                let value = read(word);
                sum = add(sum, value);
                if page % WRITTEN == 0 {
                    write(word, value ^ sum);
                }
            }
        }
        if pass.is_multiple_of(load.passes) {
            batch_ends();
        }
    }
    sum
}

fn add(sum: u64, value: u64) -> u64 {
    (sum.rotate_left(7) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What the sum must be, found out in memory that is simply there.
fn expected(load: &Load) -> Result<u64> {
    let mut sum = 0;
    for table in 0..TABLES {
        let handle = memory::allocate(load.pages.into())?;
        let memory = Mapping::new(handle, load.pages.into(), Access::Write)?;
        memory::release(handle)?;
        let write = |word, value| memory.store(word, value);
        sum = add(sum, pass_over((table, load), |word| memory.load(word), write, || ()));
    }
    Ok(sum)
}
