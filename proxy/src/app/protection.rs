//! How breakers, isolation and retries stand: as metrics, as JSON, and in the log when a breaker changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use outrigger_filters::circuit_breaker::{Change, Snapshot as Breaker};
use outrigger_filters::clock::{Clock, Nanos};
use serde_json::{Value, json};

use crate::snapshot::{Fuse, Side, Snapshot};
use crate::telemetry::{Exposition, log};
use crate::worker::Shared;

/// How often breakers are looked at where no call does it: hung calls are noticed, states change in time.
const TICK: Duration = Duration::from_millis(250);

/// What the app is called among dependencies.
const APP: &str = "app";

const STATE: (&str, &str) = (
    "outrigger_breaker_state",
    "0 closed, 1 half-open, 2 ramp, 3 open, 4 forced open, 5 forced closed; by route if it has a breaker of its own.",
);
const TRANSITIONS: (&str, &str) = ("outrigger_breaker_transitions_total", "Changes of state of a breaker.");
const REFUSED: (&str, &str) =
    ("outrigger_breaker_rejected_total", "Calls a breaker refused, or in shadow would have.");
const PROBES: (&str, &str) = ("outrigger_breaker_probes_total", "Calls that tried whether it works again.");
const OPEN: (&str, &str) = ("outrigger_breaker_open_seconds_total", "How long a breaker has been open.");
const RETRIES: (&str, &str) = ("outrigger_retries_total", "What was decided about further tries.");
const BUDGET: (&str, &str) = ("outrigger_retry_budget", "Retries the budget pays for now.");
const IN_FLIGHT: (&str, &str) =
    ("outrigger_isolation_in_flight", "Calls of a dependency until the end of their answers.");
const LIMIT: (&str, &str) = ("outrigger_isolation_limit", "How many there may be, its share considered.");
const QUEUED: (&str, &str) = ("outrigger_isolation_queued", "Calls waiting for one of them to end.");
const BUFFERED: (&str, &str) =
    ("outrigger_isolation_buffered_bytes", "Bytes of bodies kept for a dependency.");
const SATURATION: (&str, &str) =
    ("outrigger_isolation_saturation", "The fuller of calls and bytes, 1 when nothing is left.");
const TURNED: (&str, &str) =
    ("outrigger_isolation_rejected_total", "Calls turned away, or in shadow counted so.");

/// Adds the metrics of `snapshot`.
pub(super) fn collect(out: &mut Exposition, snapshot: &Snapshot, now: Nanos) {
    for side in snapshot.sides().chain(&snapshot.pass) {
        let name = name(side);
        for fuse in fuses(side) {
            breaker(out, name, fuse, now);
        }
        isolation(out, name, side);
        retries(out, name, side, now);
    }
}

fn name(side: &Side) -> &str {
    if side.name.is_empty() { APP } else { &side.name }
}

/// The breaker of a side, and those its routes have for themselves.
fn fuses(side: &Side) -> impl Iterator<Item = &Fuse> {
    let own = side.routes.iter().filter_map(|route| route.breaker.as_ref()).filter(|fuse| fuse.is_route);
    side.breaker.iter().chain(own)
}

fn route(fuse: &Fuse) -> &str {
    if fuse.is_route { &fuse.name } else { "" }
}

fn breaker(out: &mut Exposition, dependency: &str, fuse: &Fuse, now: Nanos) {
    let labels = [("dependency", dependency), ("route", route(fuse))];
    let [of, on] = labels;
    out.gauge(STATE.0, STATE.1, &labels, f64::from(fuse.breaker.snapshot(now).state.number()));
    let counts = fuse.breaker.counts(now);
    for change in &counts.transitions {
        let (from, to) = (("from", change.from.label()), ("to", change.to.label()));
        let labels = [of, on, from, to, ("reason", change.reason)];
        out.counter(TRANSITIONS.0, TRANSITIONS.1, &labels, change.count);
    }
    out.counter(REFUSED.0, REFUSED.1, &labels, counts.refused);
    for (result, count) in [
        ("success", counts.probes_succeeded),
        ("failure", counts.probes_failed),
        ("neutral", counts.probes_neutral),
    ] {
        out.counter(PROBES.0, PROBES.1, &[of, on, ("result", result)], count);
    }
    out.counter_f64(OPEN.0, OPEN.1, &labels, counts.open.as_secs_f64());
}

fn isolation(out: &mut Exposition, dependency: &str, side: &Side) {
    let Some(bulkhead) = &side.bulkhead else { return };
    let occupied = bulkhead.occupied();
    let labels = [("dependency", dependency)];
    out.gauge(IN_FLIGHT.0, IN_FLIGHT.1, &labels, occupied.in_flight as f64);
    out.gauge(LIMIT.0, LIMIT.1, &labels, occupied.limit as f64);
    out.gauge(QUEUED.0, QUEUED.1, &labels, occupied.queued as f64);
    out.gauge(BUFFERED.0, BUFFERED.1, &labels, occupied.buffered as f64);
    out.gauge(SATURATION.0, SATURATION.1, &labels, occupied.saturation);
    for (reason, count) in occupied.refused {
        out.counter(TURNED.0, TURNED.1, &[("dependency", dependency), ("reason", reason.label())], count);
    }
}

/// Routes of one mode share their counts, so each mode is read once.
fn retries(out: &mut Exposition, dependency: &str, side: &Side, now: Nanos) {
    let modes: BTreeMap<_, _> =
        side.routes.iter().map(|route| (route.retries.mode().label(), &route.retries)).collect();
    let mut results: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (result, count) in modes.values().flat_map(|retries| retries.counted()) {
        let sum = results.entry(result).or_default();
        *sum = sum.saturating_add(count);
    }
    for (result, count) in results {
        out.counter(RETRIES.0, RETRIES.1, &[("dependency", dependency), ("result", result)], count);
    }
    for retries in modes.values().filter(|retries| !retries.is_off()) {
        let labels = [("dependency", dependency), ("mode", retries.mode().label())];
        out.gauge(BUDGET.0, BUDGET.1, &labels, retries.balance(now) as f64);
    }
}

/// What `/dependencies` says about the breakers of a side: `all` routes, or those that have their own.
pub(super) fn breakers(side: &Side, now: Nanos) -> Value {
    let mut shown = serde_json::Map::new();
    if let Some(fuse) = &side.breaker {
        shown.insert("all".to_owned(), state(&fuse.breaker.snapshot(now), now));
    }
    let own: serde_json::Map<String, Value> = fuses(side)
        .filter(|fuse| fuse.is_route)
        .map(|fuse| (fuse.name.to_string(), state(&fuse.breaker.snapshot(now), now)))
        .collect();
    if !own.is_empty() {
        shown.insert("routes".to_owned(), own.into());
    }
    shown.into()
}

fn state(breaker: &Breaker, now: Nanos) -> Value {
    let seconds = |duration: Duration| (duration.as_secs_f64() * 1e3).round() / 1e3;
    json!({
        "state": breaker.state.label(),
        "since": seconds(now.since(breaker.since)),
        "reason": breaker.reason,
        "next_probe": breaker.next_probe.map(|at| seconds(at.since(now))),
        "admits": breaker.admits.to_string(),
        "in_flight": breaker.in_flight,
        "stalled": breaker.stalled,
        "probes": breaker.probes,
        "window": { "total": breaker.total, "failed": breaker.failed, "slow": breaker.slow },
    })
}

/// Looks at every breaker four times a second, and says what changed.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut said: HashMap<String, u64> = HashMap::new();
    loop {
        tokio::time::sleep(TICK).await;
        let (snapshot, now) = (shared.live.load(), shared.clock.now());
        let mut known = HashMap::new();
        for side in snapshot.sides() {
            for fuse in fuses(side) {
                fuse.breaker.tick(now);
                let id = format!("{}/{}", name(side), route(fuse));
                let mut last = said.get(&id).copied().unwrap_or(0);
                for change in fuse.breaker.changes_after(last) {
                    say(name(side), fuse, &change);
                    last = change.number;
                }
                known.insert(id, last);
            }
        }
        said = known;
    }
}

fn say(dependency: &str, fuse: &Fuse, change: &Change) {
    let line = if change.to.number() >= 3 { log::warn } else { log::info };
    let message = format!("breaker: {} to {}", change.from.label(), change.to.label());
    let mode = fuse.breaker.mode().label();
    line(
        &message,
        &[("dependency", &dependency), ("route", &route(fuse)), ("mode", &mode), ("reason", &change.reason)],
    );
}
