//! Which of the three documents a file is, and a check of any of them.

use std::path::Path;

use crate::diagnostics::{Diagnostics, Problem, Problems};
use crate::load::{LoadError, sources, tree};
use crate::node::Span;
use crate::{codes, load, sidecar};

/// The documents there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What a sidecar does with requests: `policy.yaml`.
    Policy,
    /// What the sidecar is: `sidecar.yaml`.
    Sidecar,
    /// What the control service is: `control.yaml`.
    Control,
}

const SIDECAR: &[&str] = &[
    "listeners",
    "admin",
    "policy",
    "state_dir",
    "telemetry",
    "limits",
    "trusted_peers",
    "via_responses",
    "workers",
    "zone",
    "idempotency_store",
];
const CONTROL: &[&str] = &["listen", "tls", "store", "rollout", "alerting", "auth"];
const POLICY: &[&str] = &["version", "inbound", "outbound", "dependencies", "slos"];

/// Tells by the top-level keys, of which each document has its own; a policy in doubt.
#[must_use]
pub fn kind_of(text: &str) -> Kind {
    let source = load::Source { text: text.to_owned(), ..load::Source::default() };
    let keys: Vec<String> = match tree(&[source], &mut Problems::default()) {
        Some(root) => root.entries().iter().map(|(key, _)| key.text.clone()).collect(),
        // Not YAML, but its author knows what it was to be.
        None => text.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key.to_owned()).collect(),
    };
    let count = |known: &[&str]| keys.iter().filter(|key| known.contains(&key.as_str())).count();
    let (policy, sidecar, control) = (count(POLICY), count(SIDECAR), count(CONTROL));
    if control > policy.max(sidecar) {
        Kind::Control
    } else if sidecar > policy {
        Kind::Sidecar
    } else {
        Kind::Policy
    }
}

/// Checks a policy (a file or a directory), a `sidecar.yaml` or a `control.yaml`, and says which it is and
/// what is probably not meant.
///
/// # Errors
/// If it cannot be read or does not hold.
pub fn validate(path: &Path) -> Result<(Kind, Diagnostics), LoadError> {
    let mut sources = sources(path)?;
    let kind = match sources.as_slice() {
        [one] if !path.is_dir() => kind_of(&one.text),
        _ => Kind::Policy,
    };
    let warnings = match (kind, sources.pop()) {
        (Kind::Sidecar, Some(source)) => sidecar::parse(&source).map(|(_, warnings)| warnings),
        (Kind::Control, Some(source)) => Err(control(&source)),
        (_, last) => {
            sources.extend(last);
            load::parse(sources).map(|policy| policy.warnings)
        }
    };
    warnings.map(|warnings| (kind, warnings)).map_err(LoadError::Invalid)
}

fn control(source: &load::Source) -> Diagnostics {
    let mut problems = Problems::default();
    let start = Span { file: 0, line: 1, column: 1, width: 1 };
    let message = "this is a control.yaml, and the control service is not in this version";
    problems.push(
        Problem::new(codes::NOT_BUILT, start, message).hint("a sidecar alone takes policy.yaml from a file"),
    );
    problems.finish(std::slice::from_ref(source))
}
