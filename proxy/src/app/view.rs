//! What the admin endpoints show of this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use outrigger_config::plan::Address;
use serde_json::{Value, json};

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
        let dependencies: Vec<Value> = snapshot.dependencies.iter().map(dependency).collect();
        let app = snapshot.inbound.cluster.as_ref().map(|_| endpoints(&snapshot.inbound));
        json!({ "dependencies": dependencies, "app": { "endpoints": app } })
    }

    fn start_drain(&self) {
        self.set_draining(true);
    }

    fn stop_drain(&self) {
        self.set_draining(false);
    }
}

fn dependency(side: &Side) -> Value {
    let cluster = side.cluster.as_ref();
    let in_flight: u64 = cluster.map_or(0, |cluster| {
        cluster.endpoints().iter().map(|endpoint| endpoint.in_flight.load(Ordering::Relaxed)).sum()
    });
    let trouble = cluster.filter(|cluster| cluster.endpoints().is_empty());
    json!({
        "name": &*side.name,
        "in_flight": in_flight,
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
