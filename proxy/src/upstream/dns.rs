//! Names of upstreams, asked again and again.
//!
//! One task a name, on the service runtime. It ends when nobody uses the cluster any more. A failed query
//! keeps what was known: stale addresses beat none.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use outrigger_config::plan::{Address, Discovery};
use outrigger_filters::outcome::Outcome;

use tokio::runtime::Handle;

use super::cluster::Cluster;

/// After a failed query while nothing is known.
const RETRY: Duration = Duration::from_millis(500);
/// One query, its retries included.
const PATIENCE: Duration = Duration::from_secs(5);

/// This machine's resolver and the runtime that asks it.
#[derive(Clone)]
pub(crate) struct Names {
    pub(crate) handle: Handle,
    resolver: Arc<TokioResolver>,
}

impl Names {
    /// Reads the system's resolver configuration.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn new(handle: Handle) -> Result<Self, NetError> {
        Ok(Self { handle, resolver: Arc::new(TokioResolver::builder_tokio()?.build()?) })
    }
}

/// Keeps `cluster`'s endpoints at what its name resolves to.
pub(crate) fn follow(cluster: &Arc<Cluster>, names: &Names) {
    let Discovery::Dns { host, port, every } = cluster.spec.discovery.clone() else { return };
    if !cluster.claim_start() {
        return;
    }
    let (cluster, resolver) = (Arc::downgrade(cluster), Arc::clone(&names.resolver));
    names.handle.spawn(async move {
        while let Some(pause) = refresh(&cluster, &resolver, (&host, port, every)).await {
            tokio::time::sleep(pause).await;
        }
    });
}

async fn refresh(
    cluster: &Weak<Cluster>,
    resolver: &TokioResolver,
    (host, port, every): (&str, u16, Duration),
) -> Option<Duration> {
    let answer = tokio::time::timeout(PATIENCE, resolver.lookup_ip(host)).await;
    let cluster = cluster.upgrade()?;
    let trouble = match answer {
        Ok(Ok(found)) => {
            let mut addresses: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::new(ip, port)).collect();
            addresses.sort_unstable();
            if !addresses.is_empty() {
                let addresses: Vec<Address> = addresses.into_iter().map(Address::Tcp).collect();
                cluster.set_addresses(&addresses);
                return Some(every);
            }
            Outcome::DnsError
        }
        Ok(Err(_)) => Outcome::DnsError,
        Err(_) => Outcome::DnsTimeout,
    };
    cluster.set_trouble(trouble);
    Some(if cluster.endpoints().is_empty() { RETRY } else { every })
}
