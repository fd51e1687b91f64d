//! Sets of processors.

use core::fmt;

use crate::Error;

/// How many processors a set can hold.
pub const MAX_CPUS: usize = 1024;

const WORDS: usize = MAX_CPUS / 64;

/// A set of processors, by their number: 0 to 1023.
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
        parse_list(text, MAX_CPUS, Error::TooManyCpus, |first, last| {
            for cpu in first..=last {
                set.insert(cpu)?;
            }
            Ok(())
        })?;
        Ok(set)
    }
}

/// Linux's list form, which [`CpuSet::parse`] reads back.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let firsts = self.iter().filter(|cpu| *cpu == 0 || !self.contains(cpu - 1));
        for (index, first) in firsts.enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // The processor after the last of a run is missing: `contains` is false beyond the set's end.
            match (first..).find(|cpu| !self.contains(cpu + 1)) {
                Some(last) if last > first => write!(f, "{comma}{first}-{last}")?,
                _ => write!(f, "{comma}{first}")?,
            }
        }
        Ok(())
    }
}

/// Reads a list of numbers and ranges and hands each range on. A number that is not below `limit` is refused as `beyond`, which
/// bounds the ranges.
pub(crate) fn parse_list(
    text: &str,
    limit: usize,
    beyond: Error,
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
        if last as usize >= limit {
            return Err(beyond);
        }
        take(first, last)?;
        at += part.len() + 1;
    }
    Ok(())
}

/// Digits and nothing else; `str::parse` would take a plus sign.
pub(crate) fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
