//! Precedence of routes, which is the Gateway API's (HTTPRouteRule): the most specific host, then an exact
//! path, the longest prefix by segments, the longest regular expression; then a method, more headers, more
//! query parameters, and what comes first in the file.
//!
//! A route with several hosts ranks by its least specific one: a route for exactly one host is then never
//! hidden by one that names the same host among wider ones.

use std::cmp::Reverse;

use super::routes::DEFAULT;
use crate::plan::{HostMatch, PathMatch, Route};

/// Sorts by precedence. Stable, so what is equal keeps the order of the file; `default` goes last.
pub(super) fn sort(routes: &mut [Route]) {
    routes.sort_by_cached_key(rank);
}

type Rank = (bool, (u8, Reverse<usize>), (u8, Reverse<usize>, Reverse<usize>), Reverse<(bool, usize, usize)>);

fn rank(route: &Route) -> Rank {
    let matches = &route.matches;
    let host = matches.hosts.iter().map(host_rank).max().unwrap_or((2, Reverse(0)));
    let path = match &matches.path {
        PathMatch::Exact(_) => (0, Reverse(0), Reverse(0)),
        PathMatch::Prefix(prefix) => (1, Reverse(prefix.matches('/').count()), Reverse(prefix.len())),
        PathMatch::Regex(pattern) => (2, Reverse(0), Reverse(pattern.len())),
        PathMatch::Any => (3, Reverse(0), Reverse(0)),
    };
    let rest = (!matches.methods.is_empty(), matches.headers.len(), matches.query.len());
    (route.name == DEFAULT, host, path, Reverse(rest))
}

fn host_rank(host: &HostMatch) -> (u8, Reverse<usize>) {
    match host {
        HostMatch::Exact(_) => (0, Reverse(0)),
        HostMatch::Suffix(suffix) => (1, Reverse(suffix.len())),
    }
}
