//! A rule of a chain, and how often it decided what.

use std::sync::Arc;

use crate::counter::Counter;
use crate::policy::Mode;
use crate::state::State;

/// What a rule decided. Each decision is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Action {
    /// The request passed at once.
    Admitted,
    /// It was refused, or would have been.
    Rejected,
    /// It passed, after a wait.
    Queued,
    /// It passed, at once or later, without room of its own.
    Overflow,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Admitted, Self::Rejected, Self::Queued, Self::Overflow];

    /// The `action` label of metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Rejected => "rejected",
            Self::Queued => "queued",
            Self::Overflow => "overflow",
        }
    }
}

/// One rule: its names, its mode, its counters.
pub struct Rule {
    filter: &'static str,
    name: Box<str>,
    mode: Mode,
    counts: Arc<Counts>,
}

/// Counters of a rule; they live in the state store, so totals never go back.
pub(crate) struct Counts {
    admitted: Counter,
    rejected: Counter,
    queued: Counter,
    overflow: Counter,
}

impl Counts {
    pub(crate) fn new(workers: usize) -> Self {
        let counter = || Counter::new(workers);
        Self { admitted: counter(), rejected: counter(), queued: counter(), overflow: counter() }
    }

    #[inline]
    const fn of(&self, action: Action) -> &Counter {
        match action {
            Action::Admitted => &self.admitted,
            Action::Rejected => &self.rejected,
            Action::Queued => &self.queued,
            Action::Overflow => &self.overflow,
        }
    }
}

impl State for Counts {}

impl Rule {
    pub(crate) fn new(filter: &'static str, name: &str, mode: Mode, counts: Arc<Counts>) -> Self {
        Self { filter, name: name.into(), mode, counts }
    }

    /// The policy it belongs to, such as `rate_limits`.
    #[must_use]
    pub const fn filter(&self) -> &'static str {
        self.filter
    }

    /// Its name, as the operator wrote it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it decides or only counts.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How often it decided so, over all workers and all snapshots.
    #[must_use]
    pub fn count(&self, action: Action) -> u64 {
        self.counts.of(action).sum()
    }

    #[inline]
    pub(super) fn count_one(&self, action: Action, worker: usize) {
        self.counts.of(action).add_one(worker);
    }
}
