//! Dependencies that accept and never answer, under steady calls, and then answer again.
//!
//! Their calls may take 30 s, so nothing times out while the drill looks: only calls that have not ended can tell. Those
//! that hang go on hanging after the dependency has healed, as they do in life, and keep their places. One dependency
//! has room for all of them, so that the breaker alone is seen; in the other they fill all the room there is before the
//! breaker opens, and must not keep out the calls that would find it healed.

mod subject;

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::subject::Subject;
use super::Options;
use super::load::{Call, quantile_ms, reasons};
use super::verdict::Verdict;
use crate::sidecar::Sidecar;

/// Good calls before: until connections are open, and then measured.
const WARM: Duration = Duration::from_millis(500);
const GOOD: Duration = Duration::from_millis(1500);
/// Two slow thresholds: what a call in flight for one must bring about.
const OPEN_WITHIN: Duration = Duration::from_secs(2);
const REFUSED_MS: f64 = 5.0;
const OVERSHOOT: f64 = 1.2;
const WELL_WITHIN: Duration = Duration::from_secs(30);
/// Half of the time that calls may hang: who waits for them to end is late.
const CRAMPED_WITHIN: Duration = Duration::from_secs(15);
/// It is well again when it was for so long.
const WELL_FOR: Duration = Duration::from_millis(1500);
const EVERY: Duration = Duration::from_millis(10);

/// Calls a second, and the isolation of each: for all that hang, and for a third of a second of them.
const ROOMY: (&str, u32, &str) =
    ("roomy.internal", 200, "{ max_in_flight: 1024, max_connections_per_endpoint: 1024 }");
const CRAMPED: (&str, u32, &str) = ("cramped.internal", 100, "{ max_in_flight: 32 }");

pub(crate) async fn run(options: &Options, dir: &Path) -> anyhow::Result<Verdict> {
    let (mut roomy, mut cramped) = (Subject::new(ROOMY.0)?, Subject::new(CRAMPED.0)?);
    let policy = format!("version: 1\ndependencies:\n{}{}", roomy.policy(ROOMY.2), cramped.policy(CRAMPED.2));
    let sidecar = Sidecar::start(&options.outrigger, dir, &policy, None).await?;
    let mut verdict = Verdict::new("hung: accepts and never answers");
    verdict.note("total 30 s, slow_threshold 1 s, the rest of the breaker as built in");
    roomy.call(sidecar.addresses.outbound, ROOMY.1);
    cramped.call(sidecar.addresses.outbound, CRAMPED.1);
    sleep(WARM).await;
    roomy.begin();
    sleep(GOOD).await;
    let steady = roomy.rate();
    let bad: Vec<String> =
        roomy.take().iter().chain(&cramped.take()).filter(|call| !call.good()).map(Call::told).collect();
    verdict.none("calls that failed before", &bad);

    roomy.hang();
    cramped.hang();
    let hung = Instant::now();
    sleep(Duration::from_secs(options.seconds.into())).await;
    let (ill, ill_cramped) = (roomy.take(), cramped.take());
    roomy.heal();
    cramped.heal();
    let healed = Instant::now();
    loop {
        let now = Instant::now();
        roomy.look(now);
        cramped.look(now);
        let given_up = |within| now > healed + within + WELL_FOR;
        let done = |subject: &Subject, within| subject.well_for(now) >= WELL_FOR || given_up(within);
        if done(&roomy, WELL_WITHIN) && done(&cramped, CRAMPED_WITHIN) {
            break;
        }
        sleep(EVERY).await;
    }

    verdict.info("with room for those that hang", format_args!("{} calls a second", ROOMY.1));
    judge_refusals(&mut verdict, &ill, hung);
    let (most, saw) = (steady * OVERSHOOT, roomy.busiest());
    let bound = format!("≤ {most:.0}, {OVERSHOOT} × {steady:.0}/s");
    verdict.must(
        "calls that reached it in the busiest second after",
        format!("{saw:.0}"),
        bound,
        saw <= most,
    );
    judge_healing(&mut verdict, &roomy, WELL_WITHIN);
    verdict.info("with all room taken by those that hang", format_args!("{} calls a second", CRAMPED.1));
    let full = ill_cramped.iter().filter(|call| call.refused_by("isolation")).count();
    verdict.must("calls refused at its limit while it hung", full, "some", full > 0);
    judge_refusals(&mut verdict, &ill_cramped, hung);
    judge_healing(&mut verdict, &cramped, CRAMPED_WITHIN);
    Ok(verdict)
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

/// When all was good again.
fn judge_healing(verdict: &mut Verdict, subject: &Subject, within: Duration) {
    verdict.info("calls that failed after it had healed", reasons(subject.failed()));
    let after = subject.well_after();
    let saw = after.map_or_else(|| "not".to_owned(), seconds);
    let passed = after.is_some_and(|after| after <= within);
    verdict.must("all good again after", saw, format!("≤ {}", seconds(within)), passed);
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
