//! What the admin server asks of the rest of the process. It knows nothing else of it.

use serde_json::Value;

/// Whether the process should be sent traffic, and why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Each condition by its name, and whether it holds. Ready means that all do.
    pub conditions: Vec<(&'static str, bool)>,
}

impl Readiness {
    /// Whether every condition holds.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.conditions.iter().all(|(_, holds)| *holds)
    }
}

/// What the admin endpoints show and do. Everything here answers at once, from memory.
pub trait AdminView: Send + Sync {
    /// `/readyz`
    fn ready(&self) -> Readiness;
    /// `/policy`: `{service, generation, hash, source, age_seconds, document, rejected}`. No secrets.
    fn policy(&self) -> Value;
    /// `/dependencies`: `{dependencies: [...]}`
    fn dependencies(&self) -> Value;
    /// `POST /drain`: not ready, keep-alive off, still accepting. Twice is the same as once.
    fn start_drain(&self);
    /// `DELETE /drain`: undoes it.
    fn stop_drain(&self);
}
