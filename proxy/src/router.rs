//! From a request to its route: immutable, built once a policy, hash lookups only.
//!
//! The plan brings routes in order of precedence (Gateway API `HTTPRoute`: host, exact path, longest prefix by
//! segment, regex, method, header and query matches, order in the file); a route's index is its rank. Exact
//! paths and prefixes are looked up by hash, so ten thousand routes cost what ten do. Only regexes are tried
//! one by one.

mod condition;

use std::collections::HashMap;

use http::{HeaderMap, Method};
use outrigger_config::plan::{HostMatch, Match, PathMatch};
use regex::Regex;

use condition::Condition;

/// What a regex may cost: bytes of its compiled program.
const REGEX_SIZE: usize = 1 << 20;

/// The part of a request that routes are chosen by.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// As on the request line.
    pub method: &'a Method,
    /// Lower case, without port; empty if there is none.
    pub host: &'a str,
    /// As it will be forwarded.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    /// All of them.
    pub headers: &'a HeaderMap,
}

/// Finds the first route, in order of precedence, whose conditions all hold.
#[derive(Debug, Default)]
pub struct Router {
    hosts: HashMap<Box<str>, Table>,
    /// Longest first.
    suffixes: Vec<(Box<str>, Table)>,
    any_host: Table,
    conditions: Vec<Condition>,
    regexes: Vec<Option<Regex>>,
}

/// The routes of one host. Lists hold ranks, ascending.
#[derive(Debug, Default)]
struct Table {
    exact: HashMap<Box<str>, Vec<usize>>,
    prefix: HashMap<Box<str>, Vec<usize>>,
    longest_prefix: usize,
    regex: Vec<usize>,
    any: Vec<usize>,
}

impl Router {
    /// Builds the index of `matches`, given in order of precedence.
    ///
    /// # Errors
    /// A regex that does not compile within its limits; a checked plan has none.
    pub fn new<'a>(matches: impl IntoIterator<Item = &'a Match>) -> Result<Self, Box<regex::Error>> {
        let mut router = Self::default();
        for (rank, entry) in matches.into_iter().enumerate() {
            router.conditions.push(Condition::new(entry)?);
            router.regexes.push(match &entry.path {
                PathMatch::Regex(pattern) => Some(anchored(pattern)?),
                _ => None,
            });
            if entry.hosts.is_empty() {
                router.any_host.insert(rank, &entry.path);
            }
            for host in &entry.hosts {
                router.table(host).insert(rank, &entry.path);
            }
        }
        router.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        Ok(router)
    }

    /// The rank of the route for `target`.
    #[must_use]
    pub fn find(&self, target: &Target<'_>) -> Option<usize> {
        if !self.hosts.is_empty()
            && let Some(found) = self.hosts.get(target.host).and_then(|table| self.search(table, target))
        {
            return Some(found);
        }
        let suffix = |(suffix, table): &(Box<str>, Table)| {
            let inside = target.host.len() > suffix.len() && target.host.ends_with(&**suffix);
            inside.then(|| self.search(table, target)).flatten()
        };
        self.suffixes.iter().find_map(suffix).or_else(|| self.search(&self.any_host, target))
    }

    /// What the regex of route `rank` named in `path`: pairs of capture name and text.
    #[must_use]
    pub fn path_params<'a>(&'a self, rank: usize, path: &'a str) -> Vec<(&'a str, &'a str)> {
        let Some(Some(regex)) = self.regexes.get(rank) else { return Vec::new() };
        let Some(captures) = regex.captures(path) else { return Vec::new() };
        let names = regex.capture_names().flatten();
        names.filter_map(|name| Some((name, captures.name(name)?.as_str()))).collect()
    }

    fn table(&mut self, host: &HostMatch) -> &mut Table {
        match host {
            HostMatch::Exact(host) => self.hosts.entry(host.as_str().into()).or_default(),
            HostMatch::Suffix(suffix) => {
                let known = self.suffixes.iter().position(|(known, _)| **known == **suffix);
                let at = known.unwrap_or_else(|| {
                    self.suffixes.push((suffix.as_str().into(), Table::default()));
                    self.suffixes.len() - 1
                });
                match self.suffixes.get_mut(at) {
                    Some((_, table)) => table,
                    None => &mut self.any_host,
                }
            }
        }
    }

    fn search(&self, table: &Table, target: &Target<'_>) -> Option<usize> {
        let first = |ranks: &Vec<usize>| ranks.iter().copied().find(|rank| self.holds(*rank, target));
        if let Some(found) = table.exact.get(target.path).and_then(first) {
            return Some(found);
        }
        if let Some(found) = table.prefixes_of(target.path).find_map(first) {
            return Some(found);
        }
        let regex = |rank: &usize| {
            let matches = self.regexes.get(*rank)?.as_ref()?.is_match(target.path);
            (matches && self.holds(*rank, target)).then_some(*rank)
        };
        table.regex.iter().find_map(regex).or_else(|| first(&table.any))
    }

    fn holds(&self, rank: usize, target: &Target<'_>) -> bool {
        self.conditions.get(rank).is_some_and(|condition| condition.holds(target))
    }
}

impl Table {
    fn insert(&mut self, rank: usize, path: &PathMatch) {
        match path {
            PathMatch::Exact(path) => self.exact.entry(path.as_str().into()).or_default().push(rank),
            PathMatch::Prefix(prefix) => {
                let prefix = prefix.trim_end_matches('/');
                self.longest_prefix = self.longest_prefix.max(prefix.len());
                self.prefix.entry(prefix.into()).or_default().push(rank);
            }
            PathMatch::Regex(_) => self.regex.push(rank),
            PathMatch::Any => self.any.push(rank),
        }
    }

    /// The entries for `path` and for what stands before each of its slashes, longest first.
    fn prefixes_of<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Vec<usize>> {
        let mut rest = (!self.prefix.is_empty()).then_some(path);
        std::iter::from_fn(move || {
            while let Some(prefix) = rest {
                rest = prefix.rfind('/').and_then(|slash| prefix.get(..slash));
                if prefix.len() <= self.longest_prefix
                    && let Some(found) = self.prefix.get(prefix)
                {
                    return Some(found);
                }
            }
            None
        })
    }
}

fn anchored(pattern: &str) -> Result<Regex, Box<regex::Error>> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_SIZE).build().map_err(Box::new)
}

#[cfg(test)]
mod tests {
    use outrigger_config::plan::{FieldMatch, ValueMatch};

    use super::*;

    fn exact(path: &str) -> Match {
        Match { path: PathMatch::Exact(path.into()), ..Match::default() }
    }

    fn prefix(path: &str) -> Match {
        Match { path: PathMatch::Prefix(path.into()), ..Match::default() }
    }

    fn find(router: &Router, method: &Method, host: &str, path: &str) -> Option<usize> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        router.find(&Target { method, host, path, query, headers: &HeaderMap::new() })
    }

    #[test]
    fn prefers_exact_then_the_longest_prefix_by_segment() {
        let router = Router::new(&[exact("/a/b"), prefix("/a/b"), prefix("/a"), Match::default()]).unwrap();
        assert_eq!(find(&router, &Method::GET, "", "/a/b"), Some(0));
        assert_eq!(find(&router, &Method::GET, "", "/a/b/c"), Some(1));
        assert_eq!(find(&router, &Method::GET, "", "/a/bc"), Some(2));
        assert_eq!(find(&router, &Method::GET, "", "/ab"), Some(3));
        assert_eq!(find(&router, &Method::GET, "", "/"), Some(3));
    }

    #[test]
    fn a_prefix_of_the_root_matches_every_path() {
        let router = Router::new(&[prefix("/")]).unwrap();
        assert_eq!(find(&router, &Method::GET, "", "/x/y"), Some(0));
        assert_eq!(find(&router, &Method::GET, "", "/"), Some(0));
    }

    #[test]
    fn falls_through_to_the_next_match_when_the_method_differs() {
        let post = Match { methods: vec!["POST".into()], ..exact("/a") };
        let router = Router::new(&[post, Match::default()]).unwrap();
        assert_eq!(find(&router, &Method::POST, "", "/a"), Some(0));
        assert_eq!(find(&router, &Method::GET, "", "/a"), Some(1));
    }

    #[test]
    fn prefers_the_exact_host_then_the_longest_suffix() {
        let host = |host| Match { hosts: vec![host], ..Match::default() };
        let router = Router::new(&[
            host(HostMatch::Exact("a.b.example".into())),
            host(HostMatch::Suffix(".b.example".into())),
            host(HostMatch::Suffix(".example".into())),
            Match::default(),
        ])
        .unwrap();
        assert_eq!(find(&router, &Method::GET, "a.b.example", "/"), Some(0));
        assert_eq!(find(&router, &Method::GET, "c.b.example", "/"), Some(1));
        assert_eq!(find(&router, &Method::GET, "c.example", "/"), Some(2));
        assert_eq!(find(&router, &Method::GET, "example", "/"), Some(3));
    }

    #[test]
    fn a_regex_must_match_the_whole_path_and_names_its_parts() {
        let regex = Match { path: PathMatch::Regex("/t/(?<tenant>[a-z]+)".into()), ..Match::default() };
        let router = Router::new(&[regex]).unwrap();
        assert_eq!(find(&router, &Method::GET, "", "/t/acme"), Some(0));
        assert_eq!(find(&router, &Method::GET, "", "/t/acme/x"), None);
        assert_eq!(router.path_params(0, "/t/acme"), [("tenant", "acme")]);
    }

    #[test]
    fn compares_query_parameters_after_decoding() {
        let field = FieldMatch { name: "q".into(), value: ValueMatch::Exact("a b".into()) };
        let router = Router::new(&[Match { query: vec![field], ..Match::default() }]).unwrap();
        assert_eq!(find(&router, &Method::GET, "", "/?x=1&q=a%20b"), Some(0));
        assert_eq!(find(&router, &Method::GET, "", "/?q=a+b"), Some(0));
        assert_eq!(find(&router, &Method::GET, "", "/?q=a"), None);
    }
}
