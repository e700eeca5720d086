//! Whatever is told about a set of requests is the same, wherever it is told: metrics, log, ring.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;

use outrigger_config::sidecar::{AccessLog, LogSink};
use outrigger_proxy::telemetry::{
    Detail, Direction, Flags, Format, Method, Outcome, Proto, Record, RouteSeries, Telemetry, Timings,
};
use proptest::prelude::*;
use serde_json::Value;

mod support;
use support::exposition::{Sample, parse};

const ROUTES: [(Direction, &str, &str); 3] = [
    (Direction::Inbound, "create-order", ""),
    (Direction::Inbound, "read \"orders\"", ""),
    (Direction::Outbound, "default", "inventory"),
];

#[derive(Clone, Debug)]
struct Made {
    route: usize,
    outcome: Outcome,
    status: u16,
    method: Method,
    total: u32,
}

fn made() -> impl Strategy<Value = Made> {
    let outcome = proptest::sample::select(Outcome::ALL);
    let method = proptest::sample::select(Method::ALL);
    (0..ROUTES.len(), outcome, prop_oneof![Just(0), 200..600_u16], method, 0..20_000_000_u32)
        .prop_map(|(route, outcome, status, method, total)| Made { route, outcome, status, method, total })
}

fn record(series: &[RouteSeries], made: &Made, at: u64) -> Record {
    let timings = Timings { total: made.total, ..Timings::default() };
    Record {
        outcome: made.outcome,
        status: made.status,
        method: made.method,
        proto: Proto::H11,
        flags: Flags::default().with(Flags::RESPONSE_STARTED),
        timings,
        ..series[made.route].record(at, 1)
    }
}

/// Requests by direction, route, dependency and outcome.
type Counts = BTreeMap<[String; 4], u64>;

fn of_lines<'a>(lines: impl Iterator<Item = &'a Value>) -> Counts {
    let mut counts = Counts::new();
    for line in lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        *counts.entry([text("dir"), text("route"), text("dep"), text("outcome")]).or_default() += 1;
    }
    counts
}

fn of_metrics(samples: &[Sample]) -> Counts {
    let requests = samples.iter().filter(|sample| sample.name == "outrigger_requests_total");
    requests
        .map(|s| {
            (["direction", "route", "dependency", "outcome"].map(|label| s.label(label)), s.value as u64)
        })
        .collect()
}

fn durations_by_route(samples: &[Sample]) -> BTreeMap<[String; 3], u64> {
    let mut counts = BTreeMap::new();
    for s in samples.iter().filter(|s| s.name == "http_server_request_duration_seconds_count") {
        let key = ["outrigger_direction", "http_route", "outrigger_dep"].map(|label| s.label(label));
        *counts.entry(key).or_default() += s.value as u64;
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn metrics_log_and_ring_agree(all in proptest::collection::vec((0..2_usize, made()), 0..300)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let config = AccessLog { sink: LogSink::File(path.clone()), ok_sample_millionths: 1_000_000 };
        let telemetry = Telemetry::new(2, "orders", &config).unwrap();
        let workers = [telemetry.worker().unwrap(), telemetry.worker().unwrap()];
        let series = ROUTES.map(|(direction, route, dependency)| telemetry.route(direction, route, dependency, []));

        for (at, (worker, made)) in all.iter().enumerate() {
            let record = record(&series, made, at as u64);
            workers[*worker].begin(record.direction);
            workers[*worker].finish(&record, &Detail::default());
        }
        prop_assert!(telemetry.access_log().flush(std::time::Duration::from_secs(30)));

        let log = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ring: Vec<Value> = serde_json::from_slice(&telemetry.decisions(1_000)).unwrap();
        let samples = parse(&telemetry.scrape(Format::Text), Format::Text);

        let expected = of_lines(lines.iter());
        prop_assert_eq!(lines.len(), all.len());
        prop_assert_eq!(&of_lines(ring.iter()), &expected);
        prop_assert_eq!(&of_metrics(&samples), &expected);
        let mut by_route = BTreeMap::new();
        for ([direction, route, dependency, _], count) in &expected {
            *by_route.entry([direction.clone(), route.clone(), dependency.clone()]).or_default() += count;
        }
        prop_assert_eq!(durations_by_route(&samples), by_route);
        prop_assert_eq!(telemetry.in_flight(Direction::Inbound), 0);
    }
}
