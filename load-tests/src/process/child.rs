//! A child that is stopped when its guard is dropped: asked first, then forced, children of its own included.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::pin_to;

/// How long a child may take over its own end.
const GRACE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// A running child in a process group of its own; dropping it ends the group.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts a child on the cores we are on.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            // Its own group: a worker it forks is stopped with it, and Ctrl-C reaches it through us.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Starts a child that may use one core only.
    ///
    /// # Errors
    /// When it cannot be started or the core is not there.
    pub fn start_on(core: usize, name: &str, command: &mut Command) -> anyhow::Result<Self> {
        // Affinity belongs to threads and is inherited: a thread that is gone again keeps ours as it was.
        std::thread::scope(|scope| {
            let starter = scope.spawn(|| {
                pin_to(core..core + 1).with_context(|| format!("cannot use core {core}"))?;
                Self::start(name, command)
            });
            starter.join().unwrap_or_else(|_| bail!("the thread that starts {name} panicked"))
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Resolves when the child ends.
    ///
    /// # Errors
    /// When the system does not say.
    pub async fn end(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            sleep(POLL * 5).await;
        }
    }

    /// Waits until the child accepts connections at `address`.
    ///
    /// # Errors
    /// When it ends first or takes longer than `within`.
    pub async fn accepts(&mut self, address: SocketAddr, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = self.ended()? {
                bail!("{} ended before it listened on {address}: {status}", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} does not listen on {address} after {within:?}", self.name);
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // Fails only if the group is gone, which is what is wanted.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let polls = GRACE.as_millis() / POLL.as_millis();
        for _ in 0..polls {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(POLL);
        }
        // Also after an orderly end: a worker that outlived its master must not outlive us.
        self.signal(Signal::KILL);
        drop(self.child.wait());
    }
}

/// Sends what a command prints to a file.
///
/// # Errors
/// When the file cannot be made.
pub(crate) fn output_to(command: &mut Command, file: &Path) -> anyhow::Result<()> {
    let log = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    command.stdout(log.try_clone()?).stderr(log);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn a_dropped_child_is_gone_and_its_children_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 60 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let child = Running::start("sh", Command::new("sh").args(["-c", &script])).unwrap();
        let grandchild = loop {
            if let Ok(pid) = std::fs::read_to_string(&file) {
                break pid.trim().parse::<u32>().unwrap();
            }
            std::thread::yield_now();
        };
        let pid = child.pid();
        assert!(alive(pid) && alive(grandchild));
        drop(child);
        assert!(!alive(pid));
        // Reaped by init in its own time; a zombie is dead too.
        let state = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "));
    }

    #[test]
    fn a_child_that_ends_early_is_told_from_one_that_is_slow() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let nowhere = SocketAddr::from(([127, 0, 0, 1], super::super::free_port().unwrap()));
            let mut child = Running::start("false", &mut Command::new("false")).unwrap();
            let error = child.accepts(nowhere, Duration::from_secs(10)).await.unwrap_err();
            assert!(error.to_string().contains("ended before it listened"), "{error}");
        });
    }
}
