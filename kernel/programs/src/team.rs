//! Producers and consumers, each a domain, as the first domain makes them, watches them and ends them.
//!
//! What they do and what they report is the same source as on Linux: [`feuerbird_demos_worker`].

use alloc::vec::Vec;

use feuerbird_capability::{Slot, Trust};
use feuerbird_channel::Terms;
use feuerbird_demos_worker::{
    Account, Clock, Command, Failed, ORDERS_BYTES, Role, Run, State, Victim, View, Word, authorities,
    await_report, sum, work,
};
use feuerbird_libos::{DomainHandle, Error};

use crate::child::{Child, Image};
use crate::gate::{self, println};
use crate::memory::{OwnMemory, PeerMemory};
use crate::ring::{self, Domain, Handle};
use crate::role;

/// How long nothing may happen before the work is given up, in nanoseconds.
const PATIENCE_NS: u64 = 20_000_000_000;

/// The processor's counter, which the emulator keeps the same on all cores.
#[derive(Clone, Copy)]
struct Counter;

impl Clock for Counter {
    #[inline]
    fn cycles(self) -> u64 {
        gate::counter()
    }

    fn hear(self) {
        ring::hear();
    }
}

/// The workers of one run, and the orders they go by.
pub(crate) struct Team {
    orders: Command<OwnMemory>,
    /// Of the endpoint, and of the orders.
    handles: [Handle; 2],
    workers: Vec<Worker>,
}

/// One worker, as the root knows it.
pub(crate) struct Worker {
    pub(crate) role: Role,
    pub(crate) index: u32,
    pub(crate) report: View<PeerMemory>,
    /// By which the report is mapped.
    region: Handle,
    /// Until it is killed.
    child: Option<Child>,
}

impl Team {
    /// Starts workers for a run, whose producers are trusted so far.
    ///
    /// # Errors
    /// [`Failed`]; none of them is left then.
    pub(crate) fn start(
        domain: &Domain,
        image: &Image,
        trust: Trust,
        run: Run,
        terms: Terms,
    ) -> Result<Self, Failed> {
        let endpoint = domain.endpoint(terms)?;
        let orders = domain.region(ORDERS_BYTES)?;
        let handles = [endpoint, orders.handle];
        let mut team = Self { orders: Command::new(orders.writer, &run), handles, workers: Vec::new() };
        // As on Linux: that the lower trust counts leaves the layer to the producers'.
        let consumers = (0..run.consumers).map(|index| (Role::Consumer, index, Trust::BASE));
        let mut all = consumers.chain((0..run.producers).map(|index| (Role::Producer, index, trust)));
        let started = all.try_for_each(|(role, index, trust)| {
            team.workers.push(Worker::start(domain, image, &run, (role, index, trust), &team.handles)?);
            Ok(())
        });
        match started {
            Ok(()) => Ok(team),
            Err(error) => team.end().map_err(Failed::from).and(Err(error)),
        }
    }

    /// Has them begin.
    pub(crate) fn go(&self) {
        self.orders.go();
    }

    /// Waits until all have come so far, for as long as something happens. Looks so often, and does what is to be done then.
    ///
    /// # Errors
    /// [`Failed::Ended`] where one has ended that was not killed, [`Error::DeadlinePassed`] where nothing happens.
    pub(crate) fn watch(
        &mut self,
        state: State,
        look_ns: u64,
        mut each: impl FnMut(&mut Self) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut moved = (gate::now_ns(), 0);
        while !self.workers.iter().all(|worker| worker.has_come_to(state)) {
            if self.workers.iter().any(Worker::has_failed) {
                return Err(Failed::Ended);
            }
            let handled = sum(self.workers.iter().map(|worker| &worker.report), Word::Messages);
            let now = gate::now_ns();
            if handled != moved.1 {
                moved = (now, handled);
            }
            if now - moved.0 > PATIENCE_NS {
                return Err(Error::DeadlinePassed.into());
            }
            each(self)?;
            // What the kernel says meanwhile is about those who have ended: the reports say it, too.
            gate::sleep(look_ns).map_err(Error::Refused)?;
        }
        Ok(())
    }

    /// Has them send nothing more.
    pub(crate) fn stop(&self) {
        self.orders.stop();
    }

    /// The capability that those of the workers were derived from.
    pub(crate) fn endpoint(&self) -> &Handle {
        &self.handles[0]
    }

    /// How many messages the producer that is ahead has sent.
    pub(crate) fn most_sent(&self) -> u64 {
        self.of(Role::Producer).map(|worker| worker.report.get(Word::Messages)).max().unwrap_or(0)
    }

    /// Kills one, wherever it is in its work. Whether it was still at work.
    ///
    /// # Errors
    /// [`Failed::Domain`] where there is no such worker.
    pub(crate) fn kill(&mut self, victim: Victim) -> Result<bool, Failed> {
        let is_it = |it: &&mut Worker| (it.role, it.index) == (victim.role, victim.index);
        let worker = self.workers.iter_mut().find(is_it);
        let worker = worker.filter(|it| it.child.is_some()).ok_or(Failed::Ended)?;
        let was_at_work = !worker.report.is(State::Done);
        worker.end().map_err(Error::Refused)?;
        Ok(was_at_work)
    }

    /// The workers of one role.
    pub(crate) fn of(&self, role: Role) -> impl Iterator<Item = &Worker> {
        self.workers.iter().filter(move |worker| worker.role == role)
    }

    /// The reports of all.
    pub(crate) fn reports(&self) -> impl Iterator<Item = &View<PeerMemory>> {
        self.workers.iter().map(|worker| &worker.report)
    }

    /// What the proof is made of.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = Account<'_, PeerMemory>> {
        self.workers.iter().map(Worker::account)
    }

    /// Ends all of them, at work or not.
    pub(crate) fn end(self) -> Result<(), Error> {
        for mut worker in self.workers {
            worker.end().map_err(Error::Refused)?;
            drop(worker.report);
            // With a worker goes what it has granted.
            match worker.region.delete() {
                Ok(()) | Err(Error::Refused(feuerbird_abi::Status::NoCapability)) => {}
                Err(error) => return Err(error),
            }
        }
        self.handles.into_iter().try_for_each(|handle| handle.delete())
    }
}

impl Worker {
    /// Starts one with what it needs and nothing else: its side of the endpoint, a way to this domain, and the orders.
    ///
    /// # Errors
    /// [`Failed`]; it is not left then.
    pub(crate) fn start(
        domain: &Domain,
        image: &Image,
        run: &Run,
        (role, index, trust): (Role, u32, Trust),
        [endpoint, orders]: &[Handle; 2],
    ) -> Result<Self, Failed> {
        let child = Child::new(image, trust).map_err(Error::Refused)?;
        let to = DomainHandle::new(domain.handle(Slot::from_bits(child.slot)));
        let own = domain.own();
        let granted = [endpoint, own.handle(), orders]
            .into_iter()
            .zip(authorities(role, index, trust))
            .try_for_each(|(what, authority)| what.grant(&to, authority).map(|_| ()));
        let started = child.start(image, as_role(role).argument(0)).map_err(Error::Refused);
        let report = granted
            .and(started)
            .map_err(Failed::from)
            .and_then(|()| await_report(domain, role, run, || child.is_alive()));
        match report {
            Ok((report, region)) => Ok(Self { role, index, report, region, child: Some(child) }),
            Err(error) => child.destroy().map_err(|status| Error::Refused(status).into()).and(Err(error)),
        }
    }

    pub(crate) fn was_killed(&self) -> bool {
        self.child.is_none()
    }

    /// Who was killed does not get there.
    fn has_come_to(&self, state: State) -> bool {
        self.was_killed() || self.report.is(state) || self.report.is(State::Done)
    }

    /// Whether it has ended by itself before it was done.
    fn has_failed(&self) -> bool {
        // What it has reported is there when it is seen to have ended.
        self.child.as_ref().is_some_and(|child| !child.is_alive()) && !self.report.is(State::Done)
    }

    fn account(&self) -> Account<'_, PeerMemory> {
        let was_killed = self.was_killed();
        Account { role: self.role, index: self.index, report: &self.report, was_killed }
    }

    fn end(&mut self) -> gate::Result<()> {
        self.child.take().map_or(Ok(()), Child::destroy)
    }
}

fn as_role(role: Role) -> role::Role {
    match role {
        Role::Producer => role::Role::Numberer,
        Role::Consumer => role::Role::Prover,
    }
}

/// What a worker does, in a domain of its own.
pub(crate) fn produce() {
    work_as(Role::Producer);
}

/// As [`produce`].
pub(crate) fn consume() {
    work_as(Role::Consumer);
}

fn work_as(role: Role) {
    let entered = ring::enter().map_err(Failed::from);
    if let Err(error) = entered.and_then(|domain| work(&domain, role, Counter, |_, _| {})) {
        println!("{}: {error}", role.name());
    }
}
