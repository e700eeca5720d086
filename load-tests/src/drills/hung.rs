//! A dependency that accepts and never answers, under steady calls, and then answers again.
//!
//! Its calls may take 30 s, so nothing times out while the drill looks: only calls that have not ended can tell. Those
//! that hang go on hanging after it has healed, as they do in life, and keep their places.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Options;
use super::arrivals::{Peak, watch};
use super::caller::{Ask, Caller};
use super::load::{Call, Load, quantile_ms, reasons};
use super::verdict::Verdict;
use crate::sidecar::Sidecar;
use crate::upstream::{Manner, Upstream};

const HOST: &str = "hung.internal";
const RATE: u32 = 200;
/// Good calls before: until connections are open, and then measured.
const WARM: Duration = Duration::from_millis(500);
const GOOD: Duration = Duration::from_millis(1500);
/// Two slow thresholds: what a call in flight for one must bring about.
const OPEN_WITHIN: Duration = Duration::from_secs(2);
const REFUSED_MS: f64 = 5.0;
const OVERSHOOT: f64 = 1.2;
const WELL_WITHIN: Duration = Duration::from_secs(30);
/// It is well again when it was for so long.
const WELL_FOR: Duration = Duration::from_millis(1500);
/// For callers never to be the ones who give up.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run(options: &Options, dir: &Path) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start(crate::upstream::Config::default())?;
    let sidecar = Sidecar::start(&options.outrigger, dir, &policy(&upstream), None).await?;
    let caller = Caller::kept(sidecar.addresses.outbound).patient(PATIENCE);
    let load = Load::start(caller, RATE, |_| Ask::get(HOST, "/"));
    sleep(WARM).await;

    let (began, before) = (Instant::now(), upstream.requests());
    sleep(GOOD).await;
    let steady = rate(upstream.requests() - before, began.elapsed());
    let good = load.take();
    let reached = upstream.requests();
    upstream.turn(Manner::Hanging);
    let hung = Instant::now();
    sleep(Duration::from_secs(options.seconds.into())).await;
    let ill = load.take();
    let reached = upstream.requests() - reached;

    upstream.turn(Manner::Scripted);
    let healed = Instant::now();
    let (mut peak, mut after) = (Peak::default(), Vec::new());
    let well = watch(&upstream, &mut peak, healed + WELL_WITHIN + WELL_FOR, |now| {
        after.extend(load.take());
        well_since(&after, healed).is_some_and(|since| now.duration_since(since) >= WELL_FOR)
    })
    .await;

    drop(load);

    let mut verdict = Verdict::new("hung: accepts and never answers");
    verdict.note(format!("{RATE} calls a second; total 30 s, slow_threshold 1 s, the rest as built in"));
    let bad: Vec<String> = good.iter().filter(|call| !call.good()).map(Call::told).collect();
    verdict.none("calls that failed before", &bad);
    judge_refusals(&mut verdict, &ill, hung);
    verdict.info("calls that reached it while it hung", reached);
    let failed = after.iter().filter(|call| call.sent >= healed && !call.good());
    verdict.info("calls that failed after it had healed", reasons(failed));
    let most = steady * OVERSHOOT;
    let saw = peak.per_second();
    let bound = format!("≤ {most:.0}, {OVERSHOOT} × {steady:.0}/s");
    verdict.must(
        "calls that reached it in the busiest second after",
        format!("{saw:.0}"),
        bound,
        saw <= most,
    );
    let since = well_since(&after, healed).filter(|_| well);
    let saw = since.map_or_else(|| "never".to_owned(), |since| seconds(since.duration_since(healed)));
    let passed = since.is_some_and(|since| since.duration_since(healed) <= WELL_WITHIN);
    verdict.must("all good again after", saw, format!("≤ {}", seconds(WELL_WITHIN)), passed);
    Ok(verdict)
}

fn policy(upstream: &Upstream) -> String {
    format!(
        "version: 1
dependencies:
  hung:
    hosts: [{HOST}]
    endpoints: [{{ address: \"{}\" }}]
    timeouts: {{ total: 30s, first_byte: 30s }}
    circuit_breaker: {{ slow_threshold: 1s }}
",
        upstream.address()
    )
}

/// When the breaker began to refuse, and how long a refusal takes.
fn judge_refusals(verdict: &mut Verdict, ill: &[Call], hung: Instant) {
    let refused: Vec<&Call> = ill.iter().filter(|call| call.refused_by("circuit_breaker")).collect();
    let first = refused.iter().map(|call| call.sent).min().map(|first| first.duration_since(hung));
    let saw = first.map_or_else(|| "never".to_owned(), seconds);
    let passed = first.is_some_and(|first| first <= OPEN_WITHIN);
    verdict.must("the breaker refuses after", saw, format!("≤ {}", seconds(OPEN_WITHIN)), passed);
    verdict.info("calls it refused while it hung", refused.len());
    let others = ill.iter().filter(|call| !call.good() && !call.refused_by("circuit_breaker"));
    verdict.info("calls that failed otherwise then", reasons(others));
    let p99 = quantile_ms(refused.iter().copied(), 0.99);
    let passed = !refused.is_empty() && p99 < REFUSED_MS;
    verdict.must("p99 of a refusal", format!("{p99:.2} ms"), format!("< {REFUSED_MS} ms"), passed);
}

/// Since when every call sent was good, if any was sent since it healed.
fn well_since(calls: &[Call], healed: Instant) -> Option<Instant> {
    let sent_after = || calls.iter().filter(|call| call.sent >= healed);
    let last_bad = sent_after().filter(|call| !call.good()).map(|call| call.sent).max();
    let good = |call: &&Call| call.good() && last_bad.is_none_or(|bad| call.sent > bad);
    sent_after().filter(good).map(|call| call.sent).min()
}

fn rate(count: u64, span: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "requests of seconds")]
    let count = count as f64;
    count / span.as_secs_f64()
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;
    use crate::drills::caller::Answer;

    #[test]
    fn well_since_the_first_good_call_after_the_last_bad_one_whatever_was_sent_before() {
        let healed = Instant::now();
        let at = |millis| healed + Duration::from_millis(millis);
        let call = |sent, status| {
            let answer = Ok(Answer { status, stage: None });
            Call { sent, took: Duration::ZERO, answer }
        };
        let (good, bad) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(well_since(&[], healed), None);
        assert_eq!(well_since(&[call(at(1), bad)], healed), None);
        let calls = [call(at(10), good), call(at(20), bad), call(at(40), good), call(at(30), good)];
        assert_eq!(well_since(&calls, healed), Some(at(30)));
        let earlier = [call(healed - Duration::from_secs(1), bad), call(at(5), good)];
        assert_eq!(well_since(&earlier, healed), Some(at(5)));
    }
}
