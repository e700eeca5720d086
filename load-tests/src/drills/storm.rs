//! Upstreams that fail every request, and one that is dead beside one that lives.
//!
//! Retries help only while few of them are needed: against an upstream that fails everything they must fade to their
//! budget. There is no breaker here, so that only the budget is left to bound them. A write that was sent may have run,
//! so it arrives once, whatever became of it; a request for an endpoint that refuses the connection was never sent, so
//! the other endpoint gets it and the caller hears nothing.

use std::path::Path;
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::{Instant, sleep};

use super::Options;
use super::caller::{Ask, Caller};
use super::load::{Call, Load};
use super::verdict::Verdict;
use crate::process::free_port;
use crate::sidecar::Sidecar;
use crate::upstream::{Config, Manner, Upstream};

const FAILING: &str = "failing.internal";
const CUTTING: &str = "cutting.internal";
const HALF_DEAD: &str = "half-dead.internal";
/// Calls a second of each kind.
const READS: u32 = 100;
const WRITES: u32 = 20;
/// Of the policy: how many calls may have one retry more, and what a second grants at least, ten seconds of it at once.
const RATIO: u64 = 10;
const MIN_PER_SECOND: u64 = 1;
const CREDIT_SECONDS: u64 = 10;

pub(crate) async fn run(options: &Options, dir: &Path) -> anyhow::Result<Verdict> {
    let start = || Upstream::start(Config::default());
    let (failing, cutting, living) = (start()?, start()?, start()?);
    let sidecar =
        Sidecar::start(&options.outrigger, dir, &policy(&failing, &cutting, &living)?, None).await?;
    failing.turn(Manner::Failing(StatusCode::SERVICE_UNAVAILABLE));
    let begin = Instant::now();
    let start = |rate, ask: fn(u64) -> Ask| Load::start(Caller::kept(sidecar.addresses.outbound), rate, ask);
    let reads = start(READS, |_| Ask::get(FAILING, "/read"));
    let writes = start(WRITES, |number| Ask::post(FAILING, format!("/write/{number}")));
    let cut = start(WRITES, |number| Ask::post(CUTTING, format!("/reset/{number}")));
    let beside = start(READS, |number| match number % 2 {
        0 => Ask::get(HALF_DEAD, "/"),
        _ => Ask::post(HALF_DEAD, format!("/sink/{number}")),
    });
    sleep(Duration::from_secs(options.seconds.into())).await;
    let reads = reads.finish().await;
    let took = begin.elapsed();
    let (writes, cut) = (writes.finish().await, cut.finish().await);
    let beside = beside.finish().await;

    let mut verdict = Verdict::new("storm: every request fails");
    verdict.note(format!(
        "for {took:.1?}: {READS} reads and {WRITES} writes a second answered 503, without a breaker"
    ));
    judge_retries(&mut verdict, &failing, &reads, took);
    judge_writes(&mut verdict, "writes answered 503 that arrived", &failing, "/write", &writes);
    judge_writes(&mut verdict, "writes cut before the answer that arrived", &cutting, "/reset", &cut);
    let bad: Vec<String> = beside.iter().filter(|call| !call.good()).map(Call::told).collect();
    verdict.info("calls beside a dead endpoint", beside.len());
    verdict.none("of them with an error, one endpoint of two alive", &bad);
    let arrived = living.requests();
    let whole = u64::try_from(beside.len())?;
    verdict.must("of them that arrived at the living one", arrived, whole, whole > 0 && arrived == whole);
    Ok(verdict)
}

fn policy(failing: &Upstream, cutting: &Upstream, living: &Upstream) -> anyhow::Result<String> {
    let (failing, cutting, living) = (failing.address(), cutting.address(), living.address());
    let retries = format!(
        "retries: {{ attempts: 3, budget: {{ ratio: {RATIO}%, min_per_second: {MIN_PER_SECOND} }} }}"
    );
    Ok(format!(
        "version: 1
dependencies:
  failing:
    hosts: [{FAILING}]
    endpoints: [{{ address: \"{failing}\" }}]
    {retries}
  cutting:
    hosts: [{CUTTING}]
    endpoints: [{{ address: \"{cutting}\" }}]
    {retries}
  half-dead:
    hosts: [{HALF_DEAD}]
    endpoints: [{{ address: \"127.0.0.1:{dead}\" }}, {{ address: \"{living}\" }}]
",
        dead = free_port()?,
    ))
}

/// Attempts within the budget, and some: a sidecar that never retries would prove nothing.
fn judge_retries(verdict: &mut Verdict, failing: &Upstream, reads: &[Call], took: Duration) {
    let requests = u64::try_from(reads.len()).unwrap_or(u64::MAX);
    let attempts = failing.count("/read");
    let floor = MIN_PER_SECOND * (took.as_secs() + 1 + CREDIT_SECONDS);
    let most = requests + requests / RATIO + floor;
    verdict.info("reads", requests);
    verdict.at_most("attempts at the upstream, 1.1 × reads and the floor", attempts, most);
    verdict.must("of them retries", attempts.saturating_sub(requests), "some", attempts > requests);
    let good = reads.iter().filter(|call| call.answer.is_err()).map(Call::told).collect::<Vec<_>>();
    verdict.none("reads without any answer", &good);
}

/// Every write exactly once: its path is its own.
fn judge_writes(verdict: &mut Verdict, what: &str, upstream: &Upstream, path: &str, writes: &[Call]) {
    let sent = u64::try_from(writes.len()).unwrap_or(u64::MAX);
    let arrived: Vec<u64> = (0..sent).map(|number| upstream.count(&format!("{path}/{number}"))).collect();
    let once = arrived.iter().filter(|count| **count == 1).count();
    let saw = format!("{once} of {sent}");
    verdict.must(format!("{what} once"), saw, "all", sent > 0 && once == writes.len());
    let twice: u64 = arrived.iter().map(|count| count.saturating_sub(1)).sum();
    verdict.at_most(format!("{what} once more"), twice, 0);
}
