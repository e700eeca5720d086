//! The operators' door: a small HTTP/1.1 server on a loopback address or a Unix socket.
//!
//! It shares nothing with the request path but numbers, and has a bound on connections of its own, so that it
//! answers when the rest is overloaded. GET changes nothing. Bounds: [`MAX_CONNECTIONS`] connections (more are closed
//! at once and counted), a head within [`HEAD_TIMEOUT`], a body of at most 64 KiB, ten minutes for a connection.
//!
//! | path | |
//! |---|---|
//! | `GET /` | this list |
//! | `GET /healthz` | alive |
//! | `GET /readyz` | 200 or 503, with each condition |
//! | `GET /metrics` | Prometheus text or OpenMetrics |
//! | `GET /policy`, `GET /dependencies` | what is in force, how dependencies fare |
//! | `GET /decisions?limit=` | the newest records, at most 1,000 |
//! | `POST /drain`, `DELETE /drain` | begins and ends a drain |
//! | `POST /log` | `{"level":"debug"}` or `?level=debug` |

mod answer;
pub mod bind;
mod guard;
mod routes;
pub mod view;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

pub use self::bind::Bound;
use self::guard::Hosts;
pub use self::view::{AdminView, Readiness};
use crate::telemetry::{Telemetry, log};

/// Connections served at once.
pub const MAX_CONNECTIONS: usize = 64;

/// For a request's head, and so also between two requests.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection is closed after this, so that clients that stopped reading do not fill the bound for ever.
const LIFETIME: Duration = Duration::from_secs(600);

/// What every request is answered from.
pub(crate) struct Door {
    telemetry: Telemetry,
    view: Arc<dyn AdminView>,
    hosts: Hosts,
}

/// Serves until dropped, which closes every connection. Run it on a runtime that carries no requests.
///
/// # Errors
/// The listener could not be used on this runtime.
pub async fn serve(bound: Bound, telemetry: Telemetry, view: Arc<dyn AdminView>) -> io::Result<()> {
    let hosts = Hosts::of(&bound);
    let door = Arc::new(Door { telemetry, view, hosts });
    match bound.listener {
        bind::Listener::Tcp(listener) => {
            let listener = TcpListener::from_std(listener)?;
            accept(door, |cx| listener.poll_accept(cx).map_ok(|(stream, _)| stream)).await
        }
        bind::Listener::Unix(listener, _remove_at_the_end) => {
            let listener = UnixListener::from_std(listener)?;
            accept(door, |cx| listener.poll_accept(cx).map_ok(|(stream, _)| stream)).await
        }
    }
}

async fn accept<S>(door: Arc<Door>, poll: impl Fn(&mut Context<'_>) -> Poll<io::Result<S>>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let stream = match std::future::poll_fn(&poll).await {
            Ok(stream) => stream,
            Err(error) => {
                // Out of descriptors, most likely: waiting is better than spinning.
                log::warn("admin connection not accepted", &[("error", &error)]);
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            door.telemetry.process().connections_refused.bump("admin_limit");
            continue;
        }
        connections.spawn(connection(Arc::clone(&door), stream));
    }
}

/// Serves one connection. How it ends is the client's affair.
async fn connection<S>(door: Arc<Door>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let open = Open::count(&door);
    let service = service_fn(|request| routes::answer(&door, request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1_024)
        .serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(LIFETIME, serving).await;
    drop(open);
}

/// Counts a connection while it is open.
struct Open<'a>(&'a Door);

impl<'a> Open<'a> {
    fn count(door: &'a Door) -> Self {
        door.telemetry.process().connections_admin.inc();
        Self(door)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.telemetry.process().connections_admin.dec();
    }
}
