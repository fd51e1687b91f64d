//! Medians, quantiles, and the choice of the round that is reported.

/// What a series of samples says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle sample.
    pub median: f64,
    /// The sample that 99 in 100 do not exceed.
    pub p99: f64,
    /// How many samples there were.
    pub samples: usize,
}

impl Summary {
    /// Summarises `samples`, in any order; `None` where there is none.
    pub fn of(samples: &mut [f64]) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let (median, p99) = (quantile(samples, 0.5)?, quantile(samples, 0.99)?);
        Some(Self { median, p99, samples: samples.len() })
    }
}

/// The sample at `share` of a sorted series, by the nearest rank.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// `value / limit`; `None` where the limit is not positive.
pub fn ratio(value: f64, limit: f64) -> Option<f64> {
    (limit > 0.0).then(|| value / limit)
}

/// The index of the element whose key is the median, the lower one of two. Keeps value, limit and rivals of one round together,
/// which a median per column would not.
pub fn median_by<T>(items: &[T], key: impl Fn(&T) -> f64) -> Option<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| key(&items[*a]).total_cmp(&key(&items[*b])));
    order.get(items.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_p99_take_the_nearest_rank() {
        let mut samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(Summary::of(&mut samples), Some(Summary { median: 50.0, p99: 99.0, samples: 100 }));
        assert_eq!(Summary::of(&mut [7.0]), Some(Summary { median: 7.0, p99: 7.0, samples: 1 }));
        assert_eq!(Summary::of(&mut []), None);
    }

    #[test]
    fn one_wild_sample_does_not_move_the_median() {
        assert_eq!(Summary::of(&mut [3.0, 1e9, 2.0]).map(|s| s.median), Some(3.0));
    }

    #[test]
    fn ratio_needs_a_limit() {
        assert_eq!(ratio(3.0, 2.0), Some(1.5));
        assert_eq!(ratio(3.0, 0.0), None);
    }

    #[test]
    fn the_median_round_is_one_that_was_measured() {
        assert_eq!(median_by(&[9.0, 1.0, 5.0], |x| *x), Some(2));
        assert_eq!(median_by(&[9.0, 1.0], |x| *x), Some(1), "the lower one of two");
        assert_eq!(median_by::<f64>(&[], |x| *x), None);
    }
}
