//! Every script of the upstream, asked for over a real socket.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_load_tests::upstream::{Config, Manner, Upstream};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Body = Full<bytes::Bytes>;

fn start() -> Upstream {
    Upstream::start(Config { name: "scripted".to_owned(), ..Config::default() }).unwrap()
}

/// Runs an exchange with a bound on its time, so that a hang is a failure.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() })
}

async fn ask(upstream: &Upstream, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(upstream.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await
}

async fn ask_h2(upstream: &Upstream, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(upstream.address()).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await;
    // The connection ends with its last sender; the body may still be arriving.
    tokio::spawn(async move {
        let _held = sender;
        std::future::pending::<()>().await;
    });
    response
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "scripted.test").body(Body::default()).unwrap()
}

fn post(path: &str, body: &'static str) -> Request<Body> {
    Request::post(path).header("host", "scripted.test").body(body.into()).unwrap()
}

/// The status and the body of an answer that must be complete.
async fn whole(response: Response<Incoming>) -> (u16, bytes::Bytes) {
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

/// What a client sees on the raw socket: the bytes, and how the connection ended.
async fn raw(upstream: &Upstream, request: &str) -> (String, io::Result<()>) {
    let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let ended = stream.read_to_end(&mut seen).await.map(drop);
    (String::from_utf8_lossy(&seen).into_owned(), ended)
}

#[test]
fn answers_the_fast_path_with_128_bytes_a_length_and_its_name() {
    let upstream = start();
    run(async {
        let response = ask(&upstream, get("/")).await.unwrap();
        assert_eq!(response.headers()["content-length"], "128");
        assert_eq!(response.headers()["x-upstream"], "scripted");
        assert_eq!(whole(response).await.1.len(), 128);
    });
}

#[test]
fn sends_as_many_bytes_as_asked_with_a_length_or_chunked() {
    let upstream = start();
    run(async {
        let sized = ask(&upstream, get("/bytes/200000")).await.unwrap();
        assert_eq!(sized.headers()["content-length"], "200000");
        assert_eq!(whole(sized).await.1.len(), 200_000);
        let chunked = ask(&upstream, get("/bytes/200000?chunked=1")).await.unwrap();
        assert_eq!(chunked.headers()["transfer-encoding"], "chunked");
        assert_eq!(whole(chunked).await.1.len(), 200_000);
    });
}

#[test]
fn answers_with_the_status_asked_for() {
    let upstream = start();
    run(async {
        for (path, status) in [("/status/503", 503), ("/status/204", 204), ("/status/99", 400)] {
            assert_eq!(whole(ask(&upstream, get(path)).await.unwrap()).await.0, status);
        }
    });
}

#[test]
fn refuses_arguments_and_scripts_it_does_not_know() {
    let upstream = start();
    run(async {
        for (path, status) in [("/bytes/many", 400), ("/delay/long", 400), ("/nonsense", 404)] {
            assert_eq!(whole(ask(&upstream, get(path)).await.unwrap()).await.0, status);
        }
    });
}

#[test]
fn waits_as_long_as_asked() {
    let upstream = start();
    run(async {
        let begin = tokio::time::Instant::now();
        ask(&upstream, get("/delay/50")).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(50));
    });
}

#[test]
fn hangs_until_the_client_gives_up() {
    let upstream = start();
    run(async {
        let answer = tokio::time::timeout(Duration::from_millis(100), ask(&upstream, get("/hang")));
        assert!(answer.await.is_err());
        assert_eq!(upstream.count("/hang"), 1);
    });
}

#[test]
fn resets_before_the_head() {
    let upstream = start();
    run(async {
        let (seen, ended) = raw(&upstream, "GET /reset HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(seen, "");
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn resets_after_half_of_the_body() {
    let upstream = start();
    run(async {
        let (seen, ended) = raw(&upstream, "GET /reset-body HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(seen.contains("content-length: 1000\r\n"));
        assert_eq!(seen.split("\r\n\r\n").nth(1).unwrap().len(), 500);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn truncates_with_an_orderly_end() {
    let upstream = start();
    run(async {
        let (seen, ended) = raw(&upstream, "GET /truncate HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(seen.contains("content-length: 1000\r\n"));
        assert_eq!(seen.split("\r\n\r\n").nth(1).unwrap().len(), 500);
        assert!(ended.is_ok());
    });
}

#[test]
fn trickles_a_body() {
    let upstream = start();
    run(async {
        let begin = tokio::time::Instant::now();
        let response = ask(&upstream, get("/slow-body?chunks=3&gap=20&size=10")).await.unwrap();
        assert_eq!(whole(response).await.1.len(), 30);
        assert!(begin.elapsed() >= Duration::from_millis(40));
    });
}

#[test]
fn echoes_the_request_as_json() {
    let upstream = start();
    run(async {
        let mut request = post("/echo/deep?a=1&b=2", "hello");
        request.headers_mut().append("x-twice", "1".parse().unwrap());
        request.headers_mut().append("x-twice", "2".parse().unwrap());
        let (_, body) = whole(ask(&upstream, request).await.unwrap()).await;
        let echo: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(echo["method"], "POST");
        assert_eq!((&echo["path"], &echo["query"]), (&"/echo/deep".into(), &"a=1&b=2".into()));
        assert_eq!(echo["body"], "hello");
        let twice = echo["headers"].as_array().unwrap().iter().filter(|field| field[0] == "x-twice");
        assert_eq!(twice.count(), 2);
    });
}

#[test]
fn echoes_a_body_and_counts_a_body() {
    let upstream = start();
    run(async {
        let echoed = whole(ask(&upstream, post("/echo-body", "back")).await.unwrap()).await;
        assert_eq!(echoed.1, "back");
        let counted = whole(ask(&upstream, post("/sink", "1234567")).await.unwrap()).await;
        assert_eq!(counted.1, r#"{"bytes":7}"#);
    });
}

#[test]
fn sends_trailers_to_who_takes_them() {
    let upstream = start();
    run(async {
        let mut request = get("/trailers");
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        let response = ask(&upstream, request).await.unwrap();
        let trailers = response.into_body().collect().await.unwrap().trailers().cloned().unwrap();
        assert_eq!(trailers["x-checksum"], "c0ffee");
        let response = ask_h2(&upstream, get("http://scripted.test/trailers")).await.unwrap();
        assert!(response.into_body().collect().await.unwrap().trailers().is_some());
    });
}

#[test]
fn sends_events() {
    let upstream = start();
    run(async {
        let response = ask(&upstream, get("/sse?events=2")).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(whole(response).await.1, "id: 0\ndata: tick\n\nid: 1\ndata: tick\n\n");
    });
}

#[test]
fn hints_early() {
    let upstream = start();
    run(async {
        let request = "GET /early HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let (seen, _) = raw(&upstream, request).await;
        let (hint, rest) = seen.split_once("\r\n\r\n").unwrap();
        assert!(hint.starts_with("HTTP/1.1 103"));
        assert!(rest.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn closes_after_the_answer() {
    let upstream = start();
    run(async {
        let (seen, ended) = raw(&upstream, "GET /close HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(seen.contains("connection: close\r\n"));
        assert!(ended.is_ok());
    });
}

#[test]
fn speaks_h2_on_the_same_port() {
    let upstream = start();
    run(async {
        let response = ask_h2(&upstream, get("http://scripted.test/")).await.unwrap();
        assert_eq!(response.version(), hyper::Version::HTTP_2);
        assert_eq!(whole(response).await.1.len(), 128);
    });
}

#[test]
fn echoes_grpc_with_the_status_in_trailers() {
    let upstream = start();
    run(async {
        let request = post("http://scripted.test/grpc.Echo/Unary", "\0\0\0\0\x02hi");
        let response = ask_h2(&upstream, request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert!(response.headers().get("grpc-status").is_none());
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), "\0\0\0\0\x02hi");
    });
}

#[test]
fn fails_grpc_with_trailers_only() {
    let upstream = start();
    run(async {
        let request = post("http://scripted.test/grpc.Echo/Fail", "\0\0\0\0\0");
        let response = ask_h2(&upstream, request).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "3");
        assert!(hyper::body::Body::is_end_stream(response.body()));
    });
}

#[test]
fn echoes_websocket_messages() {
    use futures_util::{SinkExt, StreamExt};
    let upstream = start();
    run(async {
        let stream = TcpStream::connect(upstream.address()).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async("ws://scripted.test/ws", stream).await.unwrap();
        socket.send("hello".into()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap(), "hello");
        socket.close(None).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap().is_close());
    });
}

#[test]
fn echoes_a_raw_upgrade() {
    let upstream = start();
    run(async {
        let mut request = get("/upgrade");
        request.headers_mut().insert("connection", "upgrade".parse().unwrap());
        request.headers_mut().insert("upgrade", "echo".parse().unwrap());
        let response = ask(&upstream, request).await.unwrap();
        assert_eq!(response.status(), 101);
        let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        tunnel.write_all(b"ping").await.unwrap();
        let mut seen = [0; 4];
        tunnel.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"ping");
    });
}

#[test]
fn counts_requests_by_path() {
    let upstream = start();
    run(async {
        for path in ["/", "/", "/status/500?why=not"] {
            ask(&upstream, get(path)).await.unwrap();
        }
        let (_, body) = whole(ask(&upstream, get("/count")).await.unwrap()).await;
        let count: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(count["requests"], 3);
        assert_eq!((&count["paths"]["/"], &count["paths"]["/status/500"]), (&2.into(), &1.into()));
        assert_eq!((upstream.count("/"), upstream.connections()), (2, 4));
    });
}

#[test]
fn serves_a_unix_socket_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("up.sock");
    let _upstream = Upstream::start(Config { unix: Some(path.clone()), ..Config::default() }).unwrap();
    run(async {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"GET /close HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut seen = String::new();
        stream.read_to_string(&mut seen).await.unwrap();
        assert!(seen.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn a_switched_upstream_fails_or_hangs_whatever_the_path_and_still_counts() {
    let upstream = start();
    run(async {
        upstream.turn(Manner::Failing(hyper::StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(whole(ask(&upstream, get("/")).await.unwrap()).await.0, 503);
        assert_eq!(whole(ask(&upstream, get("/count")).await.unwrap()).await.0, 200);
        upstream.turn(Manner::Hanging);
        let hanging = ask(&upstream, get("/"));
        assert!(tokio::time::timeout(Duration::from_millis(100), hanging).await.is_err());
        upstream.turn(Manner::Scripted);
        assert_eq!(whole(ask(&upstream, get("/")).await.unwrap()).await.0, 200);
    });
    assert_eq!(upstream.count("/"), 3);
}
