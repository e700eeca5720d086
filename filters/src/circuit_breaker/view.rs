//! What people and metrics are shown.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Breaker;
use super::states::{Change, State, Transitions};
use crate::clock::Nanos;
use crate::unit::Percent;

/// A breaker at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it stands.
    pub state: State,
    /// Since when; zero if nothing has happened yet.
    pub since: Nanos,
    /// Why, with the numbers.
    pub reason: String,
    /// Open: when the next call may pass.
    pub next_probe: Option<Nanos>,
    /// Which share of the calls passes; none while probes decide.
    pub admits: Percent,
    /// Calls in flight, with those that are streaming.
    pub in_flight: u64,
    /// Those of them that have waited for an answer for longer than the slow threshold.
    pub stalled: u64,
    /// Probes under way.
    pub probes: u32,
    /// Calls that ended in the window, since the last change of state.
    pub total: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them that were slow.
    pub slow: u64,
}

/// What a breaker has counted. Nothing in it goes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls refused, or in shadow, that would have been.
    pub refused: u64,
    /// Probes that succeeded.
    pub probes_succeeded: u64,
    /// Probes that failed, were throttled or hung.
    pub probes_failed: u64,
    /// Probes that ended without a verdict, such as a caller leaving.
    pub probes_neutral: u64,
    /// How long it has been open, or forced open.
    pub open: Duration,
    /// Changes of state, by their ends and reason.
    pub transitions: Vec<Transitions>,
}

impl Breaker {
    /// How it stands, looking at the time first.
    #[must_use]
    pub fn snapshot(&self, now: Nanos) -> Snapshot {
        self.tick(now);
        let window = &self.meter.window;
        let machine = self.meter.lock(&self.knobs);
        let tally = window.tally(now, &machine.knobs.spec, machine.knobs.threshold);
        let opens = machine.state == State::Open;
        Snapshot {
            state: machine.state,
            since: machine.since,
            reason: machine.reason.to_string(),
            next_probe: opens.then_some(machine.until),
            admits: machine.share(),
            in_flight: window.in_flight(),
            stalled: tally.stalled,
            probes: machine.probes.out(),
            total: tally.total,
            failed: tally.failed,
            slow: tally.slow,
        }
    }

    /// What it has counted, over all snapshots.
    #[must_use]
    pub fn counts(&self, now: Nanos) -> Counts {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let probes = &self.meter.probes;
        let machine = self.meter.lock(&self.knobs);
        Counts {
            refused: read(&self.meter.refused),
            probes_succeeded: read(&probes.succeeded),
            probes_failed: read(&probes.failed),
            probes_neutral: read(&probes.neutral),
            open: machine.open_time(now),
            transitions: machine.transitions(),
        }
    }

    /// The changes after the one of this number (0 for all), oldest first, as far as they are remembered: a line of
    /// the log for each.
    #[must_use]
    pub fn changes_after(&self, number: u64) -> Vec<Change> {
        self.meter.lock(&self.knobs).changes_after(number)
    }
}
