//! Which series there are, and what becomes of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use outrigger_config::sidecar::{AccessLog, LogSink};
use outrigger_proxy::telemetry::{
    Attempt, Detail, Direction, Flags, Format, Method, Outcome, Proto, Record, RouteSeries, Telemetry,
    Timings, Worker,
};

mod support;
use support::exposition::{Sample, parse};

fn telemetry(workers: usize) -> Telemetry {
    Telemetry::new(workers, "orders", &AccessLog { sink: LogSink::Off, ok_sample_millionths: 0 }).unwrap()
}

fn scrape(telemetry: &Telemetry) -> Vec<Sample> {
    parse(&telemetry.scrape(Format::OpenMetrics), Format::OpenMetrics);
    parse(&telemetry.scrape(Format::Text), Format::Text)
}

fn sum(samples: &[Sample], name: &str) -> f64 {
    samples.iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
}

fn finish(worker: &Worker, record: &Record) {
    worker.begin(record.direction);
    worker.finish(record, &Detail::default());
}

fn ok(series: RouteSeries) -> Record {
    let timings = Timings { total: 12_000, ..Timings::default() };
    let (method, proto) = (Method::Get, Proto::H11);
    Record { status: 200, method, proto, timings, ..series.record(1, 1) }
}

#[test]
fn counters_never_go_back_over_a_thousand_reloads() {
    let telemetry = telemetry(1);
    let worker = telemetry.worker().unwrap();
    let mut before: BTreeMap<_, f64> = BTreeMap::new();
    for reload in 0..1_000 {
        let series = telemetry.route(Direction::Inbound, "create-order", "", []);
        let come_and_gone = format!("route-{}", reload % 3);
        finish(&worker, &ok(series));
        finish(&worker, &ok(telemetry.route(Direction::Inbound, &come_and_gone, "", [])));
        if reload % 100 == 99 {
            let samples = scrape(&telemetry);
            let counters =
                samples.into_iter().filter(|s| s.name.ends_with("_total") || s.name.ends_with("_count"));
            let now: BTreeMap<_, f64> = counters.map(|s| ((s.name, s.labels), s.value)).collect();
            for (id, value) in &before {
                assert!(now.get(id).is_some_and(|now| now >= value), "{id:?} went back");
            }
            before = now;
        }
    }
    assert_eq!(sum(&scrape(&telemetry), "outrigger_requests_total"), 2_000.0);
}

#[test]
fn a_flood_of_routes_and_statuses_stays_within_the_cap() {
    let telemetry = telemetry(2);
    let workers = [telemetry.worker().unwrap(), telemetry.worker().unwrap()];
    for n in 0..20_000_u32 {
        let series = telemetry.route(Direction::Inbound, &format!("route-{}", n % 10_000), "", []);
        let status = 200 + u16::try_from(n % 400).unwrap();
        finish(&workers[usize::from(n % 3 == 0)], &Record { status, ..ok(series) });
    }
    let samples = scrape(&telemetry);
    let series = samples.iter().filter(|s| s.name == "outrigger_requests_total").count();
    assert_eq!(series, 2_001);
    assert_eq!(sum(&samples, "outrigger_requests_total"), 20_000.0);
    assert_eq!(sum(&samples, "http_server_request_duration_seconds_count"), 20_000.0);
    let overflow: Vec<_> = samples
        .iter()
        .filter(|s| s.name == "outrigger_requests_total" && s.label("otel_metric_overflow") == "true")
        .collect();
    assert_eq!((overflow.len(), overflow[0].label("outcome").as_str()), (1, "ok"));
    let lost = samples.iter().filter(|s| s.name == "outrigger_label_overflow_total");
    assert_eq!(lost.clone().count(), 4);
    assert!(lost.clone().any(|s| s.label("family") == "outrigger_requests_total" && s.value == 16_000.0));
}

#[test]
fn labels_are_those_of_the_semantic_conventions() {
    let telemetry = telemetry(1);
    let worker = telemetry.worker().unwrap();
    let series = telemetry.route(Direction::Outbound, "reserve", "inventory", []);
    let flags = Flags::default().with(Flags::FROM_UPSTREAM);
    let record = Record { status: 503, outcome: Outcome::Upstream5xx, flags, ..ok(series) };
    finish(&worker, &record);
    finish(&worker, &Record { status: 0, outcome: Outcome::ClientCancelled, ..ok(series) });
    let samples = scrape(&telemetry);
    let durations: Vec<_> =
        samples.iter().filter(|s| s.name == "http_server_request_duration_seconds_count").collect();
    let failed = durations.iter().find(|s| s.label("error_type") == "503").unwrap();
    let expected = [
        ("error_type", "503"),
        ("http_request_method", "GET"),
        ("http_response_status_code", "503"),
        ("http_route", "reserve"),
        ("network_protocol_version", "1.1"),
        ("outrigger_dep", "inventory"),
        ("outrigger_direction", "outbound"),
        ("outrigger_service", "orders"),
    ];
    assert_eq!(failed.labels, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let left = durations.iter().find(|s| s.label("error_type").is_empty()).unwrap();
    assert!(!left.labels.contains_key("http_response_status_code"));
}

#[test]
fn tries_are_counted_apart_from_requests() {
    let telemetry = telemetry(1);
    let worker = telemetry.worker().unwrap();
    let attempts = telemetry.attempts("inventory");
    let outcome = Outcome::ConnectionRefused;
    let attempt = Attempt { method: Method::Post, status: 0, proto: Proto::H2, outcome, total_us: 900 };
    worker.attempt(attempts, &attempt);
    worker.attempt(attempts, &Attempt { status: 200, outcome: Outcome::Ok, ..attempt });
    let samples = scrape(&telemetry);
    assert_eq!(sum(&samples, "outrigger_attempts_total"), 2.0);
    assert_eq!(sum(&samples, "http_client_request_duration_seconds_count"), 2.0);
    assert_eq!(sum(&samples, "outrigger_requests_total"), 0.0);
}

#[test]
fn the_process_tells_about_itself_and_its_policy() {
    let telemetry = telemetry(1);
    let process = telemetry.process();
    process.policy.applied(7, "abc", "file", Duration::from_millis(3));
    process.policy.rejected(8);
    process.policy_reloads.bump("rejected");
    process.connections_inbound.inc();
    process.malformed.bump("two_hosts");
    process.tls_expiry.set("inbound", 4_102_444_800);
    let samples = scrape(&telemetry);
    let generation: BTreeMap<_, _> = samples
        .iter()
        .filter(|s| s.name == "outrigger_policy_generation")
        .map(|s| (s.label("state"), s.value))
        .collect();
    assert_eq!(generation, [("applied".to_owned(), 7.0), ("rejected".to_owned(), 8.0)].into());
    let info = samples.iter().find(|s| s.name == "outrigger_policy_info").unwrap();
    assert_eq!((info.label("generation"), info.label("hash"), info.value), ("7".into(), "abc".into(), 1.0));
    for name in ["outrigger_malformed_total", "outrigger_policy_reloads_total", "outrigger_policy_source"] {
        assert_eq!(sum(&samples, name), 1.0, "{name}");
    }
    assert!(sum(&samples, "process_resident_memory_bytes") > 1e6);
    assert!(sum(&samples, "process_start_time_seconds") > 1e9);
    assert!(sum(&samples, "process_open_fds") >= 3.0);
}

#[test]
fn each_worker_is_given_out_once() {
    let telemetry = telemetry(1);
    let worker = telemetry.worker().unwrap();
    assert!(telemetry.worker().is_none());
    drop(worker);
    assert_eq!(telemetry.worker().map(|worker| worker.index()), Some(0));
}
