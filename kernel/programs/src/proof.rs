//! The producer-consumer demonstration: in each layer, every message of a known number arrives once, and as it was sent.
//!
//! What producers and consumers do, what they report, and the proof, is the same source as on Linux: [`feuerbird_demos_worker`]. The
//! first domain makes a [`Team`], and looks at its reports, which it has mapped by capability.

use alloc::vec::Vec;

use feuerbird_capability::Trust;
use feuerbird_demos_worker::{
    Complaint, Failed, Histogram, Proof, Role, Run, State, Taking, Word, strictest_layer, terms,
};
use feuerbird_libos::Error;
use feuerbird_serialization::Layer;

use crate::child::Image;
use crate::gate::{self, println};
use crate::ring;
use crate::team::Team;

/// What is done in each layer.
const RUN: Run =
    Run { producers: 2, consumers: 2, share: 16_384, payload_bytes: 64, watches_peers: false, pins: false };

/// Nobody vouches for memory in ring 3.
pub(crate) const TAKING: Taking = Taking::Copied;

/// How often the root looks at the reports.
const LOOK_NS: u64 = 1_000_000;

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
    let mut team = Team::start(&domain, image, trust, RUN, terms(RUN.payload_bytes).map_err(Error::from)?)?;
    let outcome = watch(&mut team);
    team.end()?;
    outcome
}

/// Sees the work to its end, and accounts for it.
fn watch(team: &mut Team) -> Result<Outcome, Failed> {
    team.watch(State::Ready, LOOK_NS, |_| Ok(()))?;
    let start = [gate::now_ns(), gate::counter()];
    team.go();
    team.watch(State::Done, LOOK_NS, |_| Ok(()))?;
    let [ns, cycles] = [gate::now_ns() - start[0], gate::counter() - start[1]];
    let ended = team.of(Role::Consumer).map(|worker| worker.report.get(Word::EndedNs)).max();
    let took_ns = ended.unwrap_or(0).saturating_sub(start[0]).max(1);
    let layer = strictest_layer(team.reports()).unwrap_or(Layer::Full);
    let proof = Proof::of(&team.accounts().collect::<Vec<_>>(), RUN.share, TAKING);
    let latency = Histogram::of(team.of(Role::Consumer).map(|worker| &worker.report));
    let to_ns = |share| (latency.quantile(share) as f64 * ns as f64 / cycles.max(1) as f64) as u64;
    let complaints = team
        .of(Role::Producer)
        .flat_map(|producer| producer.report.complaints(false).map(|complaint| (producer.index, complaint)));
    Ok(Outcome {
        layer,
        proof,
        messages_per_s: (proof.handled as f64 * 1e9 / took_ns as f64) as u64,
        latencies_ns: [0.5, 0.99].map(to_ns),
        complaints: complaints.collect(),
    })
}
