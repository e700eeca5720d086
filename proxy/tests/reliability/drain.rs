//! Ending well: what is in flight finishes, nothing new is kept, and the process ends as soon as it is idle.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::again;
use super::support::app::app;
use super::support::client::{empty, h2, request, tcp};
use super::support::raw::Raw;
use super::support::run::{eventually, run, soon};
use super::support::sidecar::{Setup, Sidecar};
use super::watching::admin;

async fn before(app: std::net::SocketAddr, line: &str) -> Sidecar {
    let policy = format!("version: 1\ninbound: {{ app: \"http://{app}\" }}\n");
    Setup::new(policy).line(line).start().await
}

#[test]
fn ends_at_once_when_idle_whatever_connections_there_are() {
    run(async {
        let app = app();
        let mut sidecar = before(app.address(), "").await;
        let mut idle = Raw::connect(sidecar.inbound).await;
        assert_eq!(idle.get("/").await.status, 200);
        let silent = Raw::connect(sidecar.inbound).await;
        let mut send = h2(tcp(sidecar.inbound).await).await;
        let answer =
            super::support::client::ask_h2(&mut send, request("GET", "/").body(empty()).unwrap()).await;
        assert_eq!(answer.status, 200);
        let began = Instant::now();
        again::stop(&mut sidecar).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(idle.more().await, None);
        drop(silent);
        assert!(sidecar.log().contains("event=drained"), "{}", sidecar.log());
    });
}

#[test]
fn lets_requests_in_flight_finish_and_ends_then() {
    run(async {
        let app = app();
        let mut sidecar = before(app.address(), "").await;
        let mut slow = Raw::connect(sidecar.inbound).await;
        slow.send("GET /slow-body?chunks=10&gap=100 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut waiting = Raw::connect(sidecar.inbound).await;
        waiting.send("GET /delay/500 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut posting = Raw::connect(sidecar.inbound).await;
        posting.send("POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc").await;
        let mut streams = h2(tcp(sidecar.inbound).await).await;
        let stream = tokio::spawn(streams.send_request(request("GET", "/delay/500").body(empty()).unwrap()));
        eventually("all are in flight", async || (app.requests() == 4).then_some(())).await;
        sidecar.signal("TERM");
        eventually("draining", async || sidecar.log().contains("event=draining").then_some(())).await;
        posting.send("def").await;
        let answer = posting.answer("POST").await;
        assert_eq!((answer.status, answer.text()), (200, "{\"bytes\":6}"));
        // Told to go, and gone.
        assert_eq!(answer.field("connection"), Some("close"));
        assert_eq!(waiting.answer("GET").await.status, 200);
        assert_eq!(soon("an answer", stream).await.unwrap().unwrap().status(), 200);
        assert_eq!(slow.answer("GET").await.status, 200);
        let finished = Instant::now();
        assert_eq!(again::ended(&mut sidecar).await.code(), Some(0));
        assert!(finished.elapsed() < Duration::from_secs(1), "{:?}", finished.elapsed());
        assert_eq!(sidecar.access_log().iter().filter(|line| line["outcome"] == "ok").count(), 4);
    });
}

#[test]
fn a_slow_reader_gets_the_last_byte() {
    run(async {
        let app = app();
        let mut sidecar = before(app.address(), "").await;
        let size = 8_000_000;
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        let mut raw = Raw::over(socket.connect(sidecar.inbound).await.unwrap());
        raw.send(format!("GET /bytes/{size} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let head = raw.head().await.unwrap();
        assert_eq!(head.status, 200);
        sidecar.signal("TERM");
        sleep(Duration::from_millis(300)).await;
        let body = raw.exactly(size).await.expect("the answer was cut");
        assert_eq!(body.len(), size);
        assert_eq!(again::ended(&mut sidecar).await.code(), Some(0));
    });
}

#[test]
fn still_serves_who_comes_while_it_drains_once() {
    run(async {
        let app = app();
        let mut sidecar = before(app.address(), "").await;
        let mut slow = Raw::connect(sidecar.inbound).await;
        slow.send("GET /delay/1500 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        eventually("it is in flight", async || (app.requests() == 1).then_some(())).await;
        sidecar.signal("TERM");
        eventually("draining", async || sidecar.log().contains("event=draining").then_some(())).await;
        let mut late = Raw::connect(sidecar.inbound).await;
        assert_eq!(late.get("/").await.status, 200);
        late.until_end().await;
        assert_eq!(sidecar.admin_get("/readyz").await.unwrap().status, 503);
        assert_eq!(sidecar.admin_get("/healthz").await.unwrap().status, 200);
        assert_eq!(slow.answer("GET").await.status, 200);
        assert_eq!(again::ended(&mut sidecar).await.code(), Some(0));
    });
}

#[test]
fn ends_at_its_limit_with_requests_in_flight() {
    run(async {
        let app = app();
        let mut sidecar = before(app.address(), "limits: { drain: 300ms }").await;
        let mut hung = Raw::connect(sidecar.inbound).await;
        hung.send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await;
        eventually("it is in flight", async || (app.requests() == 1).then_some(())).await;
        let began = Instant::now();
        again::stop(&mut sidecar).await;
        let took = began.elapsed();
        assert!(took > Duration::from_millis(250) && took < Duration::from_secs(2), "{took:?}");
        assert!(sidecar.log().contains("drain ended with requests in flight"), "{}", sidecar.log());
    });
}

#[test]
fn a_second_signal_ends_it_at_once() {
    run(async {
        let app = app();
        for second in ["TERM", "INT"] {
            let mut sidecar = before(app.address(), "").await;
            let mut hung = Raw::connect(sidecar.inbound).await;
            let seen = app.requests();
            hung.send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await;
            eventually("it is in flight", async || (app.requests() > seen).then_some(())).await;
            sidecar.signal("TERM");
            eventually("draining", async || sidecar.log().contains("event=draining").then_some(())).await;
            let began = Instant::now();
            sidecar.signal(second);
            again::ended(&mut sidecar).await;
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        }
    });
}

#[test]
fn a_drain_by_hand_turns_traffic_away_and_back_without_an_end() {
    run(async {
        let app = app();
        let mut sidecar = before(app.address(), "").await;
        let mut kept = Raw::connect(sidecar.inbound).await;
        assert_eq!(kept.get("/").await.status, 200);
        for _ in 0..2 {
            let answer = admin(&sidecar, "POST", "/drain", "", "").await;
            assert_eq!((answer.status, answer.json()["draining"].as_bool()), (202, Some(true)));
        }
        assert_eq!(sidecar.admin_get("/readyz").await.unwrap().status, 503);
        assert!(kept.until_end().await.is_empty(), "idle connections end");
        for _ in 0..3 {
            let mut raw = Raw::connect(sidecar.inbound).await;
            let answer = raw.get("/").await;
            assert_eq!(answer.status, 200, "still accepting");
            raw.until_end().await;
        }
        // Refusals of our own end connections too.
        let mut raw = Raw::connect(sidecar.outbound).await;
        assert_eq!(raw.get("/").await.status, 404);
        raw.until_end().await;
        assert_eq!(admin(&sidecar, "DELETE", "/drain", "", "").await.status, 200);
        assert_eq!(sidecar.admin_get("/readyz").await.unwrap().status, 200);
        let mut kept = Raw::connect(sidecar.inbound).await;
        for _ in 0..3 {
            assert_eq!(kept.get("/").await.status, 200);
        }
        again::stop(&mut sidecar).await;
    });
}
