//! What telemetry may cost a request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use outrigger_config::sidecar::{AccessLog, LogSink};
use outrigger_proxy::telemetry::{
    Attempt, Detail, Direction, Method, Outcome, Proto, Record, Telemetry, Timings,
};

const OFF: AccessLog = AccessLog { sink: LogSink::Off, ok_sample_millionths: 0 };

#[test]
fn an_unsampled_request_allocates_nothing_once_its_labels_are_known() {
    let config = AccessLog { sink: LogSink::Stderr, ok_sample_millionths: 0 };
    let telemetry = Telemetry::new(1, "orders", &config).unwrap();
    let worker = telemetry.worker().unwrap();
    let series = telemetry.route(Direction::Inbound, "create-order", "", []);
    let attempts = telemetry.attempts("inventory");
    let attempt =
        Attempt { method: Method::Get, status: 200, proto: Proto::H11, outcome: Outcome::Ok, total_us: 900 };
    let finish = |total| {
        worker.begin(Direction::Inbound);
        let record =
            Record { status: 200, timings: Timings { total, ..Timings::default() }, ..series.record(1, 1) };
        worker.finish(&record, &Detail { request_id: b"0190b6a3", path: b"/v1/orders", ..Detail::default() });
        worker.attempt(attempts, &attempt);
    };
    finish(1);
    let info = allocation_counter::measure(|| (0..10_000).for_each(finish));
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_logged_line_allocates_nothing_of_its_own() {
    let config = AccessLog { sink: LogSink::File("/dev/null".into()), ok_sample_millionths: 1_000_000 };
    let telemetry = Telemetry::new(1, "orders", &config).unwrap();
    let worker = telemetry.worker().unwrap();
    let series = telemetry.route(Direction::Inbound, "create-order", "", []);
    let finish = || {
        worker.begin(Direction::Inbound);
        worker.finish(&series.record(1, 1), &Detail::default());
    };
    finish();
    let info = allocation_counter::measure(|| (0..100).for_each(|_| finish()));
    // The buffer the writer swapped in may have to grow; the lines themselves cost nothing.
    assert!(info.count_total < 50, "{}", info.count_total);
}

#[test]
fn ten_thousand_routes_cost_nothing_until_they_are_called() {
    let telemetry = Telemetry::new(2, "orders", &OFF).unwrap();
    let names: Vec<String> = (0..10_000).map(|n| format!("route-{n}")).collect();
    let info = allocation_counter::measure(|| {
        for name in &names {
            telemetry.route(Direction::Inbound, name, "", []);
        }
    });
    assert!(info.bytes_current < 2_000_000, "{} bytes", info.bytes_current);
}
