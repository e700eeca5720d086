//! What parses but cannot be meant.

use std::collections::HashSet;

use http::HeaderName;

use super::{KeyPart, Limit, MAX_KEY_PARTS, MAX_KEYS, MAX_LIMITS, MAX_PACING};
use crate::meter::gcra::MAX_BURST;
use crate::policy::Invalid;
use crate::unit::Timespan;

/// Names are labels, log fields and header values.
const LONGEST_NAME: usize = 64;

/// Checks a list; paths are relative to it, such as `[2].burst`.
pub(super) fn list(limits: &[Limit], found: &mut Vec<Invalid>) {
    if limits.len() > MAX_LIMITS {
        let message = format!("{} limits in one list", limits.len());
        found.push(Invalid::new("", message, format!("at most {MAX_LIMITS}; split the route or drop some")));
    }
    let mut names = HashSet::new();
    for (index, limit) in limits.iter().enumerate() {
        let mut add = |at: &str, message: String, hint: String| {
            found.push(Invalid::new(&format!("[{index}]{at}"), message, hint));
        };
        if !names.insert(limit.name.as_str()) {
            let message = format!("a second limit is named `{}`", limit.name);
            add(".name", message, "names are identities: give each limit its own".into());
        }
        numbers(limit, &mut add);
        key(limit, &mut add);
    }
}

fn numbers(limit: &Limit, add: &mut impl FnMut(&str, String, String)) {
    if !is_name(&limit.name) {
        let hint = format!("1 to {LONGEST_NAME} of a-z A-Z 0-9 - _ . beginning with a letter or digit");
        add(".name", format!("`{}` is not a name", limit.name.escape_default()), hint);
    }
    if limit.rate.count == 0 {
        let hint = "write at least 1 in some span, such as 1/h; to let nobody in, use a switch";
        add(".rate", format!("`{}` admits nothing", limit.rate), hint.into());
    }
    if limit.burst.is_some_and(|burst| burst == 0 || burst > MAX_BURST) {
        let hint = format!("1 to {MAX_BURST}; leave it out for one second of the rate");
        add(".burst", format!("a burst of {}", limit.burst()), hint);
    }
    if !MAX_KEYS.contains(&limit.max_keys) {
        let hint = format!("{} to {}", MAX_KEYS.start(), MAX_KEYS.end());
        add(".max_keys", format!("{} keys", limit.max_keys), hint);
    }
    if limit.pacing.0 > MAX_PACING {
        let hint = format!("at most {}; refuse instead of waiting longer", Timespan(MAX_PACING));
        add(".pacing", format!("a wait of {}", limit.pacing), hint);
    }
}

fn key(limit: &Limit, add: &mut impl FnMut(&str, String, String)) {
    if limit.key.len() > MAX_KEY_PARTS {
        add(".key", format!("{} parts", limit.key.len()), format!("at most {MAX_KEY_PARTS}"));
    }
    for (index, part) in limit.key.iter().enumerate() {
        let mut add = |message: &str, hint: &str| add(&format!(".key[{index}]"), message.into(), hint.into());
        match part {
            KeyPart::Header(name) if name.parse::<HeaderName>().is_err() => {
                add(&format!("`{}` is not a header name", name.escape_default()), "such as x-tenant");
            }
            KeyPart::Query(name) | KeyPart::JwtClaim(name) | KeyPart::PathParam(name) if name.is_empty() => {
                add("an empty name", "name the parameter or claim");
            }
            part if limit.key.iter().take(index).any(|earlier| earlier == part) => {
                add("the same part twice", "drop one of them");
            }
            _ => {}
        }
    }
}

fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    starts && rest && name.len() <= LONGEST_NAME
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::unit::Rate;

    fn found(change: impl FnOnce(&mut Limit)) -> Vec<String> {
        let mut limit = Limit::new("a", Rate::per_second(1));
        change(&mut limit);
        let mut found = Vec::new();
        list(&[Limit::new("first", Rate::per_second(1)), limit], &mut found);
        assert!(found.iter().all(|invalid| !invalid.message.is_empty() && !invalid.hint.is_empty()));
        found.into_iter().map(|invalid| invalid.path).collect()
    }

    #[test]
    fn accepts_the_defaults() {
        assert_eq!(found(|_| {}), [""; 0]);
    }

    #[test]
    fn points_at_each_number_out_of_range() {
        assert_eq!(found(|limit| limit.rate.count = 0), ["[1].rate"]);
        assert_eq!(found(|limit| limit.burst = Some(0)), ["[1].burst"]);
        assert_eq!(found(|limit| limit.burst = Some(MAX_BURST + 1)), ["[1].burst"]);
        assert_eq!(found(|limit| limit.max_keys = 0), ["[1].max_keys"]);
        assert_eq!(found(|limit| limit.max_keys = 1_000_001), ["[1].max_keys"]);
        assert_eq!(found(|limit| limit.pacing.0 = Duration::from_millis(10_001)), ["[1].pacing"]);
    }

    #[test]
    fn refuses_names_that_cannot_be_labels_and_names_given_twice() {
        for name in ["", "-a", "a b", "a\"b", "ä", &"a".repeat(65)] {
            assert_eq!(found(|limit| limit.name = name.into()), ["[1].name"], "{name}");
        }
        assert_eq!(found(|limit| limit.name = "first".into()), ["[1].name"]);
    }

    #[test]
    fn points_at_each_part_of_a_key() {
        let header = |name: &str| KeyPart::Header(name.into());
        assert_eq!(found(|limit| limit.key = vec![KeyPart::Route, header("x y")]), ["[1].key[1]"]);
        assert_eq!(found(|limit| limit.key = vec![KeyPart::Query(String::new())]), ["[1].key[0]"]);
        assert_eq!(found(|limit| limit.key = vec![KeyPart::Route, KeyPart::Route]), ["[1].key[1]"]);
        let many = ["a", "b", "c", "d", "e"].map(header).to_vec();
        assert_eq!(found(|limit| limit.key = many), ["[1].key"]);
    }

    #[test]
    fn refuses_more_limits_than_a_chain_should_ask() {
        let limits: Vec<_> = (0..9).map(|n| Limit::new(format!("n{n}"), Rate::per_second(1))).collect();
        let mut found = Vec::new();
        list(&limits, &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "");
    }
}
