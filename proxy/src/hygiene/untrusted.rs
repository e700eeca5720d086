//! Removes what only a trusted peer may say: who asked, how important it is, which request it is.
//!
//! Deadlines (`x-request-timeout-ms`, `grpc-timeout`, `x-envoy-expected-rq-timeout-ms`) stay: they can only
//! shorten what is allowed. Trace context stays too: it says nothing about rights.
//! Cost: one walk over the names where there is nothing to remove.
use http::header::{HeaderMap, HeaderName};

use super::hop::BadFields;

/// Fields removed in one walk; more take more walks.
const BATCH: usize = 8;

/// Cleans the fields of a request from a peer outside `trusted_peers`. Fails on names with underscores, which
/// could stand for one of the removed fields in the app.
pub fn strip(headers: &mut HeaderMap) -> Result<(), BadFields> {
    loop {
        let (batch, found) = claims(headers)?;
        for name in batch.into_iter().flatten() {
            headers.remove(name);
        }
        if found <= BATCH {
            return Ok(());
        }
    }
}

/// The first few names to remove, and how many there are.
fn claims(headers: &HeaderMap) -> Result<([Option<HeaderName>; BATCH], usize), BadFields> {
    let mut batch = [const { None }; BATCH];
    let mut found = 0;
    for name in headers.keys() {
        let text = name.as_str();
        if text.bytes().any(|byte| byte == b'_') {
            return Err(BadFields::Underscore);
        }
        if is_claim(text) {
            if let Some(place) = batch.get_mut(found) {
                *place = Some(name.clone());
            }
            found += 1;
        }
    }
    Ok((batch, found))
}

/// Whether a field makes a claim that an untrusted peer may not make.
pub fn is_claim(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x') => {
            (name.starts_with("x-forwarded") || name.starts_with("x-envoy-") || EXTENSIONS.contains(&name))
                && name != "x-envoy-expected-rq-timeout-ms"
        }
        Some(b'f') => name == "forwarded",
        Some(b'o') => name.starts_with("outrigger-"),
        Some(b't') => name == "true-client-ip",
        _ => false,
    }
}

/// Client addresses under other names, the request's identity and rank, and path overrides that would undo the
/// path checks in servers that honour them.
const EXTENSIONS: [&str; 8] = [
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-criticality",
    "x-request-id",
    "x-original-url",
    "x-rewrite-url",
    "x-original-forwarded-for",
];
