//! What is said about a policy: where it came from, and why one was refused.

use outrigger_config::{Diagnostics, LoadError};
use outrigger_filters::clock::wall_now;
use serde_json::{Value, json};

/// Where a policy in force came from; a label of metrics and a field of `/policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    File,
    LastGood,
    Candidate,
    Builtin,
}

impl Origin {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::LastGood => "last_good",
            Self::Candidate => "candidate",
            Self::Builtin => "builtin",
        }
    }
}

/// Why a policy was not put in force.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    pub(super) at_ms: u64,
    pub(super) problems: Value,
    pub(super) first: String,
    pub(super) count: usize,
}

impl Rejected {
    pub(crate) fn of(error: &LoadError) -> Self {
        match error {
            LoadError::Unreadable { path, error } => {
                Self::one(&path.display().to_string(), &error.to_string())
            }
            LoadError::Invalid(diagnostics) => Self::of_diagnostics(diagnostics),
        }
    }

    pub(super) fn of_diagnostics(diagnostics: &Diagnostics) -> Self {
        let problems = diagnostics.to_json().get("problems").cloned().unwrap_or_default();
        let first = diagnostics.problems.first();
        let first = first.map_or_else(String::new, |p| {
            format!("{}:{}:{}: {} {}", p.file, p.line, p.column, p.code, p.message)
        });
        Self { at_ms: wall_ms(), problems, first, count: diagnostics.problems.len() }
    }

    pub(super) fn one(file: &str, message: &str) -> Self {
        let problem = json!({ "severity": "error", "code": "E0001", "file": file, "line": 0, "column": 0,
            "message": message, "hint": null });
        Self { at_ms: wall_ms(), problems: json!([problem]), first: format!("{file}: {message}"), count: 1 }
    }
}

fn wall_ms() -> u64 {
    u64::try_from(wall_now().as_millis()).unwrap_or(u64::MAX)
}
