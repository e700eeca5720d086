//! A breaker, a clock and the calls in between.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::Arc;
use std::time::Duration;

use outrigger_filters::circuit_breaker::{Breaker, Permit, Snapshot, Spec, State};
use outrigger_filters::clock::{Clock, ManualClock, Nanos};
use outrigger_filters::evidence::Ended;
use outrigger_filters::filter::Rejection;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::state::StateStore;

/// What calls take in these tests, at most.
pub const TOTAL: Duration = Duration::from_secs(2);
pub const OWNER: &str = "dependencies.inventory";

pub struct Rig {
    pub clock: ManualClock,
    pub store: StateStore,
    pub breaker: Arc<Breaker>,
}

impl Rig {
    pub fn new(spec: &Spec) -> Self {
        let store = StateStore::new(1);
        let breaker = spec.build(OWNER, TOTAL, &store).unwrap();
        Self { clock: ManualClock::default(), store, breaker }
    }

    /// The same owner under other knobs.
    pub fn reload(&mut self, spec: &Spec) {
        self.breaker = spec.build(OWNER, TOTAL, &self.store).unwrap();
    }

    pub fn now(&self) -> Nanos {
        self.clock.now()
    }

    pub fn pass(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    pub fn acquire(&self) -> Result<Permit, Rejection> {
        self.breaker.acquire(self.now(), 0, false)
    }

    /// A call that passes and ends so, at once.
    pub fn call(&self, ended: Ended) {
        self.acquire().unwrap().settle(ended, self.now());
    }

    pub fn calls(&self, count: usize, outcome: Outcome) {
        (0..count).for_each(|_| self.call(Ended::new(outcome)));
    }

    /// So many calls that nothing is heard of.
    pub fn hang(&self, count: usize) -> Vec<Permit> {
        (0..count).map(|_| self.acquire().unwrap()).collect()
    }

    pub fn see(&self) -> Snapshot {
        self.breaker.snapshot(self.now())
    }

    pub fn state(&self) -> State {
        self.see().state
    }

    /// Failures at once until it opens.
    pub fn trip(&self) {
        let permits = self.hang(20);
        permits.into_iter().for_each(|permit| permit.settle(Ended::new(Outcome::Upstream5xx), self.now()));
        assert_eq!(self.state(), State::Open);
    }

    /// Up to the moment from which probes may go.
    pub fn wait_for_probes(&self) {
        let until = self.see().next_probe.unwrap();
        self.clock.advance(until.since(self.now()));
        assert_eq!(self.state(), State::HalfOpen);
    }

    /// Three good probes.
    pub fn probe_well(&self) {
        self.calls(3, Outcome::Ok);
        assert_eq!(self.state(), State::Ramp);
    }

    pub fn recover(&self) {
        self.wait_for_probes();
        self.probe_well();
        self.pass(4_000);
        assert_eq!(self.state(), State::Closed);
    }
}
