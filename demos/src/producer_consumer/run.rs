//! One run: a team at work in one layer, watched until it is done, and then accounted for.

use std::{thread, time::Duration};

use feuerbird::{
    capability::Trust,
    channel::layout::LaneLayout,
    hosted::os::{
        clock::{self, Calibration},
        signal,
    },
    serialization::Layer,
};
use feuerbird_demos_worker::{Histogram, Proof, Role, Taking, Word, strictest_layer, sum};

use crate::{
    args::Args,
    kill::{Killed, Killer, is_ready},
    live::Live,
    team::{Running, Team},
};

/// How long nothing may happen before a run is given up, in nanoseconds.
const PATIENCE_NS: u64 = 10_000_000_000;

/// What came of one run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) layer: Layer,
    pub(crate) trust: Trust,
    pub(crate) proof: Proof,
    pub(crate) seconds: f64,
    pub(crate) latency: Histogram,
    pub(crate) copies: Copies,
    pub(crate) buffers_lost: u64,
    /// Whether the terms of the channel have a pool at all.
    pub(crate) has_pool: bool,
    /// Buffers that were lent to a consumer and came back.
    pub(crate) buffers_returned: u64,
    pub(crate) killed: Vec<Killed>,
    /// What went wrong, in words.
    pub(crate) failures: Vec<String>,
}

impl Outcome {
    /// Whether all that was to be shown was shown.
    pub(crate) fn is_proven(&self) -> bool {
        self.proof.holds() && self.buffers_lost == 0 && self.failures.is_empty()
    }

    pub(crate) fn messages_per_s(&self) -> f64 {
        self.proof.handled as f64 / self.seconds.max(1e-9)
    }
}

/// Uses of message bytes on both sides: where they lay, or through a copy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Copies {
    avoided: u64,
    made: u64,
}

impl Copies {
    /// The sum of all reports.
    pub(crate) fn of(team: &Team) -> Self {
        Self {
            avoided: sum(team.all_reports(), Word::CopiesAvoided),
            made: sum(team.all_reports(), Word::CopiesMade),
        }
    }

    /// The share of uses without a copy, 0 to 1.
    pub(crate) fn hit_rate(self) -> f64 {
        self.avoided as f64 / (self.avoided as f64 + self.made as f64).max(1.0)
    }
}

/// Watches a team until it is done.
pub(crate) struct Watch<'a> {
    args: &'a Args,
    team: Team,
    killer: Killer,
    live: Live,
    started_ns: u64,
    /// When something last happened, and how many messages were handled by then.
    moved: (u64, u64),
    stopped: bool,
    failures: Vec<String>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(args: &'a Args, team: Team, killer: Killer, calibration: Calibration) -> Self {
        let now = clock::now_ns();
        let live = Live::new(calibration, u64::from(args.size), now);
        Self {
            args,
            team,
            killer,
            live,
            started_ns: now,
            moved: (now, 0),
            stopped: false,
            failures: Vec::new(),
        }
    }

    /// Starts the work and sees it to its end, which Ctrl-C may bring early.
    pub(crate) fn run(mut self, trust: Trust) -> anyhow::Result<Outcome> {
        while !is_ready(&self.team) && !signal::interrupted() && self.goes_on()? {
            thread::sleep(Duration::from_millis(1));
        }
        self.team.orders.go();
        self.started_ns = clock::now_ns();
        self.moved.0 = self.started_ns;
        while self.goes_on()? {
            let now = clock::now_ns();
            let progress = self.progress(now);
            self.killer.strike(&mut self.team, progress)?;
            self.live.show(&self.team, now);
            let is_over = self.args.messages.is_none() && progress >= 1.0 && !self.killer.is_busy(&self.team);
            if is_over || signal::interrupted() {
                self.stop();
            }
            thread::sleep(Duration::from_micros(if self.killer.is_waiting() { 200 } else { 5_000 }));
        }
        self.live.end();
        Ok(self.account(trust))
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.team.orders.stop();
    }

    /// Whether somebody is still at work. A worker that failed, or a team that does nothing, ends the run.
    fn goes_on(&mut self) -> anyhow::Result<bool> {
        let mut working = 0;
        for worker in &mut self.team.workers {
            let was_over = matches!(worker.running, Running::Over(_));
            if !worker.wait(Duration::ZERO)? {
                working += 1;
            } else if let (false, None, Running::Over(Err(error))) =
                (was_over, worker.killed_ns, &worker.running)
            {
                self.failures.push(format!("{} {} failed: {error}", worker.role.name(), worker.index));
            }
        }
        let (now, handled) = (clock::now_ns(), handled(&self.team));
        if handled != self.moved.1 {
            self.moved = (now, handled);
        }
        if now - self.moved.0 > PATIENCE_NS {
            self.failures.push("nothing happened for 10 s".into());
            self.stop();
            for worker in &mut self.team.workers {
                if let Running::Process(child) = &mut worker.running {
                    child.process.kill()?;
                }
            }
            return Ok(false);
        }
        if !self.failures.is_empty() {
            self.stop();
        }
        Ok(working > 0)
    }

    /// How far the run is, from 0 to 1.
    fn progress(&self, now: u64) -> f64 {
        match self.args.messages {
            None => (now - self.started_ns) as f64 / (self.args.seconds * 1e9),
            Some(_) => {
                let sent = sum(self.team.reports(Role::Producer), Word::Messages);
                sent as f64 / (self.args.share() as f64 * f64::from(self.args.producers))
            }
        }
    }

    fn account(mut self, trust: Trust) -> Outcome {
        let team = &self.team;
        let share = self.args.share();
        let killed = self.killer.report(team);
        let in_vain = killed.iter().any(|it| it.survivors_notified_ms.is_none() && it.unaware == 0);
        if (self.killer.is_waiting() || in_vain) && !signal::interrupted() && self.failures.is_empty() {
            self.failures.push("the run was over before everybody was killed; send more messages".into());
        }
        for killed in killed.iter().filter(|killed| killed.unaware > 0 && !signal::interrupted()) {
            let Killed { unaware, role, pid, .. } = killed;
            self.failures
                .push(format!("{unaware} never noticed that {} (process {pid}) was killed", role.name()));
        }
        for producer in team.of(Role::Producer).filter(|worker| worker.killed_ns.is_none()) {
            let may_be_short = self.args.messages.is_none() || self.stopped;
            let complaints = producer.report.complaints(may_be_short);
            self.failures
                .extend(complaints.map(|complaint| format!("producer {} {complaint}", producer.index)));
        }
        let layer = strictest_layer(team.all_reports()).unwrap_or(Layer::for_trust(trust));
        // The trusted base vouches for its memory here.
        let taking = if layer == Layer::Raw { Taking::InPlace } else { Taking::Copied };
        let ended = team.reports(Role::Consumer).map(|report| report.get(Word::EndedNs)).max().unwrap_or(0);
        Outcome {
            layer,
            trust,
            proof: Proof::of(&team.accounts().collect::<Vec<_>>(), share, taking),
            seconds: ended.saturating_sub(self.started_ns) as f64 / 1e9,
            latency: Histogram::of(team.reports(Role::Consumer)),
            copies: Copies::of(team),
            buffers_lost: sum(team.reports(Role::Producer), Word::BuffersLost),
            has_pool: self.args.terms().is_ok_and(|terms| LaneLayout::new(terms).pool().is_some()),
            buffers_returned: sum(team.reports(Role::Producer), Word::BuffersReturned),
            killed,
            failures: self.failures,
        }
    }
}

/// Messages handled so far.
pub(crate) fn handled(team: &Team) -> u64 {
    sum(team.reports(Role::Consumer), Word::Messages)
}
