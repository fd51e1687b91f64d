//! The proof: what became of every single message, from the marks of those who handled it.

use alloc::vec::Vec;

use feuerbird_zero_copy::Region;

use crate::layout::{Word, bitmap_words, in_hand};
use crate::{Role, View, sum};

/// What the root knows of a worker.
#[derive(Debug)]
pub struct Account<'a, R> {
    /// Which side it had.
    pub role: Role,
    /// Its number among those in this role.
    pub index: u32,
    /// What it says.
    pub report: &'a View<R>,
    /// Whether the root has killed it.
    pub was_killed: bool,
}

/// How consumers take messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// They handle them where they lie: what was handled is taken.
    InPlace,
    /// They copy a message out of its producer's reach, and then handle it.
    Copied,
}

/// What became of the messages of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Different messages that were handled.
    pub handled: u64,
    /// Messages that were sent and that nobody handled, without anybody's death to explain it.
    pub lost: u64,
    /// Messages handled more than once, other than the one in a killed consumer's hand.
    pub duplicated: u64,
    /// Messages that are not what was sent, or that were never sent.
    pub altered: u64,
    /// Messages that a killed consumer had taken and not handled: at most one at a time, where it copies them.
    pub taken_along: u64,
    /// Messages that a killed consumer was handling in place: not given back, so another one got it, too.
    pub handed_on: u64,
}

impl Proof {
    /// Whether nothing was lost, nothing came twice and nothing was altered.
    pub fn holds(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.altered == 0
    }

    /// Looks at every bit. `share` is the most that a producer sends.
    pub fn of<R: Region>(workers: &[Account<'_, R>], share: u64, taking: Taking) -> Self {
        let of = |role| workers.iter().filter(move |worker| worker.role == role);
        let consumers: Vec<&View<R>> = of(Role::Consumer).map(|worker| worker.report).collect();
        let killed = of(Role::Consumer).filter(|worker| worker.was_killed);
        let in_hands: Vec<u64> = killed.map(|worker| worker.report.get(Word::InHand)).collect();
        let mut proof = Self::default();
        let mut missing = 0;
        for producer in of(Role::Producer) {
            missing += proof.account(producer, &consumers, &in_hands, share);
        }
        let count = |word| sum(consumers.iter().copied(), word);
        proof.altered =
            proof.altered.saturating_add(count(Word::Altered)).saturating_add(count(Word::Refused));
        proof.duplicated = proof.duplicated.saturating_add(count(Word::Twice));
        let explained = if taking == Taking::InPlace { 0 } else { in_hands.len() as u64 };
        proof.taken_along = missing.min(explained);
        proof.lost = missing - proof.taken_along;
        proof
    }

    /// Goes through the messages of one producer; how many were sent and never handled.
    fn account<R: Region>(
        &mut self,
        producer: &Account<'_, R>,
        consumers: &[&View<R>],
        in_hands: &[u64],
        share: u64,
    ) -> u64 {
        let sent = producer.report.get(Word::Messages).min(share);
        // One that was killed may have published one more than it had time to count.
        let possible = if producer.was_killed { (sent + 1).min(share) } else { sent };
        let mut missing = 0;
        for index in 0..bitmap_words(share) {
            let (mut seen, mut twice) = (0, 0);
            for consumer in consumers {
                let marks = consumer.marks(producer.index as usize, index);
                twice |= seen & marks;
                seen |= marks;
            }
            self.handled += u64::from((seen & below(possible, index)).count_ones());
            self.altered += u64::from((seen & !below(possible, index)).count_ones());
            missing += u64::from((below(sent, index) & !seen).count_ones());
            for bit in bits(twice) {
                let message = in_hand(producer.index, index as u64 * 64 + bit);
                let is_in_hand = in_hands.contains(&message);
                *(if is_in_hand { &mut self.handed_on } else { &mut self.duplicated }) += 1;
            }
        }
        missing
    }
}

/// The bits of word `index` that stand for numbers below `count`.
fn below(count: u64, index: usize) -> u64 {
    match count.saturating_sub(index as u64 * 64) {
        0 => 0,
        left @ 1..64 => (1 << left) - 1,
        _ => u64::MAX,
    }
}

/// The numbers of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = u64> {
    core::iter::from_fn(move || {
        let bit = (word != 0).then(|| u64::from(word.trailing_zeros()))?;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_numbers_below_the_count_have_a_bit() {
        for count in [0, 1, 63, 64, 65, 128, 200] {
            let total: u32 = (0..4).map(|index| below(count, index).count_ones()).sum();
            assert_eq!(u64::from(total), count.min(256));
            assert!((0..count).all(|number| below(count, (number / 64) as usize) >> (number % 64) & 1 == 1));
        }
        assert_eq!(bits(0b1010_0001).collect::<Vec<_>>(), [0, 5, 7]);
    }
}
