//! One dependency that hangs and heals, and its callers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::drills::arrivals::Peak;
use crate::drills::caller::{Ask, Caller};
use crate::drills::load::{Call, Load};
use crate::upstream::{Config, Manner, Upstream};

/// For callers never to be the ones who give up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The dependency, the load on it, and what was seen since it healed.
pub(super) struct Subject {
    host: &'static str,
    upstream: Upstream,
    load: Option<Load>,
    /// When counting began, and the count then.
    began: (Instant, u64),
    healed: Instant,
    after: Vec<Call>,
    peak: Peak,
}

impl Subject {
    pub(super) fn new(host: &'static str) -> anyhow::Result<Self> {
        let upstream = Upstream::start(Config::default())?;
        let now = Instant::now();
        let (after, peak) = (Vec::new(), Peak::default());
        Ok(Self { host, upstream, load: None, began: (now, 0), healed: now, after, peak })
    }

    /// Its entry in the policy.
    pub(super) fn policy(&self, isolation: &str) -> String {
        let (host, address) = (self.host, self.upstream.address());
        format!(
            "  {name}:
    hosts: [{host}]
    endpoints: [{{ address: \"{address}\" }}]
    timeouts: {{ total: 30s, first_byte: 30s }}
    circuit_breaker: {{ slow_threshold: 1s }}
    isolation: {isolation}
",
            name = host.split('.').next().unwrap_or(host),
        )
    }

    /// So many calls a second from now on.
    pub(super) fn call(&mut self, outbound: SocketAddr, rate: u32) {
        let host = self.host;
        let caller = Caller::kept(outbound).patient(PATIENCE);
        self.load = Some(Load::start(caller, rate, move |_| Ask::get(host, "/")));
    }

    /// Begins to count what reaches it.
    pub(super) fn begin(&mut self) {
        self.began = (Instant::now(), self.upstream.requests());
    }

    /// What reached it a second since.
    pub(super) fn rate(&self) -> f64 {
        let (began, before) = self.began;
        #[expect(clippy::cast_precision_loss, reason = "requests of seconds")]
        let count = self.upstream.requests().saturating_sub(before) as f64;
        count / began.elapsed().as_secs_f64()
    }

    /// The calls that ended since the last time.
    pub(super) fn take(&self) -> Vec<Call> {
        self.load.as_ref().map(Load::take).unwrap_or_default()
    }

    pub(super) fn hang(&self) {
        self.upstream.turn(Manner::Hanging);
    }

    pub(super) fn heal(&mut self) {
        self.upstream.turn(Manner::Scripted);
        self.healed = Instant::now();
    }

    /// Takes note of what has happened since it healed.
    pub(super) fn look(&mut self, now: Instant) {
        self.peak.count(now, self.upstream.requests());
        let ended = self.take();
        self.after.extend(ended.into_iter().filter(|call| call.sent >= self.healed));
    }

    /// Calls that reached it in the busiest second since it healed.
    pub(super) const fn busiest(&self) -> f64 {
        self.peak.per_second()
    }

    /// Calls that failed though sent after it had healed.
    pub(super) fn failed(&self) -> impl Iterator<Item = &Call> {
        self.after.iter().filter(|call| !call.good())
    }

    /// How long all has been good.
    pub(super) fn well_for(&self, now: Instant) -> Duration {
        well_since(&self.after).map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    /// How long it took until all was good.
    pub(super) fn well_after(&self) -> Option<Duration> {
        well_since(&self.after).map(|since| since.duration_since(self.healed))
    }
}

/// Since when every call sent was good.
fn well_since(calls: &[Call]) -> Option<Instant> {
    let last_bad = calls.iter().filter(|call| !call.good()).map(|call| call.sent).max();
    let good = |call: &&Call| call.good() && last_bad.is_none_or(|bad| call.sent > bad);
    calls.iter().filter(good).map(|call| call.sent).min()
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;
    use crate::drills::caller::Answer;

    #[test]
    fn well_since_the_first_good_call_after_the_last_bad_one() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let call = |sent, status| {
            let answer = Ok(Answer { status, stage: None });
            Call { sent, took: Duration::ZERO, answer }
        };
        let (good, bad) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(well_since(&[]), None);
        assert_eq!(well_since(&[call(at(1), bad)]), None);
        let calls = [call(at(10), good), call(at(20), bad), call(at(40), good), call(at(30), good)];
        assert_eq!(well_since(&calls), Some(at(30)));
    }
}
