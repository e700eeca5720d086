//! A connection with both of its ends, and bodies as clients send them.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use outrigger_config::plan::Address;
use outrigger_filters::clock::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, Interest, Ready, duplex};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::LocalSet;

use crate::pipeline::inflow::{Progress, RequestBody};
use crate::upstream::cluster::Endpoint;
use crate::upstream::connection::Counted;
use crate::upstream::h1::{BrokenOff, H1, Heard, Unanswered};
use crate::upstream::pool::Slot;
use crate::upstream::stream::Stream;

/// Runs a test on a thread of its own, as a worker does; it must be over soon.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(10), test).await };
    LocalSet::new().block_on(&runtime, bounded).expect("nobody woke the task");
}

pub(super) fn over(stream: Stream) -> H1 {
    let endpoint = Endpoint::new(Address::Unix("/nowhere".into()));
    H1::new(stream, (Slot::none(), Counted::connection(&endpoint)))
}

/// A connection and the server's end of it.
pub(super) fn pair() -> (H1, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (over(Stream::Unix(ours)), theirs)
}

/// The same over TCP, where a connection can be reset.
pub(super) async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (ours.unwrap(), theirs.unwrap().0)
}

/// Waits until the kernel says so of our end.
pub(super) async fn until(h1: &H1, is: impl Fn(Ready) -> bool) {
    let wanted = Interest::READABLE | Interest::WRITABLE;
    loop {
        let ready = match &h1.stream {
            Stream::Tcp(stream) => stream.ready(wanted).await,
            Stream::Unix(stream) => stream.ready(wanted).await,
            Stream::TlsClient(stream) => stream.get_ref().0.ready(wanted).await,
            Stream::TlsServer(stream) => stream.get_ref().0.ready(wanted).await,
        };
        if is(ready.unwrap()) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) fn get() -> Request<()> {
    Request::get("/a").header("host", "a").body(()).unwrap()
}

pub(super) fn post(fields: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::post("/a").header("host", "a").body(()).unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// A body whose bytes a client writes to the returned end; `fields` frame it.
pub(super) async fn body(fields: &str) -> (RequestBody, DuplexStream) {
    let (mut client, server) = duplex(1024 * 1024);
    client.write_all(format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n").as_bytes()).await.unwrap();
    let (give, take) = tokio::sync::oneshot::channel::<Incoming>();
    let give = Rc::new(std::cell::Cell::new(Some(give)));
    tokio::task::spawn_local(async move {
        let service = service_fn(move |request: Request<Incoming>| {
            drop(give.take().unwrap().send(request.into_body()));
            pending::<Result<Response<Empty<Bytes>>, Infallible>>()
        });
        let serving = hyper::server::conn::http1::Builder::new();
        drop(serving.serve_connection(TokioIo::new(server), service).await);
    });
    let incoming = take.await.unwrap();
    let progress = Rc::new(Progress::default());
    (RequestBody::streaming(incoming, &progress, SystemClock::start()), client)
}

pub(super) fn begin(h1: &mut H1, request: &Request<()>, body: RequestBody) {
    assert!(h1.begin(request, |_| (), body).is_ok());
}

pub(super) async fn head(h1: &mut H1) -> Result<Response<()>, Unanswered> {
    let mut response = Response::new(());
    loop {
        match poll_fn(|cx| h1.poll_head(cx, &mut response)).await? {
            Heard::Interim => {}
            Heard::Final => return Ok(response),
        }
    }
}

pub(super) async fn status(h1: &mut H1) -> u16 {
    head(h1).await.ok().expect("an answer").status().as_u16()
}

/// The rest of the answer.
pub(super) async fn rest(h1: &mut H1) -> Result<(Vec<u8>, Option<HeaderMap>), BrokenOff> {
    let (mut data, mut trailers) = (Vec::new(), None);
    while let Some(frame) = poll_fn(|cx| h1.poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(piece) => data.extend_from_slice(&piece),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((data, trailers))
}

/// What the server receives, up to and including `end` and no byte more.
pub(super) async fn hears(server: &mut (impl AsyncReadExt + Unpin), end: &str) -> String {
    let mut heard = String::new();
    while !heard.ends_with(end) {
        heard.push(server.read_u8().await.expect(&heard).into());
    }
    heard
}

/// One whole exchange: the server answers a GET with `wire`.
pub(super) async fn answered(h1: &mut H1, server: &mut UnixStream, wire: &str) -> (u16, Vec<u8>) {
    begin(h1, &get(), RequestBody::Empty);
    let serving = async {
        hears(server, "\r\n\r\n").await;
        server.write_all(wire.as_bytes()).await.unwrap();
    };
    let (status, ()) = tokio::join!(status(h1), serving);
    (status, rest(h1).await.unwrap().0)
}
