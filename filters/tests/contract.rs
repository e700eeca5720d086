//! What every policy owes the rest of the house, whichever policies there are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod support;

use std::sync::Arc;

use http::HeaderMap;
use outrigger_filters::chain::{Action, Chain};
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::policies::{RoutePolicies, UpstreamPolicies};
use outrigger_filters::policy::Mode;
use outrigger_filters::state::StateStore;
use serde_json::{Value, json};
use support::request;

/// The examples, as an operator would write them.
fn examples() -> [Value; 2] {
    [
        serde_json::to_value(RoutePolicies::example()).unwrap(),
        serde_json::to_value(UpstreamPolicies::example()).unwrap(),
    ]
}

fn parse(value: Value) -> Result<RoutePolicies, serde_json::Error> {
    serde_json::from_value(value)
}

/// Every mapping inside a value.
fn mappings<'a>(value: &'a mut Value, found: &mut dyn FnMut(&mut Value)) {
    if value.is_object() {
        found(value);
    }
    let inner: Box<dyn Iterator<Item = &'a mut Value>> = match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(map) => Box::new(map.values_mut()),
        _ => return,
    };
    inner.for_each(|value| mappings(value, found));
}

#[test]
fn examples_are_valid_and_read_back_the_same() {
    for example in examples() {
        let policies = parse(example.clone()).unwrap();
        assert_eq!(policies.validate(), []);
        assert_eq!(serde_json::to_value(&policies).unwrap(), example);
    }
}

#[test]
fn unknown_keys_are_refused_at_every_depth() {
    for example in examples() {
        let mut depth = 0;
        mappings(&mut example.clone(), &mut |_| depth += 1);
        assert!(depth > 2);
        for wrong in 0..depth {
            let (mut seen, mut broken) = (0, example.clone());
            mappings(&mut broken, &mut |mapping| {
                if seen == wrong {
                    mapping["unknown_key"] = json!(1);
                }
                seen += 1;
            });
            let error = parse(broken).unwrap_err().to_string();
            assert!(
                error.contains("unknown") || error.contains("single key") || error.contains("expected"),
                "{error}"
            );
        }
    }
}

#[test]
fn what_is_left_out_has_a_default() {
    assert_eq!(parse(json!({})).unwrap(), RoutePolicies::default());
    let least = parse(json!({ "rate_limits": [{ "name": "a", "rate": "5/s" }] })).unwrap();
    let limit = &least.rate_limits[0];
    assert_eq!(
        (limit.burst(), limit.max_keys, limit.mode, limit.pacing.0.is_zero()),
        (5, 65_536, Mode::Enforce, true)
    );
    let slow = parse(json!({ "rate_limits": [{ "name": "a", "rate": "5/h" }] })).unwrap();
    assert_eq!(slow.rate_limits[0].burst(), 1);
}

#[test]
fn a_number_without_its_unit_is_explained() {
    let error = parse(json!({ "rate_limits": [{ "name": "a", "rate": 5 }] })).unwrap_err().to_string();
    assert!(error.contains("a number needs a unit, such as 100/s"), "{error}");
}

#[test]
fn every_key_of_the_schema_says_what_it_is() {
    let schema = serde_json::to_value(schemars::schema_for!(RoutePolicies)).unwrap();
    for key in RoutePolicies::KEYS {
        assert!(schema["properties"][key]["description"].is_string(), "{key}");
    }
    let limit = schema["$defs"]["Limit"]["properties"].as_object().unwrap();
    assert_eq!(limit.len(), 9);
    assert!(limit.values().all(|key| key["description"].is_string()), "{limit:?}");
    assert_eq!(schema["$defs"]["Rate"]["type"], "string");
}

/// Asks until the first refusal.
fn exhaust(chain: &Arc<Chain>) -> u64 {
    let headers = HeaderMap::new();
    let pass = || chain.admit(&request(&headers, 1, 0), Nanos(0));
    (0..1_000_000)
        .take_while(|_| pass().map(|admitted| admitted.settle(Outcome::Ok, Nanos(0))).is_ok())
        .count() as u64
}

#[test]
fn a_chain_built_anew_goes_on_where_the_last_one_stood() {
    let store = StateStore::new(1);
    let policies = RoutePolicies::example();
    let first = policies.build("route", &store);
    let passed = exhaust(&first);
    assert!(passed > 0);
    let second = policies.build("route", &store);
    assert_eq!(exhaust(&second), 0);
    assert!(exhaust(&policies.build("another", &store)) > 0, "owners are apart");
    let admitted =
        |chain: &Chain| chain.rules().map(|(_, rule)| rule.count(Action::Admitted)).collect::<Vec<_>>();
    assert_eq!(admitted(&first), admitted(&second), "so do the counters");
}

#[test]
fn every_rule_counts_each_decision_once() {
    let chain = RoutePolicies::example().build("route", &StateStore::new(1));
    let passed = exhaust(&chain);
    let totals = |action| chain.rules().map(move |(_, rule)| rule.count(action));
    assert!(totals(Action::Admitted).all(|count| count == passed));
    assert_eq!(totals(Action::Rejected).sum::<u64>(), 1);
    assert_eq!(totals(Action::Queued).chain(totals(Action::Overflow)).sum::<u64>(), 0);
}

#[test]
fn in_shadow_nothing_is_refused() {
    let mut example = examples()[0].clone();
    mappings(&mut example, &mut |mapping| {
        if mapping.get("name").is_some() {
            mapping["mode"] = json!("shadow");
        }
    });
    let chain = parse(example).unwrap().build("route", &StateStore::new(1));
    assert_eq!(exhaust(&chain), 1_000_000);
    assert!(chain.rules().all(|(_, rule)| rule.mode() == Mode::Shadow && rule.count(Action::Rejected) > 0));
}

#[test]
fn the_most_a_list_may_hold_is_asked_in_full() {
    for mode in ["enforce", "shadow"] {
        let limit = |n| json!({ "name": format!("n{n}"), "rate": "1/h", "mode": mode });
        let policies = parse(json!({ "rate_limits": (0..8).map(limit).collect::<Vec<_>>() })).unwrap();
        assert_eq!(policies.validate(), []);
        let chain = policies.build("route", &StateStore::new(1));
        assert!(chain.admit(&request(&HeaderMap::new(), 1, 0), Nanos(0)).is_ok());
        assert!(chain.rules().all(|(_, rule)| rule.count(Action::Admitted) == 1));
    }
}
