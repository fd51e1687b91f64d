//! Tests from ring 3: one line each, and nothing left behind by any.
//!
//! What the hosted home proves, and what proves it here. `demos` and `tests` are those of the repository; what has no counterpart is
//! about what only Linux has.
//!
//! | hosted | here |
//! |---|---|
//! | `tests/kills`, `demos/producer_consumer --kill`: a hundred kills | [`kills`], with the same workers, victims and proof |
//! | `tests/kills`: who waits for the dead is told in time; nothing is left of them | [`talk`] (died), [`transfers`] (a server ends); after each test all frames, objects and domains are back, and all page tables are looked at |
//! | `tests/revocation`: nothing after it returns, visible first, forced at the deadline, chains and siblings | [`talk`], [`typed`] (in flight), [`withdrawal`], [`authority`] (derived) |
//! | `tests/revocation`: what was taken is told (the repossession vector) | the demonstration of the image, and [`talk`] (flooded) |
//! | `tests/authority`: no more authority than there was, forged numbers | [`calls`], [`random`], [`monitor`] (refusals), [`authority`] |
//! | `tests/authority`: another type, stricter layers, the audit log | [`typed`] (mismatch, layers), [`monitor`] |
//! | `tests/beside`: capabilities beside messages | [`typed`] (beside), [`transfers`] (along), [`ownership`] (by call) |
//! | `tests/floods`: grants, peers and descriptors without end | [`talk`] (flooded), [`frames`] (objects), [`calls`] (a full space) |
//! | `tests/hostile`, `demos/cheat`: a peer that writes what no peer writes | [`scribble`]; the demonstration of attempts of the image; [`withdrawal`] (of a peer) |
//! | `tests/quiet`: no call per message | `cargo xtask bench kernel`: every instruction of a message is counted, and there is no call among them |
//! | `hosted/tests/os_memory`: one writer, zeroed, sealed | [`pages`], [`frames`], [`ownership`] |
//! | `hosted/tests/gate`, `libos_pairs`: calls that are too long, pairs that come to nothing | [`calls`] (beside), [`hostile`] (a revoked binding), [`typed`] (in flight, before they meet) |
//! | `hosted/tests/os_sandbox`: a program reaches what it was given, and nothing else | [`domains`] (attacks), [`hostile`], [`devices`] (refused) |
//! | `tests/supervise`, `hosted/tests/os_socket`, `os_spawn`, `os_futex`, `os_descriptors`, `stopped_supervisor`, `libos_upcalls` | none: the kernel is no process that could stop, and there are no sockets, users or descriptors |
//! | `tests/within`: a channel within one domain | none: the domains here have one thread |

mod attack;
mod authority;
mod calls;
mod devices;
mod domains;
mod events;
mod faults;
mod float;
mod frames;
mod hostile;
mod kills;
mod monitor;
mod notice;
mod ownership;
mod pages;
mod policies;
mod random;
mod scribble;
mod space;
mod talk;
mod time;
mod transfers;
mod typed;
mod withdrawal;

use core::panic::Location;

use feuerbird_abi::{Access, MachineCall, Status};
use feuerbird_capability::Trust;

use crate::child::{Child, Image};
use crate::gate::{self, println};
use crate::memory::{self, Mapping};
use crate::role::Role;
use crate::{fault, heap};

pub(crate) use attack::attack;
pub(crate) use authority::be_deputy;
pub(crate) use devices::drive;
pub(crate) use events::{be_sliced, listen_without_calls};
pub(crate) use faults::handle_badly;
pub(crate) use float::keep_patterns;
pub(crate) use frames::{hand_on, hoard};
pub(crate) use hostile::call_without_gate;
pub(crate) use monitor::be_refused;
pub(crate) use notice::be_noticed;
pub(crate) use ownership::obey;
pub(crate) use policies::be_libos;
pub(crate) use random::call_at_random;
pub(crate) use talk::{flood, produce, read_until_withdrawn};
pub(crate) use time::{be_on_core, share_core};
pub(crate) use transfers::{call_as, serve};
pub(crate) use typed::talk_typed;
pub(crate) use withdrawal::read_until_taken;

/// How long a domain may take to end that should.
const PATIENCE_NS: u64 = 60_000_000_000;

/// Where a test failed, and with which refusal, if with one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    at: &'static Location<'static>,
    status: Option<Status>,
}

impl From<Status> for Failed {
    #[track_caller]
    fn from(status: Status) -> Self {
        Self { at: Location::caller(), status: Some(status) }
    }
}

type Checked = Result<(), Failed>;

/// What a test needs.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) image: &'a Image,
}

type Test = (&'static str, fn(&Ground<'_>) -> Checked);

const TESTS: &[Test] = &[
    ("a domain is told who it is", calls::hello),
    ("the null call does nothing", calls::null),
    ("unknown calls are refused", calls::unknown),
    ("forged and stale slots are refused", calls::forged),
    ("what goes along with a call is checked", calls::beside),
    ("a space that is full refuses and recovers", calls::full_space),
    ("memory is zeroed, also when it was used before", pages::zeroed),
    ("memory comes from the node that is named", pages::nodes),
    ("addresses outside of a domain's part are refused", pages::addresses),
    ("a mapping that does not fit leaves nothing", pages::all_or_nothing),
    ("memory is written by one domain or executed, never both", pages::one_writer),
    ("handles that are used up come back", pages::handles),
    ("all frames can be used up and come back", pages::exhausted),
    ("a domain gets the very frames that it names", frames::named),
    ("domains can see which frames are free, where", frames::free_list),
    ("a domain has the frames that it was handed, and they come back", frames::quotas),
    ("memory objects are limited by their frames alone", frames::objects),
    ("an amount of frames goes back to where it came from", frames::steward),
    ("page tables are edited in batches", space::batches),
    ("edits that give too much are refused, and stop there", space::hostile),
    ("a capability for a domain allows what it says, to whom it was granted", authority::of_a_domain),
    ("a capability for a domain is derived and revoked as any other", authority::derived),
    ("faults and privileged instructions end a domain and nothing else", domains::attacks),
    ("nothing begins where a domain may have nothing", hostile::entries),
    ("a call from the last page returns to nothing", hostile::last_page),
    ("calls need no gate page", hostile::without_gate),
    ("a binding that was revoked is none any more", hostile::revoked_binding),
    ("a domain brings its own pages when they are touched", faults::demand_paging),
    ("an exception that is handled leaves no trace", faults::registers),
    ("a handler that cannot run ends its domain", faults::in_handler),
    ("an alarm comes without a call, and ends a wait", events::alarms),
    ("events are held back by a word of the domain's own", events::held_back),
    ("what the kernel has to say comes as an event", events::upcalls),
    ("signals come as events from every core", transfers::rings),
    ("the end of a slice is announced, and who stays is ended", events::slices),
    ("a domain runs in the slices that a capability names", time::by_capability),
    ("a domain whose slices were revoked does not run", time::revoked),
    ("calls about time without authority are refused", time::refused),
    ("a slice can be given to one domain", time::directed),
    ("who yields takes nothing of the next slice", time::whole),
    ("who leaves the kernel work has no more than its slices", time::not_renewed),
    ("who overstays its slices loses as many", time::overstayed),
    ("a driver in ring 3 has its ports and its interrupts", devices::driver),
    ("a line that interrupts by its level does so once", devices::level),
    ("ports and interrupts are taken away at once", devices::revoked),
    ("ports and lines without authority are refused", devices::refused),
    ("the audit log can be read without a call", monitor::records),
    ("what is refused is in the log, whichever call it was", monitor::refusals),
    ("what is done to a domain by authority is in the log", monitor::control),
    ("what the kernel counts can be read without a call", monitor::counters),
    ("the monitor's pages are for those who may read the log", monitor::refused),
    ("100 000 random system calls do no harm", random::calls),
    ("vector registers keep their patterns", domains::patterns),
    ("1 000 domains come and go", domains::many),
    ("messages arrive in order and whole", talk::in_order),
    ("a revocation waits for who lets go", talk::let_go),
    ("a revocation takes by force at its deadline", talk::forced),
    ("revoked at once while messages are in flight", talk::in_flight),
    ("what a revoked receiver has mapped reads as zeroes at once", talk::withdrawn),
    ("what was mapped by a capability goes with it, however it goes", withdrawal::of_a_region),
    ("who may not read the log any more does not", withdrawal::of_the_log),
    ("who has pages that are revoked is told, saves itself, and has none after", notice::of_pages),
    ("who reads a region that is revoked is told before it is gone", notice::of_a_region),
    ("who loses its slices runs until the deadline", notice::of_slices),
    ("a driver brings its device to rest by what it loses", notice::of_devices),
    ("a peer that keeps what it mapped pays for that itself", withdrawal::of_a_peer),
    ("who comes and goes without end has nothing lost", talk::flooded),
    ("a peer that dies leaves what it shared readable", talk::died),
    ("typed channels carry every message in each layer", typed::layers),
    ("typed channels are revoked while messages are in flight", typed::in_flight),
    ("others are heard whole whatever a sender scribbles", scribble::senders),
    ("a receiver that scribbles holds up nobody", scribble::receivers),
    ("a hundred kills at random moments lose no message of a survivor", kills::at_random),
    ("a worker that fails, which nobody kills, is noticed at once", kills::noticed),
    ("an endpoint of another type says what differs", typed::mismatch),
    ("capabilities go beside typed messages", typed::beside),
    ("calls come back with their replies, of all lengths, from all cores", transfers::round_trips),
    ("a transfer shows no register that was not sent", transfers::registers),
    ("forged and wrong capabilities for transfers are refused", transfers::forged),
    ("a reply works once, for whom it is, while its caller waits", transfers::replies),
    ("a server that ends leaves its callers with an answer", transfers::server_ends),
    ("revocation ends calls in flight and in the server's hands", transfers::revoked),
    ("a call has a deadline", transfers::late),
    ("a capability goes along with a call, if it may", transfers::along),
    ("pages go along with a call, for reading", transfers::pages),
    ("pages change hands along with a call and its reply", ownership::by_call),
    ("who writes what it has handed over ends, and others go on with it", ownership::former_owner),
    ("pages that are revoked come back from who writes them", ownership::revoked),
    ("pages of who ends go back to who lent them", ownership::borrower_ends),
    ("pages that are lent stay where they can be taken back from", ownership::borrower_is_held),
    ("pages that others use are not handed over", ownership::in_use),
    ("pages are handed over whole, or nothing changes", ownership::refused),
    ("what is sent without reply arrives in order", transfers::sends),
    ("signals add up, wake and are revoked", transfers::signals),
    ("pages that were given up come back as they were", policies::contents),
    ("a policy of replacement keeps what it is for", policies::victims),
    ("only pages that were written are written back", policies::written_back),
    ("a snapshot is copied where it is written, and only there", policies::copy_on_write),
    ("threads keep all registers, also when they are preempted", policies::registers),
    ("threads keep all registers while news come without end", policies::interrupted),
    ("threads that never yield take turns", policies::fairness),
    ("threads are joined, and end alone", policies::joins),
    ("two LibOSes side by side agree, and one faults less than half as often", policies::side_by_side),
    ("callers are killed and revoked while they call from all cores", transfers::storm),
];

/// Runs them all; the machine ends with the number of those that failed.
pub(crate) fn run(image: &Image) -> ! {
    let ground = Ground { image };
    warm_up(image).expect("an empty machine has room");
    let mut failures = 0;
    for (name, test) in TESTS {
        let before = held();
        let result = test(&ground).and_then(|()| check_nothing_left(before));
        match result {
            Ok(()) => println!("test {name} ... ok"),
            Err(Failed { at, status }) => {
                failures += 1;
                print_failure(name, at, status);
            }
        }
    }
    println!("{} tests, {failures} failed", TESTS.len());
    gate::power_off(failures)
}

/// What of the heap the tests in this domain use: nothing of it comes back.
const HEAP_BYTES: usize = 256 << 10;

/// Uses every address once that a test will: the tables for them stay with this domain, as do its heap and what all children share.
fn warm_up(image: &Image) -> gate::Result<()> {
    Child::new(image, Trust::USER)?.destroy()?;
    if !heap::reserve(HEAP_BYTES) {
        return Err(Status::ObjectsFull);
    }
    let handle = memory::allocate(1)?;
    let mappings: [_; 16] = core::array::from_fn(|_| Mapping::new(handle, 1, Access::Read));
    gate::machine(MachineCall::Map, &[handle, memory::SCRATCH, Access::Read as u64])?;
    gate::machine(MachineCall::Unmap, &[memory::SCRATCH])?;
    gate::machine(MachineCall::Map, &[handle, fault::LAZY, Access::Read as u64])?;
    gate::machine(MachineCall::Unmap, &[fault::LAZY])?;
    drop(mappings);
    memory::release(handle)?;
    space::warm_up()
}

/// Ends a domain that found all as it should be; any other waits for its test to give up.
fn end_if(is_right: bool) {
    if !is_right {
        loop {
            let _ = gate::wait(u64::MAX);
        }
    }
}

/// Fails where it stands, unless so.
#[track_caller]
fn ensure(is_so: bool) -> Checked {
    if is_so { Ok(()) } else { Err(Failed { at: Location::caller(), status: None }) }
}

/// Fails unless the call was refused in this way.
#[track_caller]
fn ensure_refused<T>(result: gate::Result<T>, expected: Status) -> Checked {
    let at = Location::caller();
    match result {
        Err(status) if status == expected => Ok(()),
        Err(status) => Err(Failed { at, status: Some(status) }),
        Ok(_) => Err(Failed { at, status: None }),
    }
}

fn print_failure(name: &str, at: &Location<'_>, status: Option<Status>) {
    match status {
        Some(status) => println!("test {name} ... FAILED at {}:{}: {status}", at.file(), at.line()),
        None => println!("test {name} ... FAILED at {}:{}: not as expected", at.file(), at.line()),
    }
}

/// Free frames, memory objects, domains.
fn held() -> [u64; 3] {
    let statistics = gate::machine(MachineCall::Statistics, &[]).map_or([0; 6], |answer| answer.values);
    [statistics[0], statistics[1], statistics[2]]
}

/// What a domain had goes with the core that it ran on, a moment later.
#[track_caller]
fn check_nothing_left(before: [u64; 3]) -> Checked {
    let deadline = gate::now_ns() + PATIENCE_NS;
    while held() != before && gate::now_ns() < deadline {
        gate::sleep(1_000_000)?;
    }
    if held() != before {
        println!("frames, memory objects, domains: {before:?} before, {:?} now", held());
    }
    ensure(held() == before)?;
    ensure_page_tables_are_right()
}

/// Every page of every domain is what it may be.
#[track_caller]
fn ensure_page_tables_are_right() -> Checked {
    let [pages, writable, wrong, miscount, ..] = gate::machine(MachineCall::CheckFrames, &[])?.values;
    if wrong + miscount != 0 {
        println!(
            "of all frames, {} is mapped as it must not be; count {miscount} is wrong",
            wrong as i64 - 1
        );
    }
    ensure(wrong == 0 && miscount == 0 && writable > 0 && pages > writable)
}

impl Ground<'_> {
    /// A domain in a role, running.
    fn run(&self, role: Role, own: u64) -> gate::Result<Child> {
        let child = Child::new(self.image, Trust::USER)?;
        child.start(self.image, role.argument(own))?;
        Ok(child)
    }
}

/// Waits until a domain has ended by itself.
#[track_caller]
fn ensure_ends(child: Child) -> Checked {
    let at = Location::caller();
    let deadline = gate::now_ns() + PATIENCE_NS;
    while child.is_alive() {
        if gate::now_ns() > deadline {
            child.destroy()?;
            return Err(Failed { at, status: None });
        }
        gate::sleep(200_000)?;
    }
    Ok(child.forget()?)
}
