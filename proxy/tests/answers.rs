//! Answers of an app that are odd, broken or hostile: the client gets one clean answer or a clear refusal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use support::app::ByHand;
use support::client::{ask_h2, empty, h2, request, tcp};
use support::raw::{Answer, Raw};
use support::run::run;
use support::sidecar::Sidecar;

mod support;

/// What a client of HTTP/1.1 gets when the app says `bytes` and, perhaps, closes.
async fn said(server: &ByHand, sidecar: &Sidecar, method: &str, bytes: &[u8]) -> Option<Answer> {
    let mut client = Raw::connect(sidecar.inbound).await;
    client.send(format!("{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
    let mut app = server.accept().await;
    app.request_head().await;
    app.send(bytes).await;
    drop(app);
    let answer = client.try_answer(method).await;
    if answer.is_some() {
        assert!(client.until_end().await.is_empty(), "nothing behind the answer: {answer:?}");
    }
    answer
}

#[test]
fn gives_old_answers_a_modern_frame() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = Sidecar::before(format_args!("http://{}", server.address())).await;
        for bytes in [
            "HTTP/1.0 200 OK\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
            "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        ] {
            let answer = said(&server, &sidecar, "GET", bytes.as_bytes()).await.unwrap();
            assert_eq!((answer.status, answer.text()), (200, "hello"), "{bytes:?}");
            assert_eq!(answer.version, "HTTP/1.1");
        }
    });
}

#[test]
fn refuses_answers_that_two_readers_would_read_differently() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = Sidecar::before(format_args!("http://{}", server.address())).await;
        for bytes in [
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "nonsense\r\n\r\n",
            "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 0\r\n\r\n",
        ] {
            let answer = said(&server, &sidecar, "GET", bytes.as_bytes()).await.unwrap();
            assert_eq!(answer.status, 502, "{bytes:?}: {answer:?}");
            let status = answer.field("proxy-status").unwrap();
            assert!(status.contains("error=http_protocol_error"), "{bytes:?}: {status}");
            assert_eq!(answer.field("outrigger-sent"), Some("1"));
        }
        let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(300_000));
        let answer = said(&server, &sidecar, "GET", huge.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 502);
    });
}

#[test]
fn breaks_off_where_the_app_breaks_the_frame_of_a_body() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = Sidecar::before(format_args!("http://{}", server.address())).await;
        for bytes in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nnot a size\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        ] {
            assert!(said(&server, &sidecar, "GET", bytes.as_bytes()).await.is_none(), "{bytes:?}");
        }
    });
}

#[test]
fn gives_nobody_what_an_app_says_unasked() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = Sidecar::before(format_args!("http://{}", server.address())).await;
        let mut one = Raw::connect(sidecar.inbound).await;
        one.send("GET /one HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut app = server.accept().await;
        app.request_head().await;
        let poisoned = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnot yours";
        app.send(["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none", poisoned].concat()).await;
        assert_eq!(one.answer("GET").await.text(), "one");
        let mut two = Raw::connect(sidecar.inbound).await;
        two.send("GET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut fresh = server.accept().await;
        fresh.request_head().await;
        fresh.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo").await;
        assert_eq!(two.answer("GET").await.text(), "two", "the answer to the question");
    });
}

#[test]
fn ignores_a_body_where_there_can_be_none() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = Sidecar::before(format_args!("http://{}", server.address())).await;
        for (method, bytes) in [
            ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
            ("GET", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello"),
            ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello"),
            ("HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        ] {
            let answer = said(&server, &sidecar, method, bytes.as_bytes()).await.unwrap();
            assert!(answer.body.is_empty(), "{bytes:?}");
        }
        let mut client = h2(tcp(sidecar.inbound).await).await;
        let asked = tokio::spawn(async move {
            let answer = ask_h2(&mut client, request("GET", "/").body(empty()).unwrap()).await;
            (answer.status, answer.body.len())
        });
        let mut app = server.accept().await;
        app.request_head().await;
        app.send("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n").await;
        assert_eq!(asked.await.unwrap(), (304, 0));
    });
}
