//! One accepted connection, from its first byte to its close.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;

use super::io::{ClientIo, Times};
use super::signals::{Signals, Trouble};
use crate::hygiene::forwarded::{self, PeerHeaders};
use crate::hygiene::guard::{Guard, HeadLimits};
use crate::hygiene::seen::{Field, Seen};
use crate::pipeline;
use crate::pipeline::outflow::ReplyBody;
use crate::pipeline::outgoing::Introduction;
use crate::respond;
use crate::upstream::stream::Stream;
use crate::worker::{LocalExecutor, Worker};

/// What an HTTP/2 client sends first when it speaks without being asked (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests of an HTTP/2 connection at once.
const MAX_STREAMS: u32 = 100;
/// Streams reset by the client before we answered them; more at once and the connection is closed (CVE-2023-44487).
const MAX_RESETS: usize = 20;
/// Streams we had to reset for the client's mistakes; more and the connection is closed (CVE-2025-8671).
const MAX_OWN_RESETS: usize = 1024;
/// What one HTTP/2 stream, and one connection, may have in flight towards us.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Unsent bytes kept for one connection or stream.
const SEND_BUFFER: usize = 64 * 1024;
/// A client that takes less than 240 bytes a second over this long is gone.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// Fields hyper accepts unless told otherwise. Being told costs an allocation for each head.
const HYPER_HEADERS: usize = 100;

/// Which listener a connection came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// To the app.
    Inbound,
    /// To the dependency the host names.
    Outbound,
    /// To the dependency that listens here. The address, because a reload may give the dependency another name
    /// while connections are open.
    Dependency(SocketAddr),
}

/// What its requests share.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) door: Door,
    pub(crate) peer: IpAddr,
    /// Its forwarding, priority and identity headers are believed.
    pub(crate) trusted: bool,
    pub(crate) introduction: Rc<Introduction>,
    /// From its certificate.
    pub(crate) spiffe_id: Option<String>,
    pub(crate) signals: Arc<Signals>,
    is_h2: bool,
    seen: Cell<u64>,
}

impl Connection {
    pub(crate) fn new(
        worker: &Rc<Worker>,
        door: Door,
        peer: IpAddr,
        tls: Option<Option<String>>,
        is_h2: bool,
    ) -> Rc<Self> {
        let scheme = if tls.is_some() { forwarded::Scheme::Https } else { forwarded::Scheme::Http };
        let version = if is_h2 { Version::HTTP_2 } else { Version::HTTP_11 };
        Rc::new(Self {
            worker: Rc::clone(worker),
            door,
            peer,
            trusted: worker.shared.trust.contains(peer),
            introduction: Introduction::new(PeerHeaders::new(peer, scheme), version),
            spiffe_id: tls.flatten(),
            signals: Arc::default(),
            is_h2,
            seen: Cell::new(0),
        })
    }

    /// Counts a request; what is wrong with it, if it is the stand-in for one that could not be read.
    pub(crate) fn next_request(&self) -> Option<Trouble> {
        let before = self.seen.replace(self.seen.get().wrapping_add(1));
        if before == 0 {
            self.worker.shared.serving.fetch_add(1, Ordering::Relaxed);
        }
        if self.is_h2 { None } else { self.signals.trouble_at(self.seen.get()) }
    }

    /// The process asking itself whether it answers: it alone knows the token.
    pub(crate) fn is_self_request(&self, request: &Request<Incoming>) -> bool {
        let asked = || request.uri().host().is_some_and(|host| host == self.worker.shared.self_token);
        *request.method() == Method::CONNECT && asked()
    }

    /// When the returned value is dropped, what was held back behind a request for an upgrade is read on,
    /// unless the protocol was switched.
    pub(crate) fn resume_unless_switched(&self) -> Resume {
        Resume(Arc::clone(&self.signals))
    }

    pub(crate) fn client_ip(&self, headers: &HeaderMap, seen: Seen) -> IpAddr {
        if self.trusted && seen.has(Field::Forwarded) {
            forwarded::client_ip(self.peer, headers, &self.worker.shared.trust)
        } else {
            self.peer
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.seen.get() > 0 {
            self.worker.shared.serving.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// See [`Connection::resume_unless_switched`].
pub(crate) struct Resume(Arc<Signals>);

impl Drop for Resume {
    fn drop(&mut self) {
        self.0.resume();
    }
}

/// Tells HTTP/2 from HTTP/1 by the first bytes, which are returned. None if the client left or was silent.
pub(crate) async fn sniff(worker: &Worker, stream: &mut Stream) -> Option<(Vec<u8>, bool)> {
    let mut first = Vec::with_capacity(PREFACE.len());
    let mut timer = worker.timer();
    let at = worker.now().after(worker.shared.config.limits.head_timeout);
    let mut reading = pin!(async {
        loop {
            let size = stream.read_buf(&mut first).await.ok()?;
            let known = PREFACE.get(..first.len().min(PREFACE.len())).unwrap_or_default();
            if !first.starts_with(known) {
                return Some((first, false));
            }
            if first.len() >= PREFACE.len() {
                return Some((first, true));
            }
            if size == 0 {
                return None;
            }
        }
    });
    std::future::poll_fn(|cx| match reading.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => timer.poll_at(cx, at).map(|()| None),
    })
    .await
}

/// Serves a connection until it ends.
pub(crate) async fn serve(connection: Rc<Connection>, stream: Stream, first: Vec<u8>) {
    let worker = Rc::clone(&connection.worker);
    let limits = &worker.shared.config.limits;
    let times = Times { head: limits.head_timeout, idle: limits.idle_timeout, write: WRITE_PATIENCE };
    let head = HeadLimits { max_bytes: limits.max_header_bytes, max_headers: limits.max_headers };
    let guard = (!connection.is_h2).then(|| Guard::new(head));
    let io = TokioIo::new(ClientIo::new(stream, first, guard, &connection.signals, worker.clock, times));
    let service = {
        let connection = Rc::clone(&connection);
        service_fn(move |request| answer(Rc::clone(&connection), request))
    };
    if connection.is_h2 {
        let served = h2_builder(limits.max_header_bytes).serve_connection(io, service);
        drive(&connection, pin!(served), |served| served.graceful_shutdown(), Some(limits.idle_timeout))
            .await;
    } else {
        let served = h1_builder(limits.max_headers, limits.max_header_bytes).serve_connection(io, service);
        let served = pin!(served.with_upgrades());
        drive(&connection, served, |served| served.graceful_shutdown(), None).await;
    }
}

/// Answers a request. A panic of ours costs this request its answer and nobody else anything.
async fn answer(
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let mut serving = pin!(pipeline::serve(Rc::clone(&connection), request));
    let response = std::future::poll_fn(move |cx| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| {
            connection.worker.shared.resources.telemetry.process().panics.add(1);
            Poll::Ready(respond::panicked())
        })
    })
    .await;
    Ok(response)
}

fn h1_builder(max_headers: usize, max_header_bytes: usize) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Heads are timed and counted in `ClientIo`; hyper's own limits only need to be wider.
    builder.header_read_timeout(None);
    if max_headers > HYPER_HEADERS {
        builder.max_headers(max_headers);
    }
    builder.max_buf_size(SEND_BUFFER.max(max_header_bytes.saturating_mul(2)));
    builder
}

fn h2_builder(max_header_bytes: usize) -> http2::Builder<LocalExecutor> {
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_OWN_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Polls a connection to its end; when the worker drains, or the connection has idled, it is asked to finish.
async fn drive<C: Future>(
    connection: &Connection,
    mut served: Pin<&mut C>,
    finish: impl Fn(Pin<&mut C>),
    idle: Option<Duration>,
) {
    let worker = &connection.worker;
    let mut watch = Watch { worker, id: None };
    let mut finishing = false;
    let mut timer = worker.timer();
    let mut idle_since = None;
    std::future::poll_fn(|cx| {
        if served.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // A connection accepted while draining gets its one answer, which may be under way by now.
        if !finishing && worker.is_draining() && connection.seen.get() > 0 {
            finishing = true;
            finish(served.as_mut());
            cx.waker().wake_by_ref();
        }
        watch.register(cx);
        let Some(limit) = idle else { return Poll::Pending };
        if connection.signals.in_flight() > 0 {
            idle_since = None;
            return Poll::Pending;
        }
        let since = *idle_since.get_or_insert_with(|| worker.now());
        // One that was asked to finish and holds on to streams that are over is not asked twice.
        let limit = if finishing { WRITE_PATIENCE } else { limit };
        std::task::ready!(timer.poll_at(cx, since.after(limit)));
        if std::mem::replace(&mut finishing, true) {
            return Poll::Ready(());
        }
        idle_since = None;
        finish(served.as_mut());
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A connection's place among those woken when draining begins.
struct Watch<'a> {
    worker: &'a Worker,
    id: Option<u64>,
}

impl Watch<'_> {
    fn register(&mut self, cx: &Context<'_>) {
        if self.id.is_none() {
            self.id = Some(self.worker.watch_drain(cx.waker()));
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.worker.unwatch_drain(id);
        }
    }
}
