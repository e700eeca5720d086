//! Running a load generator against one address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio::time::timeout;

use super::parse::{self, Load};
use super::workload::Workload;

/// What a load generator may take longer than it was told to.
const SLACK: Duration = Duration::from_secs(20);

/// The load generators and their files.
#[derive(Debug)]
pub(crate) struct Generator {
    connections: u32,
    script: PathBuf,
    log: PathBuf,
}

impl Generator {
    /// Writes wrk's script into `dir`.
    pub(crate) fn new(connections: u32, dir: &Path) -> anyhow::Result<Self> {
        let script = dir.join("post.lua");
        let post = "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", 1024)\n\
                    wrk.headers[\"Content-Type\"] = \"application/octet-stream\"\n";
        std::fs::write(&script, post)?;
        Ok(Self { connections, script, log: dir.join("h2load.tsv") })
    }

    /// Loads `address` for so many seconds.
    pub(crate) async fn run(
        &self,
        workload: Workload,
        address: SocketAddr,
        seconds: u32,
    ) -> anyhow::Result<Load> {
        let url = format!("http://{address}{}", workload.path());
        match workload {
            Workload::H2 => self.h2load(&url, seconds).await,
            Workload::Light => self.wrk(&url, 4, false, seconds).await,
            Workload::Post1k => self.wrk(&url, self.connections, true, seconds).await,
            Workload::Get128 | Workload::Get16k => self.wrk(&url, self.connections, false, seconds).await,
        }
    }

    async fn wrk(&self, url: &str, connections: u32, post: bool, seconds: u32) -> anyhow::Result<Load> {
        let mut command = Command::new("wrk");
        command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--latency"]);
        if post {
            command.arg("-s").arg(&self.script);
        }
        parse::wrk(&output(command.arg(url), seconds).await?)
    }

    async fn h2load(&self, url: &str, seconds: u32) -> anyhow::Result<Load> {
        // It appends to a log that is there already.
        drop(std::fs::remove_file(&self.log));
        let mut command = Command::new("h2load");
        command.args(["-t1", "-c8", "-m16", "-D", &seconds.to_string()]);
        command.arg(format!("--log-file={}", self.log.display())).arg(url);
        let output = output(&mut command, seconds).await?;
        parse::h2load(&output, &std::fs::read_to_string(&self.log)?, f64::from(seconds))
    }
}

async fn output(command: &mut Command, seconds: u32) -> anyhow::Result<String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let limit = Duration::from_secs(u64::from(seconds)) + SLACK;
    let run = timeout(limit, command.kill_on_drop(true).output()).await;
    let output = run.with_context(|| format!("{name} takes more than {limit:?}"))??;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
