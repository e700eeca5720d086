//! The block compiled: numbers and sets, nothing to parse or to search.

use std::time::Duration;

use http::Method;

use super::ledger::WHOLE;
use super::{Condition, Original, Spec};
use crate::policy::Mode;

/// See the module.
pub(super) struct Knobs {
    pub(super) mode: Mode,
    pub(super) attempts: u32,
    pub(super) base: Duration,
    pub(super) max: Duration,
    /// What a request adds to the budget.
    pub(super) credit: u32,
    /// What a retry costs of the floor.
    pub(super) price: Option<Duration>,
    pub(super) replay: u64,
    idempotent: bool,
    methods: Box<[Method]>,
    connect_failure: bool,
    reset: bool,
    per_try_timeout: bool,
    throttled: bool,
    /// A bit for each status from 500.
    statuses: u128,
}

impl Knobs {
    pub(super) fn new(spec: &Spec) -> Self {
        let has = |condition| spec.when.contains(&condition);
        let floor = u64::from(spec.budget.min_per_second);
        Self {
            mode: spec.mode,
            attempts: spec.attempts,
            base: spec.backoff.base.0,
            max: spec.backoff.max.0,
            credit: u32::try_from(spec.budget.ratio.of(u64::from(WHOLE))).unwrap_or(WHOLE),
            price: 1_000_000_000_u64.checked_div(floor).map(Duration::from_nanos),
            replay: spec.replay.0,
            idempotent: spec.idempotent,
            methods: spec.methods.iter().filter_map(|method| method.parse().ok()).collect(),
            connect_failure: has(Condition::ConnectFailure),
            reset: has(Condition::Reset),
            per_try_timeout: has(Condition::PerTryTimeout),
            throttled: has(Condition::Status(429)),
            statuses: spec.when.iter().fold(0, |bits, condition| bits | status_bit(*condition)),
        }
    }

    /// As where no block is written.
    pub(super) fn off() -> Self {
        Self::new(&Spec { mode: Mode::Disabled, ..Spec::default() })
    }

    /// Whether nothing is ever retried, but for what was not sent.
    pub(super) const fn is_off(&self) -> bool {
        matches!(self.mode, Mode::Disabled) || self.attempts <= 1
    }

    /// Whether the request may be repeated although it may have run.
    pub(super) fn repeats(&self, original: &Original<'_>) -> bool {
        self.idempotent || original.keyed || self.methods.iter().any(|method| method == original.method)
    }

    /// Whether `when` names it.
    pub(super) const fn names(&self, condition: Condition) -> bool {
        match condition {
            Condition::ConnectFailure => self.connect_failure,
            Condition::Reset => self.reset,
            Condition::PerTryTimeout => self.per_try_timeout,
            Condition::Status(429) => self.throttled,
            Condition::Status(_) => self.statuses & status_bit(condition) != 0,
        }
    }
}

const fn status_bit(condition: Condition) -> u128 {
    match condition {
        Condition::Status(status @ 500..=599) => 1 << (status - 500),
        _ => 0,
    }
}
