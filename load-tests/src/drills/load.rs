//! Open-loop load: calls begin when they are due, whether or not earlier ones were answered.
//!
//! Latency is from the moment a call is really sent. A generator that was held up itself skips what it missed
//! instead of catching up in a burst, which would look like one of the sidecar's making.

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
