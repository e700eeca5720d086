//! What an upstream does in spite of its scripts, switched while it runs.

use std::sync::atomic::{AtomicU16, Ordering};

use hyper::StatusCode;

/// How an upstream answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As the path says.
    #[default]
    Scripted,
    /// Reads every request and never answers.
    Hanging,
    /// Answers every request with this status.
    Failing(StatusCode),
}

/// The manner of one upstream; requests that have begun keep the one they began with.
#[derive(Debug, Default)]
pub(crate) struct Switch(AtomicU16);

/// No status is as small.
const SCRIPTED: u16 = 0;
const HANGING: u16 = 1;

impl Switch {
    pub(crate) fn set(&self, manner: Manner) {
        let value = match manner {
            Manner::Scripted => SCRIPTED,
            Manner::Hanging => HANGING,
            Manner::Failing(status) => status.as_u16(),
        };
        self.0.store(value, Ordering::SeqCst);
    }

    pub(crate) fn manner(&self) -> Manner {
        match self.0.load(Ordering::SeqCst) {
            HANGING => Manner::Hanging,
            value => StatusCode::from_u16(value).map_or(Manner::Scripted, Manner::Failing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_scripted_until_switched_and_can_be_switched_back() {
        let switch = Switch::default();
        assert_eq!(switch.manner(), Manner::Scripted);
        for manner in [Manner::Hanging, Manner::Failing(StatusCode::SERVICE_UNAVAILABLE), Manner::Scripted] {
            switch.set(manner);
            assert_eq!(switch.manner(), manner);
        }
    }
}
