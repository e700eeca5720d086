//! A thousand policy changes under load, a tenth of them bad.
//!
//! Closed loops of requests run all the time; every answer must be a 200 with the right body. Each change is
//! written as editors do it, by rename or in place, and must be seen in `/policy`: a good one as a new
//! generation with its own numbers, a bad one as a rejection that names its line, with the generation as it was.
//! Counters in `/metrics` must never go back.

mod change;
mod clients;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use self::change::Change;
use self::clients::Clients;
use self::watch::Watch;
use crate::sidecar::Sidecar;
use crate::upstream::{Config, Upstream};

/// How long requests run before the first change, to know the latency without any.
const BASELINE: Duration = Duration::from_secs(3);
/// Failures described in the report; all are counted.
const DESCRIBED: usize = 20;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sidecar's program.
    pub outrigger: PathBuf,
    /// Policy changes to make.
    pub count: u32,
    /// Closed loops of requests.
    pub clients: u32,
    /// The p99 under reloads may be so many times the p99 without; absent: it is only reported.
    pub max_p99_ratio: Option<f64>,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Good changes that were applied.
    pub applied: u32,
    /// Bad changes that were rejected by line.
    pub rejected: u32,
    /// Requests answered.
    pub requests: u64,
    /// p99 in µs before the changes, and during.
    pub p99_us: (u64, u64),
    /// Wall time of the changes.
    pub took: Duration,
    /// Everything that was not as it must be.
    pub failures: u64,
    /// The first of them, in words.
    pub described: Vec<String>,
}

impl Report {
    fn fail(&mut self, what: String) {
        self.failures += 1;
        if self.described.len() < DESCRIBED {
            self.described.push(what);
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { applied, rejected, requests, p99_us, took, failures, described } = self;
        writeln!(formatter, "{applied} changes applied and {rejected} bad ones rejected in {took:.0?}")?;
        writeln!(formatter, "{requests} requests, p99 {} µs before and {} µs during", p99_us.0, p99_us.1)?;
        write!(formatter, "{failures} failures")?;
        described.iter().try_for_each(|what| write!(formatter, "\n  {what}"))
    }
}

/// Runs the drill with a sidecar in `dir`.
///
/// # Errors
/// When the sidecar does not start or cannot be asked; what it does wrong is in the report.
pub async fn run(options: &Options, dir: &Path) -> anyhow::Result<Report> {
    let upstream = Upstream::start(Config { fixed: true, ..Config::default() })?;
    let first = Change::new(0, upstream.address());
    let sidecar = Sidecar::start(&options.outrigger, dir, &first.text, None).await?;
    let clients = Clients::start(sidecar.addresses.inbound, options.clients);
    sleep(BASELINE).await;
    let before = clients.take();
    let mut report = Report::default();
    let mut watch = Watch::new(sidecar.addresses.admin).await?;
    let begin = Instant::now();
    for number in 1..=options.count {
        let change = Change::new(number, upstream.address());
        change.write(&sidecar.policy).with_context(|| format!("change {number}"))?;
        match watch.effect(&change).await {
            Ok(()) if change.bad_line.is_some() => report.rejected += 1,
            Ok(()) => report.applied += 1,
            Err(error) => report.fail(format!("change {number}: {error:#}")),
        }
        for gone_back in watch.counters().await? {
            report.fail(gone_back);
        }
        if number % 50 == 0 {
            eprintln!("[{number}/{}] {} failures", options.count, report.failures);
        }
    }
    report.took = begin.elapsed();
    let during = clients.stop().await;
    report.p99_us = (before.latencies.quantile(0.99), during.latencies.quantile(0.99));
    report.requests = before.requests + during.requests;
    before.failures.into_iter().chain(during.failures).for_each(|failure| report.fail(failure));
    let counted = watch.requests().await?;
    if counted < report.requests {
        let requests = report.requests;
        report.fail(format!("{requests} requests were answered, /metrics counts {counted}"));
    }
    check_latency(options, &mut report);
    Ok(report)
}

fn check_latency(options: &Options, report: &mut Report) {
    let (before, during) = report.p99_us;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a request")]
    let ratio = during as f64 / before.max(1) as f64;
    if let Some(most) = options.max_p99_ratio.filter(|most| ratio > *most) {
        report.fail(format!("p99 under reloads is {ratio:.2} times that without, more than {most}"));
    }
}
