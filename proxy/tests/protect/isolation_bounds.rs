//! What counts as in flight, and bounds that change while calls are.

use super::calls::{assert_refused, call, dep_until, dependency, get, one, reload, request, send};
use super::isolation::{flying, held, hold, in_flight};
use super::scripted::Scripted;
use super::support::app::app;
use super::support::run::{becomes_true, eventually, run};
use super::support::sidecar::Sidecar;

#[test]
fn a_streaming_answer_is_in_flight_until_its_end() {
    run(async {
        let app = app();
        let sidecar =
            Sidecar::start(one(app.address(), "isolation: { max_in_flight: 1, max_queue: 0 }")).await;
        let streaming = request("GET", "/slow-body?chunks=8&gap=100", "connection: close\r\n");
        let mut stream = send(&sidecar, streaming).await;
        assert_eq!(stream.head().await.unwrap().status, 200);
        for _ in 0..3 {
            let answer = call(&sidecar, get("/")).await;
            assert_refused(&answer, "connection_limit_reached", "isolation:dep:");
        }
        assert_eq!(in_flight(&sidecar).await, 1.0);
        stream.until_end().await;
        flying(&sidecar, 0.0).await;
        assert_eq!(call(&sidecar, get("/")).await.status, 200);
        // Or until nobody listens any more.
        let mut stream = send(&sidecar, get("/slow-body?chunks=1000&gap=100")).await;
        assert_eq!(stream.head().await.unwrap().status, 200);
        assert_eq!(call(&sidecar, get("/")).await.status, 503);
        drop(stream);
        eventually("room", async || (call(&sidecar, get("/")).await.status == 200).then_some(())).await;
    });
}

#[test]
fn a_websocket_is_in_flight_until_it_is_closed() {
    run(async {
        let app = app();
        let sidecar =
            Sidecar::start(one(app.address(), "isolation: { max_in_flight: 1, max_queue: 0 }")).await;
        let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let mut socket = send(&sidecar, request("GET", "/ws", upgrade)).await;
        assert_eq!(socket.head().await.unwrap().status, 101);
        socket.send([&[0x81, 0x82, 0, 0, 0, 0][..], b"hi"].concat()).await;
        assert_eq!(socket.exactly(4).await.unwrap(), [0x81, 2, b'h', b'i']);
        let answer = call(&sidecar, get("/")).await;
        assert_refused(&answer, "connection_limit_reached", "isolation:dep:");
        drop(socket);
        eventually("room", async || (call(&sidecar, get("/")).await.status == 200).then_some(())).await;
    });
}

#[test]
fn a_lower_limit_counts_those_that_the_old_one_let_in() {
    run(async {
        let server = Scripted::start(held).await;
        let limit = |most: u32| {
            one(server.address(), &format!("isolation: {{ max_in_flight: {most}, max_queue: 0 }}"))
        };
        let sidecar = Sidecar::start(limit(4)).await;
        let calls = hold(&sidecar, &server, 4).await;
        reload(&sidecar, &limit(2)).await;
        let shown = dependency(&sidecar, "dep").await;
        assert_eq!((&shown["in_flight"], &shown["limit"]), (&4.into(), &2.into()), "{shown}");
        assert_eq!(in_flight(&sidecar).await, 4.0);
        for left in [3.0, 2.0] {
            assert_refused(&call(&sidecar, get("/")).await, "connection_limit_reached", "isolation:dep:");
            server.release(1);
            flying(&sidecar, left).await;
        }
        assert_refused(&call(&sidecar, get("/")).await, "connection_limit_reached", "isolation:dep:");
        server.release(1);
        flying(&sidecar, 1.0).await;
        assert_eq!(call(&sidecar, get("/")).await.status, 200);
        server.release(1);
        for mut call in calls {
            assert_eq!(call.answer("GET").await.status, 200, "none was cut off");
        }
        flying(&sidecar, 0.0).await;
    });
}

#[test]
fn a_higher_limit_lets_in_those_who_wait() {
    run(async {
        let server = Scripted::start(held).await;
        let limit = |most: u32| {
            let keys = format!("isolation: {{ max_in_flight: {most}, max_queue: 4, queue_timeout: 10s }}");
            one(server.address(), &keys)
        };
        let sidecar = Sidecar::start(limit(1)).await;
        let mut calls = hold(&sidecar, &server, 1).await;
        for _ in 0..2 {
            calls.push(send(&sidecar, get("/hold")).await);
        }
        dep_until(&sidecar, "two wait", |dep| dep["queued"] == 2).await;
        reload(&sidecar, &limit(3)).await;
        becomes_true("all are at the server", || server.busy("/hold") == 3).await;
        assert_eq!(in_flight(&sidecar).await, 3.0);
        server.release(3);
        for mut call in calls {
            assert_eq!(call.answer("GET").await.status, 200);
        }
    });
}

#[test]
fn there_is_a_limit_where_none_is_written() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(one(app.address(), "")).await;
        assert_eq!(call(&sidecar, get("/")).await.status, 200);
        let shown = dependency(&sidecar, "dep").await;
        assert_eq!((&shown["limit"], &shown["queued"]), (&256.into(), &0.into()), "{shown}");
        flying(&sidecar, 0.0).await;
    });
}
