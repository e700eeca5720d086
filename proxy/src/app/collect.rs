//! Numbers that live in the policy's parts: decisions of rules, keys of tables, connections of endpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use outrigger_filters::clock::Clock;

use super::protection;
use crate::telemetry::chains::Chains;
use crate::telemetry::{Collect, Exposition};
use crate::worker::Shared;

const CONNECTIONS: (&str, &str) = ("outrigger_upstream_connections", "Open connections to an upstream.");
const REQUESTS: (&str, &str) =
    ("outrigger_upstream_in_flight", "Requests at an upstream, over all endpoints.");

const LINEAGE: (&str, &str) = (
    "outrigger_lineage_overflow_total",
    "Requests from which the app's calls inherited no deadline, because too many traces were in flight.",
);

/// Reads the policy in force at each scrape.
pub(super) struct Collector {
    pub(super) shared: Arc<Shared>,
}

impl Collect for Collector {
    fn collect(&self, out: &mut Exposition) {
        let snapshot = self.shared.live.load();
        let mut chains = Chains::default();
        for side in snapshot.sides() {
            let owner = if side.name.is_empty() { "inbound" } else { &*side.name };
            for route in &side.routes {
                chains.read(out, &format!("{owner}/{}", route.name), &route.gates);
            }
            if let Some(route) = side.routes.first() {
                chains.read(out, owner, &route.upstream_gates);
            }
        }
        chains.finish(out);
        out.counter(LINEAGE.0, LINEAGE.1, &[], self.shared.lineage.overflow());
        protection::collect(out, &snapshot, self.shared.clock.now());
        for cluster in snapshot.sides().filter_map(|side| side.cluster.as_ref()) {
            let endpoints = cluster.endpoints();
            let sum = |read: fn(&crate::upstream::cluster::Endpoint) -> u64| {
                endpoints.iter().map(|endpoint| read(endpoint)).sum::<u64>() as f64
            };
            let open = sum(|endpoint| endpoint.open.load(Ordering::Relaxed));
            let busy = sum(|endpoint| endpoint.in_flight.load(Ordering::Relaxed));
            let dependency = ("dependency", &*cluster.name);
            out.gauge(CONNECTIONS.0, CONNECTIONS.1, &[dependency], open);
            out.gauge(REQUESTS.0, REQUESTS.1, &[dependency], busy);
        }
    }
}
