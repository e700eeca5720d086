//! Requests on their way: bodies that wait, bodies that lie, and what must be possible again after a failure.

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::support::{begin, body, get, head, hears, pair, post, rest, run, status, until};
use crate::failure::Failure;
use crate::pipeline::inflow::RequestBody;
use crate::upstream::h1::{H1, Unanswered};
use outrigger_filters::outcome::Outcome;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn a_body_goes_on_when_its_client_does_and_the_answer_is_waited_for_meanwhile() {
    run(async {
        let (body, mut client) = body("content-length: 6").await;
        let (mut h1, mut server) = pair();
        begin(&mut h1, &post(&[("content-length", "6")]), body);
        let others = async {
            let head = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n";
            assert_eq!(hears(&mut server, "\r\n\r\n").await, head);
            // Both sides are quiet now: each byte has to wake the task.
            for byte in [b"1", b"2", b"3", b"4", b"5", b"6"] {
                client.write_all(byte).await.unwrap();
                hears(&mut server, std::str::from_utf8(byte).unwrap()).await;
            }
            server.write_all(OK).await.unwrap();
        };
        let (status, ()) = tokio::join!(status(&mut h1), others);
        assert_eq!((status, rest(&mut h1).await.unwrap().0), (200, b"ok".to_vec()));
        assert!(h1.is_complete() && h1.is_ready());
    });
}

#[test]
fn an_answer_is_heard_while_the_client_owes_its_body() {
    run(async {
        let (body, _client) = body("content-length: 6").await;
        let (mut h1, mut server) = pair();
        begin(&mut h1, &post(&[("content-length", "6")]), body);
        let others = async {
            hears(&mut server, "\r\n\r\n").await;
            server.write_all(OK).await.unwrap();
        };
        let (status, ()) = tokio::join!(status(&mut h1), others);
        assert_eq!((status, rest(&mut h1).await.unwrap().0), (200, b"ok".to_vec()));
        assert!(
            !h1.is_complete() && !h1.is_ready(),
            "a request that was not sent whole leaves a broken connection"
        );
    });
}

#[test]
fn a_body_and_its_answer_go_on_at_the_same_time() {
    run(async {
        let (body, mut client) = body("transfer-encoding: chunked").await;
        let (mut h1, mut server) = pair();
        begin(&mut h1, &post(&[]), body);
        let others = async {
            hears(&mut server, "\r\n\r\n").await;
            server.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            for _ in 0..3 {
                client.write_all(b"4\r\nping\r\n").await.unwrap();
                assert_eq!(hears(&mut server, "ping\r\n").await, "4\r\nping\r\n");
                server.write_all(b"4\r\npong\r\n").await.unwrap();
            }
            client.write_all(b"0\r\n\r\n").await.unwrap();
            assert_eq!(hears(&mut server, "0\r\n\r\n").await, "0\r\n\r\n");
            server.write_all(b"0\r\n\r\n").await.unwrap();
        };
        let asking = async {
            assert_eq!(status(&mut h1).await, 200);
            rest(&mut h1).await.unwrap().0
        };
        let (body, ()) = tokio::join!(asking, others);
        assert_eq!(body, b"pongpongpong");
        assert!(h1.is_complete() && h1.is_ready());
    });
}

#[test]
fn a_large_body_waits_for_a_server_that_reads_slowly() {
    run(async {
        let (body, mut client) = body("content-length: 3000000").await;
        let (mut h1, mut server) = pair();
        begin(&mut h1, &post(&[("content-length", "3000000")]), body);
        let sending = async {
            for _ in 0..3_000 {
                client.write_all(&[b'x'; 1_000]).await.unwrap();
            }
        };
        let serving = async {
            hears(&mut server, "\r\n\r\n").await;
            let mut piece = vec![0; 7_919];
            let mut left = 3_000_000;
            while left > 0 {
                left -= server.read(&mut piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            server.write_all(OK).await.unwrap();
        };
        let (status, (), ()) = tokio::join!(status(&mut h1), sending, serving);
        assert_eq!(status, 200);
    });
}

/// A body on a connection that takes nothing: what the caller gets back.
async fn unsent(request: &Request<()>, body: RequestBody) -> RequestBody {
    let (mut h1, server) = pair();
    drop(server);
    begin(&mut h1, request, body);
    match head(&mut h1).await {
        Err(Unanswered::Unsent(body)) => body,
        _ => panic!("something has been sent"),
    }
}

/// What a server hears of `body`, of five bytes, the last `late` of which come only now.
async fn sent(body: RequestBody, mut client: DuplexStream, late: &[u8]) -> String {
    let (mut h1, mut server) = pair();
    begin(&mut h1, &post(&[("content-length", "5")]), body);
    client.write_all(late).await.unwrap();
    let serving = async {
        hears(&mut server, "\r\n\r\n").await;
        let heard = hears(&mut server, "lo").await;
        server.write_all(OK).await.unwrap();
        heard
    };
    let (status, heard) = tokio::join!(status(&mut h1), serving);
    assert_eq!(status, 200);
    heard
}

#[test]
fn a_request_of_which_nothing_has_left_is_given_back_whole() {
    run(async {
        assert!(matches!(unsent(&get(), RequestBody::Empty).await, RequestBody::Empty));

        let length = post(&[("content-length", "5")]);
        let (body_, client) = body("content-length: 5").await;
        let back = unsent(&length, body_).await;
        assert_eq!(sent(back, client, b"hello").await, "hello", "nothing was taken");

        let (body_, mut client) = body("content-length: 5").await;
        client.write_all(b"hel").await.unwrap();
        tokio::task::yield_now().await;
        let back = unsent(&length, body_).await;
        let back = unsent(&length, back).await;
        assert_eq!(sent(back, client, b"lo").await, "hello", "a piece was taken, twice");

        let (body_, mut client) = body("content-length: 5").await;
        client.write_all(b"hello").await.unwrap();
        tokio::task::yield_now().await;
        let back = unsent(&post(&[]), body_).await;
        assert_eq!(sent(back, client, b"").await, "hello", "all of it was taken, in a chunk");
    });
}

#[test]
fn trailers_are_sent_or_the_request_is_not_sent_again() {
    run(async {
        let (body, mut client) = body("transfer-encoding: chunked").await;
        client.write_all(b"0\r\nt: 1\r\n\r\n").await.unwrap();
        tokio::task::yield_now().await;
        let (mut h1, server) = pair();
        drop(server);
        begin(&mut h1, &post(&[]), body);
        // They have been taken from the client and cannot come again.
        assert!(matches!(head(&mut h1).await, Err(Unanswered::Failed(_))));
    });
}

/// A request with a body of "hello" whose head says `length`: why it failed.
async fn lies(h1: &mut H1, length: &'static str) -> (Outcome, bool) {
    let (body, mut client) = body("content-length: 5").await;
    client.write_all(b"hello").await.unwrap();
    tokio::task::yield_now().await;
    begin(h1, &post(&[("content-length", length)]), body);
    match head(h1).await {
        Err(Unanswered::Failed(failure)) => (failure.outcome, failure.sent),
        _ => panic!("no failure"),
    }
}

#[test]
fn a_body_that_is_longer_than_its_head_says_is_refused_before_the_first_byte() {
    run(async {
        for length in ["0", "4"] {
            let (mut h1, mut server) = pair();
            assert_eq!(lies(&mut h1, length).await, (Outcome::ClientCancelled, false), "{length}");
            drop(h1);
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            assert!(heard.is_empty(), "{length}");
        }
        let (mut h1, mut server) = pair();
        assert_eq!(lies(&mut h1, "6").await, (Outcome::ClientCancelled, true));
        drop(h1);
        assert!(hears(&mut server, "hello").await.ends_with("\r\n\r\nhello"), "and never the sixth");
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);

        let (mut h1, _server) = pair();
        assert!(h1.begin(&post(&[("content-length", "x")]), |_| (), RequestBody::Empty).is_err());
        assert!(!h1.is_complete() && !h1.is_ready());
        begin(&mut h1, &post(&[("content-length", "1")]), RequestBody::Empty);
        assert!(matches!(head(&mut h1).await, Err(Unanswered::Failed(Failure { sent: false, .. }))));
    });
}

#[test]
fn a_client_that_breaks_off_fails_its_request_and_leaves_it_unfinished() {
    run(async {
        let (body, mut client) = body("content-length: 5").await;
        client.write_all(b"hel").await.unwrap();
        let (mut h1, mut server) = pair();
        begin(&mut h1, &post(&[("content-length", "5")]), body);
        let others = async {
            hears(&mut server, "hel").await;
            drop(client);
        };
        let (answer, ()) = tokio::join!(head(&mut h1), others);
        let Err(Unanswered::Failed(failure)) = answer else { panic!("no failure") };
        assert_eq!((failure.outcome, failure.sent), (Outcome::ClientCancelled, true));
        assert!(!h1.is_complete());
        drop(h1);
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
    });
}

#[test]
fn a_server_that_closes_instead_of_answering_may_have_seen_the_request() {
    run(async {
        let (mut h1, mut server) = pair();
        begin(&mut h1, &get(), RequestBody::Empty);
        let others = async {
            hears(&mut server, "\r\n\r\n").await;
            server.write_all(b"HTTP/1.1 200").await.unwrap();
            drop(server);
        };
        let (answer, ()) = tokio::join!(head(&mut h1), others);
        let Err(Unanswered::Failed(failure)) = answer else { panic!("no failure") };
        assert_eq!((failure.outcome, failure.sent), (Outcome::ConnectionTerminated, true));
        until(&h1, |ready| ready.is_read_closed()).await;
        assert!(!h1.is_ready());
    });
}
