//! One upstream as all workers share it: its endpoints and how to speak to them.
//!
//! A cluster is the app or a dependency. It outlives policies: a reload that leaves its definition alone adopts
//! it whole, and one that changes its endpoints adopts the endpoints that stay, so pooled connections do too.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use http::HeaderValue;
use outrigger_config::plan::{Address, Discovery, Protocol, TlsClient, Upstream};
use outrigger_filters::outcome::Outcome;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::tls::ClientTls;

/// One address of an upstream. Workers keep their pools by its `id`.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) id: u64,
    pub(crate) address: Address,
    /// Connections and requests over all workers, for `/dependencies`.
    pub(crate) open: AtomicU64,
    pub(crate) in_flight: AtomicU64,
}

impl Endpoint {
    pub(super) fn new(address: Address) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, address, open: AtomicU64::new(0), in_flight: AtomicU64::new(0) })
    }
}

/// The endpoints of a cluster at one time. Each change is a new list, so a reader compares pointers.
pub(crate) type Endpoints = Vec<Arc<Endpoint>>;

/// The app or a dependency.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: Arc<str>,
    pub(crate) spec: Upstream,
    pub(crate) tls: Option<Arc<ClientTls>>,
    /// What to send as `Host` instead of what the caller sent.
    pub(crate) host_header: Option<HeaderValue>,
    endpoints: ArcSwap<Endpoints>,
    /// Changes with `endpoints`, after them.
    number: AtomicU64,
    /// Why there are no endpoints, while there are none.
    trouble: Mutex<Option<Outcome>>,
    resolved: Notify,
    started: AtomicBool,
}

impl Cluster {
    pub(crate) fn endpoints(&self) -> arc_swap::Guard<Arc<Endpoints>> {
        self.endpoints.load()
    }

    /// Which change of the endpoints is the last. Ask before [`Cluster::endpoints`].
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Why there is nobody to call.
    pub(crate) fn trouble(&self) -> Outcome {
        self.trouble.lock().unwrap_or(Outcome::DestinationUnavailable)
    }

    /// Returns at once if an answer of the name service has come, otherwise with the first one.
    pub(crate) async fn wait_resolved(&self) {
        let mut notified = std::pin::pin!(self.resolved.notified());
        notified.as_mut().enable();
        if self.endpoints.load().is_empty() && self.trouble.lock().is_none() {
            notified.await;
        }
    }

    /// True for the first caller only: who then runs the resolver.
    pub(crate) fn claim_start(&self) -> bool {
        !self.started.swap(true, Ordering::AcqRel)
    }

    /// Takes the answer of the name service. Endpoints that stay keep their identity.
    pub(crate) fn set_addresses(&self, addresses: &[Address]) {
        let old = self.endpoints.load_full();
        if old.len() != addresses.len() || !old.iter().all(|known| addresses.contains(&known.address)) {
            self.endpoints.store(Arc::new(adopt(addresses, &old)));
            self.number.fetch_add(1, Ordering::Release);
        }
        *self.trouble.lock() = None;
        self.resolved.notify_waiters();
    }

    /// The name service failed. What was known before stays in use.
    pub(crate) fn set_trouble(&self, outcome: Outcome) {
        *self.trouble.lock() = Some(outcome);
        self.resolved.notify_waiters();
    }

    fn new(name: &str, spec: &Upstream, old: Option<&Self>) -> Result<Self, String> {
        let before = old.filter(|old| same_wire(&old.spec, spec)).map(|old| old.endpoints.load_full());
        let before = before.unwrap_or_default();
        let (endpoints, trouble) = match &spec.discovery {
            Discovery::Fixed(addresses) => (adopt(addresses, &before), None),
            // Until the first answer of a changed name, nothing of the old one is right.
            Discovery::Dns { .. } => (Vec::new(), None),
        };
        let tls = match &spec.tls {
            Some(tls) => Some(ClientTls::load(tls, spec.protocol, default_name(spec))?),
            None => None,
        };
        Ok(Self {
            name: name.into(),
            spec: spec.clone(),
            tls,
            host_header: spec.host_header.as_deref().and_then(|host| HeaderValue::from_str(host).ok()),
            endpoints: ArcSwap::from_pointee(endpoints),
            number: AtomicU64::new(0),
            trouble: Mutex::new(trouble),
            resolved: Notify::new(),
            started: AtomicBool::new(false),
        })
    }
}

/// Same bytes on the wire to an address, so its pooled connections may be kept.
fn same_wire(old: &Upstream, new: &Upstream) -> bool {
    let key = |spec: &Upstream| -> (Protocol, Option<TlsClient>) { (spec.protocol, spec.tls.clone()) };
    key(old) == key(new)
}

fn adopt(addresses: &[Address], old: &[Arc<Endpoint>]) -> Endpoints {
    let mut endpoints: Endpoints = Vec::with_capacity(addresses.len());
    for address in addresses {
        if endpoints.iter().any(|seen| seen.address == *address) {
            continue;
        }
        let known = old.iter().find(|known| known.address == *address);
        endpoints.push(known.map_or_else(|| Endpoint::new(address.clone()), Arc::clone));
    }
    endpoints
}

/// The name to verify when the policy gives none: what is dialled.
fn default_name(spec: &Upstream) -> Option<String> {
    match &spec.discovery {
        Discovery::Dns { host, .. } => Some(host.clone()),
        Discovery::Fixed(addresses) => addresses.first().and_then(|address| match address {
            Address::Tcp(address) => Some(address.ip().to_string()),
            Address::Unix(_) => None,
        }),
    }
}

/// All clusters alive, so that a reload finds those it keeps.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    known: Mutex<HashMap<String, Weak<Cluster>>>,
}

impl Clusters {
    /// The cluster of this name and definition: the living one if it is the same, else a new one.
    ///
    /// # Errors
    /// A certificate or key file that cannot be used; the text says which and why.
    pub(crate) fn adopt(&self, name: &str, spec: &Upstream) -> Result<Arc<Cluster>, String> {
        let mut known = self.known.lock();
        known.retain(|_, cluster| cluster.strong_count() > 0);
        let old = known.get(name).and_then(Weak::upgrade);
        if let Some(old) = &old
            && old.spec == *spec
        {
            return Ok(Arc::clone(old));
        }
        let cluster = Arc::new(Cluster::new(name, spec, old.as_deref())?);
        known.insert(name.to_owned(), Arc::downgrade(&cluster));
        Ok(cluster)
    }

    /// Every cluster in use.
    pub(crate) fn all(&self) -> Vec<Arc<Cluster>> {
        self.known.lock().values().filter_map(Weak::upgrade).collect()
    }
}
