//! The servers: the canned upstream as it is, a proxy under callgrind.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;

use super::files;
use crate::callgrind;

/// Translating a whole program to callgrind's taste takes seconds; a busy machine takes more.
const START_POLLS: u32 = 600;
const POLL: Duration = Duration::from_millis(100);

/// A program that proxies.
#[derive(Clone, Debug)]
pub enum Kind {
    /// This project's sidecar, some build of it.
    Outrigger(PathBuf),
    /// nginx, one process.
    Nginx(PathBuf),
}

/// Whether its rate limits are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Proxying only.
    Bare,
    /// One limit for all and one for each client; `limit_req` and `limit_conn` in nginx.
    Limits,
}

impl Mode {
    /// As in tables and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Limits => "limits",
        }
    }
}

/// The canned upstream of the load tests, a process of its own.
#[derive(Debug)]
pub struct Upstream {
    pub(super) address: SocketAddr,
    _child: Guard,
}

impl Upstream {
    /// Starts `upstream --fixed` on a free port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg("--fixed").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Guard::spawn(&mut command)?;
        let output = child.0.stdout.take().context("no output of the upstream")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().and_then(|word| word.parse().ok());
        Ok(Self { address: address.context("the upstream does not say where it listens")?, _child: child })
    }
}

/// A proxy under callgrind.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    child: Guard,
    counts: PathBuf,
    dumps: u32,
}

impl Server {
    /// Starts it and waits for a 200 through it.
    pub(super) fn start(kind: &Kind, mode: Mode, upstream: SocketAddr, dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (address, counts) = (free()?, dir.join("counts"));
        let mut command = Command::new("valgrind");
        command.args(callgrind::OPTIONS).arg(format!("--callgrind-out-file={}", counts.display()));
        match kind {
            Kind::Outrigger(program) => {
                let config = files::outrigger(mode, address, [free()?, free()?], upstream, dir)?;
                command.arg(program).args(["proxy", "--config"]).arg(config);
            }
            Kind::Nginx(program) => {
                let config = files::nginx(mode, address, upstream, dir)?;
                command.arg(program).arg("-p").arg(dir).arg("-c").arg(config);
                command.arg("-e").arg(dir.join("error.log"));
            }
        }
        let log = dir.join("output.log");
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).current_dir(dir);
        let mut server = Self { address, child: Guard::spawn(&mut command)?, counts, dumps: 0 };
        server.answers().with_context(|| last_lines(&log))?;
        Ok(server)
    }

    /// Counts from here.
    pub(super) fn zero(&self) -> anyhow::Result<()> {
        self.tell("zero")
    }

    /// Writes what was counted since the last dump or zero.
    pub(super) fn dump(&mut self) -> anyhow::Result<PathBuf> {
        self.tell("dump")?;
        self.dumps += 1;
        let file = PathBuf::from(format!("{}.{}", self.counts.display(), self.dumps));
        ensure!(file.is_file(), "callgrind wrote no {}", file.display());
        Ok(file)
    }

    fn tell(&self, what: &str) -> anyhow::Result<()> {
        let process = format!("--pid={}", self.child.0.id());
        let told = Command::new("vgdb").arg(process).arg(what).output().context("cannot run vgdb")?;
        ensure!(told.status.success(), "vgdb {what}: {}", String::from_utf8_lossy(&told.stderr));
        Ok(())
    }

    fn answers(&mut self) -> anyhow::Result<()> {
        for _ in 0..START_POLLS {
            if let Some(status) = self.child.0.try_wait()? {
                bail!("it ended at once: {status}");
            }
            if ask(self.address).unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        bail!("no 200 through it after {:?}", POLL * START_POLLS)
    }
}

/// Whether it answers 200.
fn ask(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(POLL * 50))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

fn free() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default();
    format!("it printed: {}", last.join("\n"))
}

/// A child that does not outlive us.
#[derive(Debug)]
struct Guard(Child);

impl Guard {
    fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        Ok(Self(command.spawn().with_context(|| format!("cannot start {}", program.display()))?))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Fails only for a child that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
