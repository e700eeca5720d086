//! The little statistics a comparison needs.

/// The middle value, or the mean of the two middle ones; 0 of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    let lower = values.len().saturating_sub(1) / 2;
    match (values.get(lower), values.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => 0.0,
    }
}

/// How far apart the middle half of the values lies: the difference of their quartiles; 0 of fewer than two.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let (Some(lower), Some(upper)) = (values.get(..half), values.get(values.len() - half..)) else {
        return 0.0;
    };
    median(upper.iter().copied()) - median(lower.iter().copied())
}

/// Latencies in buckets of 10 µs up to a second; slower ones share the last.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    buckets: Vec<u32>,
}

const BUCKETS: usize = 100_000;
const MICROS: u64 = 10;

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS] }
    }
}

impl Latencies {
    pub(crate) fn record(&mut self, micros: u64) {
        let index = usize::try_from(micros / MICROS).unwrap_or(usize::MAX).min(BUCKETS - 1);
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// The upper end in µs of the bucket that holds this share (0.99) of all; 0 of none.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let total: u64 = self.buckets.iter().copied().map(u64::from).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let rank = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in (1_u64..).zip(&self.buckets) {
            seen += u64::from(*count);
            if seen >= rank && seen > 0 {
                return index * MICROS;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_in_any_order() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median([]).abs() < f64::EPSILON);
    }

    #[test]
    fn spread_is_the_difference_of_the_quartiles() {
        assert!((spread(&[3.0, 1.0, 4.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((spread(&[90.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) - 4.0).abs() < f64::EPSILON);
        assert!(spread(&[7.0]).abs() < f64::EPSILON && spread(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn quantiles_are_upper_ends_of_buckets() {
        let mut latencies = Latencies::default();
        for micros in 0..1000 {
            latencies.record(micros);
        }
        assert_eq!((latencies.quantile(0.5), latencies.quantile(0.99)), (500, 990));
    }

    #[test]
    fn what_is_slower_than_the_last_bucket_counts_there() {
        let mut latencies = Latencies::default();
        latencies.record(5);
        latencies.record(2_000_000);
        assert_eq!((latencies.quantile(0.5), latencies.quantile(1.0)), (10, 1_000_000));
    }
}
