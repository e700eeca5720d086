//! A scriptable upstream: the server behind the proxy in tests, benches and the demo.
//!
//! The path of a request says what the answer does, so that a test needs no set-up beyond a URL:
//!
//! | path | answer |
//! |---|---|
//! | `/` | 128 bytes; `/16k` 16 KiB; `/bytes/{n}?chunked=1` n bytes, with a length or chunked |
//! | `/status/{code}` | that status; the request body stays unread |
//! | `/delay/{ms}` · `/hang` | after so long · never |
//! | `/reset` · `/reset-body` | the connection is reset before the head · after half of the body |
//! | `/truncate` | a length of 1,000, 500 bytes, then the end of the connection |
//! | `/slow-body?chunks=5&gap=100&size=1` | so many chunks of so many bytes, so many milliseconds apart |
//! | `/echo` | method, path, version, headers, body and trailers of the request, as JSON |
//! | `/echo-body` · `/sink` | the body as it arrives, trailers too · how many bytes arrived |
//! | `/trailers` · `/sse?events=3&gap=0` | a body with trailers · server-sent events |
//! | `/early` | a 103 before the 200 (plain HTTP/1.1 over TCP only) |
//! | `/close` | `connection: close` |
//! | `/ws` · `/upgrade` | WebSocket echo · raw echo for `upgrade: echo` |
//! | `/grpc.Echo/Unary` · `/grpc.Echo/Fail` | messages echoed, status in trailers · a trailers-only error |
//! | `/count` | requests seen by path, and connections, as JSON |
//!
//! HTTP/1.1 and h2 (prior knowledge, or ALPN where there is TLS) share the port. Every answer carries the
//! server's name in `x-upstream`. [`Upstream::turn`] overrides every script while it runs. [`Config::fixed`] swaps all of it for a few canned answers at the
//! least CPU possible, for when the proxy must be the bottleneck.

mod answer;
mod bodies;
mod count;
mod faults;
mod fixed;
mod grpc;
mod link;
mod query;
mod serve;
mod streams;
mod switch;
mod tls;
mod upgrade;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use self::switch::Manner;

use self::count::Counts;
use self::serve::Listeners;
use self::switch::Switch;

/// What an upstream is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to bind; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A Unix domain socket to serve as well.
    pub unix: Option<PathBuf>,
    /// Sent back in `x-upstream`.
    pub name: String,
    /// Serve TLS on `listen`.
    pub tls: Option<Tls>,
    /// Canned answers only, at the least CPU possible; requests are not counted then.
    pub fixed: bool,
}

/// The files of a TLS listener.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM certificate chain.
    pub cert: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

impl Default for Config {
    /// A free loopback port, plain, named `upstream`.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            unix: None,
            name: "upstream".to_owned(),
            tls: None,
            fixed: false,
        }
    }
}

/// A running upstream, on a thread of its own; dropping it stops it and closes every connection.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    counts: Arc<Counts>,
    switch: Arc<Switch>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Binds and serves.
    ///
    /// # Errors
    /// When an address cannot be bound or a TLS file cannot be used.
    pub fn start(config: Config) -> io::Result<Self> {
        let (counts, switch) = (Arc::new(Counts::default()), Arc::new(Switch::default()));
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = mpsc::sync_channel(1);
        let shared = (Arc::clone(&counts), Arc::clone(&switch));
        let thread = std::thread::Builder::new()
            .name(format!("upstream-{}", config.name))
            .spawn(move || run(&config, shared, &bound, stopped))?;
        let address = address.recv().map_err(|_| io::Error::other("the upstream's thread ended"))??;
        Ok(Self { address, counts, switch, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers so from now on, `/count` apart; requests that hang go on hanging. Canned answers stay as they are.
    pub fn turn(&self, manner: Manner) {
        self.switch.set(manner);
    }

    /// Requests seen for a path, without its query.
    #[must_use]
    pub fn count(&self, path: &str) -> u64 {
        self.counts.of(path)
    }

    /// Requests seen in all, `/count` apart.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts.requests()
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counts.connections()
    }

    /// Waits until the server ends, which it does not by itself.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The life of the server's thread: bind, say where, serve until told to stop.
fn run(
    config: &Config,
    shared: (Arc<Counts>, Arc<Switch>),
    bound: &mpsc::SyncSender<io::Result<SocketAddr>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(bound.send(Err(error))),
    };
    runtime.block_on(async {
        let listeners = match Listeners::bind(config, shared).await {
            Ok(listeners) => listeners,
            Err(error) => return drop(bound.send(Err(error))),
        };
        drop(bound.send(listeners.address()));
        tokio::select! {
            () = listeners.serve() => {}
            _ = stopped => {}
        }
    });
    // Dropping the runtime drops every connection with it.
}
