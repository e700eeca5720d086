//! Finding a route, whatever their number.

use std::hint::black_box;

use anyhow::ensure;
use http::{HeaderMap, Method};
use outrigger_config::plan::{HostMatch, Match, PathMatch};
use outrigger_proxy::router::{Router, Target};

use super::{Run, in_turn};

/// Paths looked up in turn.
const PATHS: usize = 10;

pub(super) fn ten() -> anyhow::Result<Run> {
    prepare(10)
}

pub(super) fn ten_thousand() -> anyhow::Result<Run> {
    prepare(10_000)
}

/// Exact paths, prefixes, half of them under a host, and the route that takes the rest.
pub(super) fn router(count: usize) -> anyhow::Result<Router> {
    let mut matches: Vec<Match> = (0..count).map(one).collect();
    matches.push(Match::default());
    Ok(Router::new(&matches)?)
}

fn one(n: usize) -> Match {
    let path = match n % 2 {
        0 => PathMatch::Exact(exact(n)),
        _ => PathMatch::Prefix(format!("/v1/service-{n:05}")),
    };
    let hosts = match n % 4 {
        0 | 1 => vec![HostMatch::Exact(HOST.into())],
        _ => Vec::new(),
    };
    Match { path, hosts, ..Match::default() }
}

const HOST: &str = "orders.example";

fn exact(n: usize) -> String {
    format!("/v1/service-{n:05}/orders")
}

fn prepare(count: usize) -> anyhow::Result<Run> {
    let router = router(count)?;
    // Spread over all routes and of one length, the same mix of kinds whatever the count.
    let paths: Vec<String> = (0..PATHS).map(|n| exact(n * (count / PATHS) / 4 * 4 + n % 4)).collect();
    let headers = HeaderMap::new();
    let target = |path| Target { method: &Method::GET, host: HOST, path, query: None, headers: &headers };
    for path in &paths {
        let found = router.find(&target(path));
        ensure!(found.is_some_and(|rank| rank < count), "{path} has no route of its own");
    }
    let mut turn = in_turn(u32::try_from(PATHS)?);
    Ok(Box::new(move || {
        let path = paths.get(turn() as usize).map_or("", String::as_str);
        let target = Target { method: &Method::GET, host: HOST, path, query: None, headers: &headers };
        black_box(router.find(black_box(&target)));
    }))
}
