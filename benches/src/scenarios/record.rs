//! The end of a request: its record, and everything that is counted from it.

use std::hint::black_box;

use anyhow::Context;
use http::Method;
use outrigger_config::sidecar::{AccessLog, LogSink};
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;
use outrigger_proxy::router::Target;
use outrigger_proxy::telemetry::{Detail, Direction, Record, RouteSeries, Telemetry, Timings, Worker};

use super::{Run, client, in_turn, policies, routes};

/// To standard error, so that a line would be written if the request were sampled.
const UNSAMPLED: AccessLog = AccessLog { sink: LogSink::Stderr, ok_sample_millionths: 0 };

/// One worker's telemetry, warm. The first part owns what the others count in.
fn warm() -> anyhow::Result<(Telemetry, Worker, RouteSeries)> {
    let telemetry = Telemetry::new(1, "bench", &UNSAMPLED)?;
    let worker = telemetry.worker().context("the worker is taken")?;
    let series = telemetry.route(Direction::Inbound, "orders", "", ["all", "per-client"]);
    finish(&worker, series, 1);
    Ok((telemetry, worker, series))
}

fn finish(worker: &Worker, series: RouteSeries, total: u32) {
    worker.begin(Direction::Inbound);
    let timings = Timings { total, ttfb: total, ..Timings::default() };
    let record = Record { status: 200, outcome: Outcome::Ok, timings, ..series.record(1_700_000_000_000, 1) };
    let detail = Detail {
        path: b"/v1/orders",
        request_id: b"0190b6a3-0000-7000-8000-000000000000",
        ..Detail::default()
    };
    worker.finish(black_box(&record), black_box(&detail));
}

pub(super) fn telemetry() -> anyhow::Result<Run> {
    let (telemetry, worker, series) = warm()?;
    let mut turn = in_turn(1000);
    Ok(Box::new(move || {
        finish(&worker, series, turn());
        black_box(&telemetry);
    }))
}

pub(super) fn decision() -> anyhow::Result<Run> {
    let (telemetry, worker, series) = warm()?;
    let (router, chain, headers) = (routes::router(10)?, policies::chain_of_four()?, policies::headers());
    let (mut turn, mut now) = (in_turn(1000), Nanos(0));
    let mut run = move || {
        now = Nanos(now.0 + 1000);
        let view = policies::view(&headers, client(turn()));
        let target = Target {
            method: &Method::GET,
            host: "orders.example",
            path: view.path,
            query: None,
            headers: &headers,
        };
        black_box(router.find(black_box(&target)));
        if let Ok(admitted) = chain.admit(black_box(&view), now) {
            black_box(admitted).settle(Outcome::Ok, now);
        }
        finish(&worker, series, 100);
        black_box(&telemetry);
    };
    // Every key is known before anything is counted.
    (0..1000).for_each(|_| run());
    Ok(Box::new(run))
}
