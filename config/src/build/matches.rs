//! Conditions of a route.

use super::Build;
use crate::codes;
use crate::document;
use crate::index::Spot;
use crate::node::quoted;
use crate::plan::{HostMatch, Match, PathMatch};

/// Conditions of a kind in one match: each is looked at for each request.
const MAX_CONDITIONS: usize = 64;

impl Build<'_, '_> {
    pub(super) fn matches(&self, written: &document::Match, spot: Spot<'_>) -> Match {
        let document::Match { methods, path, path_prefix, path_regex, hosts, headers, query } = written;
        let given = [("path", path), ("path_prefix", path_prefix), ("path_regex", path_regex)];
        let given: Vec<&str> =
            given.into_iter().filter(|(_, path)| path.is_some()).map(|(key, _)| key).collect();
        if let [first, second, ..] = given.as_slice() {
            let message = format!("`{first}` and `{second}` in one match");
            self.error(spot.at_key(second), codes::MATCH, message, "keep one; two routes match two paths");
        }
        let path = match (path, path_prefix, path_regex) {
            (Some(path), _, _) => self.exact(spot.key("path"), path),
            (_, Some(prefix), _) => self.prefix(spot.key("path_prefix"), prefix),
            (_, _, Some(pattern)) => self.pattern(spot.key("path_regex"), pattern),
            _ => PathMatch::Any,
        };
        Match {
            methods: self.methods(methods.as_deref(), spot.key("methods")),
            path,
            hosts: self.match_hosts(hosts.as_deref(), spot.key("hosts")),
            headers: self.headers(headers.as_ref(), spot.key("headers")),
            query: self.query(query.as_ref(), spot.key("query")),
        }
    }

    fn exact(&self, spot: Spot<'_>, path: &str) -> PathMatch {
        self.check_path(spot, path);
        PathMatch::Exact(path.to_owned())
    }

    fn prefix(&self, spot: Spot<'_>, prefix: &str) -> PathMatch {
        self.check_path(spot, prefix);
        match prefix.trim_end_matches('/') {
            "" => PathMatch::Any,
            prefix => PathMatch::Prefix(prefix.to_owned()),
        }
    }

    fn pattern(&self, spot: Spot<'_>, pattern: &str) -> PathMatch {
        self.regex(spot, pattern);
        let begins = pattern.trim_start_matches(['^', '(']);
        if begins.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let message = format!("{} can never match: it is compared with the whole path", quoted(pattern));
            self.error(spot, codes::PATH, message, "a path begins with `/`");
        }
        PathMatch::Regex(pattern.to_owned())
    }

    fn methods(&self, methods: Option<&[String]>, spot: Spot<'_>) -> Vec<String> {
        let Some(methods) = methods else { return Vec::new() };
        self.refuse_empty(methods.is_empty(), spot, "methods");
        if self.refuse_many(methods.len(), spot, "methods") {
            return Vec::new();
        }
        for (index, method) in methods.iter().enumerate() {
            let spot = spot.item(index);
            if method == "CONNECT" {
                self.error(
                    spot,
                    codes::METHOD,
                    "CONNECT is always refused, so no route can match it",
                    "remove it",
                );
            } else if http::Method::from_bytes(method.as_bytes()).is_err() {
                self.error(spot, codes::METHOD, format!("{} is not a method", quoted(method)), "");
            } else if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
                let hint = format!("did you mean `{}`?", method.to_ascii_uppercase());
                self.error(spot, codes::METHOD, format!("{}: methods are upper case", quoted(method)), hint);
            } else if methods.iter().take(index).any(|earlier| earlier == method) {
                self.error(spot, codes::METHOD, format!("{} is listed twice", quoted(method)), "remove one");
            }
        }
        methods.to_vec()
    }

    fn match_hosts(&self, hosts: Option<&[String]>, spot: Spot<'_>) -> Vec<HostMatch> {
        let Some(hosts) = hosts else { return Vec::new() };
        self.refuse_empty(hosts.is_empty(), spot, "hosts");
        if self.refuse_many(hosts.len(), spot, "hosts") {
            return Vec::new();
        }
        hosts.iter().enumerate().filter_map(|(index, host)| self.host(spot.item(index), host)).collect()
    }

    pub(super) fn refuse_empty(&self, empty: bool, spot: Spot<'_>, key: &str) {
        if empty {
            let message = format!("`{key}` is empty, so it would match nothing");
            self.error(spot, codes::MATCH, message, "remove the key to match everything");
        }
    }

    /// Reports a list that is longer than any route needs, and whether it is.
    pub(super) fn refuse_many(&self, count: usize, spot: Spot<'_>, key: &str) -> bool {
        if count > MAX_CONDITIONS {
            let message = format!("`{key}` has {count} entries; {MAX_CONDITIONS} are accepted");
            self.error(spot, codes::RANGE, message, "split the route");
        }
        count > MAX_CONDITIONS
    }
}
