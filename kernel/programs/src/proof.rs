//! The producer-consumer demonstration: in each layer, every message of a known number arrives once, and as it was sent.
//!
//! What producers and consumers do, what they report, and the proof, is the same source as on Linux: [`feuerbird_demos_worker`]. Here is
//! the root's part: it makes the endpoint, the orders and the workers, and looks at their reports, which it has mapped by capability.

use alloc::vec::Vec;

use feuerbird_capability::{Slot, Trust};
use feuerbird_demos_worker::{
    Account, Clock, Command, Complaint, Failed, Histogram, ORDERS_BYTES, Proof, Role, Run, State, View, Word,
    authorities, await_report, strictest_layer, sum, terms, work,
};
use feuerbird_libos::{DomainHandle, Error};
use feuerbird_serialization::Layer;

use crate::child::{Child, Image};
use crate::gate::{self, println};
use crate::memory::{OwnMemory, PeerMemory};
use crate::ring::{self, Domain, Handle};
use crate::role;

/// What is done in each layer.
const RUN: Run =
    Run { producers: 2, consumers: 2, share: 16_384, payload_bytes: 64, watches_peers: false, pins: false };

/// How long nothing may happen before a layer is given up, in nanoseconds.
const PATIENCE_NS: u64 = 20_000_000_000;

/// How often the root looks at the reports.
const LOOK_NS: u64 = 1_000_000;

/// The processor's counter, which the emulator keeps the same on all cores.
#[derive(Clone, Copy)]
struct Counter;

impl Clock for Counter {
    #[inline]
    fn cycles(self) -> u64 {
        gate::counter()
    }
}

/// What came of one layer.
struct Outcome {
    layer: Layer,
    proof: Proof,
    messages_per_s: u64,
    /// The median and the 99th percentile, from a message's making to its handling.
    latencies_ns: [u64; 2],
    complaints: Vec<(u32, Complaint)>,
}

/// The first domain: two producers and two consumers in each layer. Whether every proof holds.
pub(crate) fn run(image: &Image) -> bool {
    let Run { producers, consumers, payload_bytes, .. } = RUN;
    println!(
        "{producers} producers, {consumers} consumers, payload {payload_bytes} B; times are the emulated machine's"
    );
    println!(
        "{:<18} {:>9} {:>11} {:>11} {:>11} {:>6} {:>6} {:>8}",
        "layer", "messages", "messages/s", "p50 ns", "p99 ns", "lost", "twice", "altered"
    );
    let holds = [Trust::BASE, Trust::LIBOS, Trust::USER].into_iter().all(|trust| holds(image, trust));
    if holds {
        println!("proof: none lost, none twice, none altered");
    }
    holds
}

/// Whether all messages arrived once and unaltered between workers with this much trust; prints what came of it.
pub(crate) fn holds(image: &Image, trust: Trust) -> bool {
    match exchange(image, trust) {
        Ok(outcome) => {
            outcome.print();
            outcome.is_proven()
        }
        Err(error) => {
            println!("proof: with trust {:#x}: {error}", trust.level());
            false
        }
    }
}

impl Outcome {
    fn is_proven(&self) -> bool {
        let all = RUN.share * u64::from(RUN.producers);
        self.proof.holds() && self.proof.handled == all && self.complaints.is_empty()
    }

    fn print(&self) {
        let Self { layer, proof, messages_per_s, latencies_ns: [p50, p99], complaints } = self;
        let Proof { handled, lost, duplicated, altered, .. } = proof;
        println!(
            "{layer:<18} {handled:>9} {messages_per_s:>11} {p50:>11} {p99:>11} {lost:>6} {duplicated:>6} {altered:>8}"
        );
        for (producer, complaint) in complaints {
            println!("proof: producer {producer} {complaint}");
        }
        if !self.is_proven() {
            println!("proof: does NOT hold in this layer");
        }
    }
}

/// One layer, from the making of its workers to their end.
fn exchange(image: &Image, trust: Trust) -> Result<Outcome, Failed> {
    let domain = ring::enter()?;
    let endpoint = domain.endpoint(terms(RUN.payload_bytes).map_err(Error::from)?)?;
    let orders = domain.region(ORDERS_BYTES)?;
    let mut team = Team { orders: Command::new(orders.writer, &RUN), workers: Vec::new() };
    let outcome = team.start(&domain, image, trust, [&endpoint, &orders.handle]).and_then(|()| team.watch());
    team.end()?;
    endpoint.delete()?;
    orders.handle.delete()?;
    outcome
}

/// The workers of one layer, and the orders they go by.
struct Team {
    orders: Command<OwnMemory>,
    workers: Vec<Worker>,
}

/// One worker, as the root knows it.
struct Worker {
    role: Role,
    index: u32,
    child: Child,
    report: View<PeerMemory>,
    /// By which the report is mapped.
    region: Handle,
}

impl Team {
    /// Starts workers, whose producers are trusted so far, with what they need and nothing else.
    fn start(
        &mut self,
        domain: &Domain,
        image: &Image,
        trust: Trust,
        [endpoint, orders]: [&Handle; 2],
    ) -> Result<(), Failed> {
        // As on Linux: that the lower trust counts leaves the layer to the producers'.
        let consumers = (0..RUN.consumers).map(|index| (Role::Consumer, index, Trust::BASE));
        let producers = (0..RUN.producers).map(|index| (Role::Producer, index, trust));
        for (role, index, trust) in consumers.chain(producers) {
            let child = Child::new(image, trust).map_err(Error::Refused)?;
            let to = DomainHandle::new(domain.handle(Slot::from_bits(child.slot)));
            let own = domain.own();
            let granted = [endpoint, own.handle(), orders]
                .into_iter()
                .zip(authorities(role, index, trust))
                .try_for_each(|(what, authority)| what.grant(&to, authority).map(|_| ()));
            let started = child.start(image, as_role(role).argument(0)).map_err(Error::Refused);
            let reported = granted.and(started).map_err(Failed::from);
            match reported.and_then(|()| await_report(domain, role, &RUN)) {
                Ok((report, region)) => self.workers.push(Worker { role, index, child, report, region }),
                Err(error) => {
                    child.destroy().map_err(Error::Refused)?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Sees the work to its end, and accounts for it.
    fn watch(&self) -> Result<Outcome, Failed> {
        self.wait_until_all(State::Ready)?;
        let start = [gate::now_ns(), gate::counter()];
        self.orders.go();
        self.wait_until_all(State::Done)?;
        let [ns, cycles] = [gate::now_ns() - start[0], gate::counter() - start[1]];
        let ended = self.of(Role::Consumer).map(|worker| worker.report.get(Word::EndedNs)).max();
        let took_ns = ended.unwrap_or(0).saturating_sub(start[0]).max(1);
        let layer = strictest_layer(self.workers.iter().map(|worker| &worker.report)).unwrap_or(Layer::Full);
        let accounts: Vec<_> = self.workers.iter().map(Worker::account).collect();
        let proof = Proof::of(&accounts, RUN.share, layer);
        let latency = Histogram::of(self.of(Role::Consumer).map(|worker| &worker.report));
        let to_ns = |share| (latency.quantile(share) as f64 * ns as f64 / cycles.max(1) as f64) as u64;
        let complaints = self.of(Role::Producer).flat_map(|producer| {
            producer.report.complaints(false).map(|complaint| (producer.index, complaint))
        });
        Ok(Outcome {
            layer,
            proof,
            messages_per_s: (proof.handled as f64 * 1e9 / took_ns as f64) as u64,
            latencies_ns: [0.5, 0.99].map(to_ns),
            complaints: complaints.collect(),
        })
    }

    /// Waits for as long as something happens.
    fn wait_until_all(&self, state: State) -> Result<(), Failed> {
        let mut moved = (gate::now_ns(), 0);
        while !self.workers.iter().all(|worker| worker.report.is(state) || worker.report.is(State::Done)) {
            let handled = sum(self.workers.iter().map(|worker| &worker.report), Word::Messages);
            let now = gate::now_ns();
            if handled != moved.1 {
                moved = (now, handled);
            }
            if now - moved.0 > PATIENCE_NS {
                return Err(Error::DeadlinePassed.into());
            }
            // What the kernel says meanwhile is about those who have ended: the reports say it, too.
            gate::sleep(LOOK_NS).map_err(Error::Refused)?;
        }
        Ok(())
    }

    fn of(&self, role: Role) -> impl Iterator<Item = &Worker> {
        self.workers.iter().filter(move |worker| worker.role == role)
    }

    /// Ends all of them, at work or not.
    fn end(self) -> Result<(), Error> {
        for Worker { child, report, region, .. } in self.workers {
            child.destroy().map_err(Error::Refused)?;
            drop(report);
            region.delete()?;
        }
        Ok(())
    }
}

impl Worker {
    fn account(&self) -> Account<'_, PeerMemory> {
        Account { role: self.role, index: self.index, report: &self.report, was_killed: false }
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
