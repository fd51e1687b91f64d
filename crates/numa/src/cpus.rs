//! Sets of processors.

use core::fmt;

use crate::Error;

/// How many processors a set can hold.
pub const MAX_CPUS: usize = 1024;

const WORDS: usize = MAX_CPUS / 64;

/// A set of processors, by their number: 0 to 1023. Displayed as Linux lists them: `0-3,8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuSet([u64; WORDS]);

impl CpuSet {
    /// No processor.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Adds a processor; whether it was new.
    ///
    /// # Errors
    /// [`Error::TooManyCpus`].
    pub fn insert(&mut self, cpu: u32) -> Result<bool, Error> {
        let word = self.0.get_mut(cpu as usize / 64).ok_or(Error::TooManyCpus)?;
        let bit = 1 << (cpu % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        Ok(is_new)
    }

    /// Whether a processor is in the set.
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.get(cpu as usize / 64).is_some_and(|word| word & (1 << (cpu % 64)) != 0)
    }

    /// How many processors are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no processor is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The processors, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..MAX_CPUS as u32).filter(|cpu| self.contains(*cpu))
    }

    /// Reads Linux's list form: `0-3,8,10-11`, a line end allowed, nothing for none.
    ///
    /// # Errors
    /// [`Error::BadText`], [`Error::TooManyCpus`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut set = Self::EMPTY;
        parse_list(text, |first, last| {
            // Checked before the loop: a range up to the last number would take seconds to be refused.
            if last as usize >= MAX_CPUS {
                return Err(Error::TooManyCpus);
            }
            (first..=last).try_for_each(|cpu| set.insert(cpu).map(drop))
        })?;
        Ok(set)
    }

    /// The lowest processor that is in both.
    pub(crate) fn first_common(&self, other: &Self) -> Option<u32> {
        let words = self.0.iter().zip(&other.0).map(|(one, other)| one & other);
        let found = words.enumerate().find(|(_, common)| *common != 0);
        found.map(|(index, common)| index as u32 * 64 + common.trailing_zeros())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for first in self.iter().filter(|cpu| *cpu == 0 || !self.contains(cpu - 1)) {
            write!(f, "{separator}{first}")?;
            separator = ",";
            let last = (first..MAX_CPUS as u32).take_while(|cpu| self.contains(*cpu)).last();
            if let Some(last) = last.filter(|last| *last != first) {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

/// Reads a list of numbers and ranges and hands each on, first and last. How far a range may reach, `take` decides.
pub(crate) fn parse_list(
    text: &str,
    mut take: impl FnMut(u32, u32) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = text.trim_end_matches(['\n', ' ']);
    if line.is_empty() {
        return Ok(());
    }
    let mut at = 0;
    for part in line.split(',') {
        let bad = Error::BadText { at };
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first = number(first).ok_or(bad)?;
        let last = number(last).ok_or(bad)?;
        if last < first {
            return Err(bad);
        }
        take(first, last)?;
        at += part.len() + 1;
    }
    Ok(())
}

/// Digits and nothing else; `str::parse` would take a plus sign.
pub(crate) fn number<N: core::str::FromStr>(digits: &str) -> Option<N> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
