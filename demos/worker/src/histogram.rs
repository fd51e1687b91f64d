//! Latencies in buckets: 32 to each power of two, so that a value is known to 3 %.

use alloc::vec;
use alloc::vec::Vec;

use feuerbird_zero_copy::Region;

use crate::View;
use crate::layout::BUCKETS;

const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;

/// The bucket of a value.
#[inline]
pub(crate) fn bucket(value: u64) -> usize {
    if value < SUB {
        return value as usize;
    }
    let shift = value.ilog2() - SUB_BITS;
    ((u64::from(shift) + 1) * SUB + (value >> shift & (SUB - 1))) as usize
}

/// The value in the middle of a bucket.
fn middle(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    if bucket < SUB {
        return bucket as f64;
    }
    let shift = bucket / SUB - 1;
    // At most 58, so the power of two fits.
    ((SUB + bucket % SUB) as f64 + 0.5) * (1u64 << shift) as f64
}

/// Counts of values, from one report or from several.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    /// All latencies that these reports have counted.
    pub fn of<'a, R: Region + 'a>(reports: impl IntoIterator<Item = &'a View<R>>) -> Self {
        let mut sum = Self::new();
        reports.into_iter().for_each(|report| report.add_latencies(&mut sum));
        sum
    }

    /// Without any value.
    fn new() -> Self {
        Self { counts: vec![0; BUCKETS] }
    }

    /// Adds to one bucket. Counts that somebody made up do not overflow.
    pub(crate) fn add(&mut self, bucket: usize, count: u64) {
        if let Some(sum) = self.counts.get_mut(bucket) {
            *sum = sum.saturating_add(count);
        }
    }

    /// The value below which this share (0 to 1) of all values lies; 0 where there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let total: f64 = self.counts.iter().map(|&count| count as f64).sum();
        let mut below = 0.0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            below += count as f64;
            if count > 0 && below >= share * total {
                return middle(bucket) as u64;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_within_three_percent_of_its_values() {
        for value in
            (0..64).flat_map(|bits| [1u64 << bits, (1 << bits) + (1 << bits) / 3]).chain([0, u64::MAX])
        {
            let bucket = bucket(value);
            assert!(bucket < BUCKETS, "{value}");
            assert!(
                (middle(bucket) - value as f64).abs() <= value as f64 * 0.032,
                "{value}: {}",
                middle(bucket)
            );
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=1000).for_each(|value| histogram.add(bucket(value), 1));
        for (share, value) in [(0.5, 500.0), (0.99, 990.0), (0.001, 1.0)] {
            assert!((histogram.quantile(share) as f64 - value).abs() <= value * 0.032 + 1.0, "{share}");
        }
    }
}
