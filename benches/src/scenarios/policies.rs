//! Asking chains, built from a policy as an operator writes it.

use std::hint::black_box;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use http::{HeaderMap, HeaderValue, Method};
use outrigger_config::Source;
use outrigger_filters::chain::Chain;
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;
use outrigger_filters::request::RequestView;
use outrigger_filters::state::StateStore;

use super::{Run, client, in_turn};

/// Keys of one limit that take turns.
const KEYS: u32 = 1000;
const STEP: u64 = 1000;

const UNKEYED: &str = "- { name: all, rate: 9000000/s, burst: 9000000 }";
const KEYED: &str = "- { name: per-client, rate: 9000000/s, burst: 9000000, key: [client_ip] }";
const FOUR: &str = "- { name: all, rate: 9000000/s, burst: 9000000 }
        - { name: per-client, rate: 9000000/s, burst: 9000000, key: [client_ip] }
        - { name: per-tenant, rate: 9000000/s, burst: 9000000, key: [{ header: x-tenant }, route] }
        - { name: per-method, rate: 9000000/s, burst: 9000000, key: [client_ip, method] }";

pub(super) fn unkeyed() -> anyhow::Result<Run> {
    prepare(UNKEYED)
}

pub(super) fn keyed() -> anyhow::Result<Run> {
    prepare(KEYED)
}

pub(super) fn four() -> anyhow::Result<Run> {
    prepare(FOUR)
}

/// The chain of [`FOUR`].
pub(super) fn chain_of_four() -> anyhow::Result<Arc<Chain>> {
    chain(FOUR)
}

fn chain(limits: &str) -> anyhow::Result<Arc<Chain>> {
    let text = format!(
        "version: 1
service: bench
inbound:
  app: http://127.0.0.1:9000
  routes:
    - name: orders
      match: {{ path_prefix: / }}
      rate_limits:
        {limits}
"
    );
    let source = Source { name: "bench.yaml".into(), text, dir: PathBuf::new() };
    let policy = outrigger_config::parse(vec![source]).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let route = policy.plan.inbound.routes.iter().find(|route| route.name == "orders");
    Ok(route.context("the policy has no such route")?.policies.build("inbound/orders", &StateStore::new(1)))
}

pub(super) fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (http::header::HOST, HeaderValue::from_static("orders.example")),
        (http::header::USER_AGENT, HeaderValue::from_static("curl/8.5.0")),
        (http::header::ACCEPT, HeaderValue::from_static("*/*")),
        (http::HeaderName::from_static("x-tenant"), HeaderValue::from_static("acme")),
    ])
}

pub(super) fn view(headers: &HeaderMap, client_ip: IpAddr) -> RequestView<'_> {
    RequestView {
        method: &Method::GET,
        path: "/v1/orders",
        query: None,
        headers,
        client_ip,
        spiffe_id: None,
        route: "orders",
        path_params: &[],
        worker: 0,
    }
}

fn prepare(limits: &str) -> anyhow::Result<Run> {
    let (chain, headers, mut turn) = (chain(limits)?, headers(), in_turn(KEYS));
    ensure!(chain.rules().len() == limits.lines().count(), "the chain lacks limits");
    let mut now = Nanos(0);
    let mut run = move || {
        now = Nanos(now.0 + STEP);
        let asked = chain.admit(black_box(&view(&headers, client(turn()))), now);
        // A refusal would be cheaper, and is not what is measured.
        let admitted = asked.is_ok();
        if let Ok(admitted) = asked {
            black_box(admitted).settle(Outcome::Ok, now);
        }
        admitted
    };
    // Every key is known before anything is counted.
    ensure!((0..KEYS).all(|_| run()), "the limits bite");
    Ok(Box::new(move || {
        black_box(run());
    }))
}
