//! What the rules of real chains decided, as metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, Method};
use outrigger_filters::chain::Chain;
use outrigger_filters::clock::Nanos;
use outrigger_filters::policies::RoutePolicies;
use outrigger_filters::rate_limits::{KeyPart, Limit};
use outrigger_filters::request::RequestView;
use outrigger_filters::state::StateStore;
use outrigger_filters::unit::Rate;
use outrigger_proxy::telemetry::{Chains, Exposition, Format};

mod support;
use support::exposition::{Sample, parse};

fn chain(store: &StateStore, owner: &str, names: &[&str]) -> Arc<Chain> {
    let limit = |name: &&str| {
        let limit = Limit { burst: Some(2), ..Limit::new(*name, Rate::per_second(1)) };
        Limit { key: vec![KeyPart::ClientIp], ..limit }
    };
    RoutePolicies { rate_limits: names.iter().map(limit).collect() }.build(owner, store)
}

fn ask(chain: &Arc<Chain>, times: usize) {
    let headers = HeaderMap::new();
    let request = RequestView {
        method: &Method::GET,
        path: "/",
        query: None,
        headers: &headers,
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        spiffe_id: None,
        route: "route",
        path_params: &[],
        worker: 0,
    };
    for _ in 0..times {
        let _ = chain.admit(&request, Nanos(1_000_000_000));
    }
}

fn read(chains: &[(&str, Arc<Chain>)]) -> Vec<Sample> {
    let mut out = Exposition::new(Format::Text);
    let mut reading = Chains::default();
    for (owner, chain) in chains {
        reading.read(&mut out, owner, chain);
    }
    reading.finish(&mut out);
    parse(&out.finish(), Format::Text)
}

#[test]
fn each_rule_has_its_decisions_and_keys() {
    let store = StateStore::new(1);
    let chains = [("create-order", chain(&store, "create-order", &["per-client"]))];
    ask(&chains[0].1, 5);
    let samples = read(&chains);
    let count = |action: &str| {
        let of = |s: &&Sample| s.name == "outrigger_decisions_total" && s.label("action") == action;
        samples.iter().find(of).map(|s| s.value)
    };
    assert_eq!((count("admitted"), count("rejected"), count("queued")), (Some(2.0), Some(3.0), Some(0.0)));
    let labels = &samples.iter().find(|s| s.label("action") == "rejected").unwrap().labels;
    for (name, value) in
        [("owner", "create-order"), ("filter", "rate_limits"), ("name", "per-client"), ("mode", "enforce")]
    {
        assert_eq!(labels[name], value);
    }
    let keys = samples.iter().find(|s| s.name == "outrigger_rate_limit_keys").unwrap();
    assert_eq!((keys.label("owner"), keys.value), ("create-order".into(), 1.0));
}

#[test]
fn a_policy_of_many_rules_stays_within_the_cap() {
    let store = StateStore::new(1);
    let owners: Vec<String> = (0..600).map(|n| format!("route-{n}")).collect();
    let chains: Vec<_> = owners.iter().map(|o| (o.as_str(), chain(&store, o, &["limit"]))).collect();
    for (_, chain) in &chains {
        ask(chain, 3);
    }
    let samples = read(&chains);
    let decisions: Vec<_> = samples.iter().filter(|s| s.name == "outrigger_decisions_total").collect();
    assert_eq!(decisions.len(), 2_000 + 4);
    assert_eq!(decisions.iter().map(|s| s.value).sum::<f64>(), 1_800.0);
}
