//! The states of a breaker, and the changes between them.

use super::reason::Reason;
use crate::clock::Nanos;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// All calls pass.
    #[default]
    Closed = 0,
    /// A few calls try whether it works again.
    HalfOpen = 1,
    /// A growing share of the calls passes.
    Ramp = 2,
    /// No call passes.
    Open = 3,
    /// No call passes, because an operator says so.
    ForcedOpen = 4,
    /// All calls pass, because an operator says so.
    ForcedClosed = 5,
}

impl State {
    /// Each at its own number.
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::HalfOpen, Self::Ramp, Self::Open, Self::ForcedOpen, Self::ForcedClosed];

    /// The value of the metric `outrigger_breaker_state`.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// As it stands in logs, labels and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Ramp => "ramp",
            Self::Open => "open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }

    /// The state of this number; closed if there is none.
    pub(super) fn of(number: u64) -> Self {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied().unwrap_or_default()
    }

    /// Whether an operator chose it.
    #[must_use]
    pub const fn is_forced(self) -> bool {
        matches!(self, Self::ForcedOpen | Self::ForcedClosed)
    }
}

/// What an operator may force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forced {
    /// Refuse every call.
    Open,
    /// Let every call pass.
    Closed,
}

/// One change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which change of this breaker it is, counted from 1.
    pub number: u64,
    /// When.
    pub at: Nanos,
    /// From which state.
    pub from: State,
    /// To which.
    pub to: State,
    /// Why; prints with the numbers.
    pub reason: Reason,
}

/// How often a breaker changed in one way: a series of `outrigger_breaker_transitions_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transitions {
    /// From which state.
    pub from: State,
    /// To which.
    pub to: State,
    /// The label of the reason.
    pub reason: &'static str,
    /// How often.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_stands_at_its_own_number() {
        for state in State::ALL {
            assert_eq!(State::of(u64::from(state.number())), state);
        }
        assert_eq!(State::of(99), State::Closed);
    }
}
