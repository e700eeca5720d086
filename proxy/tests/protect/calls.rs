//! Policies of dependencies, calls to them, and what operators see of them.

use std::net::SocketAddr;
use std::time::Duration;

use outrigger_proxy::telemetry::Format;
use serde_json::Value;
use tokio::time::Instant;

use super::support::exposition::parse;
use super::support::raw::{Answer, Raw};
use super::support::run::eventually;
use super::support::sidecar::Sidecar;

/// The values of `outrigger_breaker_state`.
pub(crate) const CLOSED: f64 = 0.0;
pub(crate) const HALF_OPEN: f64 = 1.0;
pub(crate) const RAMP: f64 = 2.0;
pub(crate) const OPEN: f64 = 3.0;

/// A policy of dependencies, each known by its name and `.test`: its endpoints, and more of its keys, one a line.
pub(crate) fn policy(dependencies: &[(&str, &[SocketAddr], &str)]) -> String {
    let mut policy = "version: 1\ndependencies:\n".to_owned();
    for (name, endpoints, keys) in dependencies {
        let endpoints: Vec<_> = endpoints.iter().map(|at| format!("{{ address: \"{at}\" }}")).collect();
        let endpoints = endpoints.join(", ");
        policy += &format!("  {name}:\n    hosts: [{name}.test]\n    endpoints: [{endpoints}]\n");
        for key in keys.lines().map(str::trim) {
            policy += &format!("    {key}\n");
        }
    }
    policy
}

/// A policy with the dependency `dep`.
pub(crate) fn one(endpoint: SocketAddr, keys: &str) -> String {
    policy(&[("dep", &[endpoint], keys)])
}

/// A request to `dep` with these header lines.
pub(crate) fn request(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: dep.test\r\n{fields}\r\n")
}

pub(crate) fn get(path: &str) -> String {
    request("GET", path, "")
}

pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    [request("POST", path, &format!("content-length: {}\r\n", body.len())).as_bytes(), body].concat()
}

/// Sends a request of the app on a connection of its own, and leaves its answer to be read.
pub(crate) async fn send(sidecar: &Sidecar, request: impl AsRef<[u8]>) -> Raw {
    let mut raw = Raw::connect(sidecar.outbound).await;
    raw.send(request).await;
    raw
}

/// The same with its answer.
pub(crate) async fn call(sidecar: &Sidecar, request: impl AsRef<[u8]>) -> Answer {
    Raw::connect(sidecar.outbound).await.ask(request).await
}

/// How long something took.
pub(crate) async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let done = future.await;
    (done, began.elapsed())
}

/// The name in an answer of ours of what refused: `circuit_breaker:dep:open` of `details="circuit_breaker:dep:open"`.
pub(crate) fn details(answer: &Answer) -> &str {
    let said = answer.field("proxy-status").unwrap_or_default();
    said.split_once("details=\"").map_or("", |(_, rest)| rest.trim_end_matches('"'))
}

/// Asserts that the sidecar refused a call that never left, with 503 and this error.
pub(crate) fn assert_refused(answer: &Answer, error: &str, by: &str) {
    assert_eq!((answer.status, answer.field("outrigger-sent")), (503, Some("0")), "{answer:?}");
    let said = answer.field("proxy-status").unwrap_or_default();
    assert!(said.starts_with(&format!("outrigger;error={error};")), "{answer:?}");
    assert!(details(answer).starts_with(by), "not {by}: {answer:?}");
    let wait: u64 = answer.field("retry-after").expect("when to come back").parse().unwrap();
    assert!(wait >= 1, "{answer:?}");
    assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{answer:?}");
}

/// The sum of the samples of a metric whose labels include these; none if there is no such sample.
pub(crate) async fn metric(sidecar: &Sidecar, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let text = sidecar.admin_get("/metrics").await.unwrap();
    let samples = parse(text.text(), Format::Text);
    let wanted = samples.iter().filter(|sample| {
        sample.name == name && labels.iter().all(|(label, value)| sample.label(label) == *value)
    });
    wanted.map(|sample| sample.value).reduce(|all, more| all + more)
}

/// How often retries of `dep` ended so.
pub(crate) async fn retries(sidecar: &Sidecar, result: &str) -> f64 {
    let labels = [("dependency", "dep"), ("result", result)];
    metric(sidecar, "outrigger_retries_total", &labels).await.unwrap_or_default()
}

/// The state of the breaker of `dep`.
pub(crate) async fn state(sidecar: &Sidecar) -> f64 {
    metric(sidecar, "outrigger_breaker_state", &[("dependency", "dep")]).await.expect("a state")
}

/// Waits until the breaker of `dep` is in this state.
pub(crate) async fn becomes(sidecar: &Sidecar, wanted: f64) {
    let what = format!("the breaker's state becomes {wanted}");
    eventually(&what, async || (state(sidecar).await == wanted).then_some(())).await;
}

/// What `/dependencies` says of one.
pub(crate) async fn dependency(sidecar: &Sidecar, name: &str) -> Value {
    let all = sidecar.admin_get("/dependencies").await.unwrap().json();
    let found = all["dependencies"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
    found.unwrap_or_else(|| panic!("no {name} in {all}"))
}

/// Waits until `holds` is true of what `/dependencies` says of `dep`.
pub(crate) async fn dep_until(sidecar: &Sidecar, what: &str, holds: impl Fn(&Value) -> bool) {
    eventually(what, async || holds(&dependency(sidecar, "dep").await).then_some(())).await;
}

/// Puts another policy in force.
pub(crate) async fn reload(sidecar: &Sidecar, policy: &str) {
    let generation = async || sidecar.admin_get("/policy").await.unwrap().json()["generation"].as_u64();
    let before = generation().await;
    std::fs::write(sidecar.policy(), policy).unwrap();
    eventually("the policy is in force", async || (generation().await > before).then_some(())).await;
}
