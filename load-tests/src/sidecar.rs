//! A sidecar under test: its files, its process, its addresses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use crate::client;
use crate::process::{Running, free_port, output_to};

/// How long a start may take.
const START: Duration = Duration::from_secs(20);

/// The addresses of a sidecar.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Requests to the app.
    pub inbound: SocketAddr,
    /// Requests of the app.
    pub outbound: SocketAddr,
    /// The operators' door.
    pub admin: SocketAddr,
}

impl Addresses {
    /// Three free loopback ports.
    ///
    /// # Errors
    /// When there are none.
    pub fn free() -> anyhow::Result<Self> {
        let free = || Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        Ok(Self { inbound: free()?, outbound: free()?, admin: free()? })
    }
}

/// A running sidecar; dropping it stops it.
#[derive(Debug)]
pub struct Sidecar {
    /// Where it listens.
    pub addresses: Addresses,
    /// The policy file it watches.
    pub policy: PathBuf,
    process: Running,
}

impl Sidecar {
    /// Writes `sidecar.yaml` and `policy.yaml` into `dir`, starts `program` on them and waits until it is ready.
    /// What it prints goes to `sidecar.log` there; with `core` it may use that core only.
    ///
    /// # Errors
    /// When a file cannot be written or the sidecar does not become ready.
    pub async fn start(
        program: &Path,
        dir: &Path,
        policy: &str,
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let addresses = Addresses::free()?;
        let (config, policy_file) = (dir.join("sidecar.yaml"), dir.join("policy.yaml"));
        std::fs::write(&policy_file, policy)?;
        std::fs::write(&config, document(addresses, dir))?;
        let mut command = Command::new(program);
        command.args(["proxy", "--config"]).arg(&config).current_dir(dir);
        output_to(&mut command, &dir.join("sidecar.log"))?;
        let process = match core {
            Some(core) => Running::start_on(core, "outrigger", &mut command)?,
            None => Running::start("outrigger", &mut command)?,
        };
        let mut sidecar = Self { addresses, policy: policy_file, process };
        let ready = sidecar.ready(START).await;
        // Not where it is: the directory of a test goes with it.
        ready.with_context(|| std::fs::read_to_string(dir.join("sidecar.log")).unwrap_or_default())?;
        Ok(sidecar)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    async fn ready(&mut self, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        self.process.accepts(self.addresses.admin, within).await?;
        loop {
            match client::get(self.addresses.admin, "/readyz").await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline || self.process.ended()?.is_some() => {
                    return Err(error.context("not ready"));
                }
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// The sidecar.yaml of a load test: loopback, one worker, no access log, connections that may idle for long.
fn document(addresses: Addresses, dir: &Path) -> String {
    let Addresses { inbound, outbound, admin } = addresses;
    format!(
        "service: load-test
workers: 1
listeners:
  inbound: {{ address: \"{inbound}\" }}
  outbound: {{ address: \"{outbound}\" }}
admin: {{ address: \"{admin}\" }}
policy: {{ file: policy.yaml }}
state_dir: \"{}\"
telemetry: {{ access_log: {{ path: \"off\" }} }}
limits: {{ max_connections: 20000, idle_timeout: 10m, drain: 1s }}
trusted_peers: [127.0.0.0/8]
",
        dir.join("state").display()
    )
}
