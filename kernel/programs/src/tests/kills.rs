//! Producers and consumers that are destroyed at random moments, on all cores: whoever is left goes on, and has all.
//!
//! The workers, the choice of victims and the proof are those of the producer-consumer demonstration, on Linux and here.

use alloc::vec::Vec;

use feuerbird_abi::Status;
use feuerbird_capability::Trust;
use feuerbird_channel::Terms;
use feuerbird_demos_worker::{Failed, Plan, Proof, Random, Role, Run, State, Word, strictest_layer, terms};
use feuerbird_libos::Error;
use feuerbird_serialization::Layer;

use super::{Checked, Ground, ensure, ensure_page_tables_are_right};
use crate::gate::{self, println};
use crate::proof::TAKING;
use crate::ring::{self, Domain, Handle};
use crate::team::{Team, Worker};

const LAYERS: [Trust; 3] = [Trust::BASE, Trust::LIBOS, Trust::USER];

/// In each of them one producer and one consumer are killed.
const ROUNDS: u32 = 51;

/// Of the rounds; one by one they have payloads that lie in the slot, and some that need a buffer of the pool.
const PAYLOADS: [u32; 2] = [64, 300];

/// Messages in flight in one lane: few, so that lanes are full and empty often.
const DEPTH: u32 = 64;

/// More messages than there is time to send: a producer that were done would be gone as if it had been killed.
const RUN: Run =
    Run { producers: 2, consumers: 2, share: 1 << 17, payload_bytes: 0, watches_peers: true, pins: false };

/// How many messages of one producer the moments of the plan are parts of.
const SPAN: f64 = 300.0;

/// How often the root looks whether somebody's moment has come.
const LOOK_NS: u64 = 200_000;

/// How long at most the root waits from then on, in steps of its own.
const STEPS: u32 = 200_000;

const SEED: u64 = 0x5eed;

pub(super) fn at_random(ground: &Ground<'_>) -> Checked {
    let domain = ring::enter().map_err(refusal)?;
    let mut random = Random::new(SEED);
    let mut kills = 0;
    for round in 0..ROUNDS {
        let trust = LAYERS[round as usize % LAYERS.len()];
        let payload_bytes = PAYLOADS[random.below(2) as usize];
        let run = Run { payload_bytes, ..RUN };
        let killed = exchange(ground, &domain, trust, run, &mut random);
        if let Err(error) = &killed {
            println!("kills: round {round}, trust {:#x}: {error}", trust.level());
        }
        kills += killed.ok().flatten().ok_or(Status::PeerMisbehaved)?;
    }
    // One that was done before its moment came was not killed: nobody was.
    ensure(kills == 2 * ROUNDS)
}

/// One round, from the making of the workers to their end: how many were killed, if the survivors have all.
fn exchange(
    ground: &Ground<'_>,
    domain: &Domain,
    trust: Trust,
    run: Run,
    random: &mut Random,
) -> Result<Option<u32>, Failed> {
    let bytes = terms(run.payload_bytes).map_err(Error::from)?.message_bytes();
    let terms = Terms::new(bytes, DEPTH).map_err(Error::from)?;
    let mut team = Team::start(domain, ground.image, trust, run, terms)?;
    let killed = kill(&mut team, Plan::new(random, run.producers, run.consumers), random);
    let is_right = ensure_page_tables_are_right().is_ok() && is_whole(&team, run.share);
    team.end()?;
    killed.map(|killed| is_right.then_some(killed))
}

/// Has them work, and kills by the plan until the survivors are done; how many.
fn kill(team: &mut Team, mut plan: Plan, random: &mut Random) -> Result<u32, Failed> {
    team.watch(State::Ready, LOOK_NS, |_| Ok(()))?;
    team.go();
    let mut killed = 0;
    team.watch(State::Done, LOOK_NS, |team| {
        let progress = team.most_sent() as f64 / SPAN;
        if let Some(victim) = plan.due(progress, team.accounts()) {
            crate::fault::sum_without_calls(random.below(STEPS).into());
            killed += u32::from(team.kill(victim)?);
            plan.strike();
        } else if progress > 1.0 && !plan.is_waiting() && plan.is_settled(team.accounts()) {
            team.stop();
        }
        Ok(())
    })?;
    Ok(killed)
}

/// Whether every message of the survivors was handled once and as it was sent, and their buffers are back.
fn is_whole(team: &Team, share: u64) -> bool {
    let layer = strictest_layer(team.reports()).unwrap_or(Layer::Full);
    let proof = Proof::of(&team.accounts().collect::<Vec<_>>(), share, TAKING);
    let survives = |worker: &&Worker| !worker.was_killed();
    let is_content = |producer: &Worker| {
        let complaint = producer.report.complaints(true).next();
        complaint.is_none() && producer.report.get(Word::BuffersLost) == 0
    };
    let is_whole = proof.holds() && team.of(Role::Producer).filter(survives).all(is_content);
    if !is_whole {
        println!("kills: {layer}: {proof:?}");
    }
    is_whole
}

/// How soon who waits for a worker knows that it has failed: much sooner than it would give up.
const SOON_NS: u64 = 2_000_000_000;

/// One that cannot begin, and those that cannot go on.
pub(super) fn noticed(ground: &Ground<'_>) -> Checked {
    let domain = ring::enter().map_err(refusal)?;
    let run = Run { payload_bytes: PAYLOADS[0], ..RUN };
    let terms = Terms::new(256, DEPTH).expect("small terms are good ones");
    let endpoint = domain.endpoint(terms).map_err(refusal)?;
    let start = gate::now_ns();
    let no_orders = [endpoint.clone(), endpoint];
    let who = (Role::Producer, 0, Trust::USER);
    ensure(matches!(Worker::start(&domain, ground.image, &run, who, &no_orders), Err(Failed::Ended)))?;
    ensure(gate::now_ns() - start < SOON_NS)?;
    no_orders.into_iter().next().map_or(Ok(()), Handle::delete).map_err(refusal)?;

    let mut team =
        Team::start(&domain, ground.image, Trust::USER, run, terms).map_err(|_| Status::PeerMisbehaved)?;
    team.watch(State::Ready, LOOK_NS, |_| Ok(())).map_err(|_| Status::PeerMisbehaved)?;
    team.go();
    let start = gate::now_ns();
    team.endpoint().revoke().map_err(refusal)?;
    let watched = team.watch(State::Done, LOOK_NS, |_| Ok(()));
    let took_ns = gate::now_ns() - start;
    team.end().map_err(refusal)?;
    ensure(watched == Err(Failed::Ended) && took_ns < SOON_NS)
}

fn refusal(error: Error) -> Status {
    if let Error::Refused(status) = error { status } else { Status::PeerMisbehaved }
}
