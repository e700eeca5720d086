//! What the upstream has seen, so that a test can say "at most once".

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

/// Paths told apart; requests for more are counted in the total only.
const MAX_PATHS: usize = 10_000;

/// Counters of one upstream.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    paths: Mutex<BTreeMap<String, u64>>,
    requests: AtomicU64,
    connections: AtomicU64,
}

impl Counts {
    pub(crate) fn request(&self, path: &str) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut paths = self.paths();
        if let Some(count) = paths.get_mut(path) {
            *count += 1;
        } else if paths.len() < MAX_PATHS {
            paths.insert(path.to_owned(), 1);
        }
    }

    pub(crate) fn connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, path: &str) -> u64 {
        self.paths().get(path).copied().unwrap_or(0)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn as_json(&self) -> String {
        json!({ "requests": self.requests(), "connections": self.connections(), "paths": *self.paths() })
            .to_string()
    }

    fn paths(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_path_and_the_total() {
        let counts = Counts::default();
        counts.request("/a");
        counts.request("/a");
        counts.request("/b");
        assert_eq!((counts.of("/a"), counts.of("/b"), counts.of("/c"), counts.requests()), (2, 1, 0, 3));
    }

    #[test]
    fn stops_telling_paths_apart_at_the_bound() {
        let counts = Counts::default();
        for n in 0..=MAX_PATHS {
            counts.request(&format!("/{n}"));
        }
        assert_eq!(counts.of(&format!("/{MAX_PATHS}")), 0);
        assert_eq!(counts.requests(), MAX_PATHS as u64 + 1);
    }
}
