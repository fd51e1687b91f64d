//! Which physical memory may be used: what the loader lists, without what is taken already.

use feuerbird_boot::PhysicalRange;
use feuerbird_boot::pvh::StartInfo;

use crate::memory::layout::{BOOT_MAPPED_BYTES, Image, MAX_MEMORY_BYTES, PAGE_BYTES};

/// The most pieces that memory may be in.
const MAX_RANGES: usize = 64;

/// Memory that can be handed out: whole pages, in pieces that do not overlap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryMap {
    ranges: [Option<PhysicalRange>; MAX_RANGES],
}

impl MemoryMap {
    /// What the loader lists as memory, without the first MiB, the image and the modules.
    pub(crate) fn new(info: &StartInfo<'_>) -> Self {
        let mut map = Self { ranges: [None; MAX_RANGES] };
        for range in info.memory() {
            // What two entries list is there once.
            map.remove(range);
            map.add(range);
        }
        let low = PhysicalRange::new(0, Image::here().physical_end());
        let high = PhysicalRange::new(MAX_MEMORY_BYTES, u64::MAX - MAX_MEMORY_BYTES);
        low.into_iter().chain(high).chain(info.modules()).for_each(|taken| map.remove(taken));
        map.align();
        map
    }

    /// The pieces.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = PhysicalRange> + '_ {
        self.ranges.iter().flatten().copied()
    }

    /// The first address behind all memory.
    pub(crate) fn end(&self) -> u64 {
        self.ranges().map(|range| range.end()).max().unwrap_or(0)
    }

    /// Takes that many bytes, in whole pages, from the start of the largest piece that the boot tables map.
    pub(crate) fn take(&mut self, bytes: u64) -> Option<PhysicalRange> {
        let reachable = self.ranges().filter(|range| range.end() <= BOOT_MAPPED_BYTES);
        let largest = reachable.max_by_key(PhysicalRange::bytes)?;
        let taken = PhysicalRange::new(largest.start(), bytes.checked_next_multiple_of(PAGE_BYTES)?)?;
        if taken.bytes() > largest.bytes() {
            return None;
        }
        self.remove(taken);
        Some(taken)
    }

    fn add(&mut self, range: PhysicalRange) {
        // What has no place is left out: less memory, never wrong memory.
        if let Some(place) = self.ranges.iter_mut().find(|place| place.is_none()) {
            *place = Some(range);
        }
    }

    fn remove(&mut self, taken: PhysicalRange) {
        (0..MAX_RANGES).for_each(|place| self.cut(place, taken));
    }

    /// Takes a range out of one piece, which may become two.
    fn cut(&mut self, place: usize, taken: PhysicalRange) {
        let Some(range) = self.ranges[place] else { return };
        if taken.end() <= range.start() || range.end() <= taken.start() {
            return;
        }
        self.ranges[place] = between(range.start(), taken.start());
        if let Some(rest) = between(taken.end(), range.end()) {
            self.add(rest);
        }
    }

    fn align(&mut self) {
        for place in &mut self.ranges {
            let whole = place
                .map(|range| (range.start().next_multiple_of(PAGE_BYTES), range.end() & !(PAGE_BYTES - 1)));
            *place = whole.and_then(|(start, end)| between(start, end));
        }
    }
}

fn between(start: u64, end: u64) -> Option<PhysicalRange> {
    PhysicalRange::new(start, end.checked_sub(start)?)
}
