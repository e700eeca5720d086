//! The metrics that come from records, as OpenTelemetry and we name them.
//!
//! `http_server_request_duration_seconds` and `http_client_request_duration_seconds` are the Prometheus spellings of
//! OpenTelemetry's `http.server.request.duration` (a request as its caller saw it, at either listener) and
//! `http.client.request.duration` (each try). `http_route` is the route's name in the policy, never a path.

use std::collections::BTreeMap;

use super::Telemetry;
use super::cell::{Count, Distribution, Histogram};
use super::exposition::Exposition;
use super::names::Names;
use super::record::{Direction, Domain, Outcome};
use super::series::{Family, Key};

const REQUESTS: (&str, &str) =
    ("outrigger_requests_total", "Finished requests by their outcome; the sum is the number of requests.");
const SERVER: (&str, &str) =
    ("http_server_request_duration_seconds", "Duration of requests as their callers saw them.");
const CLIENT: (&str, &str) = ("http_client_request_duration_seconds", "Duration of each try at an upstream.");
const ATTEMPTS: (&str, &str) = ("outrigger_attempts_total", "Tries at an upstream by their outcome.");
pub(super) const OVERFLOW: (&str, &str) =
    ("outrigger_label_overflow_total", "Events counted without their labels because the family is full.");

/// Adds what the workers counted.
pub(super) fn collect(telemetry: &Telemetry, out: &mut Exposition) {
    let shared = &*telemetry.shared;
    let writer = Writer { names: &shared.names, service: &shared.service };
    let families = &shared.families;
    writer.counts(out, REQUESTS, &families.requests, |writer, key| {
        let dependency = ("dependency", writer.name(key.dependency));
        let route = ("route", writer.name(key.route));
        vec![("direction", key.direction.label().into()), route, dependency, ("outcome", outcome(key))]
    });
    writer.counts(out, ATTEMPTS, &families.attempts, |writer, key| {
        vec![("dependency", writer.name(key.dependency)), ("result", outcome(key))]
    });
    writer.durations(out, SERVER, &families.durations, Writer::server_labels);
    writer.durations(out, CLIENT, &families.attempt_durations, Writer::client_labels);
    for direction in [Direction::Inbound, Direction::Outbound] {
        let level = telemetry.in_flight(direction) as f64;
        let labels = [("direction", direction.label())];
        out.gauge("outrigger_in_flight", "Requests begun and not finished.", &labels, level);
    }
    let help = "Access log lines dropped because the sink was too slow.";
    out.counter("outrigger_access_log_dropped_total", help, &[], shared.access_log.dropped());
    let help = "Writes of the access log that failed.";
    out.counter("outrigger_access_log_write_errors_total", help, &[], shared.access_log.write_errors());
}

type OwnedLabels = Vec<(&'static str, String)>;

struct Writer<'a> {
    names: &'a Names,
    service: &'a str,
}

impl Writer<'_> {
    fn counts(
        &self,
        out: &mut Exposition,
        (name, help): (&'static str, &'static str),
        family: &Family<Count>,
        labels: impl Fn(&Self, Key) -> OwnedLabels,
    ) {
        let mut overflow = 0_u64;
        for (key, cells) in sorted(family) {
            let total: u64 = cells.iter().map(|cell| cell.get()).sum();
            overflow = overflow.saturating_add(if key.is_overflow() { total } else { 0 });
            out.counter(name, help, &borrowed(&marked(key, labels(self, key))), total);
        }
        out.counter(OVERFLOW.0, OVERFLOW.1, &[("family", name)], overflow);
    }

    fn durations(
        &self,
        out: &mut Exposition,
        (name, help): (&'static str, &'static str),
        family: &Family<Histogram>,
        labels: impl Fn(&Self, Key) -> OwnedLabels,
    ) {
        let mut overflow = 0_u64;
        // Outcomes that are no errors differ in their key but not in their labels.
        let mut all: BTreeMap<OwnedLabels, Distribution> = BTreeMap::new();
        for (key, cells) in family.snapshot() {
            let sum = all.entry(marked(key, labels(self, key))).or_default();
            let before = sum.count();
            cells.iter().for_each(|cell| sum.add(cell));
            overflow = overflow.saturating_add(if key.is_overflow() { sum.count() - before } else { 0 });
        }
        for (labels, sum) in &all {
            out.histogram(name, help, &borrowed(labels), sum);
        }
        out.counter(OVERFLOW.0, OVERFLOW.1, &[("family", name)], overflow);
    }

    fn server_labels(&self, key: Key) -> OwnedLabels {
        let mut labels = http_labels(key);
        labels.push(("http_route", self.name(key.route)));
        labels.push(("outrigger_direction", key.direction.label().into()));
        if !key.dependency.is_none() {
            labels.push(("outrigger_dep", self.name(key.dependency)));
        }
        labels.push(("outrigger_service", self.service.into()));
        labels
    }

    fn client_labels(&self, key: Key) -> OwnedLabels {
        let mut labels = http_labels(key);
        labels.push(("outrigger_dep", self.name(key.dependency)));
        labels.push(("outrigger_service", self.service.into()));
        labels
    }

    fn name(&self, id: super::NameId) -> String {
        self.names.get(id).to_string()
    }
}

/// The labels OpenTelemetry gives both durations. What does not apply is absent.
fn http_labels(key: Key) -> OwnedLabels {
    let mut labels = Vec::with_capacity(8);
    if !key.is_overflow() {
        labels.push(("http_request_method", key.method.label().to_owned()));
        labels.push(("network_protocol_version", key.proto.label().to_owned()));
    }
    if key.status != 0 {
        labels.push(("http_response_status_code", key.status.to_string()));
    }
    if let Some(error) = key.outcome().and_then(|outcome| error_type(outcome, key.status)) {
        labels.push(("error_type", error));
    }
    labels
}

/// `error.type`: the outcome, or the status where the upstream's status is the error. Absent for what is no error
/// of the service: success, also a degraded one, the caller's own mistakes and its leaving.
fn error_type(outcome: Outcome, status: u16) -> Option<String> {
    match outcome {
        Outcome::Upstream5xx if status != 0 => Some(status.to_string()),
        _ if matches!(outcome.domain(), Domain::None | Domain::Client) => None,
        _ => Some(outcome.label().to_owned()),
    }
}

/// Marks the overflow. Its names are empty and go; what is closed anyway stays, so that sums stay right.
fn marked(key: Key, mut labels: OwnedLabels) -> OwnedLabels {
    if key.is_overflow() {
        labels.retain(|(_, value)| !value.is_empty());
        labels.push(("otel_metric_overflow", "true".into()));
    }
    labels
}

fn outcome(key: Key) -> String {
    key.outcome().map_or("", |outcome| outcome.label()).to_owned()
}

fn borrowed(labels: &OwnedLabels) -> Vec<(&'static str, &str)> {
    labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// In a stable order, so that two scrapes can be compared by eye.
fn sorted<C: Default>(family: &Family<C>) -> Vec<(Key, Vec<std::sync::Arc<C>>)> {
    let mut all = family.snapshot();
    all.sort_by_key(|(key, _)| key.words());
    all
}
