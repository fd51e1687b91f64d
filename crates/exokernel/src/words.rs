//! Validity words: how a domain sees, without asking, that a binding or a pair has ended.
//!
//! Each domain has a page of words that only the machine writes. A word is odd while something uses it and even in
//! between, and it never takes a value twice: who remembers the odd value it was given needs one load to know. A word
//! whose values are used up is given up.

use alloc::vec::Vec;

/// The number that names no word.
const NONE: u32 = u32::MAX;

/// The last value a word may have: even, so unused for ever.
const LAST: u32 = u32::MAX - 1;

/// What the kernel remembers of all domains' words; the words themselves lie in the machine's memory.
pub(crate) struct Words {
    words: Vec<Word>,
    per_domain: u32,
}

#[derive(Clone, Copy)]
struct Word {
    value: u32,
    next_free: u32,
}

/// One domain's part of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreeWords {
    head: u32,
    count: u32,
}

/// A word with the value that it has as long as what it stands for is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValidWord {
    pub(crate) word: u32,
    pub(crate) value: u32,
}

impl FreeWords {
    pub(crate) const NONE: Self = Self { head: NONE, count: 0 };

    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

impl Words {
    pub(crate) fn new(domains: u32, per_domain: u32) -> Self {
        let empty = Word { value: 0, next_free: NONE };
        Self { words: alloc::vec![empty; domains as usize * per_domain as usize], per_domain }
    }

    /// All words of a new domain: free, and zero as its memory is.
    pub(crate) fn reset(&mut self, domain: usize) -> FreeWords {
        let count = self.per_domain;
        for (number, word) in (0..count).zip(self.of(domain)) {
            *word = Word { value: 0, next_free: if number + 1 < count { number + 1 } else { NONE } };
        }
        FreeWords { head: if count > 0 { 0 } else { NONE }, count }
    }

    /// Takes a word, unless all are taken. The value is to be written to memory.
    pub(crate) fn take(&mut self, domain: usize, free: &mut FreeWords) -> Option<ValidWord> {
        let number = free.head;
        let word = self.of(domain).get_mut(number as usize)?;
        word.value += 1;
        *free = FreeWords { head: word.next_free, count: free.count - 1 };
        Some(ValidWord { word: number, value: word.value })
    }

    /// Gives a word back. The returned value is to be written to memory.
    pub(crate) fn end(&mut self, domain: usize, free: &mut FreeWords, number: u32) -> u32 {
        let Some(word) = self.of(domain).get_mut(number as usize) else { return 0 };
        word.value += 1;
        if word.value < LAST {
            word.next_free = free.head;
            *free = FreeWords { head: number, count: free.count + 1 };
        }
        word.value
    }

    fn of(&mut self, domain: usize) -> &mut [Word] {
        let size = self.per_domain as usize;
        &mut self.words[domain * size..(domain + 1) * size]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_word_is_odd_in_use_and_never_has_a_value_twice() {
        let mut words = Words::new(2, 1);
        let mut free = words.reset(1);
        for round in 0..5 {
            let taken = words.take(1, &mut free).unwrap();
            assert_eq!(taken, ValidWord { word: 0, value: 2 * round + 1 });
            assert_eq!(words.take(1, &mut free), None);
            assert_eq!(words.end(1, &mut free, 0), 2 * round + 2);
        }
    }

    #[test]
    fn a_word_retires_when_its_values_are_used_up() {
        let mut words = Words::new(1, 1);
        let mut free = words.reset(0);
        words.words[0].value = LAST - 2;
        assert_eq!(words.take(0, &mut free).unwrap().value, LAST - 1);
        assert_eq!(words.end(0, &mut free, 0), LAST);
        assert_eq!(words.take(0, &mut free), None);
        assert_eq!(free.count(), 0);
    }
}
