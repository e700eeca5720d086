//! Conditions on headers and query parameters, and what the filters' blocks name of a match.

use std::cell::LazyCell;
use std::ops::Deref;

use http::{HeaderName, HeaderValue};

use super::{Build, regexes};
use crate::codes;
use crate::decode::Policies;
use crate::document::{self, FieldValue, Fields};
use crate::index::Spot;
use crate::node::{Node, NodeId, Plain, Value, quoted};
use crate::plan::{FieldMatch, ValueMatch};

/// Items of a list in a block of a filter.
const MAX_ITEMS: usize = 256;

impl Build<'_, '_> {
    pub(super) fn headers(&self, written: Option<&Fields>, spot: Spot<'_>) -> Vec<FieldMatch> {
        let Some(written) = written else { return Vec::new() };
        self.refuse_empty(written.is_empty(), spot, "headers");
        if self.refuse_many(written.len(), spot, "headers") {
            return Vec::new();
        }
        let mut fields: Vec<FieldMatch> = Vec::new();
        for (name, value) in written {
            let at = spot.at_key(name);
            let lower = name.to_ascii_lowercase();
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.error(at, codes::FIELD, format!("{} is not a header name", quoted(name)), "");
            } else if lower == "host" {
                self.error(at, codes::FIELD, "the host is not matched as a header", "use `hosts`");
            } else if fields.iter().any(|field| field.name == lower) {
                self.error(
                    at,
                    codes::FIELD,
                    format!("header {} is given twice", quoted(&lower)),
                    "names ignore case",
                );
            }
            if let FieldValue::Exact(text) = value
                && (HeaderValue::from_str(text).is_err() || text.trim() != text)
            {
                let message = format!("no header can have the value {}", quoted(text));
                self.error(spot.key(name), codes::FIELD, message, "visible ASCII, no space at the ends");
            }
            fields.push(FieldMatch { name: lower, value: self.value(spot.key(name), value) });
        }
        fields
    }

    pub(super) fn query(&self, written: Option<&Fields>, spot: Spot<'_>) -> Vec<FieldMatch> {
        let Some(written) = written else { return Vec::new() };
        self.refuse_empty(written.is_empty(), spot, "query");
        if self.refuse_many(written.len(), spot, "query") {
            return Vec::new();
        }
        let field = |(name, value): (&String, &FieldValue)| {
            if name.is_empty() {
                self.error(spot.at_key(name), codes::FIELD, "a query parameter without a name", "");
            }
            FieldMatch { name: name.clone(), value: self.value(spot.key(name), value) }
        };
        written.iter().map(field).collect()
    }

    fn value(&self, spot: Spot<'_>, value: &FieldValue) -> ValueMatch {
        match value {
            FieldValue::Exact(text) => ValueMatch::Exact(text.clone()),
            FieldValue::Regex(pattern) => {
                self.regex(spot.key("regex"), pattern);
                ValueMatch::Regex(pattern.clone())
            }
            FieldValue::Present(true) => ValueMatch::Present,
            FieldValue::Present(false) => {
                let message = "`present: false` is not in this version";
                self.error(
                    spot.key("present"),
                    codes::NOT_BUILT,
                    message,
                    "match the requests that have it before",
                );
                ValueMatch::Present
            }
        }
    }

    /// What the filters themselves say about their blocks in the value `id`, and that the parameters of the
    /// path they name are captured by the match.
    pub(super) fn check_policies<P: Policies>(
        &self,
        id: NodeId,
        policies: &P,
        matches: Option<&document::Match>,
    ) {
        let spot = self.ctx.index.spot(id);
        let node = self.ctx.index.node(id);
        let blocks = || node.entries().iter().filter(|(key, _)| P::KEYS.contains(&key.text.as_str()));
        // Filters may compare the items of a list with each other, so they see none without a bound.
        if blocks().any(|(_, block)| self.has_long_list(block)) {
            return;
        }
        for invalid in policies.invalid() {
            self.error(spot.follow(&invalid.path), codes::FILTER, invalid.message, invalid.hint);
        }
        let pattern = matches.and_then(|matches| matches.path_regex.as_deref());
        // Compiled only if a block asks: most routes name no parameter.
        let captures = LazyCell::new(|| captures(pattern));
        for (_, block) in blocks() {
            self.check_captures(block, &captures);
        }
    }

    /// Reports the first list in a filter's block that is longer than any filter reads.
    fn has_long_list(&self, node: &Node) -> bool {
        let count = node.items().len();
        if count > MAX_ITEMS {
            let message = format!("a list of {count} items; {MAX_ITEMS} are accepted");
            self.error(self.ctx.index.spot(node.id), codes::RANGE, message, "split the route");
        }
        count > MAX_ITEMS || node.children().any(|child| self.has_long_list(child))
    }

    /// `path_param` means the same wherever a filter reads it.
    fn check_captures(&self, node: &Node, captures: &impl Deref<Target = Vec<String>>) {
        for (key, value) in node.entries() {
            if let ("path_param", Some(Plain::Text(name)), Value::Scalar { .. }) =
                (key.text.as_str(), value.plain(), &value.value)
                && !captures.iter().any(|capture| capture == name)
            {
                let message = format!("no `path_regex` here captures {}", quoted(name));
                let hint = format!(
                    "name the capture in the match of the same route: `path_regex: /v1/(?<{name}>[^/]+)`"
                );
                self.error(self.ctx.index.spot(value.id), codes::PATH_PARAM, message, hint);
            }
        }
        node.children().for_each(|child| self.check_captures(child, captures));
    }
}

/// Names of the captures of a pattern.
fn captures(pattern: Option<&str>) -> Vec<String> {
    let regex = pattern.and_then(|pattern| regexes::anchored(pattern).ok());
    regex.iter().flat_map(|regex| regex.capture_names().flatten().map(str::to_owned)).collect()
}
