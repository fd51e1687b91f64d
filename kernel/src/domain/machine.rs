//! The exokernel's machine, made of page tables and cores.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use feuerbird_abi::{AuditRecord, GATE_UPCALL, Reply, Status, Upcall, event};
use feuerbird_capability::{Capability, ObjectKind, Slot};
use feuerbird_exokernel::{DomainId, Limits, Machine, Message};
use zerocopy::IntoBytes;

use crate::cpu::{apic, clock, core, shootdown};
use crate::domain::current::Current;
use crate::domain::devices::{self, Line};
use crate::domain::monitor::Monitor;
use crate::domain::resident::{Mapped, Resident, State};
use crate::domain::slices::Slices;
use crate::domain::upcalls::Upcalls;
use crate::memory::object::{LENT, Memory, NOBODY};
use crate::memory::paging::KernelSpace;
use crate::memory::{frames, quota};

/// What the machine knows of a core.
#[derive(Debug)]
pub(crate) struct CoreState {
    /// The domain in its registers.
    pub(crate) current: Current,
    /// What a domain that was ended while it ran here had mapped: this core still uses those tables.
    pub(crate) remains: Option<Mapped>,
    pub(crate) is_idle: bool,
    /// Its domain does not go by itself: the timer makes it.
    pub(crate) is_forced: bool,
    /// Who is to run next, by the wish of who ran before.
    pub(crate) directed: Option<DomainId>,
    /// Its time.
    pub(crate) slices: Slices,
}

/// Memory on its way from a domain: what it has mapped of it becomes other memory, page by page.
struct Withdrawal {
    domain: DomainId,
    memory: Memory,
    other: Memory,
    /// Who writes it afterwards, if that changes; until then nobody maps it anew.
    writer: Option<DomainId>,
    /// The address from which on it has not been looked for.
    next: u64,
}

/// How many there are room for. More than begin at one time.
const WITHDRAWALS: usize = 8;

/// How many entries of page tables one piece of that work looks at.
const ENTRIES: u32 = 56;

/// The machine below the exokernel.
pub(crate) struct Native {
    pub(crate) kernel_space: KernelSpace,
    /// A page that stays as it is: what is withdrawn reads like it.
    zeroes: Memory,
    /// The list of free frames, which the kernel keeps up to date.
    pub(crate) free_map: Memory,
    /// By the index of a domain.
    residents: Vec<Option<Resident>>,
    upcalls: Vec<Upcalls>,
    pub(crate) cores: Vec<CoreState>,
    /// Interrupt lines that are somebody's, by their vectors.
    pub(crate) lines: [Option<Line>; devices::LINES],
    /// What is taken back, in that order. A step of the exokernel's begins two at most, and no step is made before they are done.
    withdrawals: VecDeque<Withdrawal>,
    /// What is published.
    pub(crate) monitor: Monitor,
}

impl Native {
    /// A machine without domains.
    ///
    /// # Panics
    /// Where there is no memory to begin with.
    pub(crate) fn new(kernel_space: KernelSpace, limits: &Limits, cores: usize) -> Self {
        assert!(limits.domains as usize <= quota::MAX_DOMAINS, "an account for each domain");
        let (first, pages) = frames::publish();
        let domains = 0..limits.domains;
        let core = |_| CoreState {
            current: Current::NOBODY,
            remains: None,
            is_idle: false,
            is_forced: false,
            directed: None,
            slices: Slices::new(),
        };
        Self {
            kernel_space,
            zeroes: Memory::of_kernel(frames::take_for_kernel(1)[0], 1),
            free_map: Memory::of_kernel(first, pages),
            residents: domains.clone().map(|_| None).collect(),
            upcalls: domains.map(|_| Upcalls::new(limits)).collect(),
            cores: (0..cores).map(core).collect(),
            lines: [None; devices::LINES],
            withdrawals: VecDeque::with_capacity(WITHDRAWALS),
            monitor: Monitor::new(),
        }
    }

    /// Makes room for the first domain, whose all frames are.
    ///
    /// # Errors
    /// [`Status::ObjectsFull`].
    pub(crate) fn settle_first(&mut self, domain: DomainId) -> Result<(), Status> {
        quota::begin(domain, frames::free());
        self.settle(domain)
    }

    /// Makes room for a domain that has an account, on the core with the fewest.
    fn settle(&mut self, domain: DomainId) -> Result<(), Status> {
        let fewest = (0..self.cores.len()).min_by_key(|core| self.cores[*core].slices.count());
        let core = fewest.filter(|core| self.cores[*core].slices.has_room()).ok_or(Status::ObjectsFull)?;
        let resident = Resident::new(domain, core, &self.kernel_space)?;
        *self.residents.get_mut(domain.index()).ok_or(Status::ObjectsFull)? = Some(resident);
        self.upcalls[domain.index()].clear();
        self.cores[core].slices.give(domain);
        Ok(())
    }

    /// All that are there.
    pub(crate) fn residents(&self) -> impl Iterator<Item = &Resident> {
        self.residents.iter().flatten()
    }

    /// A domain that is there.
    pub(crate) fn resident(&self, domain: DomainId) -> Option<&Resident> {
        self.residents.get(domain.index())?.as_ref().filter(|it| it.domain == domain)
    }

    /// As [`resident`](Self::resident), to change it.
    pub(crate) fn resident_mut(&mut self, domain: DomainId) -> Option<&mut Resident> {
        self.residents.get_mut(domain.index())?.as_mut().filter(|it| it.domain == domain)
    }

    /// Where the record of the domain with index 0 is, or would be; each has the size of an optional one. Never moves.
    pub(crate) fn residents_address(&mut self) -> usize {
        let first =
            self.residents.iter_mut().enumerate().find_map(|(index, it)| it.as_mut().map(|it| (index, it)));
        let (index, resident) = first.expect("the first domain is there before anybody asks");
        (&raw mut *resident).expose_provenance() - index * size_of::<Option<Resident>>()
    }

    /// How many domains there are.
    pub(crate) fn count(&self) -> usize {
        self.residents.iter().flatten().count()
    }

    /// How many upcalls found no room.
    pub(crate) fn lost_upcalls(&self) -> u64 {
        self.upcalls.iter().map(Upcalls::lost).sum()
    }

    /// Answers a domain's `Wait`, if there is an upcall or no time left; whether it was.
    pub(crate) fn answer_wait(&mut self, domain: DomainId, deadline_ns: u64) -> bool {
        let upcalls = &mut self.upcalls[domain.index()];
        let Some(resident) = self.residents[domain.index()].as_mut() else { return false };
        if !upcalls.is_empty() && !resident.has_room() {
            resident.registers.answer(Status::ObjectsFull as u32, [0; 6], 0, 0);
        } else if let Some((upcall, handle)) = upcalls.pop() {
            resident.gate.first().write(GATE_UPCALL, upcall.as_bytes());
            resident.is_told = !upcalls.is_empty();
            let number = handle.and_then(|handle| resident.keep(handle).ok()).unwrap_or(0);
            resident.registers.answer(Status::Ok as u32, [1, 0, 0, 0, 0, 0], 0, number);
        } else if deadline_ns <= clock::now_ns() || resident.lets(resident.events) {
            resident.registers.answer(Status::Ok as u32, [0; 6], 0, 0);
        } else {
            resident.state = State::Waiting { deadline_ns };
            return false;
        }
        resident.state = State::Ready;
        true
    }

    /// How many references to memory there are beside pages that are mapped and the exokernel's.
    pub(crate) fn references(&self) -> u64 {
        let own = [&self.zeroes, &self.free_map, self.monitor.memory()].len();
        let residents: usize = self.residents().map(Resident::references).sum();
        let upcalls: usize = self.upcalls.iter().map(Upcalls::references).sum();
        // The memory itself, and what is there instead.
        (own + residents + upcalls + 2 * self.withdrawals.len()) as u64
    }

    /// How many handles a domain has or will be given for memory, and pages of it that it has mapped.
    fn uses(&self, domain: DomainId, memory: &Memory) -> u32 {
        self.resident(domain).map_or(0, |it| it.count(memory) + self.upcalls[domain.index()].count(memory))
    }

    /// Has all that a domain has of memory be other memory for reading: its handles now, and what it has mapped piece by piece.
    fn replace(&mut self, domain: DomainId, memory: &Memory, other: &Memory, writer: Option<DomainId>) {
        self.upcalls[domain.index()].replace(memory, other);
        let Some(resident) = self.resident_mut(domain) else {
            return writer.into_iter().for_each(|writer| memory.set_writer(writer));
        };
        resident.replace(memory, other);
        // There is no heap any more for a longer list.
        while self.withdrawals.len() == WITHDRAWALS {
            self.take_some(u32::MAX);
        }
        let (memory, other) = (memory.clone(), other.clone());
        self.withdrawals.push_back(Withdrawal { domain, memory, other, writer, next: 0 });
    }

    /// Takes back a part of what is to be taken back first, and says whether that was all of it.
    fn take_some(&mut self, entries: u32) {
        let Some(first) = self.withdrawals.front() else { return };
        let domain = first.domain;
        let index = domain.index();
        let resident = self.residents[index].as_mut().filter(|it| it.domain == domain);
        let (Some(resident), Some(first)) = (resident, self.withdrawals.front_mut()) else {
            // What it had is gone with it.
            return self.end_withdrawal();
        };
        let core = resident.core;
        let space = resident.mapped.space();
        let (replaced, next) = space.replace(&first.memory, &first.other, first.next, entries);
        if replaced > 0 && self.cores[core].current.domain() == Some(domain) {
            shootdown::ask(core);
            self.monitor.shootdowns += 1;
        }
        match (next, self.withdrawals.front_mut()) {
            (Some(next), Some(first)) => first.next = next,
            _ => self.end_withdrawal(),
        }
    }

    fn end_withdrawal(&mut self) {
        if let Some(Withdrawal { memory, writer, .. }) = self.withdrawals.pop_front() {
            writer.into_iter().for_each(|writer| memory.set_writer(writer));
        }
    }

    /// The time of the core that a capability is for.
    fn slices_of(&mut self, capability: &Capability) -> Option<&mut Slices> {
        let core = usize::try_from(capability.object.id).ok()?;
        self.cores.get_mut(core).map(|core| &mut core.slices)
    }

    /// Has a core look at its domain, if it runs that one.
    pub(crate) fn interrupt(&self, number: usize, domain: DomainId) {
        if number != core::number() && self.cores[number].current.domain() == Some(domain) {
            apic::wake(core::apic_id(number));
        } else {
            self.wake(number);
        }
    }

    /// Lets a core know that there is something for it.
    pub(crate) fn wake(&self, number: usize) {
        if number != core::number() && (self.cores[number].is_idle || self.cores[number].remains.is_some()) {
            apic::wake(core::apic_id(number));
        }
    }
}

impl Machine for Native {
    type Handle = Memory;

    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }

    fn create_domain(&mut self, domain: DomainId) -> Result<Option<Memory>, Status> {
        // Domains are only made by calls, so that the core's current one is who asks.
        let creator = self.cores[core::number()].current.domain().ok_or(Status::DomainGone)?;
        quota::open(domain, creator)?;
        self.settle(domain).inspect_err(|_| quota::close(domain))?;
        // Its creator fills it by the capability for it.
        Ok(None)
    }

    fn destroy_domain(&mut self, domain: DomainId) {
        let Some(place) = self.residents.get_mut(domain.index()) else { return };
        let Some(resident) = place.take_if(|it| it.domain == domain) else { return };
        // Whoever still has them mapped sees that nothing of this domain is valid.
        (0..512).for_each(|word| resident.words.first().set_word(word, 0));
        self.upcalls[domain.index()].clear();
        resident.mapped.tables().stop_paying();
        let core = &mut self.cores[resident.core];
        core.slices.take_back(domain);
        if core.current.domain() == Some(domain) {
            core.current.clear();
            core.remains = Some(resident.mapped);
            // From here on it writes nothing any more: its core is in the kernel when it has answered.
            shootdown::ask(resident.core);
        } else {
            resident.mapped.end();
        }
        quota::close(domain);
    }

    fn validity_words(&self, domain: DomainId) -> Option<Memory> {
        Some(self.resident(domain)?.words.clone())
    }

    fn death_notice(&self, _: DomainId) -> Option<Memory> {
        None
    }

    fn set_validity(&mut self, domain: DomainId, word: u32, value: u32) {
        if let Some(resident) = self.resident(domain) {
            resident.words.first().set_word(word as usize, value.into());
        }
    }

    fn withdraw(&mut self, domain: DomainId, memory: &Memory) {
        if memory.writer() != domain {
            let zeroes = self.zeroes.clone();
            self.replace(domain, memory, &zeroes, None);
        }
    }

    fn keep(&mut self, domain: DomainId, memory: &Memory) {
        let is_told = self.upcalls[domain.index()].count(memory) > 0;
        let has_some = is_told || self.resident(domain).is_some_and(|it| it.has(memory));
        if memory.writer() == domain || !has_some {
            return;
        }
        let left = memory.copy_for(domain).unwrap_or_else(|_| self.zeroes.clone());
        self.replace(domain, memory, &left, None);
    }

    fn take_back(&mut self, slot: Slot, capability: &Capability) {
        if capability.object.kind == ObjectKind::TimeSlice {
            self.slices_of(capability).into_iter().for_each(|slices| slices.take_back_by(slot));
        } else {
            devices::take_back(&mut self.lines, slot);
        }
    }

    fn follow(&mut self, old: Slot, new: Slot, capability: &Capability) {
        if capability.object.kind == ObjectKind::TimeSlice {
            self.slices_of(capability).into_iter().for_each(|slices| slices.follow(old, new));
        } else {
            devices::follow(&mut self.lines, old, new);
        }
    }

    fn withdraw_log(&mut self, domain: DomainId) {
        let pages = self.monitor.pages();
        self.withdraw(domain, &pages);
    }

    fn is_shared(&self, holder: DomainId, memory: &Memory) -> bool {
        let others = memory.references() - 1;
        others > 0 && self.uses(holder, memory) != others
    }

    fn hand_over(&mut self, memory: &Memory, from: DomainId, to: DomainId, is_writable: bool) {
        let writer = (memory.writer() != NOBODY).then_some(if is_writable { to } else { LENT });
        // Where there is only what the table has, nobody has it mapped.
        if memory.references() > 1 && (from != to || !is_writable) {
            let left = if from == to { memory.clone() } else { self.zeroes.clone() };
            self.replace(from, memory, &left, writer);
        } else {
            writer.into_iter().for_each(|writer| memory.set_writer(writer));
        }
    }

    fn is_withdrawing(&self) -> bool {
        !self.withdrawals.is_empty()
    }

    #[inline]
    fn is_on_its_way(&self, memory: &Memory) -> bool {
        !self.withdrawals.is_empty() && self.withdrawals.iter().any(|it| it.memory.is(memory))
    }

    fn go_on(&mut self) {
        self.take_some(ENTRIES);
    }

    fn check_sealed(&self, domain: DomainId, memory: &Memory, bytes: u64) -> Result<(), Status> {
        match (memory.bytes() == bytes, memory.writer() == domain) {
            (false, _) => Err(Status::BadArgument),
            (true, false) => Err(Status::NotSealed),
            (true, true) => Ok(()),
        }
    }

    fn upcall(&mut self, domain: DomainId, upcall: &Upcall, handle: Option<&Memory>) {
        let Some(resident) = self.residents.get_mut(domain.index()).and_then(Option::as_mut) else { return };
        if resident.domain != domain {
            return;
        }
        let core = resident.core;
        let waiting = &mut self.upcalls[domain.index()];
        waiting.push(upcall, handle.cloned());
        resident.is_told = !waiting.is_empty();
        if let State::Waiting { deadline_ns } = resident.state {
            self.answer_wait(domain, deadline_ns);
            self.wake(core);
        } else {
            resident.post(event::UPCALL);
            if resident.lets(event::UPCALL) {
                self.interrupt(core, domain);
            }
        }
    }

    fn deliver(&mut self, from: DomainId, to: DomainId, message: &Message) {
        self.hand_over(from, to, message);
    }

    fn record(&mut self, record: &AuditRecord) {
        self.monitor.publish(record);
    }

    fn has_upcalls(&self, domain: DomainId) -> bool {
        self.upcalls.get(domain.index()).is_some_and(|upcalls| !upcalls.is_empty())
    }

    fn reply(&mut self, domain: DomainId, reply: &Reply) {
        let Some(resident) = self.resident_mut(domain) else { return };
        resident.registers.answer(reply.status, reply.values, 0, 0);
        resident.state = State::Ready;
        let core = resident.core;
        self.wake(core);
    }
}
