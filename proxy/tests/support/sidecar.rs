//! The real program in a directory of its own, on ports nobody else has, killed when dropped.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::raw::{Answer, Raw};
use super::run::eventually;

/// What a sidecar is started with.
pub(crate) struct Setup {
    dir: TempDir,
    policy: String,
    tls: Option<String>,
    /// Whole top-level lines of `sidecar.yaml`.
    lines: Vec<String>,
    env: Vec<(String, String)>,
}

impl Setup {
    /// A sidecar with this policy; the word `DIR` in it stands for the sidecar's directory.
    pub(crate) fn new(policy: impl Into<String>) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            policy: policy.into(),
            tls: None,
            lines: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Its directory, where relative paths of its files begin.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A file in its directory.
    pub(crate) fn file(self, name: &str, contents: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.dir().join(name), contents).unwrap();
        self
    }

    /// `tls` of the inbound listener, such as `{ cert: cert.pem, key: key.pem }`.
    pub(crate) fn tls(mut self, tls: &str) -> Self {
        self.tls = Some(tls.to_owned());
        self
    }

    /// One more top-level line of `sidecar.yaml`, such as `trusted_peers: []`.
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(self) -> Sidecar {
        let mut sidecar = self.spawn();
        for _ in 0..3 {
            if sidecar.is_ready().await {
                return sidecar;
            }
            // Another test took one of the ports since they were looked at.
            sidecar.respawn();
        }
        panic!("the sidecar found no free ports:\n{}", sidecar.log());
    }

    /// Starts it and waits for nothing: for programs that are to fail.
    pub(crate) fn spawn(self) -> Sidecar {
        let path = self.dir.path().display().to_string();
        std::fs::write(self.dir.path().join("policy.yaml"), self.policy.replace("DIR", &path)).unwrap();
        let [inbound, outbound, admin] = free_addresses();
        let child = launch(self.dir.path(), &self.document([inbound, outbound, admin]), &self.env);
        Sidecar { inbound, outbound, admin, child, setup: self }
    }

    fn document(&self, [inbound, outbound, admin]: [SocketAddr; 3]) -> String {
        let tls = self.tls.as_ref().map_or_else(String::new, |tls| format!(", tls: {tls}"));
        format!(
            "service: test
listeners:
  inbound: {{ address: \"{inbound}\"{tls} }}
  outbound: {{ address: \"{outbound}\" }}
admin: {{ address: \"{admin}\" }}
policy: {{ file: policy.yaml }}
state_dir: state
telemetry: {{ access_log: {{ path: access.log, ok_sample: 100% }} }}
{}
",
            self.lines.join("\n")
        )
    }
}

fn free_addresses() -> [SocketAddr; 3] {
    [(); 3].map(|()| SocketAddr::from(([127, 0, 0, 1], listen_port())))
}

fn launch(dir: &Path, document: &str, env: &[(String, String)]) -> Child {
    std::fs::write(dir.join("sidecar.yaml"), document).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    command.args(["proxy", "--config", "sidecar.yaml"]).current_dir(dir);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(dir.join("stderr.log")).unwrap());
    command.spawn().unwrap()
}

/// A running sidecar.
pub(crate) struct Sidecar {
    /// Requests to the app.
    pub(crate) inbound: SocketAddr,
    /// Requests of the app.
    pub(crate) outbound: SocketAddr,
    /// The operators' door.
    pub(crate) admin: SocketAddr,
    pub(crate) child: Child,
    setup: Setup,
}

impl Sidecar {
    /// A ready sidecar with this policy.
    pub(crate) async fn start(policy: impl Into<String>) -> Self {
        Setup::new(policy).start().await
    }

    /// A ready sidecar before this app, with built-in policies: `app` as in `inbound.app`.
    pub(crate) async fn before(app: impl std::fmt::Display) -> Self {
        Self::start(format!("version: 1\ninbound: {{ app: \"{app}\" }}\n")).await
    }

    pub(crate) fn dir(&self) -> &Path {
        self.setup.dir()
    }

    /// The policy file that it watches.
    pub(crate) fn policy(&self) -> PathBuf {
        self.dir().join("policy.yaml")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("stderr.log")).unwrap_or_default()
    }

    /// Its access log so far, one object a line.
    pub(crate) fn access_log(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.dir().join("access.log")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Resident memory now, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most resident memory it ever had, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// An answer of the admin server; none if it does not answer.
    pub(crate) async fn admin_get(&self, path: &str) -> Option<Answer> {
        let mut raw = Raw::try_connect(self.admin).await?;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await;
        raw.try_answer("GET").await
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Starts the same sidecar again, in its directory and on new ports; the one before must have ended.
    pub(crate) fn respawn(&mut self) {
        let addresses = free_addresses();
        [self.inbound, self.outbound, self.admin] = addresses;
        self.child = launch(self.setup.dir(), &self.setup.document(addresses), &self.setup.env);
    }

    /// Waits until it is ready; false if it could not have its ports.
    pub(crate) async fn is_ready(&mut self) -> bool {
        eventually("the sidecar becomes ready", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let log = self.log();
                assert!(log.contains("Address already in use"), "the sidecar ended with {status}:\n{log}");
                return Some(false);
            }
            (self.admin_get("/readyz").await?.status == 200).then_some(true)
        })
        .await
    }

    fn status_kib(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- the sidecar said:\n{}---", self.log());
        }
    }
}

/// A port for a `listen:` of a policy: below those that the system hands out, so nobody takes it meanwhile, and
/// none that was given before, because a sidecar with two equal addresses does not start.
pub(crate) fn listen_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = 12_000 + u16::try_from(RandomState::new().hash_one(0) % 16_000).unwrap();
        let is_new = GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        if is_new && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
