//! Problems for people, for scripts and for code review.

mod human;
mod sarif;

use serde_json::{Value, json};

use crate::diagnostics::Diagnostics;

impl Diagnostics {
    /// With the line and a mark under the place, in colour if asked for.
    #[must_use]
    pub fn to_human(&self, colour: bool) -> String {
        human::render(self, colour)
    }

    /// `{"problems": [{"severity", "code", "file", "line", "column", "path", "message", "hint"}]}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let problem = |problem: &crate::Problem| {
            json!({
                "severity": problem.severity.name(),
                "code": problem.code.name(),
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "path": problem.path,
                "message": problem.message,
                "hint": problem.hint,
            })
        };
        json!({ "problems": self.problems.iter().map(problem).collect::<Vec<_>>() })
    }

    /// A SARIF 2.1.0 log (OASIS), which code review shows beside the line.
    #[must_use]
    pub fn to_sarif(&self) -> Value {
        sarif::render(self)
    }
}
