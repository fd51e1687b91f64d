//! A core's time, as a vector of slices (after Aegis: Engler, Kaashoek, O'Toole, "Exokernel", 1995).

use core::ops::Range;

use feuerbird_capability::Slot;
use feuerbird_exokernel::DomainId;

/// How many slices a core's time has.
pub(crate) const COUNT: u32 = 64;

/// Whose each slice is. They come in order, round and round; the slice of who is not ready is passed over.
///
/// All are the first domain's, by capability; a slice runs whom the holder of its capability says, until that is taken back. Slices
/// that nobody has said anything about are lent to new domains, one each.
#[derive(Debug)]
pub(crate) struct Slices {
    holders: [Option<Holder>; COUNT as usize],
    /// A bit for each slice that is somebody's.
    given: u64,
    /// The one that runs.
    current: u32,
    /// Whether that is over.
    is_over: bool,
}

/// Who runs in a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) domain: DomainId,
    /// By whose capability; lent where there is none.
    by: Option<Slot>,
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
        Self { holders: [None; COUNT as usize], given: 0, current: 0, is_over: true }
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
            *holder = Some(Holder { domain, by: None });
            self.given |= 1 << slice;
        }
    }

    /// Takes back all that a domain has.
    pub(crate) fn take_back(&mut self, domain: DomainId) {
        self.clear(|holder| holder.domain == domain);
    }

    /// Takes back what a domain was lent.
    pub(crate) fn take_back_lent(&mut self, domain: DomainId) {
        self.clear(|holder| holder.domain == domain && holder.by.is_none());
    }

    /// Takes back all that is given by one capability.
    pub(crate) fn take_back_by(&mut self, by: Slot) {
        self.clear(|holder| holder.by == Some(by));
    }

    /// What was given by one capability is given by another: it has moved.
    pub(crate) fn follow(&mut self, old: Slot, new: Slot) {
        let moved = self.holders.iter_mut().flatten().filter(|holder| holder.by == Some(old));
        moved.for_each(|holder| holder.by = Some(new));
    }

    /// Has a domain run in slices, by a capability for them.
    pub(crate) fn assign(&mut self, slices: Range<u32>, domain: DomainId, by: Slot) {
        for slice in slices {
            if let Some(holder) = self.holders.get_mut(slice as usize) {
                *holder = Some(Holder { domain, by: Some(by) });
                self.given |= 1 << slice;
            }
        }
    }

    /// These are nobody's.
    fn clear(&mut self, is_one: impl Fn(&Holder) -> bool) {
        for (slice, holder) in self.holders.iter_mut().enumerate() {
            if holder.as_ref().is_some_and(&is_one) {
                *holder = None;
                self.given &= !(1 << slice);
            }
        }
    }

    /// The current slice is over.
    pub(crate) fn end_current(&mut self) {
        self.current = (self.current + 1) % COUNT;
        self.is_over = true;
    }

    /// Nobody runs: whoever does next begins a slice.
    pub(crate) fn rest(&mut self) {
        self.is_over = true;
    }

    /// This one runs. Whether it begins now: it did not run before.
    pub(crate) fn run(&mut self, slice: u32) -> bool {
        let begins = ::core::mem::take(&mut self.is_over) || slice != self.current;
        self.current = slice % COUNT;
        begins
    }

    /// All that are somebody's, each once.
    pub(crate) fn in_turn(&self) -> Turn {
        Turn { rest: self.given.rotate_right(self.current), first: self.current }
    }
}

impl Turn {
    /// The next slice, and whose it is.
    pub(crate) fn next(&mut self, slices: &Slices) -> Option<(u32, Holder)> {
        while self.rest != 0 {
            let slice = (self.first + self.rest.trailing_zeros()) % COUNT;
            self.rest &= self.rest - 1;
            if let Some(holder) = slices.holders[slice as usize] {
                return Some((slice, holder));
            }
        }
        None
    }
}
