//! Counters that cost a load and a store.
//!
//! Each worker has a shard of its own, on cache lines of its own, and is the only one to write it: counting is
//! a relaxed load and a relaxed store, no locked instruction and no line that moves between cores. Whoever
//! counts without being a worker (an index beyond the last) shares one last shard and pays for an atomic add.

use std::sync::atomic::{AtomicU64, Ordering};

/// Two cache lines: the prefetcher of common processors fetches them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(AtomicU64);

/// A sum over all workers. It only grows.
#[derive(Debug)]
pub struct Counter {
    workers: Box<[Shard]>,
    others: Shard,
}

impl Counter {
    /// At zero, with a shard for each of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| Shard::default()).collect(), others: Shard::default() }
    }

    /// One more, counted by `worker`. Two threads must never count as the same worker at the same time.
    pub fn add_one(&self, worker: usize) {
        self.add(worker, 1);
    }

    /// So many more, counted by `worker`. Two threads must never count as the same worker at the same time.
    pub fn add(&self, worker: usize, count: u64) {
        match self.workers.get(worker) {
            Some(Shard(own)) => own.store(own.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed),
            None => {
                self.others.0.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// All that has been counted.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let shards = self.workers.iter().chain(std::iter::once(&self.others));
        shards.fold(0, |sum, shard| sum.wrapping_add(shard.0.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_over_workers_and_others() {
        let counter = Counter::new(2);
        counter.add_one(0);
        counter.add(1, 5);
        counter.add_one(7);
        counter.add_one(usize::MAX);
        assert_eq!(counter.sum(), 8);
    }

    #[test]
    fn loses_nothing_when_each_worker_counts_for_itself() {
        let counter = Counter::new(3);
        std::thread::scope(|scope| {
            for worker in [0, 1, 2, 3, 3] {
                let counter = &counter;
                scope.spawn(move || (0..10_000).for_each(|_| counter.add_one(worker)));
            }
        });
        assert_eq!(counter.sum(), 50_000);
    }
}
