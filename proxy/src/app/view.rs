//! What the admin endpoints show of this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use outrigger_config::plan::Address;
use outrigger_filters::clock::{Clock, Nanos};
use serde_json::{Value, json};

use super::protection;
use super::readiness::Ready;
use crate::admin::{AdminView, Readiness};
use crate::policy::apply::Applier;
use crate::server::accept::Handle;
use crate::snapshot::Side;
use crate::worker::Shared;

pub(super) struct View {
    pub(super) shared: Arc<Shared>,
    pub(super) applier: Arc<Applier>,
    pub(super) workers: Arc<[Handle]>,
    pub(super) ready: Arc<Ready>,
}

impl AdminView for View {
    fn ready(&self) -> Readiness {
        Readiness {
            conditions: vec![
                ("policy", self.shared.live.load().generation > 0),
                ("listeners", self.ready.listeners.load(Ordering::Relaxed)),
                ("app", self.ready.app.load(Ordering::Relaxed)),
                ("not_draining", !self.shared.draining.load(Ordering::Relaxed)),
            ],
        }
    }

    fn policy(&self) -> Value {
        self.applier.show()
    }

    fn dependencies(&self) -> Value {
        let snapshot = self.shared.live.load();
        let now = self.shared.clock.now();
        let shown = |side| dependency(side, now);
        let dependencies: Vec<Value> =
            snapshot.dependencies.iter().chain(&snapshot.pass).map(shown).collect();
        let app = snapshot.inbound.cluster.as_ref().map(|_| endpoints(&snapshot.inbound));
        let breaker = protection::breakers(&snapshot.inbound, now);
        json!({ "dependencies": dependencies, "app": { "endpoints": app, "breaker": breaker } })
    }

    fn start_drain(&self) {
        self.set_draining(true);
    }

    fn stop_drain(&self) {
        self.set_draining(false);
    }
}

fn dependency(side: &Side, now: Nanos) -> Value {
    let cluster = side.cluster.as_ref();
    let occupied = side.bulkhead.as_ref().map(|bulkhead| bulkhead.occupied());
    let trouble = cluster.filter(|cluster| cluster.endpoints().is_empty());
    json!({
        "name": &*side.name,
        "breaker": protection::breakers(side, now),
        "in_flight": occupied.map(|occupied| occupied.in_flight),
        "limit": occupied.map(|occupied| occupied.limit),
        "queued": occupied.map(|occupied| occupied.queued),
        "buffered_bytes": occupied.map(|occupied| occupied.buffered),
        "endpoints": endpoints(side),
        "trouble": trouble.map(|cluster| cluster.trouble().label()),
    })
}

fn endpoints(side: &Side) -> Value {
    let Some(cluster) = &side.cluster else { return json!([]) };
    let endpoints = cluster.endpoints();
    let shown = endpoints.iter().map(|endpoint| {
        json!({
            "address": match &endpoint.address {
                Address::Tcp(address) => address.to_string(),
                Address::Unix(path) => format!("unix:{}", path.display()),
            },
            "connections": endpoint.open.load(Ordering::Relaxed),
            "in_flight": endpoint.in_flight.load(Ordering::Relaxed),
        })
    });
    shown.collect()
}
