//! What a test reads from the outside: metrics, the policy in force.

use serde_json::Value;

use super::support::raw::{Answer, Raw};
use super::support::run::eventually;
use super::support::sidecar::Sidecar;

/// The sum of the samples of a metric whose labels include `labels`.
pub(crate) async fn metric(sidecar: &Sidecar, name: &str, labels: &[(&str, &str)]) -> f64 {
    let text = sidecar.admin_get("/metrics").await.unwrap();
    let samples = text.text().lines().filter_map(|line| line.strip_prefix(name));
    let wanted =
        |labelled: &str| labels.iter().all(|(name, value)| labelled.contains(&format!("{name}=\"{value}\"")));
    samples
        .filter(|rest| rest.starts_with(['{', ' ']) && wanted(rest))
        .map(|rest| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// `/policy`.
pub(crate) async fn policy(sidecar: &Sidecar) -> Value {
    sidecar.admin_get("/policy").await.unwrap().json()
}

/// Waits until `holds` is true of `/policy`, and returns it.
pub(crate) async fn policy_until(sidecar: &Sidecar, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || Some(policy(sidecar).await).filter(|policy| holds(policy))).await
}

/// Waits for this generation.
pub(crate) async fn generation(sidecar: &Sidecar, wanted: u64) -> Value {
    policy_until(sidecar, &format!("generation {wanted}"), |policy| policy["generation"] == wanted).await
}

/// One request on a connection of its own.
pub(crate) async fn get(sidecar: &Sidecar, path: &str) -> Answer {
    Raw::connect(sidecar.inbound).await.get(path).await
}

/// Any request to the admin server.
pub(crate) async fn admin(sidecar: &Sidecar, method: &str, path: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{fields}connection: close\r\n\r\n{body}"
    );
    Raw::connect(sidecar.admin).await.ask(request).await
}
