//! Removes what only a trusted peer may say: who asked, how important it is, which request it is.
//!
//! Deadlines (`x-request-timeout-ms`, `grpc-timeout`, `x-envoy-expected-rq-timeout-ms`) stay: they can only
//! shorten what is allowed. Trace context stays too: it says nothing about rights.
//! Cost: nothing where there is nothing to remove, see [`Seen`].
use http::header::{HeaderMap, HeaderName};

use super::hop::BadFields;
use super::seen::{Field, Seen};

/// Fields removed in one walk; more take more walks.
const BATCH: usize = 8;

/// Cleans the fields of a request from a peer outside `trusted_peers`. Fails on names with underscores, which
/// could stand for one of the removed fields in the app.
pub fn strip(headers: &mut HeaderMap, seen: Seen) -> Result<(), BadFields> {
    if seen.has(Field::Underscore) {
        return Err(BadFields::Underscore);
    }
    while seen.has(Field::Claim) && remove_some(headers) {}
    Ok(())
}

/// Removes the first few claims there are; true if there may be more. In batches, because nothing can be removed
/// during the walk.
fn remove_some(headers: &mut HeaderMap) -> bool {
    let mut batch = [const { None }; BATCH];
    let claims = headers.keys().filter(|name| is_claim(name.as_str()));
    for (place, name) in batch.iter_mut().zip(claims) {
        *place = Some(name.clone());
    }
    let more = batch.iter().all(Option::is_some);
    for name in batch.into_iter().flatten() {
        headers.remove::<HeaderName>(name);
    }
    more
}

/// Eight bytes at a time, the last eight perhaps twice: this looks at every name of every request.
#[inline]
pub(super) fn has_underscore(name: &[u8]) -> bool {
    let Some(last) = name.last_chunk::<8>() else { return name.contains(&b'_') };
    let (words, _) = name.as_chunks::<8>();
    words.iter().chain([last]).any(|word| is_in(u64::from_le_bytes(*word)))
}

#[inline(always)]
const fn is_in(word: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let zero_at_hit = word ^ (EACH * b'_' as u64);
    zero_at_hit.wrapping_sub(EACH) & !zero_at_hit & (EACH << 7) != 0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_underscore_wherever_it_stands() {
        for length in 0..40 {
            let mut name = vec![b'a'; length];
            assert!(!has_underscore(&name));
            for place in 0..length {
                name[place] = b'_';
                assert!(has_underscore(&name), "{place} of {length}");
                name[place] = b'^';
                assert!(!has_underscore(&name), "{place} of {length}");
            }
        }
    }
}
