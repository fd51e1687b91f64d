//! How long the paths through the kernel are: instructions from ring 3 to ring 3, where the emulator counts them.
//!
//! Under QEMU's `-icount shift=0` the time stamp counter counts instructions, exactly and the same in every run. Each figure is the
//! difference of two readings around one operation, less the readings themselves; the lowest of a few, because the timer
//! interrupts as it likes.

use feuerbird_abi::{Access, Call, Edit, EditAction, MachineCall, Status, UpcallKind};
use feuerbird_capability::{Rights, Trust};
use feuerbird_channel::{Home, Terms};
use feuerbird_libos::Error;
use feuerbird_serialization::Plain;

use crate::child::{Child, Image};
use crate::gate::{self, Result, println};
use crate::memory::{self, PAGE, SCRATCH};
use crate::ring::{self, Ring};
use crate::role::Role;
use crate::transfer::{self, Outgoing};
use crate::{fault, lane};

/// Pages in each of two edits of a batch.
const PAGES_PER_EDIT: u16 = 256;

/// The batches.
const MAP: &str = "map 512 pages in one call";
const PROTECT: &str = "protect 512 pages in one call";
const UNMAP: &str = "unmap 512 pages in one call";

/// Calls by the length of the message, their replies, and both.
const TRANSFERS: [(u64, [&str; 3]); 3] = [
    (0, ["call, 0 words", "reply and wait, after 0 words", "round trip, 0 words"]),
    (10, ["call, 10 words", "reply and wait, after 10 words", "round trip, 10 words"]),
    (64, ["call, 64 words", "reply and wait, after 64 words", "round trip, 64 words"]),
];

const SEND: &str = "send without reply";
const NOTIFY: &str = "notify, no switch";
const NOTIFY_AND_SWITCH: &str = "notify and switch";
const REVOKE_LANE: &str = "revoke, 1 below with a lane of 65 pages";
const SENT: &str = "message over a ring, sent";
const RECEIVED: &str = "message over a ring, received";

/// How many messages are sent over a ring.
const MESSAGES: u64 = 2 * ROUNDS as u64;

/// How long is waited for what is granted.
const PATIENCE_NS: u64 = 1_000_000_000;

/// How often each is measured.
const ROUNDS: usize = 9;

/// Measures and prints all, one line each.
pub(crate) fn run(image: &Image) -> ! {
    if let Err(status) = measure(image) {
        println!("paths: a call was refused: {status}");
        gate::power_off(1);
    }
    gate::power_off(0)
}

fn measure(image: &Image) -> Result<()> {
    let nothing = lowest("nothing", || Ok(()))?;
    let path = |name: &str, operation: &mut dyn FnMut() -> Result<()>| {
        let instructions = lowest(name, operation)? - nothing;
        println!("path {name}: {instructions}");
        Ok(())
    };
    path("null call", &mut || {
        gate::null();
        Ok(())
    })?;
    path("read the clock", &mut || bare(MachineCall::Clock as u64, [0; 6]))?;
    path("look for an upcall, none there", &mut || bare(MachineCall::Wait as u64, [0; 6]))?;
    path("yield, nobody else ready", &mut || bare(MachineCall::Yield as u64, [0; 6]))?;
    let other = Child::new(image, Trust::USER)?;
    other.start(image, Role::Yielder.argument(0))?;
    gate::give_way();
    path("yield to another domain and back", &mut || bare(MachineCall::Yield as u64, [0; 6]))?;
    other.destroy()?;
    measure_transfers(image, nothing)?;
    measure_memory(&path, nothing)?;
    measure_capabilities(&path, nothing)?;
    measure_ring(image, nothing)
}

type Path<'a> = dyn Fn(&str, &mut dyn FnMut() -> Result<()>) -> Result<()> + 'a;

fn measure_memory(path: &Path<'_>, nothing: u64) -> Result<()> {
    let handle = memory::allocate(1)?;
    path("map a page and unmap it", &mut || {
        bare(MachineCall::Map as u64, [handle, SCRATCH, Access::Write as u64, 0, 0, 0])?;
        bare(MachineCall::Unmap as u64, [SCRATCH, 0, 0, 0, 0, 0])
    })?;
    memory::release(handle)?;
    measure_batches(nothing)?;
    fault::start()?;
    fault::exchange(0, 0);
    path("an exception, to its handler and back", &mut || {
        fault::skip();
        Ok(())
    })?;
    let mut page = 0;
    path("a page that is touched: fault, allocate, map, back", &mut || {
        page += 1;
        fault::exchange(page * 512, 0);
        Ok(())
    })?;
    fault::stop()
}

/// Each figure is for all pages of a batch.
fn measure_batches(nothing: u64) -> Result<()> {
    let handles = [memory::allocate(PAGES_PER_EDIT.into())?, memory::allocate(PAGES_PER_EDIT.into())?];
    let batch = |action: EditAction| {
        let edit = |(place, memory): (u64, u64)| Edit {
            address: SCRATCH + place * u64::from(PAGES_PER_EDIT) * PAGE,
            memory,
            first: 0,
            pages: PAGES_PER_EDIT,
            action: action as u16,
        };
        let (done, status) = memory::edit(&[edit((0, handles[0])), edit((1, handles[1]))])?;
        if done == 2 { Ok(()) } else { Err(status) }
    };
    // Mapping and unmapping take turns: each is timed where it is a change.
    let (mut map, mut protect, mut unmap) = (u64::MAX, u64::MAX, u64::MAX);
    for _ in 0..ROUNDS {
        for (action, name, lowest) in [
            (EditAction::MapWrite, MAP, &mut map),
            (EditAction::ProtectRead, PROTECT, &mut protect),
            (EditAction::Unmap, UNMAP, &mut unmap),
        ] {
            gate::path_begins(name, 0, 1);
            let start = gate::counter();
            batch(action)?;
            *lowest = (*lowest).min(gate::counter() - start);
        }
    }
    for (name, instructions) in [(MAP, map), (PROTECT, protect), (UNMAP, unmap)] {
        println!("path {name}: {}", instructions - nothing);
    }
    handles.into_iter().try_for_each(memory::release)
}

/// A message of 8 bytes over shared memory, in the layer Raw, between two domains that do not call the kernel for it.
fn measure_ring(image: &Image, nothing: u64) -> Result<()> {
    let domain = ring::enter().map_err(refusal)?;
    let endpoint =
        domain.endpoint(Terms::new(64, 64).expect("small terms are good ones")).map_err(refusal)?;
    let report = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let taker = Child::new(image, Trust::BASE)?;
    taker.start(image, Role::Taker.argument(0))?;
    taker.grant(endpoint.slot().to_bits(), Rights::RECEIVE, Trust::BASE)?;
    taker.grant(report, Rights::SEND, Trust::BASE)?;
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).map_err(refusal)?;
    let mut sent = u64::MAX;
    let mut round = 0;
    while round < MESSAGES {
        Home::wait(&Ring, &[], 0);
        gate::path_begins(SENT, 0, 1);
        let start = gate::counter();
        let result = sender.try_send(&round);
        let end = gate::counter();
        if result.is_ok() {
            sent = sent.min(end - start);
            round += 1;
        }
    }
    let received = transfer::receive(report, u64::MAX)?.words[0];
    println!("path {SENT}: {}", sent - nothing);
    println!("path {RECEIVED}: {}", received - nothing);
    drop(sender);
    taker.destroy()?;
    measure_lane_revocation(image, &domain, nothing)
}

/// A revocation with one capability below whose holder has a lane by it: memory that was mapped is taken back. Once: each lane is made
/// by two domains.
fn measure_lane_revocation(image: &Image, domain: &ring::Domain, nothing: u64) -> Result<()> {
    let endpoint = domain.endpoint(Terms::new(1024, 256).expect("terms within limits")).map_err(refusal)?;
    let taker = Child::new(image, Trust::BASE)?;
    taker.start(image, Role::Taker.argument(0))?;
    taker.grant(endpoint.slot().to_bits(), Rights::RECEIVE, Trust::BASE)?;
    let mut sender = domain.sender::<Plain<u64>>(&endpoint).map_err(refusal)?;
    while sender.receivers() == 0 {
        Home::wait(&Ring, &[], 0);
    }
    gate::path_begins(REVOKE_LANE, 0, 1);
    let start = gate::counter();
    bare(Call::Revoke as u64, [endpoint.slot().to_bits(), 0, 0, 0, 0, 0])?;
    let end = gate::counter();
    println!("path {REVOKE_LANE}: {}", end - start - nothing);
    drop(sender);
    taker.destroy()
}

/// What the LibOS was refused, where the kernel did; other ends are no status.
fn refusal(error: Error) -> Status {
    match error {
        Error::Refused(status) => status,
        error => {
            println!("paths: {error}");
            Status::BadArgument
        }
    }
}

/// Takes those messages, and says how long the shortest took it.
pub(crate) fn take() {
    let taken = ring::enter().and_then(|domain| {
        let mut receiver = domain.receiver::<Plain<u64>>(&domain.granted(PATIENCE_NS)?.0)?;
        let report = domain.granted(PATIENCE_NS)?.0;
        let (mut received, mut expected) = (u64::MAX, 0);
        while expected < MESSAGES {
            gate::path_begins(RECEIVED, 0, 1);
            let start = gate::counter();
            let came = receiver.try_recv(|value| value);
            let end = gate::counter();
            match came {
                Ok(value) if value == expected => {
                    (received, expected) = (received.min(end - start), expected + 1);
                }
                _ => Home::wait(&Ring, &[], 0),
            }
        }
        Ok((report.slot().to_bits(), received))
    });
    match taken {
        Ok((report, received)) => _ = transfer::send(report, transfer::words([received, 0, 0, 0]), 0),
        Err(error) => println!("paths: who takes messages: {error}"),
    }
}

fn measure_capabilities(path: &Path<'_>, nothing: u64) -> Result<()> {
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let rights = u64::from(Rights::all().bits());
    let inspect = || bare(Call::Inspect as u64, [endpoint, 0, 0, 0, 0, 0]);
    let derive = || bare(Call::Derive as u64, [endpoint, rights, 0, 0, 0, 0]);
    path("inspect a capability", &mut || inspect())?;
    path("derive a capability", &mut || derive())?;
    for (descendants, name) in [(1, "revoke, 1 below"), (100, "revoke, 100 below")] {
        let mut revoke = u64::MAX;
        for _ in 0..ROUNDS {
            (0..descendants).try_for_each(|_| derive())?;
            gate::path_begins(name, 0, 1);
            let start = gate::counter();
            bare(Call::Revoke as u64, [endpoint, 0, 0, 0, 0, 0])?;
            revoke = revoke.min(gate::counter() - start);
            // What it left to be swept is swept on the side of other calls.
            (0..2 * descendants).try_for_each(|_| inspect())?;
        }
        println!("path {name}: {}", revoke - nothing);
    }
    Ok(())
}

/// The server of these: says when it had the message, when it replied, and when it had the message before.
pub(crate) fn serve() {
    let slot = granted();
    let (mut token, mut out, mut before) = (0, Outgoing::default(), 0);
    loop {
        out.words[1] = gate::counter();
        let (status, came) = transfer::raw(MachineCall::ReplyAndReceive, slot, token, out, 0);
        let now = gate::counter();
        if status != 0 {
            while matches!(gate::wait(0), Ok(Some(_))) {}
        }
        (token, out.words[0], out.words[2]) = (came.token, now, before);
        before = now;
    }
}

/// Says when it was woken.
pub(crate) fn watch() {
    let (bell, report) = (granted(), granted());
    loop {
        let (status, _) = transfer::raw(MachineCall::Watch, bell, u64::MAX, Outgoing::default(), 0);
        let now = gate::counter();
        if status == 0 {
            let _ = transfer::send(report, transfer::words([now, 0, 0, 0]), 0);
        } else {
            while matches!(gate::wait(0), Ok(Some(_))) {}
        }
    }
}

fn granted() -> u64 {
    lane::expect(UpcallKind::Granted).map_or(0, |(granted, _)| granted.values[0])
}

fn measure_transfers(image: &Image, nothing: u64) -> Result<()> {
    let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
    let server = Child::new(image, Trust::USER)?;
    server.start(image, Role::Counted.argument(0))?;
    server.grant(endpoint, Rights::RECEIVE, Trust::USER)?;
    let slot = gate::call(Call::Derive, &[endpoint, Rights::SEND.bits().into(), 0, 7, 0, 0])?.values[0];
    for (length, paths) in &TRANSFERS {
        let (mut call, mut reply, mut both) = (u64::MAX, u64::MAX, u64::MAX);
        for _ in 0..ROUNDS {
            let out = Outgoing { length: *length, ..Outgoing::default() };
            transfer_begins(paths);
            let start = gate::counter();
            let (_, came) = transfer::raw(MachineCall::Call, slot, 0, out, 0);
            let end = gate::counter();
            call = call.min(came.words[0] - start);
            reply = reply.min(end - came.words[1]);
            both = both.min(end - start);
        }
        println!("path {}: {}", paths[0], call - nothing);
        println!("path {}: {}", paths[1], reply - nothing);
        println!("path {}: {}", paths[2], both - nothing);
    }
    let mut send = u64::MAX;
    for _ in 0..ROUNDS {
        gate::path_begins(SEND, 0, 1);
        let start = gate::counter();
        transfer::raw(MachineCall::Send, slot, 0, Outgoing::default(), 0);
        gate::give_way();
        let (_, came) = transfer::raw(MachineCall::Call, slot, 0, Outgoing::default(), 0);
        send = send.min(came.words[2] - start);
    }
    println!("path {SEND}: {}", send - nothing);
    server.destroy()?;
    gate::call(Call::Delete, &[slot])?;
    gate::call(Call::Delete, &[endpoint])?;
    measure_signals(image, gate::call(Call::CreateEndpoint, &[0])?.values[0], nothing)
}

/// The server reads the counter twice meanwhile. Not inline: what is measured is to have its registers.
#[inline(never)]
fn transfer_begins([call, reply, both]: &[&str; 3]) {
    for (path, first, last) in [(call, 0, 1), (reply, 2, 3), (both, 0, 3)] {
        gate::path_begins(path, first, last);
    }
}

fn measure_signals(image: &Image, endpoint: u64, nothing: u64) -> Result<()> {
    let bell = transfer::create_notification()?;
    let mut signal = u64::MAX;
    for _ in 0..ROUNDS {
        gate::path_begins(NOTIFY, 0, 1);
        let start = gate::counter();
        bare(MachineCall::Notify as u64, [bell, 1, 0, 0, 0, 0])?;
        signal = signal.min(gate::counter() - start);
    }
    println!("path {NOTIFY}: {}", signal - nothing);
    transfer::watch(bell, 0)?;
    let watcher = Child::new(image, Trust::USER)?;
    watcher.start(image, Role::Watcher.argument(0))?;
    watcher.grant(bell, Rights::RECEIVE, Trust::USER)?;
    watcher.grant(endpoint, Rights::SEND, Trust::USER)?;
    let mut woken = u64::MAX;
    for _ in 0..ROUNDS {
        (0..4).for_each(|_| gate::give_way());
        gate::path_begins(NOTIFY_AND_SWITCH, 0, 1);
        let start = gate::counter();
        transfer::notify_and_yield(bell, 1)?;
        woken = woken.min(transfer::receive(endpoint, u64::MAX)?.words[0] - start);
    }
    println!("path {NOTIFY_AND_SWITCH}: {}", woken - nothing);
    watcher.destroy()?;
    gate::call(Call::Delete, &[bell])?;
    gate::call(Call::Delete, &[endpoint]).map(|_| ())
}

/// A call with nothing around it that the compiler might or might not inline: what is counted is the kernel's.
#[inline(always)]
fn bare(number: u64, arguments: [u64; 6]) -> Result<()> {
    match gate::raw(number, arguments, 0, 0).0 {
        0 => Ok(()),
        status => Err(u32::try_from(status).ok().and_then(Status::from_number).unwrap_or(Status::NoSuchCall)),
    }
}

fn lowest(name: &str, mut operation: impl FnMut() -> Result<()>) -> Result<u64> {
    let mut lowest = u64::MAX;
    for _ in 0..ROUNDS {
        gate::path_begins(name, 0, 1);
        let start = gate::counter();
        operation()?;
        lowest = lowest.min(gate::counter() - start);
    }
    Ok(lowest)
}
