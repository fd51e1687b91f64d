//! Calls between domains, and every way in which waiting ends. The domain of the tests is the server of most.

mod signals;

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use feuerbird_abi::{Call, MESSAGE_WORDS, MachineCall, Status, UpcallKind};
use feuerbird_capability::{Rights, Trust};

use super::float;
use super::time::slices;
use super::{Checked, Ground, ensure, ensure_ends, ensure_page_tables_are_right, ensure_refused};
use crate::child::Child;
use crate::gate::{self, Result};
use crate::lane;
use crate::memory::{self, OwnMemory, PAGE, PeerMemory};
use crate::role::Role;
use crate::transfer::{self, Incoming, Outgoing, words};

pub(super) use signals::{rings, signals};

/// How long a message may take that must come.
const PATIENCE_NS: u64 = 30_000_000_000;

/// How long is waited for what must not come.
const A_WHILE_NS: u64 = 20_000_000;

/// What a server does with a message, by its first word.
const ECHO: u64 = 1;
const END: u64 = 2;
const KEEP: u64 = 3;
const SIGNAL: u64 = 4;
const GIVE: u64 = 5;
const ADD_UP: u64 = 6;

/// What a caller does.
const CALL_ONCE: u64 = 1;
const CALL_LATE: u64 = 2;
const SEND_MANY: u64 = 3;
const WATCH: u64 = 4;
const CALL_FOR_EVER: u64 = 5;
const CALL_WITH_PATTERNS: u64 = 6;

const SENT: u64 = 200;

/// What a caller says first.
const READY: u64 = 0xcafe;
const SECRET: u64 = 0x5ec2_e75e_c2e7_5ec2;

fn soon(nanoseconds: u64) -> u64 {
    gate::now_ns() + nanoseconds
}

/// A capability that the test gives.
pub(super) fn granted() -> Result<u64> {
    Ok(lane::expect(UpcallKind::Granted)?.0.values[0])
}

/// Waits for messages until it is told to end. What it refuses it says in its reply.
pub(crate) fn serve(with_patterns: u64) {
    let slot = granted().expect("the test grants it");
    if with_patterns != 0 {
        float::load(&float::pattern(with_patterns));
    }
    let (mut token, mut answer) = (0, Outgoing::default());
    loop {
        let Ok(came) = transfer::reply_and_receive(slot, token, answer, 0) else { return };
        if with_patterns != 0 && float::store() != float::pattern(with_patterns) {
            return;
        }
        token = came.token;
        answer = match came.words[0] {
            END => return,
            KEEP => {
                token = 0;
                Outgoing::default()
            }
            SIGNAL => {
                let status = transfer::notify(came.capability, came.words[1]).err();
                words([status.map_or(0, |it| it as u64), 0, 0, 0])
            }
            ADD_UP => words([add_up(came.capability).unwrap_or(0), 0, 0, 0]),
            GIVE => {
                let made = transfer::create_notification().unwrap_or(0);
                Outgoing { capability: made, ..words([made, 0, 0, 0]) }
            }
            _ => echo(&came),
        };
    }
}

/// The sum of the words of pages that came along, and were written before they did.
fn add_up(region: u64) -> Result<u64> {
    let mapped = gate::call(Call::MapRegion, &[region])?;
    let pages = PeerMemory::new(mapped.handle, mapped.values[0])?;
    memory::release(mapped.handle)?;
    let sum = (0..mapped.values[0] as usize / 8).map(|word| pages.word(word)).sum();
    drop(pages);
    gate::call(Call::Delete, &[region])?;
    Ok(sum)
}

/// The same words, each one more.
fn echo(came: &Incoming) -> Outgoing {
    (4..came.length).for_each(|index| transfer::set_word(index, transfer::word(index) + 1));
    Outgoing { length: came.length, words: came.words.map(|word| word.wrapping_add(1)), capability: 0 }
}

/// Calls in one of several ways, and says at a second endpoint how that ended.
pub(crate) fn call_as(habit: u64) {
    let (slot, report) = (granted().expect("granted"), granted().expect("granted"));
    let _ = transfer::send(report, words([READY, 0, 0, 0]), 0);
    let ended = match habit {
        CALL_ONCE => transfer::call(slot, words([ECHO, 7, 8, 9]), 0).map(|came| came.words[1]),
        CALL_LATE => transfer::call(slot, words([ECHO, 0, 0, 0]), soon(A_WHILE_NS)).map(|came| came.words[1]),
        SEND_MANY => {
            (0..SENT).try_for_each(|number| transfer::send(slot, words([number, 0, 0, 0]), 0)).map(|()| SENT)
        }
        WATCH => transfer::watch(slot, u64::MAX),
        CALL_WITH_PATTERNS => Ok(call_with_patterns(slot)),
        _ => loop {
            if let Err(status) = transfer::call(slot, words([ECHO, 0, 0, 0]), 0) {
                break Err(status);
            }
        },
    };
    let (value, status) = (ended.unwrap_or(0), ended.err().map_or(0, |it| it as u64));
    let _ = transfer::send(report, words([value, status, 0, 0]), 0);
}

/// Keeps its vector registers while it calls; how often they had changed.
fn call_with_patterns(slot: u64) -> u64 {
    let pattern = float::pattern(99);
    float::load(&pattern);
    let mut lost = 0;
    for _ in 0..500 {
        let came = transfer::call(slot, words([ECHO, 0, 0, 0]), 0);
        lost += u64::from(came.is_err() || float::store() != pattern);
    }
    lost
}

/// An endpoint of this domain's, and what others' capabilities for it are derived from.
struct Service {
    endpoint: u64,
    below: u64,
}

impl Service {
    fn new() -> Result<Self> {
        let endpoint = gate::call(Call::CreateEndpoint, &[0])?.values[0];
        let all = u64::from(Rights::all().bits());
        let below = gate::call(Call::Derive, &[endpoint, all, 0, 0, 0, 0])?.values[0];
        Ok(Self { endpoint, below })
    }

    /// A domain that serves it, on that core.
    fn server(&self, ground: &Ground<'_>, core: Option<u64>, own: u64) -> Result<Child> {
        let child = placed(ground, core)?;
        child.start(ground.image, Role::Server.argument(own))?;
        child.grant(self.below, Rights::RECEIVE, Trust::USER)?;
        Ok(child)
    }

    /// A domain that calls it, and reports to the other one.
    fn caller(&self, ground: &Ground<'_>, report: &Self, habit: u64, core: Option<u64>) -> Result<Child> {
        let child = placed(ground, core)?;
        child.start(ground.image, Role::Caller.argument(habit))?;
        child.grant(self.below, Rights::SEND, Trust::USER)?;
        child.grant(report.below, Rights::SEND, Trust::USER)?;
        report.ready()?;
        Ok(child)
    }

    /// Waits until a caller has heard of what it was granted: of what is revoked before, it never does.
    fn ready(&self) -> Result<()> {
        let came = self.receive()?;
        if came.words[0] == READY { Ok(()) } else { Err(Status::PeerMisbehaved) }
    }

    fn receive(&self) -> Result<Incoming> {
        transfer::receive(self.endpoint, soon(PATIENCE_NS))
    }

    /// What a caller says: a value or a refusal.
    fn report(&self) -> Result<Result<u64>> {
        let [value, status, ..] = self.receive()?.words;
        Ok(match u32::try_from(status).ok().and_then(Status::from_number) {
            Some(Status::Ok) => Ok(value),
            refusal => Err(refusal.unwrap_or(Status::BadArgument)),
        })
    }

    fn revoke(&self) -> Result<()> {
        gate::call(Call::Revoke, &[self.endpoint, 0]).map(|_| ())
    }

    fn end(self) -> Result<()> {
        self.revoke()?;
        gate::call(Call::Delete, &[self.endpoint]).map(|_| ())
    }
}

/// A domain that runs on that core, or wherever there is room.
pub(super) fn placed(ground: &Ground<'_>, core: Option<u64>) -> Result<Child> {
    let child = Child::new(ground.image, Trust::USER)?;
    if let Some(core) = core {
        let next = NEXT_SLICE[core as usize].fetch_add(2, Ordering::Relaxed);
        let some = slices(core, FIRST_SLICE + next, 2)?;
        gate::machine(MachineCall::RunIn, &[some, child.slot])?;
    }
    Ok(child)
}

pub(super) fn cores() -> Result<u64> {
    Ok(gate::machine(MachineCall::Clock, &[])?.values[2])
}

/// Which slices of each core `placed` gives next: a range is split off upwards.
static NEXT_SLICE: [AtomicU64; 32] = [const { AtomicU64::new(0) }; 32];

const FIRST_SLICE: u64 = 20;

/// Takes back what `placed` derived.
pub(super) fn give_slices_back() -> Result<()> {
    for core in 0..cores()? {
        NEXT_SLICE[core as usize].store(0, Ordering::Relaxed);
        let all = gate::machine(
            MachineCall::Find,
            &[feuerbird_capability::ObjectKind::TimeSlice.number(), core, 0],
        )?;
        gate::call(Call::Revoke, &[all.values[0], 0])?;
    }
    Ok(())
}

pub(super) fn round_trips(ground: &Ground<'_>) -> Checked {
    for core in 0..cores()? {
        let service = Service::new()?;
        let server = service.server(ground, Some(core), 0)?;
        for length in 0..=MESSAGE_WORDS {
            (4..length).for_each(|index| transfer::set_word(index, length << 8 | index));
            let out = Outgoing { length, words: [0x100, length, u64::MAX, 5], capability: 0 };
            let came = transfer::call(service.below, out, soon(PATIENCE_NS))?;
            ensure(came.words == [0x101, length + 1, 0, 6] && came.length == length)?;
            ensure((4..length).all(|index| transfer::word(index) == (length << 8 | index) + 1))?;
        }
        for number in 0x100..1100 {
            let came = transfer::call(service.below, words([number, 0, 0, 0]), 0)?;
            ensure(came.words[0] == number + 1 && came.badge == 0 && came.token == 0)?;
        }
        transfer::send(service.below, words([END, 0, 0, 0]), 0)?;
        ensure_ends(server)?;
        service.end()?;
    }
    Ok(give_slices_back()?)
}

/// What a transfer leaves in `rbx`, `rbp`, `r8`, `r9` and `r10`, when all of them had the secret, and in `rsi`.
fn call_with_secrets(call: MachineCall, slot: u64, token: u64) -> (u64, [u64; 6]) {
    let mut left = [0u64; 6];
    let mut status = call as u64;
    // SAFETY: as `transfer::raw`; `rbx` and `rbp` are put back.
    unsafe {
        asm!("push rbx", "push rbp", "push rcx", "mov rbx, {secret}", "mov rbp, {secret}", "mov r10, {secret}",
            "xor r8d, r8d", "xor r9d, r9d", "mov edx, 4", "syscall",
            "pop rcx", "mov [rcx], rbx", "mov [rcx + 8], rbp", "mov [rcx + 16], r8", "mov [rcx + 24], r9",
            "mov [rcx + 32], r10", "mov [rcx + 40], rsi", "pop rbp", "pop rbx", secret = in(reg) SECRET,
            inout("rax") status, inout("rdi") slot => _, inout("rsi") token => _, out("rdx") _, out("r8") _,
            out("r9") _, out("r10") _, inout("r12") 1u64 => _, inout("r13") 2u64 => _, inout("r14") 3u64 => _,
            inout("r15") 4u64 => _, inout("rcx") left.as_mut_ptr() => _, out("r11") _);
    }
    (status, left)
}

pub(super) fn registers(ground: &Ground<'_>) -> Checked {
    for core in 0..cores()? {
        let service = Service::new()?;
        let server = service.server(ground, Some(core), 0)?;
        for _ in 0..50 {
            // Those to other cores have begun the short way, and go back to the long one.
            for call in [MachineCall::Call, MachineCall::Send] {
                let (status, left) = call_with_secrets(call, service.below, 0);
                ensure(status == 0 && left[..2] == [SECRET; 2] && left[2..] == [0; 4])?;
            }
        }
        transfer::send(service.below, words([END, 0, 0, 0]), 0)?;
        ensure_ends(server)?;
        service.end()?;
        // Vector registers: both have patterns of their own, and either would say so. Another endpoint: the first one's server has ended.
        let (service, report) = (Service::new()?, Service::new()?);
        let server = service.server(ground, Some(core), 5)?;
        let caller = service.caller(ground, &report, CALL_WITH_PATTERNS, Some(core))?;
        ensure(report.report()? == Ok(0))?;
        ensure_ends(caller)?;
        server.destroy()?;
        service.end()?;
        report.end()?;
    }
    Ok(give_slices_back()?)
}

pub(super) fn forged(ground: &Ground<'_>) -> Checked {
    let service = Service::new()?;
    let (slot, nothing) = (service.endpoint, Outgoing::default());
    let mute = gate::call(Call::Derive, &[slot, Rights::RECEIVE.bits().into(), 0, 0, 0, 0])?.values[0];
    let deaf = gate::call(Call::Derive, &[slot, Rights::SEND.bits().into(), 0, 0, 0, 0])?.values[0];
    let stale = gate::call(Call::Copy, &[slot])?.values[0];
    gate::call(Call::Delete, &[stale])?;
    let own = super::calls::own_slot()?;
    for forged in [0, 1, stale, slot ^ 1 << 32, slot | 0xffff, u64::MAX, 1 << 63] {
        ensure_refused(transfer::call(forged, nothing, 1), Status::NoCapability)?;
        ensure_refused(transfer::send(forged, nothing, 1), Status::NoCapability)?;
        ensure_refused(transfer::receive(forged, 1), Status::NoCapability)?;
        ensure_refused(transfer::notify(forged, 1), Status::NoCapability)?;
        ensure_refused(transfer::watch(forged, 0), Status::NoCapability)?;
    }
    ensure_refused(transfer::call(own, nothing, 1), Status::WrongKind)?;
    ensure_refused(transfer::notify(slot, 1), Status::WrongKind)?;
    ensure_refused(transfer::call(mute, nothing, 1), Status::MissingRight)?;
    ensure_refused(transfer::receive(deaf, 1), Status::MissingRight)?;
    for length in [MESSAGE_WORDS + 1, 1 << 32, u64::MAX] {
        let long = Outgoing { length, ..nothing };
        ensure_refused(transfer::call(slot, long, 1), Status::BadArgument)?;
    }
    // A slot that is good in another domain only.
    let report = Service::new()?;
    let child = service.caller(ground, &report, CALL_ONCE, None)?;
    let token = service.receive()?.token;
    transfer::reply(token, words([0, 1, 2, 3]))?;
    ensure(report.report()? == Ok(1))?;
    ensure_ends(child)?;
    service.end()?;
    Ok(report.end()?)
}

pub(super) fn replies(ground: &Ground<'_>) -> Checked {
    let (service, report) = (Service::new()?, Service::new()?);
    let nothing = Outgoing::default();
    for core in 0..cores()? {
        let child = service.caller(ground, &report, CALL_ONCE, Some(core))?;
        let came = service.receive()?;
        ensure(came.words == [ECHO, 7, 8, 9] && came.token != 0)?;
        for guess in [0, 1, came.token ^ 1, came.token + (1 << 16), came.token - (1 << 16), u64::MAX] {
            ensure_refused(transfer::reply(guess, nothing), Status::NoCaller)?;
        }
        transfer::reply(came.token, words([0, 77, 0, 0]))?;
        ensure_refused(transfer::reply(came.token, nothing), Status::NoCaller)?;
        let both = transfer::reply_and_receive(service.endpoint, came.token, nothing, soon(A_WHILE_NS));
        ensure_refused(both, Status::NoCaller)?;
        ensure(report.report()? == Ok(77))?;
        ensure_ends(child)?;
        // One that ends while it waits.
        let child = service.caller(ground, &report, CALL_ONCE, Some(core))?;
        let token = service.receive()?.token;
        child.destroy()?;
        ensure_refused(transfer::reply(token, nothing), Status::NoCaller)?;
        // One that ends before anybody has its message: nothing is there to be had.
        let child = service.caller(ground, &report, CALL_ONCE, Some(core))?;
        gate::sleep(A_WHILE_NS)?;
        child.destroy()?;
        ensure_refused(transfer::receive(service.endpoint, soon(A_WHILE_NS)), Status::TimedOut)?;
    }
    service.end()?;
    report.end()?;
    Ok(give_slices_back()?)
}

pub(super) fn server_ends(ground: &Ground<'_>) -> Checked {
    for core in 0..cores()? {
        let (service, report) = (Service::new()?, Service::new()?);
        let server = service.server(ground, Some(core), 0)?;
        // It ends with the message in its hands.
        ensure_refused(transfer::call(service.below, words([END, 0, 0, 0]), 0), Status::DomainGone)?;
        ensure_ends(server)?;
        ensure_refused(transfer::call(service.below, words([ECHO, 0, 0, 0]), 0), Status::DomainGone)?;
        // It is ended: one caller is in its hands, the other one waits for it to receive.
        let server = service.server(ground, Some(core), 0)?;
        while transfer::call(service.below, words([ECHO, 0, 0, 0]), 0).is_err() {
            gate::give_way();
        }
        let late = transfer::call(service.below, words([KEEP, 0, 0, 0]), soon(A_WHILE_NS));
        ensure_refused(late, Status::TimedOut)?;
        let other = Service::new()?;
        let first = service.caller(ground, &other, CALL_FOR_EVER, Some(core))?;
        let second = service.caller(ground, &report, CALL_FOR_EVER, None)?;
        gate::sleep(A_WHILE_NS)?;
        server.destroy()?;
        ensure(report.report()? == Err(Status::DomainGone))?;
        ensure(other.report()? == Err(Status::DomainGone))?;
        ensure_ends(first)?;
        ensure_ends(second)?;
        service.end()?;
        report.end()?;
        other.end()?;
    }
    Ok(give_slices_back()?)
}

pub(super) fn revoked(ground: &Ground<'_>) -> Checked {
    let report = Service::new()?;
    for core in 0..cores()? {
        // The message is in the server's hands: the caller is told, and the reply is nobody's.
        let service = Service::new()?;
        let child = service.caller(ground, &report, CALL_ONCE, Some(core))?;
        let token = service.receive()?.token;
        service.revoke()?;
        ensure_refused(transfer::reply(token, words([0; 4])), Status::NoCaller)?;
        ensure(report.report()? == Err(Status::NoCapability))?;
        ensure_ends(child)?;
        service.end()?;
        // Nobody has the message yet, and nobody will.
        let service = Service::new()?;
        let child = service.caller(ground, &report, CALL_ONCE, Some(core))?;
        gate::sleep(A_WHILE_NS)?;
        service.revoke()?;
        ensure_refused(transfer::receive(service.endpoint, soon(A_WHILE_NS)), Status::TimedOut)?;
        ensure(report.report()? == Err(Status::NoCapability))?;
        ensure_ends(child)?;
        service.end()?;
        // The server may not receive any more: it ends, and a call finds nobody.
        let service = Service::new()?;
        let server = service.server(ground, Some(core), 0)?;
        transfer::call(service.below, words([ECHO, 0, 0, 0]), 0)?;
        service.revoke()?;
        ensure_ends(server)?;
        ensure_refused(transfer::call(service.below, words([ECHO, 0, 0, 0]), 0), Status::NoCapability)?;
        ensure_refused(transfer::call(service.endpoint, words([ECHO, 0, 0, 0]), 0), Status::DomainGone)?;
        service.end()?;
    }
    report.end()?;
    Ok(give_slices_back()?)
}

pub(super) fn late(ground: &Ground<'_>) -> Checked {
    let (service, report) = (Service::new()?, Service::new()?);
    // Nobody takes it; then somebody does, and does not reply in time.
    let child = service.caller(ground, &report, CALL_LATE, None)?;
    ensure(report.report()? == Err(Status::TimedOut))?;
    ensure_ends(child)?;
    let child = service.caller(ground, &report, CALL_LATE, None)?;
    let token = service.receive()?.token;
    ensure(report.report()? == Err(Status::TimedOut))?;
    ensure_refused(transfer::reply(token, words([0; 4])), Status::NoCaller)?;
    ensure_ends(child)?;
    let before = gate::now_ns();
    let nothing = transfer::receive(service.endpoint, before + A_WHILE_NS);
    ensure_refused(nothing, Status::TimedOut)?;
    ensure(gate::now_ns() - before >= A_WHILE_NS)?;
    service.end()?;
    Ok(report.end()?)
}

pub(super) fn along(ground: &Ground<'_>) -> Checked {
    let service = Service::new()?;
    let bell = transfer::create_notification()?;
    let rights = (Rights::SEND | Rights::GRANT).bits().into();
    let mine = gate::call(Call::Derive, &[bell, rights, 0, 0b1110, 0, 0])?.values[0];
    let kept = gate::call(Call::Derive, &[bell, Rights::SEND.bits().into(), 0, 0, 0, 0])?.values[0];
    for core in 0..cores()? {
        let server = service.server(ground, Some(core), 0)?;
        let with = |capability| Outgoing { capability, ..words([SIGNAL, 0b0111, 0, 0]) };
        while transfer::call(service.below, words([ECHO, 0, 0, 0]), 0).is_err() {
            gate::give_way();
        }
        ensure(transfer::call(service.below, with(mine), 0)?.words[0] == 0)?;
        ensure(transfer::watch(bell, 0)? == 0b0110)?;
        ensure_refused(transfer::call(service.below, with(kept), 0), Status::MissingRight)?;
        ensure_refused(transfer::call(service.below, with(12345), 0), Status::NoCapability)?;
        // The other way, with the reply.
        let came = transfer::call(service.below, words([GIVE, 0, 0, 0]), 0)?;
        transfer::notify(came.capability, 5)?;
        ensure(transfer::watch(came.capability, 0)? == 5)?;
        server.destroy()?;
        gate::call(Call::Delete, &[came.capability])?;
    }
    gate::call(Call::Revoke, &[bell, 0])?;
    gate::call(Call::Delete, &[bell])?;
    service.end()?;
    Ok(give_slices_back()?)
}

/// What is more than a message's words goes as pages, for reading, that nothing is copied of.
pub(super) fn pages(ground: &Ground<'_>) -> Checked {
    let service = Service::new()?;
    for core in 0..cores()? {
        let server = service.server(ground, Some(core), 0)?;
        while transfer::call(service.below, words([ECHO, 0, 0, 0]), 0).is_err() {
            gate::give_way();
        }
        let pages = 5;
        let (memory, handle) = OwnMemory::new((pages * PAGE) as usize)?;
        let region = gate::call_with(Call::RegisterRegion, &[pages * PAGE], &[], handle)?.values[0];
        for round in 1..4 {
            (0..(pages * PAGE / 8) as usize).for_each(|word| memory.set_word(word, round));
            let out = Outgoing { capability: region, ..words([ADD_UP, 0, 0, 0]) };
            ensure(
                transfer::call(service.below, out, soon(PATIENCE_NS))?.words[0] == round * pages * PAGE / 8,
            )?;
        }
        server.destroy()?;
        gate::call(Call::Delete, &[region])?;
        drop(memory);
        memory::release(handle)?;
    }
    service.end()?;
    Ok(give_slices_back()?)
}

pub(super) fn sends(ground: &Ground<'_>) -> Checked {
    let (service, report) = (Service::new()?, Service::new()?);
    for core in 0..cores()? {
        let child = service.caller(ground, &report, SEND_MANY, Some(core))?;
        for number in 0..SENT {
            let came = service.receive()?;
            ensure(came.words[0] == number && came.token == 0)?;
        }
        ensure(report.report()? == Ok(SENT))?;
        ensure_ends(child)?;
    }
    service.end()?;
    report.end()?;
    Ok(give_slices_back()?)
}

/// Callers on all cores, each killed or revoked at some moment of its calls.
pub(super) fn storm(ground: &Ground<'_>) -> Checked {
    let report = Service::new()?;
    let cores = cores()?;
    for round in 0..8 {
        let service = Service::new()?;
        let mut callers = [const { None }; 6];
        for (number, caller) in (0..).zip(&mut callers) {
            *caller = Some(service.caller(ground, &report, CALL_FOR_EVER, Some(number % cores))?);
        }
        let (mut token, mut served) = (0, 0);
        while served < 300 {
            match transfer::reply_and_receive(service.endpoint, token, words([0; 4]), soon(PATIENCE_NS)) {
                Ok(came) => (token, served) = (came.token, served + 1),
                Err(Status::NoCaller) => token = 0,
                Err(status) => return Err(status.into()),
            }
            if served % 40 == 39
                && let Some(victim) = callers[served / 40 % 3].take()
            {
                victim.destroy()?;
            }
        }
        ensure_page_tables_are_right()?;
        if round % 2 == 0 {
            service.revoke()?;
            ensure_refused(transfer::reply(token, words([0; 4])), Status::NoCaller)?;
            for _ in callers.iter().flatten() {
                ensure(report.report()? == Err(Status::NoCapability))?;
            }
            callers.into_iter().flatten().try_for_each(ensure_ends)?;
        } else {
            callers.into_iter().flatten().try_for_each(Child::destroy)?;
        }
        service.end()?;
        give_slices_back()?;
    }
    Ok(report.end()?)
}
