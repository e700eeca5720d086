//! Heads and bodies of answers, as they come.

use http::{Method, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::support::{answered, begin, get, head, hears, pair, rest, run, status};
use crate::failure::Failure;
use crate::pipeline::inflow::RequestBody;
use crate::upstream::h1::{BrokenOff, H1, MAX_INTERIM, MAX_READ, Unanswered, head::MAX_BYTES};

async fn refused(h1: &mut H1) -> &'static str {
    match head(h1).await {
        Err(Unanswered::Failed(Failure { detail, sent: true, .. })) => detail,
        _ => panic!("no failure after sending"),
    }
}

#[test]
fn an_answer_is_the_same_wherever_it_is_cut() {
    run(async {
        let wire =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nt: 1\r\n\r\n";
        let (mut h1, mut server) = pair();
        for cut in 1..wire.len() {
            begin(&mut h1, &get(), RequestBody::Empty);
            let (first, second) = wire.split_at(cut);
            let serving = async {
                hears(&mut server, "\r\n\r\n").await;
                for piece in [first, second] {
                    server.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let asking = async {
                assert_eq!(status(&mut h1).await, 200);
                rest(&mut h1).await.unwrap()
            };
            let ((body, trailers), ()) = tokio::join!(asking, serving);
            assert_eq!((&body[..], trailers.unwrap()["t"].as_bytes()), (&b"hello!"[..], &b"1"[..]), "{cut}");
            assert!(h1.is_complete() && h1.is_ready(), "{cut}");
        }
    });
}

#[test]
fn interim_answers_are_passed_over_until_there_are_too_many() {
    run(async {
        let early = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let (mut h1, mut server) = pair();
        for _ in 0..2 {
            let wire = format!("HTTP/1.1 100 Continue\r\n\r\n{}{last}", early.repeat(MAX_INTERIM - 1));
            assert_eq!(answered(&mut h1, &mut server, &wire).await, (200, b"ok".to_vec()));
        }
        begin(&mut h1, &get(), RequestBody::Empty);
        server.write_all(format!("{}{last}", early.repeat(MAX_INTERIM + 1)).as_bytes()).await.unwrap();
        assert_eq!(refused(&mut h1).await, "the upstream sends interim answers without end");
    });
}

#[test]
fn what_comes_behind_a_complete_answer_ends_the_connection() {
    run(async {
        let (mut h1, mut server) = pair();
        let wire = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 408 Timeout\r\n\r\n";
        assert_eq!(answered(&mut h1, &mut server, wire).await, (200, b"ok".to_vec()));
        assert!(!h1.is_complete() && !h1.is_ready());

        let (mut h1, mut server) = pair();
        let wire = "HTTP/1.1 204 No Content\r\n\r\n";
        answered(&mut h1, &mut server, wire).await;
        assert!(h1.is_complete() && h1.is_ready());
        server.write_all(b"HTTP/1.1 408 Timeout\r\n\r\n").await.unwrap();
        super::support::until(&h1, |ready| ready.is_readable()).await;
        assert!(!h1.is_ready());
    });
}

#[test]
fn the_answer_to_head_has_no_body() {
    run(async {
        let (mut h1, mut server) = pair();
        let mut request = get();
        *request.method_mut() = Method::HEAD;
        begin(&mut h1, &request, RequestBody::Empty);
        server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await.unwrap();
        let response = head(&mut h1).await.ok().unwrap();
        assert_eq!(
            (response.status(), &response.headers()["content-length"]),
            (StatusCode::OK, &"5".parse().unwrap())
        );
        assert!(h1.is_end_stream());
        assert_eq!(rest(&mut h1).await, Ok((Vec::new(), None)));
        assert!(h1.is_complete() && h1.is_ready());
        assert_eq!(hears(&mut server, "\r\n\r\n").await, "HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n");
    });
}

/// What becomes of an answer after which the server closes.
async fn until_close(wire: &str) -> (Result<Vec<u8>, BrokenOff>, bool) {
    let (mut h1, mut server) = pair();
    begin(&mut h1, &get(), RequestBody::Empty);
    server.write_all(wire.as_bytes()).await.unwrap();
    assert_eq!(status(&mut h1).await, 200);
    hears(&mut server, "\r\n\r\n").await;
    drop(server);
    let body = rest(&mut h1).await.map(|(body, _)| body);
    (body, h1.is_complete())
}

#[test]
fn only_a_body_without_a_length_may_end_with_the_connection() {
    run(async {
        assert_eq!(until_close("HTTP/1.1 200 OK\r\n\r\nall of it").await, (Ok(b"all of it".to_vec()), false));
        assert_eq!(until_close("HTTP/1.0 200 OK\r\n\r\n").await, (Ok(Vec::new()), false));
        for wire in [
            "content-length: 10\r\n\r\nhalf",
            "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "transfer-encoding: chunked\r\n\r\n0\r\n",
        ] {
            assert_eq!(
                until_close(&format!("HTTP/1.1 200 OK\r\n{wire}")).await,
                (Err(BrokenOff), false),
                "{wire}"
            );
        }
    });
}

#[test]
fn a_connection_that_the_server_closes_while_idle_is_not_ready() {
    run(async {
        let (mut h1, mut server) = pair();
        assert!(h1.is_ready(), "a new one");
        answered(&mut h1, &mut server, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert!(h1.is_ready());
        drop(server);
        super::support::until(&h1, |ready| ready.is_read_closed()).await;
        assert!(!h1.is_ready());
    });
}

#[test]
fn a_task_that_has_used_up_its_turn_still_sees_that_a_connection_is_closed() {
    run(async {
        let (mut h1, server) = pair();
        drop(server);
        super::support::until(&h1, |ready| ready.is_read_closed()).await;
        tokio::task::yield_now().await;
        while tokio::task::coop::has_budget_remaining() {
            tokio::task::consume_budget().await;
        }
        assert!(!h1.is_ready());
    });
}

#[test]
fn a_server_that_asks_for_an_end_gets_no_second_request() {
    run(async {
        let (mut h1, mut server) = pair();
        let wire = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(answered(&mut h1, &mut server, wire).await.0, 200);
        assert!(!h1.is_complete() && !h1.is_ready());
    });
}

/// Writes until the other end is gone.
async fn pour(mut server: UnixStream, head: &str, piece: impl AsRef<[u8]>) {
    let _ = server.write_all(head.as_bytes()).await;
    while server.write_all(piece.as_ref()).await.is_ok() {}
}

#[test]
fn a_head_without_end_takes_bounded_memory() {
    run(async {
        for piece in [&[b'a'; 4096][..], b"a: b\r\n"] {
            let (mut h1, server) = pair();
            let pouring = tokio::task::spawn_local(pour(server, "HTTP/1.1 200 OK\r\na: ", piece));
            begin(&mut h1, &get(), RequestBody::Empty);
            assert_eq!(refused(&mut h1).await, "the answer's head is too large");
            assert!(h1.input.len() <= MAX_BYTES + MAX_READ, "{}", h1.input.len());
            drop(h1);
            pouring.await.unwrap();
        }
    });
}

#[test]
fn a_body_takes_bounded_memory_however_slowly_it_is_read() {
    run(async {
        let chunks = "1\r\n.\r\n".repeat(1000);
        for (head, piece) in [
            ("HTTP/1.1 200 OK\r\n\r\n", &[b'a'; 4096][..]),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n", &[b'a'; 4096]),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunks.as_bytes()),
        ] {
            let (mut h1, server) = pair();
            let pouring = tokio::task::spawn_local(pour(server, head, piece.to_owned()));
            begin(&mut h1, &get(), RequestBody::Empty);
            assert_eq!(status(&mut h1).await, 200);
            for _ in 0..2_000 {
                let frame = std::future::poll_fn(|cx| h1.poll_frame(cx)).await.unwrap().unwrap();
                assert!(frame.data_ref().unwrap().len() <= 2 * MAX_READ);
                assert!(h1.input.capacity() <= 2 * MAX_READ, "{}", h1.input.capacity());
                tokio::task::yield_now().await;
            }
            drop(h1);
            pouring.await.unwrap();
        }
    });
}

#[test]
fn a_head_in_pieces_is_read_again_only_when_its_end_may_have_come() {
    let (mut h1, _server) = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        pair()
    };
    h1.input.extend_from_slice(b"HTTP/1.1 200 OK\r\na");
    assert_eq!(h1.take_head(&mut http::Response::new(())), Ok(None));
    // What no head may have; whoever reads this sees it.
    for byte in b" b: c\r\n" {
        h1.input.extend_from_slice(&[*byte]);
        assert_eq!(h1.take_head(&mut http::Response::new(())), Ok(None));
    }
    h1.input.extend_from_slice(b"\r\n");
    assert!(h1.take_head(&mut http::Response::new(())).is_err());
}

#[test]
fn a_head_is_found_whatever_piece_its_end_comes_in() {
    run(async {
        for wire in
            ["HTTP/1.1 204 No\r\na: b\r\n\r\n", "HTTP/1.1 204 No\na: b\n\n", "HTTP/1.1 204 No\r\n\r\n"]
        {
            for size in 1..wire.len() {
                let (mut h1, _server) = pair();
                let mut pieces = wire.as_bytes().chunks(size).peekable();
                while let Some(piece) = pieces.next() {
                    h1.input.extend_from_slice(piece);
                    let found = h1.take_head(&mut http::Response::new(())).unwrap().is_some();
                    assert_eq!(found, pieces.peek().is_none(), "{wire} by {size}");
                }
            }
        }
    });
}
