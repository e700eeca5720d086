//! Every phase ends: silent, dripping and stalling clients, and upstreams that do not accept, answer or finish.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::frames;
use super::support::app::{ByHand, app};
use super::support::raw::Raw;
use super::support::run::{becomes_true, run, soon};
use super::support::sidecar::{Setup, Sidecar};
use super::support::tls::Authority;
use super::watching::metric;

const QUICK: &str = "limits: { head_timeout: 300ms, idle_timeout: 500ms, tls_timeout: 300ms, drain: 1s }";

fn policy(app: SocketAddr, timeouts: &str) -> String {
    format!("version: 1\ninbound:\n  app: http://{app}\n  defaults:\n    timeouts: {{ {timeouts} }}\n")
}

/// How long `future` took, which must be within the bounds.
async fn within<T>(least: u64, most: u64, future: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = soon("an end", future).await;
    let took = began.elapsed().as_millis();
    assert!((u128::from(least)..u128::from(most)).contains(&took), "{took} ms, not {least} to {most}");
    done
}

async fn last_outcome(sidecar: &Sidecar) -> String {
    becomes_true("a line in the access log", || !sidecar.access_log().is_empty()).await;
    sidecar.access_log().last().unwrap()["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn closes_on_a_client_that_says_nothing() {
    run(async {
        let app = app();
        let sidecar = Setup::new(policy(app.address(), "total: 2s")).line(QUICK).start().await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        assert!(within(200, 2_500, raw.until_end()).await.is_empty());
        // Nor does the beginning of another protocol's preface buy more.
        raw = Raw::connect(sidecar.inbound).await;
        raw.send("PRI * HT").await;
        assert!(within(200, 2_500, raw.until_end()).await.is_empty());
    });
}

#[test]
fn tells_a_client_that_drips_its_head_that_it_is_too_slow() {
    run(async {
        let app = app();
        let sidecar = Setup::new(policy(app.address(), "total: 2s")).line(QUICK).start().await;
        let raw = Raw::connect(sidecar.inbound).await;
        let (mut reader, mut writer) = tokio::io::split(raw.stream);
        let drip = tokio::spawn(async move {
            for byte in b"GET / HTTP/1.1\r\nhost: a\r\nx: ".iter().chain(std::iter::repeat(&b'x')) {
                if tokio::io::AsyncWriteExt::write_all(&mut writer, &[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        let mut heard = Vec::new();
        within(250, 2_500, async { while let Ok(1..) = reader.read_buf(&mut heard).await {} }).await;
        let heard = String::from_utf8(heard).unwrap();
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
        assert!(heard.contains("proxy-status: outrigger;error=http_request_error"), "{heard}");
        drip.abort();
        assert_eq!(last_outcome(&sidecar).await, "slow_client");
        assert_eq!(app.requests(), 0);
    });
}

#[test]
fn closes_an_idle_connection_without_a_word() {
    run(async {
        let app = app();
        let sidecar = Setup::new(policy(app.address(), "total: 2s")).line(QUICK).start().await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        for _ in 0..3 {
            assert_eq!(raw.get("/").await.status, 200);
            // Less than the idle time, more than a head may take: they are two clocks.
            sleep(Duration::from_millis(350)).await;
        }
        assert_eq!(raw.get("/").await.status, 200);
        assert!(within(400, 3_000, raw.until_end()).await.is_empty());
        assert_eq!(sidecar.access_log().len(), 4);
    });
}

#[test]
fn tells_a_client_that_stops_in_its_body_that_it_is_too_slow() {
    run(async {
        let app = app();
        let sidecar = Setup::new(policy(app.address(), "total: 5s, first_byte: 5s, body_idle: 300ms"))
            .line(QUICK)
            .start()
            .await;
        for framing in ["content-length: 100\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n5\r\nab"] {
            let mut raw = Raw::connect(sidecar.inbound).await;
            let request = format!("POST /sink HTTP/1.1\r\nhost: a\r\n{framing}");
            let answer = within(250, 2_500, raw.ask(request)).await;
            assert_eq!((answer.status, answer.field("connection")), (408, Some("close")), "{answer:?}");
            assert!(answer.field("proxy-status").unwrap().contains("http_request_error"), "{answer:?}");
            raw.until_end().await;
        }
        assert_eq!(last_outcome(&sidecar).await, "slow_client");
    });
}

#[test]
fn answers_for_an_upstream_that_does_not() {
    run(async {
        let app = app();
        for timeouts in
            ["total: 300ms", "total: 9s, first_byte: 300ms", "total: 9s, first_byte: 9s, per_try: 300ms"]
        {
            let sidecar = Sidecar::start(policy(app.address(), timeouts)).await;
            let mut raw = Raw::connect(sidecar.inbound).await;
            let answer = within(250, 2_000, raw.get("/hang")).await;
            assert_eq!((answer.status, answer.field("outrigger-sent")), (504, Some("1")), "{timeouts}");
            let status = answer.field("proxy-status").unwrap();
            assert!(status.starts_with("outrigger;error=http_response_timeout;"), "{timeouts}: {status}");
            assert_eq!(last_outcome(&sidecar).await, "http_response_timeout");
            // The client's connection goes on; the upstream's does not.
            assert_eq!(raw.get("/").await.status, 200);
        }
        assert_eq!(app.count("/hang"), 3, "sent once each");
    });
}

#[test]
fn answers_for_an_upstream_that_does_not_take_the_body() {
    run(async {
        let upstream = ByHand::listen().await;
        let sidecar =
            Sidecar::start(policy(upstream.address(), "total: 9s, first_byte: 9s, body_idle: 300ms")).await;
        let raw = Raw::connect(sidecar.inbound).await;
        let (mut reader, mut writer) = tokio::io::split(raw.stream);
        let sending = tokio::spawn(async move {
            let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut writer, head.as_bytes()).await;
            while tokio::io::AsyncWriteExt::write_all(&mut writer, &[0; 65_536]).await.is_ok() {}
        });
        let taken = upstream.accept().await;
        let mut heard = vec![0; 12];
        soon("an answer", reader.read_exact(&mut heard)).await.unwrap();
        assert_eq!(String::from_utf8(heard).unwrap(), "HTTP/1.1 504");
        assert_eq!(last_outcome(&sidecar).await, "connection_write_timeout");
        drop(taken);
        sending.abort();
    });
}

#[test]
fn gives_up_on_an_endpoint_that_does_not_accept() {
    run(async {
        let (address, _full) = full_backlog().await;
        let sidecar = Sidecar::start(policy(address, "total: 9s, connect: 300ms")).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        let answer = within(250, 2_000, raw.get("/")).await;
        assert_eq!((answer.status, answer.field("outrigger-sent")), (504, Some("0")), "{answer:?}");
        assert!(answer.field("proxy-status").unwrap().contains("error=connection_timeout;"), "{answer:?}");
        assert_eq!(last_outcome(&sidecar).await, "connection_timeout");
    });
}

/// A listener whose backlog is full: what more connects gets no answer to its SYN.
async fn full_backlog() -> (SocketAddr, Vec<Box<dyn std::any::Any>>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held: Vec<Box<dyn std::any::Any>> = vec![Box::new(listener)];
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        held.push(Box::new(stream));
    }
    (address, held)
}

#[test]
fn says_that_nobody_listens() {
    run(async {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let sidecar = Sidecar::start(policy(gone, "total: 2s")).await;
        let answer = within(0, 1_000, Raw::connect(sidecar.inbound).await.get("/")).await;
        assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("0")), "{answer:?}");
        assert!(answer.field("proxy-status").unwrap().contains("error=connection_refused;"), "{answer:?}");
        assert_eq!(last_outcome(&sidecar).await, "connection_refused");
    });
}

#[test]
fn says_that_the_upstream_hung_up() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(policy(app.address(), "total: 2s")).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        let answer = raw.get("/reset").await;
        assert_eq!((answer.status, answer.field("outrigger-sent")), (502, Some("1")), "{answer:?}");
        assert!(answer.field("proxy-status").unwrap().contains("error=connection_terminated;"), "{answer:?}");
        assert_eq!(last_outcome(&sidecar).await, "connection_terminated");
        assert_eq!(app.count("/reset"), 1);
        assert_eq!(raw.get("/").await.status, 200);
    });
}

#[test]
fn lets_the_client_see_that_an_answer_broke_off() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(policy(app.address(), "total: 2s")).await;
        for path in ["/truncate", "/reset-body"] {
            let mut raw = Raw::connect(sidecar.inbound).await;
            raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            assert!(raw.try_answer("GET").await.is_none(), "{path} looked whole");
            assert_eq!(raw.more().await, None, "{path}: the connection ends");
            assert_eq!(last_outcome(&sidecar).await, "http_response_incomplete", "{path}");
        }
        becomes_true("two lines", || sidecar.access_log().len() == 2).await;
        assert!(sidecar.access_log().iter().all(|line| line["status"] == 200));
    });
}

#[test]
fn cuts_an_answer_that_stalls_or_takes_longer_than_the_total() {
    run(async {
        let app = app();
        for (timeouts, path, outcome) in [
            ("total: 9s, body_idle: 300ms", "/slow-body?chunks=3&gap=3000", "connection_read_timeout"),
            ("total: 500ms, body_idle: 9s", "/slow-body?chunks=100&gap=50", "http_response_timeout"),
        ] {
            let sidecar = Sidecar::start(policy(app.address(), timeouts)).await;
            let mut raw = Raw::connect(sidecar.inbound).await;
            raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            assert!(within(200, 2_500, raw.try_answer("GET")).await.is_none(), "{path} looked whole");
            assert_eq!(last_outcome(&sidecar).await, outcome);
        }
    });
}

#[test]
fn an_event_stream_may_outlast_the_total_but_not_its_idle_time() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(policy(app.address(), "total: 300ms, stream_idle: 700ms")).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        let answer = raw.get("/sse?events=5&gap=200").await;
        assert_eq!(answer.status, 200);
        raw = Raw::connect(sidecar.inbound).await;
        raw.send("GET /sse?events=2&gap=5000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(within(500, 3_000, raw.try_answer("GET")).await.is_none());
    });
}

#[test]
fn ends_a_tls_handshake_that_does_not_go_on() {
    run(async {
        let app = app();
        let identity = Authority::new().issue(&["localhost"]);
        let setup = Setup::new(policy(app.address(), "total: 2s")).line(QUICK);
        let setup = setup.file("cert.pem", &identity.cert).file("key.pem", &identity.key);
        let sidecar = setup.tls("{ cert: cert.pem, key: key.pem }").start().await;
        for first in [&b""[..], b"\x16\x03\x01\x02\x00"] {
            let mut raw = Raw::connect(sidecar.inbound).await;
            raw.send(first).await;
            within(200, 2_000, async { while raw.more().await.is_some() {} }).await;
        }
    });
}

#[test]
fn an_idle_or_half_open_http2_connection_ends() {
    run(async {
        let app = app();
        let sidecar = Setup::new(policy(app.address(), "total: 2s")).line(QUICK).start().await;
        let mut idle = frames::connect(sidecar.inbound).await;
        let heard = within(400, 3_000, frames::until(&mut idle, |frame| frame.kind == frames::GOAWAY)).await;
        assert!(heard.iter().any(|frame| frame.kind == frames::GOAWAY), "{heard:?}");
        let mut half = frames::connect(sidecar.inbound).await;
        let block = frames::block(&frames::get("/"));
        half.send(frames::frame(frames::HEADERS, 0, 1, &block)).await;
        let heard = within(400, 3_000, frames::until(&mut half, |frame| frame.kind == frames::GOAWAY)).await;
        assert!(heard.iter().any(|frame| frame.kind == frames::GOAWAY), "{heard:?}");
        assert_eq!(app.requests(), 0);
    });
}

#[test]
fn a_stream_whose_client_takes_nothing_ends_and_frees_the_upstream() {
    run(async {
        let app = app();
        let line = "limits: { idle_timeout: 500ms }";
        let sidecar =
            Setup::new(policy(app.address(), "total: 1s, body_idle: 500ms")).line(line).start().await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        // A window of no bytes for each stream, never opened.
        raw.send(frames::frame(frames::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
        raw.send(frames::frame(frames::SETTINGS, 1, 0, &[])).await;
        let head = frames::block(&frames::get("/bytes/1000000"));
        for stream in [1, 3, 5] {
            let flags = frames::END_HEADERS | frames::END_STREAM;
            raw.send(frames::frame(frames::HEADERS, flags, stream, &head)).await;
        }
        becomes_true("they are at the upstream", || app.requests() == 3).await;
        becomes_true("they are over", || sidecar.access_log().len() == 3).await;
        assert!(
            sidecar.access_log().iter().all(|line| line["outcome"] == "slow_client"),
            "{:?}",
            sidecar.access_log()
        );
        assert_eq!(metric(&sidecar, "outrigger_upstream_in_flight", &[]).await, 0.0);
    });
}
