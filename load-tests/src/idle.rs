//! What idle connections cost: resident memory of a sidecar with none, and with thousands that each did one
//! request and then nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::client::Client;
use crate::process::{raise_open_files, resident_kib};
use crate::sidecar::Sidecar;
use crate::upstream::{Config, Upstream};

/// Resident memory of an idle sidecar, in KiB.
const MAX_IDLE_KIB: u64 = 20 * 1024;
/// Resident memory one idle connection adds, in KiB.
const MAX_CONNECTION_KIB: f64 = 24.0;
/// For what is freed late to be freed.
const SETTLE: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sidecar's program.
    pub outrigger: PathBuf,
    /// Idle connections to open.
    pub connections: u32,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Connections that were open.
    pub connections: u32,
    /// Resident KiB before the first.
    pub idle_kib: u64,
    /// Resident KiB with all of them idle.
    pub loaded_kib: u64,
}

impl Report {
    /// KiB each connection added.
    #[must_use]
    pub fn connection_kib(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "memory of one process")]
        let added = self.loaded_kib.saturating_sub(self.idle_kib) as f64;
        added / f64::from(self.connections)
    }

    /// Whether both numbers are within their bounds.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.idle_kib <= MAX_IDLE_KIB && self.connection_kib() <= MAX_CONNECTION_KIB
    }

    /// For scripts.
    #[must_use]
    pub fn as_json(&self) -> Value {
        json!({
            "connections": self.connections,
            "idle_kib": self.idle_kib,
            "loaded_kib": self.loaded_kib,
            "connection_kib": self.connection_kib(),
            "passed": self.passed(),
        })
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { connections, idle_kib, loaded_kib } = self;
        writeln!(formatter, "idle: {idle_kib} KiB resident (at most {MAX_IDLE_KIB})")?;
        writeln!(formatter, "with {connections} idle connections: {loaded_kib} KiB")?;
        let each = self.connection_kib();
        write!(formatter, "each: {each:.1} KiB (at most {MAX_CONNECTION_KIB})")
    }
}

/// Starts a sidecar in `dir`, opens the connections and measures.
///
/// # Errors
/// When the sidecar does not start, a request fails, or a connection does not stay open.
pub async fn run(options: &Options, dir: &Path) -> anyhow::Result<Report> {
    let limit = raise_open_files()?;
    if limit < u64::from(options.connections) + 100 {
        bail!("only {limit} open files are allowed; raise `ulimit -Hn` or ask for fewer connections");
    }
    let upstream = Upstream::start(Config { fixed: true, ..Config::default() })?;
    let policy = format!("version: 1\ninbound:\n  app: http://{}\n", upstream.address());
    let sidecar = Sidecar::start(&options.outrigger, dir, &policy, None).await?;
    sleep(SETTLE).await;
    let idle_kib = resident_kib(sidecar.pid())?;
    let mut clients = open(sidecar.addresses.inbound, options.connections).await?;
    sleep(SETTLE).await;
    let loaded_kib = resident_kib(sidecar.pid())?;
    // A connection the sidecar had closed would cost nothing and prove nothing.
    for (index, client) in clients.iter_mut().enumerate() {
        client.get("/").await.with_context(|| format!("connection {index} did not stay open"))?;
    }
    Ok(Report { connections: options.connections, idle_kib, loaded_kib })
}

/// Opens connections one after another and does one request on each.
async fn open(address: SocketAddr, connections: u32) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for index in 0..connections {
        let mut client = Client::connect(address).await.with_context(|| format!("connection {index}"))?;
        let (status, _) = client.get("/").await.with_context(|| format!("connection {index}"))?;
        if status != hyper::StatusCode::OK {
            bail!("connection {index}: {status}");
        }
        clients.push(client);
    }
    Ok(clients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_up_to_both_bounds_and_not_beyond() {
        let report = Report { connections: 10, idle_kib: MAX_IDLE_KIB, loaded_kib: MAX_IDLE_KIB + 240 };
        assert!(report.passed());
        assert!(!Report { loaded_kib: MAX_IDLE_KIB + 241, ..report }.passed());
        assert!(!Report { idle_kib: MAX_IDLE_KIB + 1, loaded_kib: MAX_IDLE_KIB + 2, ..report }.passed());
    }
}
