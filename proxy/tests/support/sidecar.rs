//! The real program in a directory of its own, on ports nobody else has, killed when dropped.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::raw::{Answer, Raw};
use super::run::eventually;

/// What a sidecar is started with.
pub(crate) struct Setup {
    dir: TempDir,
    policy: String,
    inbound: String,
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
            inbound: "{ address: \"127.0.0.1:0\" }".to_owned(),
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
        self.inbound = format!("{{ address: \"127.0.0.1:0\", tls: {tls} }}");
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
        sidecar.listening().await;
        eventually("the sidecar becomes ready", async || {
            sidecar.assert_alive();
            (sidecar.admin_get("/readyz").await?.status == 200).then_some(())
        })
        .await;
        sidecar
    }

    /// Starts it and waits for nothing: for programs that are to fail.
    pub(crate) fn spawn(self) -> Sidecar {
        let dir = self.dir.path();
        let path = dir.display().to_string();
        std::fs::write(dir.join("policy.yaml"), self.policy.replace("DIR", &path)).unwrap();
        let document = format!(
            "service: test
listeners:
  inbound: {}
  outbound: {{ address: \"127.0.0.1:0\" }}
admin: {{ address: \"127.0.0.1:0\" }}
policy: {{ file: policy.yaml }}
state_dir: state
telemetry: {{ access_log: {{ path: access.log, ok_sample: 100% }} }}
{}
",
            self.inbound,
            self.lines.join("\n")
        );
        std::fs::write(dir.join("sidecar.yaml"), document).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
        command.args(["proxy", "--config", "sidecar.yaml"]).current_dir(dir).envs(self.env);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(dir.join("stderr.log")).unwrap());
        let child = command.spawn().unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        Sidecar { inbound: nowhere, outbound: nowhere, admin: nowhere, child, dir: self.dir }
    }
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
    dir: TempDir,
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
        self.dir.path()
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

    async fn listening(&mut self) {
        let line = eventually("the sidecar listens", async || {
            self.assert_alive();
            let log = self.log();
            log.lines().find(|line| line.contains(" listening ")).map(str::to_owned)
        })
        .await;
        let address = |key: &str| {
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            value.and_then(|value| value.trim_matches('"').parse().ok()).unwrap_or_else(|| panic!("{line}"))
        };
        self.inbound = address("inbound=");
        self.outbound = address("outbound=");
        self.admin = address("admin=");
    }

    fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the sidecar ended with {status}:\n{}", self.log());
        }
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

/// A port for a `listen:` of a policy: below those that the system hands out, so nobody takes it meanwhile.
pub(crate) fn listen_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    loop {
        let port = 12_000 + u16::try_from(RandomState::new().hash_one(0) % 16_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
