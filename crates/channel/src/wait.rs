//! How long to look before sleeping.

use crate::Home;

/// How many words one sleep watches; `futex_waitv` takes 128. Lanes beyond are looked at once a slice.
pub(crate) const MAX_WATCHED: usize = 64;

/// Bounded spinning: with fewer processors than busy domains, endless spinning costs more than any sleep.
#[derive(Debug)]
pub(crate) struct Backoff {
    spins: u32,
}

impl Backoff {
    /// About 10 microseconds of pauses on current processors: twice a futex wake.
    pub(crate) const DEFAULT_SPINS: u32 = 200;

    pub(crate) fn new(spins: u32) -> Self {
        Self { spins }
    }

    /// Takes a breath and says true, until it is time to sleep.
    #[inline]
    pub(crate) fn spin<H: Home>(&mut self, home: &H) -> bool {
        if self.spins == 0 {
            return false;
        }
        self.spins -= 1;
        home.relax();
        true
    }
}
