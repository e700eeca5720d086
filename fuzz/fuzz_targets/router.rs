//! The router never panics and agrees with trying every route in turn.
#![no_main]

use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;
use outrigger_config::plan::{Match, PathMatch};
use outrigger_proxy::router::{Router, Target};

fuzz_target!(|input: (Vec<(u8, String)>, String)| {
    let (routes, path) = input;
    let matches: Vec<Match> = routes
        .into_iter()
        .take(32)
        .map(|(kind, text)| {
            let path = match kind % 3 {
                0 => PathMatch::Exact(text),
                1 => PathMatch::Prefix(text.trim_end_matches('/').to_owned()),
                _ => PathMatch::Any,
            };
            Match { path, ..Match::default() }
        })
        .collect();
    let Ok(router) = Router::new(&matches) else { return };
    let target =
        Target { method: &Method::GET, host: "", path: &path, query: None, headers: &HeaderMap::new() };
    let covers = |entry: &Match| match &entry.path {
        PathMatch::Exact(exact) => *exact == path,
        PathMatch::Prefix(prefix) => path.strip_prefix(prefix.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/')),
        _ => true,
    };
    match router.find(&target) {
        Some(rank) => assert!(covers(&matches[rank])),
        None => assert!(!matches.iter().any(covers)),
    }
});
