//! A core's time, as a vector of slices (after Aegis: Engler, Kaashoek, O'Toole, "Exokernel", 1995).

use feuerbird_exokernel::DomainId;

/// How many slices a core's time has.
const COUNT: u32 = 64;

/// Whose each slice is. They come in order, round and round; the slice of who is not ready is passed over.
#[derive(Debug)]
pub(crate) struct Slices {
    holders: [Option<DomainId>; COUNT as usize],
    /// A bit for each slice that is somebody's.
    given: u64,
    /// The one that runs.
    current: u32,
}

/// The slices that have not been looked at in this turn, the current one first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    rest: u64,
    first: u32,
}

impl Slices {
    /// Nobody's.
    pub(crate) fn new() -> Self {
        Self { holders: [None; COUNT as usize], given: 0, current: 0 }
    }

    pub(crate) fn count(&self) -> u32 {
        self.given.count_ones()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.given != u64::MAX
    }

    /// Gives a domain the first slice that is nobody's, if there is one.
    pub(crate) fn give(&mut self, domain: DomainId) {
        let slice = self.given.trailing_ones();
        if let Some(holder) = self.holders.get_mut(slice as usize) {
            *holder = Some(domain);
            self.given |= 1 << slice;
        }
    }

    /// Takes back all that a domain has.
    pub(crate) fn take_back(&mut self, domain: DomainId) {
        for (slice, holder) in self.holders.iter_mut().enumerate() {
            if *holder == Some(domain) {
                *holder = None;
                self.given &= !(1 << slice);
            }
        }
    }

    /// The current slice is over.
    pub(crate) fn end_current(&mut self) {
        self.current = (self.current + 1) % COUNT;
    }

    /// This one runs.
    pub(crate) fn run(&mut self, slice: u32) {
        self.current = slice % COUNT;
    }

    /// All that are somebody's, each once.
    pub(crate) fn in_turn(&self) -> Turn {
        Turn { rest: self.given.rotate_right(self.current), first: self.current }
    }
}

impl Turn {
    /// The next slice, and whose it is.
    pub(crate) fn next(&mut self, slices: &Slices) -> Option<(u32, DomainId)> {
        while self.rest != 0 {
            let slice = (self.first + self.rest.trailing_zeros()) % COUNT;
            self.rest &= self.rest - 1;
            if let Some(domain) = slices.holders[slice as usize] {
                return Some((slice, domain));
            }
        }
        None
    }
}
