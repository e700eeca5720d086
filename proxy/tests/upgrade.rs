//! WebSockets through the sidecar, and everything that only looks like one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use futures_util::{SinkExt, StreamExt};
use support::app::{ByHand, app};
use support::client::tcp;
use support::raw::Raw;
use support::run::{becomes_true, run, soon};
use support::sidecar::Sidecar;
use tokio_tungstenite::tungstenite::Message;

mod support;

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn before(address: std::net::SocketAddr) -> Sidecar {
    Sidecar::before(format_args!("http://{address}")).await
}

#[test]
fn carries_a_websocket_both_ways() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let stream = tcp(sidecar.inbound).await;
        let (mut socket, response) =
            tokio_tungstenite::client_async("ws://app.test/ws", stream).await.unwrap();
        assert_eq!(response.status(), 101);
        for size in [0, 1, 1000, 300_000] {
            socket.send(Message::text("x".repeat(size))).await.unwrap();
            let echoed = soon("an echo", socket.next()).await.unwrap().unwrap();
            assert_eq!(echoed.into_text().unwrap().len(), size);
        }
        socket.send(Message::Ping("p".into())).await.unwrap();
        assert!(matches!(soon("a pong", socket.next()).await, Some(Ok(Message::Pong(_)))));
        socket.close(None).await.unwrap();
        while let Some(Ok(_)) = soon("the end", socket.next()).await {}
        drop(socket);
        becomes_true("one record, at the end", || {
            let log = sidecar.access_log();
            log.len() == 1 && log[0]["status"] == 101 && log[0]["outcome"] == "ok"
        })
        .await;
        let log = sidecar.access_log();
        assert!(
            log[0]["bytes_in"].as_u64() > Some(301_000) && log[0]["bytes_out"].as_u64() > Some(301_000),
            "{log:?}"
        );
    });
}

#[test]
fn gives_what_was_sent_along_with_the_handshake_to_the_websocket() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        // A masked text frame "hello" behind the head, in one segment.
        let frame = [&[0x81, 0x85, 0, 0, 0, 0][..], b"hello"].concat();
        client.send([HANDSHAKE.as_bytes(), &frame].concat()).await;
        let answer = client.answer("GET").await;
        assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
        assert_eq!(answer.field("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        assert_eq!(client.exactly(7).await.unwrap(), [&[0x81, 5][..], b"hello"].concat());
    });
}

#[test]
fn tunnels_nothing_before_the_app_has_agreed() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = before(server.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send([HANDSHAKE, "early bytes"].concat()).await;
        let mut app = server.accept().await;
        let head = app.request_head().await;
        assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-key: dGhl"), "{head}");
        let early = tokio::time::timeout(std::time::Duration::from_millis(150), app.more()).await;
        assert!(early.is_err() && app.buffer.is_empty(), "{:?}", app.buffer);
        app.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nbanner",
        )
        .await;
        assert_eq!(client.answer("GET").await.status, 101);
        assert_eq!(client.exactly(6).await.unwrap(), b"banner");
        assert_eq!(app.exactly(11).await.unwrap(), b"early bytes");
    });
}

#[test]
fn passes_an_end_from_one_side_to_the_other() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = before(server.address()).await;
        for app_ends in [true, false] {
            let mut client = Raw::connect(sidecar.inbound).await;
            client.send(HANDSHAKE).await;
            let mut app = server.accept().await;
            app.request_head().await;
            app.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
                .await;
            assert_eq!(client.answer("GET").await.status, 101);
            if app_ends {
                drop(app);
                assert!(client.until_end().await.is_empty());
            } else {
                drop(client);
                assert!(app.until_end().await.is_empty());
            }
        }
    });
}

#[test]
fn reads_what_follows_a_refused_upgrade_as_the_next_request() {
    run(async {
        let server = ByHand::listen().await;
        let policy = format!(
            "version: 1\ninbound:\n  app: http://{}\n  routes:\n    - name: once\n      match: {{ path: /once }}\n      rate_limits: [{{ name: once, rate: 1/h, burst: 1 }}]\n",
            server.address()
        );
        let sidecar = Sidecar::start(policy).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let once = "GET /once HTTP/1.1\r\nhost: a\r\n\r\n";
        client.send([HANDSHAKE, once, once, "\u{1}garbage\r\n\r\n"].concat()).await;
        let mut app = server.accept().await;
        app.request_head().await;
        app.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
        let refused = client.answer("GET").await;
        assert_eq!((refused.status, refused.text()), (403, "no"));
        // The first of the two is let through, the second is for the rate limit, and the rest is malformed.
        assert!(app.request_head().await.starts_with("GET /once HTTP/1.1\r\n"));
        app.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(client.answer("GET").await.status, 200);
        assert_eq!(client.answer("GET").await.status, 429);
        assert_eq!(client.answer("GET").await.status, 400);
        client.until_end().await;
    });
}

#[test]
fn strips_upgrades_to_anything_else_and_serves_the_request() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        // As curl --http2 and Java's HttpClient ask, with a body as well.
        let offer = "host: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
        for (method, body) in [("GET", ""), ("POST", "content-length: 5\r\n\r\nhello")] {
            let end = if body.is_empty() { "\r\n" } else { "" };
            let answer = client.ask(format!("{method} /echo HTTP/1.1\r\n{offer}{body}{end}")).await;
            assert_eq!(answer.status, 200);
            let seen = answer.json();
            let names: Vec<&str> =
                seen["headers"].as_array().unwrap().iter().map(|field| field[0].as_str().unwrap()).collect();
            for hop in ["upgrade", "connection", "http2-settings"] {
                assert!(!names.contains(&hop), "{hop} in {names:?}");
            }
        }
        let answer = client
            .ask("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            .await;
        assert_eq!(answer.status, 426, "the app never saw the offer");
        // And an offer does not open the door for the WebSocket that comes next.
        client.send([HANDSHAKE, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"].concat()).await;
        assert_eq!(client.answer("GET").await.status, 101);
    });
}

#[test]
fn says_that_http_2_cannot_be_switched() {
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("h2c://{}", app.address())).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let answer = client.ask(HANDSHAKE).await;
        assert_eq!(answer.status, 502);
        assert!(answer.field("proxy-status").unwrap().contains("error=http_upgrade_failed"), "{answer:?}");
        assert_eq!(client.get("/").await.status, 200);
    });
}

#[test]
fn refuses_a_switch_that_nobody_asked_for() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = before(server.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut app = server.accept().await;
        app.request_head().await;
        app.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await;
        let answer = client.answer("GET").await;
        assert_eq!(answer.status, 502);
        assert!(answer.field("proxy-status").unwrap().contains("http_protocol_error"), "{answer:?}");
    });
}
