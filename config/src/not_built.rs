//! Parts of the language that this version does not have. They are refused by name: a policy written for a
//! later version is told so, and never half obeyed.
//!
//! A filter that is built takes its key itself, before this list is asked; its entry here then goes.

use crate::codes;
use crate::diagnostics::Problem;
use crate::node::Key;

/// Blocks of resilience policies, wherever policies stand.
const POLICIES: &[&str] = &[
    "concurrency",
    "priority",
    "idempotency",
    "cache",
    "retries",
    "hedging",
    "outlier_detection",
    "balance",
    "health_check",
    "downgrade",
    "faults",
];

/// Keys by the type that would read them.
const KEYS: &[(&str, &[&str])] = &[
    ("Document", &["slos"]),
    ("Inbound", POLICIES),
    ("Defaults", POLICIES),
    ("Route", POLICIES),
    ("DependencyRoute", POLICIES),
    ("Dependency", POLICIES),
    ("Balance", &["spill"]),
    ("Endpoint", &["zone"]),
    ("SidecarDocument", &["zone", "idempotency_store"]),
    ("PolicySource", &["control"]),
    ("Telemetry", &["otlp", "traces"]),
];

/// Words by the type that would read them.
const WORDS: &[(&str, &[&str])] = &[("Role", &["replica"]), ("By", &["consistent_hash"])];

/// The refusal of a key, if `block` has it in another version.
pub(crate) fn key(block: &str, key: &Key) -> Option<Problem> {
    listed(KEYS, block, &key.text).then(|| {
        Problem::new(codes::NOT_BUILT, key.span, format!("`{}` is not in this version", key.text))
            .hint("remove it; nothing would be done about it")
    })
}

/// The refusal of a word, if `kind` has it in another version.
pub(crate) fn word(kind: &str, word: &str) -> Option<String> {
    listed(WORDS, kind, word).then(|| format!("`{word}` is not in this version; remove it"))
}

fn listed(table: &[(&str, &[&str])], owner: &str, word: &str) -> bool {
    table.iter().any(|(name, words)| *name == owner && words.contains(&word))
}
