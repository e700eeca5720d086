//! What a dependency has taken, counted for all workers and snapshots together.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Full, Reason};

/// A number that is never above the bound it is raised under, nor below what is held.
#[derive(Debug, Default)]
pub(super) struct Level(AtomicU64);

impl Level {
    /// Raises it, if it stays within `bound`.
    #[inline]
    pub(super) fn raise(&self, by: u64, bound: u64) -> bool {
        let raised = |level: u64| level.checked_add(by).filter(|raised| *raised <= bound);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, raised).is_ok()
    }

    /// Gives back what was raised.
    #[inline]
    pub(super) fn lower(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::AcqRel);
    }

    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) in_flight: Level,
    pub(super) queued: Level,
    pub(super) buffered: Level,
    refused: [AtomicU64; Reason::ALL.len()],
}

impl crate::state::State for State {}

impl State {
    /// Counts a refusal.
    pub(super) fn refuse(&self, reason: Reason) -> Full {
        if let Some(count) = self.refused.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Full { reason }
    }

    pub(super) fn refused(&self, reason: Reason) -> u64 {
        self.refused.get(reason as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
