//! The schema that is shipped is the one the types give, and knows what the reader knows.
//!
//! `UPDATE_GOLDEN=1 cargo test -p outrigger-config --test schema` writes it anew.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what tests share is a test")]

use std::path::{Path, PathBuf};

use outrigger_config::{load, schema};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_committed_schema_is_what_the_types_give() {
    let text = format!("{:#}\n", schema());
    let path = root().join("schema.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text, "UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn every_example_is_valid_by_the_schema() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    for entry in root().join("examples").read_dir().unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("sidecar.yaml") {
            let errors: Vec<_> = check(&validator, &path);
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        }
    }
}

/// By the effective document, which says in JSON what the example says.
fn check(validator: &jsonschema::Validator, path: &Path) -> Vec<String> {
    let document = load(path).unwrap().document;
    validator.iter_errors(&document).map(|error| error.to_string()).collect()
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    for bad in [
        serde_json::json!({}),
        serde_json::json!({ "version": 2 }),
        serde_json::json!({ "version": 1, "inbund": {} }),
        serde_json::json!({ "version": 1, "inbound": { "routes": [{ "match": {} }] } }),
        serde_json::json!({ "version": 1, "inbound": { "defaults": { "timeouts": { "total": 300 } } } }),
        serde_json::json!({ "version": 1, "inbound": { "defaults": { "rate_limits": [{ "name": "a" }] } } }),
        serde_json::json!({ "version": 1, "dependencies": { "a b": {} } }),
        serde_json::json!({ "version": 1, "inbound": { "routes": [{ "name": "a", "retries": {} }] } }),
        serde_json::json!({ "version": 1, "dependencies": { "a": { "retries": { "when": [404] } } } }),
        serde_json::json!({ "version": 1, "dependencies": { "a": { "isolation": { "max_in_flight": 0 } } } }),
    ] {
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}

#[test]
fn what_is_not_built_is_not_in_the_schema() {
    let text = schema().to_string();
    for key in ["slos", "idempotency", "hedging", "zone", "replica"] {
        assert!(!text.contains(&format!("\"{key}\"")), "{key}");
    }
    for key in ["rate_limits", "retries", "circuit_breaker", "max_in_flight", "path_prefix", "unknown_hosts"]
    {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
}
