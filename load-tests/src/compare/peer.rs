//! Who is compared, how each is found and started.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use tokio::time::{Instant, sleep};

use super::{Options, files};
use crate::client;
use crate::process::{self, Running, free_port, on_path, output_to};
use crate::sidecar::Sidecar;

/// The core every contender is pinned to.
const CORE: usize = 0;
const START: Duration = Duration::from_secs(20);

/// A proxy that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// This project's sidecar.
    #[value(name = "ours", alias = "outrigger")]
    Outrigger,
    /// nginx, one worker.
    Nginx,
    /// HAProxy, one thread.
    Haproxy,
    /// Envoy, one worker.
    Envoy,
    /// A bare pingora-proxy, given by path.
    Pingora,
}

/// Whether its policies are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Mode {
    /// Proxying only.
    Bare,
    /// With rate limits, and what else the peer has of the kind.
    Policies,
}

impl Peer {
    /// Its program, or why it is skipped.
    pub(crate) fn program(self, options: &Options) -> Result<PathBuf, String> {
        match self {
            Self::Outrigger => process::outrigger(options.outrigger.as_deref())
                .ok_or_else(|| "no such program; build it and give --outrigger PATH".to_owned()),
            Self::Pingora => options
                .pingora
                .clone()
                .filter(|file| file.is_file())
                .ok_or_else(|| "no such program; give --pingora PATH".to_owned()),
            Self::Nginx | Self::Haproxy | Self::Envoy => {
                let name = self.to_string();
                // Debian keeps some of them where only root looks.
                let sbin = Path::new("/usr/sbin").join(&name);
                let found = on_path(&name).or_else(|| Some(sbin).filter(|file| file.is_file()));
                found.ok_or_else(|| "not installed".to_owned())
            }
        }
    }

    /// Whether it can be run so.
    pub(crate) fn takes(self, mode: Mode) -> bool {
        self != Self::Pingora || mode == Mode::Bare
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Outrigger => "outrigger",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Pingora => "pingora",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Bare => "bare",
            Self::Policies => "policies",
        })
    }
}

/// A running peer; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) peer: Peer,
    pub(crate) mode: Mode,
    pub(crate) program: PathBuf,
    /// Where it takes HTTP/1.1.
    pub(crate) http1: SocketAddr,
    /// Where it takes h2 with prior knowledge.
    pub(crate) h2: Option<SocketAddr>,
    process: Process,
}

#[derive(Debug)]
enum Process {
    Ours(Sidecar),
    Theirs(Running),
}

impl Contender {
    /// Starts a peer on its core and waits until it answers.
    pub(crate) async fn start(
        peer: Peer,
        mode: Mode,
        program: &Path,
        upstream: SocketAddr,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let program = program.canonicalize().unwrap_or_else(|_| program.to_path_buf());
        let contender = if peer == Peer::Outrigger {
            let sidecar =
                Sidecar::start(&program, dir, &files::outrigger(mode, upstream), Some(CORE)).await?;
            let inbound = sidecar.addresses.inbound;
            Self { peer, mode, program, http1: inbound, h2: Some(inbound), process: Process::Ours(sidecar) }
        } else {
            Self::start_theirs(peer, mode, program, upstream, dir)?
        };
        contender.answers().await.with_context(|| log(dir))?;
        Ok(contender)
    }

    pub(crate) fn pid(&self) -> u32 {
        match &self.process {
            Process::Ours(sidecar) => sidecar.pid(),
            Process::Theirs(running) => running.pid(),
        }
    }

    fn start_theirs(
        peer: Peer,
        mode: Mode,
        program: PathBuf,
        upstream: SocketAddr,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let http1 = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let separate = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut command = Command::new(&program);
        command.current_dir(dir);
        let h2 = match peer {
            Peer::Nginx => {
                let config =
                    files::write(dir, "nginx.conf", &files::nginx(mode, http1, separate, upstream, dir))?;
                command.arg("-p").arg(dir).arg("-c").arg(config).arg("-e").arg(dir.join("error.log"));
                Some(separate)
            }
            Peer::Haproxy => {
                let config =
                    files::write(dir, "haproxy.cfg", &files::haproxy(mode, http1, separate, upstream))?;
                command.arg("-db").arg("-f").arg(config);
                Some(separate)
            }
            Peer::Envoy => {
                let config = files::write(dir, "envoy.yaml", &files::envoy(mode, http1, upstream))?;
                command
                    .args(["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"])
                    .arg(config);
                Some(http1)
            }
            Peer::Pingora | Peer::Outrigger => {
                let [listen, upstream] = [http1, upstream].map(|address| address.to_string());
                command.args(["--listen", &listen, "--upstream", &upstream]);
                None
            }
        };
        output_to(&mut command, &dir.join("output.log"))?;
        let process = Process::Theirs(Running::start_on(CORE, &peer.to_string(), &mut command)?);
        Ok(Self { peer, mode, program, http1, h2, process })
    }

    /// Waits for a 200 through the proxy.
    async fn answers(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        loop {
            match client::get(self.http1, "/").await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error.context("no 200 through it")),
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// The end of what a contender printed, since its directory goes when we do.
fn log(dir: &Path) -> String {
    let names = ["output.log", "error.log", "sidecar.log"];
    let text: String = names.iter().filter_map(|name| std::fs::read_to_string(dir.join(name)).ok()).collect();
    let lines: Vec<&str> = text.lines().rev().take(10).collect();
    format!("it printed: {}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
}
