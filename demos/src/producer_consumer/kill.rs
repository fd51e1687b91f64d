//! Who is killed, when, and how soon the others know.

use anyhow::bail;
use feuerbird::hosted::os::clock;
use feuerbird_demos_worker::{Plan, Role, State, Victim, Word};

use crate::team::{Running, Team};

/// One who was killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Killed {
    pub(crate) pid: u32,
    pub(crate) role: Role,
    /// How far the run was, from 0 to 1.
    pub(crate) progress: f64,
    /// How long until the last of its surviving peers had noticed, in milliseconds; `None` where none was left to, and where one
    /// never did.
    pub(crate) survivors_notified_ms: Option<f64>,
    /// Surviving peers that went on and never noticed.
    pub(crate) unaware: usize,
}

/// Who is done so soon after a death cannot have been told: Linux itself takes up to 8 ms to tell.
const UNTOLD_NS: u64 = 50_000_000;

/// The murders still to come, and those that were done.
#[derive(Debug, Default)]
pub(crate) struct Killer {
    plan: Plan,
    done: Vec<(Role, u32, f64)>,
}

impl Killer {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, done: Vec::new() }
    }

    /// Whether the run must go on: somebody is still to be killed, or the last death is not dealt with.
    pub(crate) fn is_busy(&self, team: &Team) -> bool {
        self.is_waiting() || !self.plan.is_settled(team.accounts())
    }

    /// Whether somebody is still to be killed.
    pub(crate) fn is_waiting(&self) -> bool {
        self.plan.is_waiting()
    }

    /// Kills whoever's time has come.
    pub(crate) fn strike(&mut self, team: &mut Team, progress: f64) -> anyhow::Result<()> {
        let Some(Victim { role, index, .. }) = self.plan.due(progress, team.accounts()) else {
            return Ok(());
        };
        let victim = team.workers.iter_mut().find(|worker| worker.role == role && worker.index == index);
        let Some(victim) = victim else { bail!("there is no {} {index}", role.name()) };
        if victim.report.is(State::Done) {
            return Ok(()); // too late: it has nothing to lose any more
        }
        if let Running::Process(child) = &mut victim.running {
            victim.killed_ns = Some(clock::now_ns());
            child.process.kill()?;
            self.done.push((role, index, progress));
        }
        self.plan.strike();
        Ok(())
    }

    /// What happened, once the run is over.
    pub(crate) fn report(&self, team: &Team) -> Vec<Killed> {
        self.done.iter().filter_map(|&victim| report(team, victim)).collect()
    }
}

fn report(team: &Team, (role, index, progress): (Role, u32, f64)) -> Option<Killed> {
    let victim = team.of(role).find(|worker| worker.index == index)?;
    let killed_ns = victim.killed_ns?;
    let survivors = team.workers.iter().filter(|worker| worker.role != role && worker.killed_ns.is_none());
    let survivors =
        survivors.map(|worker| (worker.report.get(Word::NoticedNs), worker.report.get(Word::EndedNs)));
    let (told_ns, unaware) = last_told(killed_ns, survivors);
    let survivors_notified_ms = told_ns.map(|ns| ns as f64 / 1e6);
    Some(Killed { pid: victim.pid, role, progress, survivors_notified_ms, unaware })
}

/// How long after a death the last survivor had noticed, and how many never did, from when each noticed and ended (0: it did not).
fn last_told(killed_ns: u64, survivors: impl Iterator<Item = (u64, u64)>) -> (Option<u64>, usize) {
    let (mut last, mut unaware) = (None, 0);
    for (noticed_ns, ended_ns) in survivors {
        if noticed_ns != 0 {
            last = last.max(Some(noticed_ns.saturating_sub(killed_ns)));
        } else if ended_ns == 0 || ended_ns > killed_ns + UNTOLD_NS {
            unaware += 1;
        }
    }
    (last.filter(|_| unaware == 0), unaware)
}

/// Whether every worker has found its peers and can start.
pub(crate) fn is_ready(team: &Team) -> bool {
    team.workers.iter().all(|worker| worker.report.is(State::Ready) || worker.report.is(State::Done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survivor_that_never_noticed_is_not_left_out() {
        let killed = 1_000_000_000;
        let told = |survivors: &[(u64, u64)]| last_told(killed, survivors.iter().copied());
        let (early, late) = ((killed + 3_000_000, 0), (killed + 9_000_000, killed + 2_000_000_000));
        assert_eq!(told(&[early, late]), (Some(9_000_000), 0));
        assert_eq!(told(&[]), (None, 0), "nobody was left");
        for unaware in [(0, 0), (0, killed + 1_000_000_000)] {
            assert_eq!(told(&[early, unaware, late]), (None, 1));
        }
        let done = [(0, killed - 1), (0, killed + 4_000_000)];
        assert_eq!(told(&[done[0], early, done[1]]), (Some(3_000_000), 0), "done before it could be told");
    }
}
