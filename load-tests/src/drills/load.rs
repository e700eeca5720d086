//! Open-loop load: calls begin when they are due, whether or not earlier ones were answered.
//!
//! Latency is from the moment a call is really sent. A generator that was held up itself skips what it missed
//! instead of catching up in a burst, which would look like one of the sidecar's making.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::caller::{Answer, Ask, Caller};
use crate::stats::Latencies;

/// One call and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    /// What came back, or why nothing did.
    pub(crate) answer: Result<Answer, String>,
}

impl Call {
    pub(crate) fn good(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| answer.status.is_success() && answer.stage.is_none())
    }

    /// Whether this stage of the sidecar answered.
    pub(crate) fn refused_by(&self, stage: &str) -> bool {
        self.answer.as_ref().is_ok_and(|answer| answer.stage.as_deref() == Some(stage))
    }

    /// In a few words, for reports.
    pub(crate) fn told(&self) -> String {
        match &self.answer {
            Ok(Answer { status, stage: Some(stage) }) => format!("{} by {stage}", status.as_u16()),
            Ok(Answer { status, stage: None }) => format!("{} by the upstream", status.as_u16()),
            Err(error) => error.clone(),
        }
    }
}

/// Running load; dropping it stops it and abandons what is unanswered.
#[derive(Debug)]
pub(crate) struct Load {
    calls: Arc<Mutex<Vec<Call>>>,
    stop: oneshot::Sender<()>,
    ticker: JoinSet<()>,
}

impl Load {
    /// Sends `rate` calls a second, each what `ask` says of its number.
    pub(crate) fn start(caller: Caller, rate: u32, ask: impl Fn(u64) -> Ask + Send + 'static) -> Self {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let (stop, stopped) = oneshot::channel();
        let mut ticker = JoinSet::new();
        ticker.spawn(tick(Arc::new(caller), rate, ask, Arc::clone(&calls), stopped));
        Self { calls, stop, ticker }
    }

    /// The calls answered since the last time.
    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends no more, lets every call end, and gives those that did since the last time.
    pub(crate) async fn finish(self) -> Vec<Call> {
        let Self { calls, stop, mut ticker } = self;
        drop(stop);
        ticker.join_next().await;
        std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn tick(
    caller: Arc<Caller>,
    rate: u32,
    ask: impl Fn(u64) -> Ask,
    calls: Arc<Mutex<Vec<Call>>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut due = interval(Duration::from_secs(1) / rate.max(1));
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut running = JoinSet::new();
    for number in 0.. {
        tokio::select! {
            _ = due.tick() => {}
            _ = &mut stopped => break,
        }
        while running.try_join_next().is_some() {}
        running.spawn(one(Arc::clone(&caller), ask(number), Arc::clone(&calls)));
    }
    while running.join_next().await.is_some() {}
}

async fn one(caller: Arc<Caller>, ask: Ask, calls: Arc<Mutex<Vec<Call>>>) {
    let sent = Instant::now();
    let answer = caller.call(&ask).await.map_err(|error| format!("{error:#}"));
    let call = Call { sent, took: sent.elapsed(), answer };
    calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
}

/// How these calls ended, the most frequent first: `12 × 503 by isolation, 1 × 504 by upstream`.
pub(crate) fn reasons<'a>(calls: impl IntoIterator<Item = &'a Call>) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for call in calls {
        *counts.entry(call.told()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let told: Vec<String> = counts.iter().map(|(told, count)| format!("{count} × {told}")).collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}

/// The latency in ms below which this share (0.99) of the calls was answered.
pub(crate) fn quantile_ms<'a>(calls: impl IntoIterator<Item = &'a Call>, share: f64) -> f64 {
    let mut latencies = Latencies::default();
    for call in calls {
        latencies.record(u64::try_from(call.took.as_micros()).unwrap_or(u64::MAX));
    }
    #[expect(clippy::cast_precision_loss, reason = "at most a second in µs")]
    let micros = latencies.quantile(share) as f64;
    micros / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Config, Manner, Upstream};

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn every_call_that_was_sent_is_told_of_in_the_end() {
        let upstream = Upstream::start(Config::default()).unwrap();
        let caller = Caller::kept(upstream.address());
        let calls = run(async {
            let load = Load::start(caller, 1000, |number| Ask::get("any", &format!("/bytes/{number}")));
            while upstream.requests() < 20 {
                tokio::task::yield_now().await;
            }
            load.finish().await
        });
        assert_eq!(u64::try_from(calls.len()).unwrap(), upstream.requests());
        assert!(calls.iter().all(Call::good), "{}", reasons(&calls));
    }

    #[test]
    fn calls_begin_although_earlier_ones_hang_and_end_with_the_patience_of_the_caller() {
        let upstream = Upstream::start(Config::default()).unwrap();
        upstream.turn(Manner::Hanging);
        let caller = Caller::kept(upstream.address()).patient(Duration::from_millis(300));
        let calls = run(async {
            let load = Load::start(caller, 1000, |_| Ask::get("any", "/"));
            while upstream.requests() < 5 {
                tokio::task::yield_now().await;
            }
            load.finish().await
        });
        assert!(calls.len() >= 5 && !calls.iter().any(Call::good), "{}", reasons(&calls));
    }

    #[test]
    fn a_caller_keeps_its_connection_unless_it_is_to_be_fresh() {
        for (fresh, connections) in [(false, 1), (true, 3)] {
            let upstream = Upstream::start(Config::default()).unwrap();
            let address = upstream.address();
            let caller = if fresh { Caller::fresh(address) } else { Caller::kept(address) };
            run(async {
                for _ in 0..3 {
                    caller.call(&Ask::get("any", "/")).await.unwrap();
                    // The connection's own task must run before it can be used again.
                    tokio::task::yield_now().await;
                }
            });
            assert_eq!(upstream.connections(), connections);
        }
    }

    #[test]
    fn tells_the_most_frequent_end_first() {
        let call =
            |answer: Result<Answer, String>| Call { sent: Instant::now(), took: Duration::ZERO, answer };
        let refused =
            Answer { status: hyper::StatusCode::SERVICE_UNAVAILABLE, stage: Some("isolation".to_owned()) };
        let calls = [call(Err("reset".to_owned())), call(Ok(refused.clone())), call(Ok(refused))];
        assert_eq!(reasons(&calls), "2 × 503 by isolation, 1 × reset");
        assert_eq!(reasons([]), "none");
    }
}
