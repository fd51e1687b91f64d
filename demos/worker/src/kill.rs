//! Who is killed, and when: the same choices for the same seed, in every home.

use alloc::vec::Vec;

use feuerbird_zero_copy::Region;

use crate::{Account, Role, Word};

/// One who is to be killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Victim {
    /// Its side.
    pub role: Role,
    /// Its number among those in this role.
    pub index: u32,
    /// How far the run is then, from 0 to 1.
    pub moment: f64,
}

/// The murders still to come.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The next one last.
    waiting: Vec<Victim>,
    /// Who was killed last.
    last: Option<Role>,
}

impl Plan {
    /// One producer and one consumer, in either order, at moments from a twentieth to three quarters of the run.
    pub fn new(random: &mut Random, producers: u32, consumers: u32) -> Self {
        let mut moments = [0.05 + 0.7 * random.fraction(), 0.05 + 0.7 * random.fraction()];
        moments.sort_by(|a, b| b.total_cmp(a));
        let producer = (Role::Producer, random.below(producers));
        let consumer = (Role::Consumer, random.below(consumers));
        let victims = if random.below(2) == 0 { [producer, consumer] } else { [consumer, producer] };
        let waiting = victims.into_iter().zip(moments);
        let waiting = waiting.map(|((role, index), moment)| Victim { role, index, moment }).collect();
        Self { waiting, last: None }
    }

    /// Whether somebody is still to be killed.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Who is to be killed now: the moment has come, and what the last one left is with others.
    pub fn due<'a, R: Region + 'a>(
        &self,
        progress: f64,
        workers: impl IntoIterator<Item = Account<'a, R>>,
    ) -> Option<Victim> {
        let next = self.waiting.last().filter(|next| progress >= next.moment)?;
        self.is_settled(workers).then_some(*next)
    }

    /// Whether what the last victim left behind is with somebody else. Were its only keeper killed next, messages between
    /// two dead domains would be gone: memory does not outlive both its users, and that is not what is shown.
    pub fn is_settled<'a, R: Region + 'a>(&self, workers: impl IntoIterator<Item = Account<'a, R>>) -> bool {
        let Some(dead) = self.last else { return true };
        workers
            .into_iter()
            .all(|worker| worker.role == dead || worker.was_killed || worker.report.get(Word::Settled) != 0)
    }

    /// The next one is dead.
    pub fn strike(&mut self) {
        self.last = self.waiting.pop().map(|victim| victim.role);
    }
}

/// Random numbers that are the same for the same seed: splitmix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// From 0 to 1, without 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to `count`, without `count`.
    pub fn below(&mut self, count: u32) -> u32 {
        (self.next() % u64::from(count.max(1))) as u32
    }
}
