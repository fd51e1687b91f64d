//! A case: what is ours, its limit and its rivals, measured in turn within the same rounds.

use std::time::Duration;

use crate::disturbance::{Measured, TOLERABLE};
use crate::link::LinkError;
use crate::machine::{Machine, Probe};
use crate::measure::{Pattern, Plan};
use crate::row::{Row, Target, Unit};
use crate::statistics::median_by;

/// One thing to measure: its name, and a run that yields cycles (of a round trip, of a message, of an operation).
pub struct Subject {
    /// The name used in rows.
    pub name: String,
    /// Measures once.
    pub run: Run,
}

type Run = Box<dyn Fn(&Machine, Duration) -> Result<Measured, LinkError>>;

impl Subject {
    /// A subject.
    pub fn new(
        name: impl Into<String>,
        run: impl Fn(&Machine, Duration) -> Result<Measured, LinkError> + 'static,
    ) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

impl Subject {
    /// Measures until a measurement was hardly disturbed or the retries are spent; the least disturbed one.
    fn measure(&self, machine: &Machine, effort: Effort) -> Result<Measured, LinkError> {
        let mut best = (self.run)(machine, effort.budget)?;
        for _ in 0..effort.retries {
            if best.disturbed <= TOLERABLE {
                break;
            }
            let next = (self.run)(machine, effort.budget)?;
            if next.disturbed < best.disturbed {
                best = next;
            }
        }
        Ok(best)
    }
}

/// Ours: what it is called behind the case's name, and what we promise of it.
pub struct Ours {
    /// The subject; its name says the variant, such as a layer or a trust.
    pub subject: Subject,
    /// What it should reach.
    pub target: Target,
}

/// A case of a group.
pub struct Case {
    /// The name used in rows.
    pub name: String,
    /// The unit of its values.
    pub unit: Unit,
    /// Ours; where there is none yet, the limit and the rivals are shown and no row is written.
    pub ours: Vec<Ours>,
    /// The limit.
    pub limit: Subject,
    /// The rivals.
    pub rivals: Vec<Subject>,
}

/// How much time there is.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds, of which the median one is reported.
    pub rounds: u32,
    /// Measuring time of one subject in one round.
    pub budget: Duration,
    /// How often a subject is measured again because it was disturbed.
    pub retries: u32,
}

impl Effort {
    /// For `--quick`.
    pub const QUICK: Self = Self { rounds: 1, budget: Duration::from_millis(60), retries: 2 };
    /// For a full run.
    pub const FULL: Self = Self { rounds: 3, budget: Duration::from_millis(250), retries: 1 };
    /// For the smoke test.
    pub const SMOKE: Self = Self { rounds: 1, budget: Duration::from_millis(1), retries: 0 };
}

/// The name of a case over a link, as `round trip 64 B, spinning`.
pub fn link_case_name(plan: Plan, suffix: &str) -> String {
    let pattern = match plan.pattern {
        Pattern::RoundTrip => "round trip",
        Pattern::OneWay => "one way",
        Pattern::Batches => "one way in batches of 32,",
    };
    format!("{pattern} {}{suffix}", size_name(plan.bytes))
}

/// `8 B`, `4 KiB`, `1 MiB`.
pub fn size_name(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// What one round measured: ours, the limit, the rivals, in the case's order.
struct Round {
    ours: Vec<Option<Measured>>,
    limit: Option<Measured>,
    rivals: Vec<Option<Measured>>,
    before: Probe,
    after: Probe,
}

/// What a case came to.
pub struct Outcome {
    /// One row for each of ours, or one without a value where there is none yet.
    pub rows: Vec<Row>,
    /// Measurements that failed.
    pub failures: u32,
}

impl Case {
    /// Measures everything, `effort.rounds` times in turn. `progress` hears of each measurement and of each failure.
    ///
    /// # Errors
    /// What the cache-line probe said. A subject that fails is left out and counted.
    pub fn run(
        &self,
        machine: &Machine,
        effort: Effort,
        progress: &mut dyn FnMut(&str),
    ) -> std::io::Result<Outcome> {
        let mut failures = 0;
        let mut rounds = vec![];
        for _ in 0..effort.rounds {
            rounds.push(self.round(machine, effort, &mut failures, progress)?);
        }
        let variants = (0..self.ours.len()).map(Some).chain(self.ours.is_empty().then_some(None));
        let rows = variants.map(|variant| self.row(machine, &rounds, variant)).collect();
        Ok(Outcome { rows, failures })
    }

    fn round(
        &self,
        machine: &Machine,
        effort: Effort,
        failures: &mut u32,
        progress: &mut dyn FnMut(&str),
    ) -> std::io::Result<Round> {
        let mut one = |subject: &Subject| {
            progress(&format!("{}: {}", self.name, subject.name));
            let result = subject.measure(machine, effort);
            if let Err(error) = result {
                *failures += 1;
                progress(&format!("{}: {}: FAILED: {error}", self.name, subject.name));
            }
            result.ok()
        };
        let before = machine.probe()?;
        let limit = one(&self.limit);
        let ours = self.ours.iter().map(|ours| one(&ours.subject)).collect();
        let rivals = self.rivals.iter().map(one).collect();
        Ok(Round { ours, limit, rivals, before, after: machine.probe()? })
    }

    /// The row of one variant, from the round whose ratio to the limit is the median one.
    fn row(&self, machine: &Machine, rounds: &[Round], variant: Option<usize>) -> Row {
        let ours = |round: &Round| variant.and_then(|variant| round.ours[variant]);
        let key = |round: &Round| match (ours(round), round.limit) {
            (Some(ours), Some(limit)) => ours.cycles / limit.cycles,
            (_, limit) => limit.map_or(f64::MAX, |limit| limit.cycles),
        };
        let complete: Vec<&Round> =
            rounds.iter().filter(|round| variant.is_none() || ours(round).is_some()).collect();
        let round = median_by(&complete, |round| key(round)).map_or(&rounds[0], |index| complete[index]);
        let value = |sample: Measured| self.unit.of_cycles(machine, sample.cycles);
        let rivals = self.rivals.iter().zip(&round.rivals);
        let name = match variant {
            Some(variant) => format!("{}, {}", self.name, self.ours[variant].subject.name),
            None => self.name.clone(),
        };
        Row {
            case: name,
            unit: self.unit,
            value: ours(round).map(value),
            limit_name: self.limit.name.clone(),
            limit: round.limit.map(value),
            target: variant.map_or(Target::None, |variant| self.ours[variant].target),
            rivals: rivals
                .filter_map(|(rival, sample)| Some((rival.name.clone(), value((*sample)?))))
                .collect(),
            before: round.before,
            after: round.after,
            disturbed: ours(round)
                .into_iter()
                .chain(round.limit)
                .fold(0.0, |most, sample| sample.disturbed.max(most)),
            ns: ours(round).filter(|_| self.unit == Unit::Cycles).map(|sample| machine.ns(sample.cycles)),
        }
    }
}
