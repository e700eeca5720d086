//! The smallest parts of a metric: numbers that are written without waiting and read while they change.
//!
//! * [`Count`] and [`Histogram`] have one writer (the worker they belong to) and so need no locked instruction: a
//!   load and a store. A reader sees each number whole; a sum over several is as of about now.
//! * [`Counter`] and [`Gauge`] may be written from anywhere and are for what happens seldom.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Upper bounds in microseconds of the buckets OpenTelemetry advises for HTTP durations (semantic conventions,
/// `http.server.request.duration`). A value equal to a bound belongs to it.
pub const BOUNDS_US: [u32; 14] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000,
    5_000_000, 7_500_000, 10_000_000,
];

/// Buckets of a histogram: one for each bound and one above them all.
pub const BUCKETS: usize = BOUNDS_US.len() + 1;

/// A total with a single writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. Only the worker that owns this cell may call it; two writers would lose counts.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The total so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A distribution of durations with a single writer: 128 bytes.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Count; BUCKETS],
    sum_us: Count,
}

impl Histogram {
    /// Adds one duration. Only the worker that owns this cell may call it.
    pub fn observe(&self, us: u32) {
        // Counting the bounds below the value needs no branch, so its cost does not depend on the value.
        let index: usize = BOUNDS_US.iter().map(|bound| usize::from(us > *bound)).sum();
        if let Some(bucket) = self.buckets.get(index) {
            bucket.add(1);
        }
        self.sum_us.add(u64::from(us));
    }
}

/// What histograms hold at a moment, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Observations in each bucket, not cumulative.
    pub buckets: [u64; BUCKETS],
    /// Sum of all observations in microseconds.
    pub sum_us: u64,
}

impl Distribution {
    /// Adds what `histogram` holds now.
    pub fn add(&mut self, histogram: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *mine = mine.wrapping_add(theirs.get());
        }
        self.sum_us = self.sum_us.wrapping_add(histogram.sum_us.get());
    }

    /// How many observations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// A total with any number of writers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn bump(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The total so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A level with any number of writers.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn dec(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// Replaces the level.
    pub fn set(&self, level: i64) {
        self.0.store(level, Relaxed);
    }

    /// The level now.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(us: u32) -> Distribution {
        let histogram = Histogram::default();
        histogram.observe(us);
        let mut sum = Distribution::default();
        sum.add(&histogram);
        sum
    }

    #[test]
    fn a_value_on_a_bound_belongs_to_it() {
        assert_eq!(one(5_000).buckets[0], 1);
        assert_eq!(one(5_001).buckets[1], 1);
        assert_eq!(one(10_000_000).buckets[13], 1);
        assert_eq!(one(u32::MAX).buckets[14], 1);
    }

    #[test]
    fn shards_add_up() {
        let (a, b) = (Histogram::default(), Histogram::default());
        a.observe(1);
        a.observe(300_000);
        b.observe(300_000);
        let mut sum = Distribution::default();
        sum.add(&a);
        sum.add(&b);
        assert_eq!((sum.count(), sum.sum_us, sum.buckets[7]), (3, 600_001, 2));
    }
}
