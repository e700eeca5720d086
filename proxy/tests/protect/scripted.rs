//! A dependency that does with each request what the test's script says, and remembers them all.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// An answer with this status.
    Say(u16),
    /// The same with one field more.
    Add(u16, &'static str, &'static str),
    /// 200 after so long.
    After(Duration),
    /// 200 as soon as the test releases it.
    Hold,
    /// No answer, ever.
    Hang,
    /// The end of the connection.
    HangUp,
}

/// One request, whole.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How many requests for this path were under way, this one included, and how many had ended.
    pub(crate) busy: usize,
    pub(crate) ended: usize,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// From a request, and how many for the same path came before it, to what becomes of it.
type Script = dyn Fn(&Seen, usize) -> Act + Send + Sync;

/// A running dependency. It lives as long as the test's runtime.
pub(crate) struct Scripted {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    paths: Mutex<HashMap<String, Path>>,
    released: Semaphore,
}

#[derive(Clone, Copy, Default)]
struct Path {
    begun: usize,
    ended: usize,
}

impl Scripted {
    pub(crate) async fn start(script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            paths: Mutex::default(),
            released: Semaphore::new(0),
        });
        tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far, in the order of their last byte.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// How many for this path are under way.
    pub(crate) fn busy(&self, path: &str) -> usize {
        let path = self.shared.paths.lock().unwrap().get(path).copied().unwrap_or_default();
        path.begun - path.ended
    }

    /// Lets so many of those that are held be answered, now or when they come.
    pub(crate) fn release(&self, count: usize) {
        self.shared.released.add_permits(count);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| answer(Arc::clone(&shared), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // It ends with an error whenever the script or the sidecar breaks it off.
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path().to_owned();
    let (under_way, before) = UnderWay::begin(&shared, &path);
    let seen = Seen {
        method: head.method.to_string(),
        path,
        headers: head.headers,
        body,
        busy: before.begun + 1 - before.ended,
        ended: before.ended,
    };
    let act = (shared.script)(&seen, before.begun);
    shared.seen.lock().unwrap().push(seen);
    let response = perform(act, &shared).await;
    drop(under_way);
    response
}

async fn perform(act: Act, shared: &Shared) -> io::Result<Response<Full<Bytes>>> {
    let mut builder = Response::builder().header("x-upstream", "scripted");
    let mut status = 200;
    match act {
        Act::Say(code) => status = code,
        Act::Add(code, name, value) => (status, builder) = (code, builder.header(name, value)),
        Act::After(delay) => sleep(delay).await,
        Act::Hold => shared.released.acquire().await.unwrap().forget(),
        Act::Hang => std::future::pending().await,
        Act::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
    }
    Ok(builder.status(status).body(Full::from("as the script says")).unwrap())
}

/// A request between its last byte and its answer; also when its connection ends before.
struct UnderWay {
    shared: Arc<Shared>,
    path: String,
}

impl UnderWay {
    /// And what there was on its path before it.
    fn begin(shared: &Arc<Shared>, path: &str) -> (Self, Path) {
        let mut paths = shared.paths.lock().unwrap();
        let counts = paths.entry(path.to_owned()).or_default();
        let before = *counts;
        counts.begun += 1;
        drop(paths);
        (Self { shared: Arc::clone(shared), path: path.to_owned() }, before)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.shared.paths.lock().unwrap().get_mut(&self.path).unwrap().ended += 1;
    }
}
